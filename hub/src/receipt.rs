//! What an act answers with: where it stands in the ledger.

use raccordo_model::{
    entry::{EntryRef, Subject},
    node::NodeId,
};
use raccordo_node::{NodeError, journal::Committed, status::Refusal};
use raccordo_proto::{entry::entry_ref_to_wire, wire};
use raccordo_store::{StoreError, Tx, entries, heads};

/// The answer to an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry; none for what is kept outside the ledger, such as a proposal.
    pub entry: Option<EntryRef>,
    /// The size of the Hub's ledger.
    pub size: u64,
    /// What it is about.
    pub subject: String,
    /// What happened, one sentence, Italian.
    pub text: String,
    /// Whether the same act had been recorded before: nothing was changed.
    pub repeated: bool,
}

impl Receipt {
    /// A new entry.
    pub fn done(entry: EntryRef, committed: &Committed, subject: &Subject, text: impl Into<String>) -> Self {
        Self {
            entry: Some(entry),
            size: committed.size,
            subject: subject.to_string(),
            text: text.into(),
            repeated: false,
        }
    }

    /// The entry at `index` of the Hub's ledger says the same already.
    pub async fn repeated(
        tx: &mut Tx,
        index: u64,
        subject: &Subject,
        text: impl Into<String>,
    ) -> Result<Self, NodeError> {
        Ok(Self {
            entry: Some(reference(tx, NodeId::Hub, index).await?),
            size: own_size(tx).await?,
            subject: subject.to_string(),
            text: text.into(),
            repeated: true,
        })
    }

    /// Kept outside the ledger.
    pub async fn kept(
        tx: &mut Tx,
        subject: &Subject,
        text: impl Into<String>,
        repeated: bool,
    ) -> Result<Self, NodeError> {
        let size = own_size(tx).await?;
        Ok(Self {
            entry: None,
            size,
            subject: subject.to_string(),
            text: text.into(),
            repeated,
        })
    }
}

impl From<Receipt> for wire::Receipt {
    fn from(receipt: Receipt) -> Self {
        Self {
            entry: receipt.entry.as_ref().map(entry_ref_to_wire),
            ledger_size: receipt.size,
            subject: receipt.subject,
            text: receipt.text,
            repeated: receipt.repeated,
        }
    }
}

/// The entry at a place that a projection names.
pub async fn reference(tx: &mut Tx, node: NodeId, index: u64) -> Result<EntryRef, NodeError> {
    let stored = entries::get(tx, node, index)
        .await?
        .ok_or_else(|| missing(node, index))?;
    Ok(EntryRef {
        node,
        index,
        leaf_hash: stored.leaf_hash,
    })
}

/// The size of the Hub's ledger.
pub async fn own_size(tx: &mut Tx) -> Result<u64, StoreError> {
    Ok(heads::get(tx, NodeId::Hub).await?.map_or(0, |head| head.size))
}

/// The subject of that name; names are made of checked parts.
pub fn subject(text: String) -> Result<Subject, Refusal> {
    text.parse()
        .map_err(|e| Refusal::invalid(e, "use a shorter identifier"))
}

/// An entry that a projection names and the ledger lacks.
pub fn missing(node: NodeId, index: u64) -> NodeError {
    NodeError::Unreadable {
        node,
        index,
        why: "a projection names it and it is not held here; run `verify`".into(),
    }
}
