//! Reading back what ledgers hold: acts by their place, the code lists in force, what people see.

use raccordo_model::{
    code::Id,
    edition::Versioned,
    entry::{AccountId, Actor, EntryRef, Subject},
    node::NodeId,
    region,
    taxonomy::CodeLists,
    timestamp::Timestamp,
};
use raccordo_node::{
    Node, NodeError, node,
    status::{Refusal, RefusalKind},
};
use raccordo_proto::{body::Act, wire};
use raccordo_store::{StoreError, Tx, entries};
use std::{borrow::Cow, fmt::Display};

pub(crate) const LATEST_CODE_LISTS: &str = "SELECT idx FROM proj_code_lists ORDER BY version DESC LIMIT 1";
pub(crate) const DUE_DAYS: &str = "SELECT report_due_days FROM proj_federation LIMIT 1";

/// The statements of this room.
pub(crate) const STATEMENTS: &[&str] = &[LATEST_CODE_LISTS, DUE_DAYS];

/// Days after the end of a month at which its report is due, until the Hub's first entry is here.
pub const DUE_DAYS_DEFAULT: u32 = 20;

/// An act at its place.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Where it stands.
    pub entry: EntryRef,
    /// When it was recorded.
    pub at: Timestamp,
    /// What it says.
    pub act: Act,
}

/// The act at a place of a ledger; `None` when its body was erased or is not here.
pub async fn act_at(tx: &mut Tx, ledger: NodeId, index: u64) -> Result<Option<Recorded>, NodeError> {
    let Some(stored) = entries::get(tx, ledger, index).await? else {
        return Ok(None);
    };
    let entry = node::parse(stored)?;
    let unreadable = |why: String| NodeError::Unreadable {
        node: ledger,
        index,
        why,
    };
    let raccordo_model::kind::Kind::Known(kind) = entry.header.kind else {
        return Ok(None);
    };
    let Some(body) = &entry.body else { return Ok(None) };
    let bytes = raccordo_proto::entry::unpack_body(&entry.header, &body.stored)
        .map_err(|e| unreadable(e.to_string()))?;
    let act = Act::decode(kind, &bytes).map_err(|e| unreadable(e.to_string()))?;
    Ok(Some(Recorded {
        entry: entry.reference(),
        at: entry.header.recorded_at,
        act,
    }))
}

/// The latest code lists of the centre; those compiled in until the centre has published any.
pub async fn code_lists(tx: &mut Tx) -> Result<Cow<'static, CodeLists>, NodeError> {
    let row: Option<(i64,)> = tx.query(LATEST_CODE_LISTS).fetch_optional().await?;
    if let Some((index,)) = row
        && let Some(Recorded {
            act: Act::CodeListsPublished(codes),
            ..
        }) = act_at(tx, NodeId::Hub, index as u64).await?
    {
        return Ok(Cow::Owned(codes));
    }
    Ok(Cow::Borrowed(CodeLists::builtin()))
}

/// Days after the end of a month at which its report is due.
pub async fn report_due_days(tx: &mut Tx) -> Result<u32, StoreError> {
    let row: Option<(i64,)> = tx.query(DUE_DAYS).fetch_optional().await?;
    Ok(row
        .and_then(|(days,)| u32::try_from(days).ok())
        .unwrap_or(DUE_DAYS_DEFAULT))
}

/// A subject of this program: identifiers are short and of printable ASCII, so it always is one.
pub fn subject(text: impl Display) -> Result<Subject, NodeError> {
    text.to_string()
        .parse()
        .map_err(|e| Refusal::new(RefusalKind::InvalidInput, e, "shorten the identifier").into())
}

/// The program itself as an author, of entries that no person decided on: account of sixteen zero
/// bytes, institution the region's three letters.
pub fn program(node: &Node) -> Actor {
    Actor {
        account: AccountId([0; 16]),
        institution: institution(node.me()),
    }
}

/// The institution code of a region's own people: its three letters.
pub fn institution(node: NodeId) -> String {
    node.region()
        .and_then(region::region)
        .map_or_else(|| "REGION".into(), |r| r.short.to_ascii_uppercase())
}

/// The answer to an act. `text` is one Italian sentence.
pub fn receipt(
    entry: &EntryRef,
    size: u64,
    subject: &Subject,
    text: String,
    repeated: bool,
) -> wire::Receipt {
    wire::Receipt {
        entry: Some(raccordo_proto::entry::entry_ref_to_wire(entry)),
        ledger_size: size,
        subject: subject.to_string(),
        text,
        repeated,
    }
}

/// Rows under stable column names.
pub fn listing(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> wire::Listing {
    wire::Listing {
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        rows: rows.into_iter().map(|cells| wire::ListingRow { cells }).collect(),
    }
}

/// An instant as rows show it; empty for none.
pub fn instant(us: Option<i64>) -> String {
    us.map(|us| Timestamp(us).to_string()).unwrap_or_default()
}

/// A kit version from its two parts, as a caller wrote them.
pub fn versioned(kit: &str, version: &str) -> Result<Versioned, Refusal> {
    let id: Id = kit
        .parse()
        .map_err(|e| Refusal::invalid(e, "see `catalogue list`"))?;
    let version = version
        .parse()
        .map_err(|e| Refusal::invalid(e, "see `catalogue list`"))?;
    Ok(Versioned { id, version })
}

/// A value of a row that this program wrote.
pub fn stored<T: std::str::FromStr>(
    table: &'static str,
    column: &'static str,
    key: &str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt {
        table,
        column,
        key: key.into(),
    })
}

/// At most 1 KiB of the first problems of a document, with how many there are: the text of a refusal.
pub fn problems<T: Display>(all: &[T]) -> String {
    let mut text = String::new();
    for (shown, problem) in all.iter().enumerate() {
        let line = problem.to_string();
        if text.len() + line.len() > 900 && shown > 0 {
            text.push_str(&format!("\n… {} problems in all", all.len()));
            break;
        }
        if shown > 0 {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}
