//! How entries become tables.
//!
//! Apply reads no clock and no configuration. The cursor moves in the transaction of the tables.
//! An entry that cannot be applied is *quarantined*: it and what depends on its subject are held,
//! the rest goes on. Rows that come from a followed ledger are keyed by it, so that the ledgers'
//! entries commute.

use futures::future::BoxFuture;
use raccordo_model::{
    entry::{Entry, READER_VERSION},
    kind::{Criticality, Kind},
    node::NodeId,
};
use raccordo_proto::body::Act;
use raccordo_store::{StoreError, Tx, dump::Table, migration::Migration, table};

/// Longest text or remedy of a refusal, in bytes.
pub const REFUSAL_BYTES_MAX: usize = 1_024;

pub(crate) const CURSOR: &str = "SELECT applied FROM proj_cursor WHERE ledger = $1";
pub(crate) const CURSORS: &str = "SELECT ledger, applied FROM proj_cursor ORDER BY ledger";
pub(crate) const MOVE: &str = "INSERT INTO proj_cursor (ledger, applied) VALUES ($1, $2)
    ON CONFLICT (ledger) DO UPDATE SET applied = excluded.applied";
pub(crate) const HOLD: &str =
    "INSERT INTO proj_quarantine (ledger, idx, kind, subject, code, retry, text, remedy)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
pub(crate) const HELD: &str = "SELECT code FROM proj_quarantine WHERE ledger = $1 AND subject = $2 LIMIT 1";
pub(crate) const ANY_HELD: &str = "SELECT idx FROM proj_quarantine WHERE ledger = $1 LIMIT 1";
pub(crate) const LIST_HELD: &str =
    "SELECT ledger, idx, kind, subject, code, text, remedy FROM proj_quarantine
    ORDER BY ledger, idx LIMIT 1000";

/// The projections that every node has.
pub const NODE_MIGRATIONS: &[Migration] = &[Migration {
    component: "node_proj",
    version: 1,
    sqlite: include_str!("../migrations/sqlite/projection_0001.sql"),
    postgres: include_str!("../migrations/postgres/projection_0001.sql"),
}];

/// Their tables.
pub const NODE_TABLES: &[Table] = &[
    table!("proj_cursor", "ledger"),
    table!("proj_quarantine", "ledger, idx"),
];

/// What a node makes of entries; implemented by `hub` and by `spoke`.
pub trait Projector: Send + Sync + 'static {
    /// Component of its migrations; every table that they make is a `proj_*` table.
    fn migrations(&self) -> &'static [Migration];

    /// Its tables. One that is missing here fails `rebuild` and a test.
    fn tables(&self) -> &'static [Table];

    /// Applies one entry. `act` is the parsed body; `None` where this node is not entitled to it
    /// or it was erased. Kinds that mean nothing here are passed over with `Ok`.
    fn apply<'a>(
        &'a self,
        tx: &'a mut Tx,
        entry: &'a Entry,
        act: Option<&'a Act>,
    ) -> BoxFuture<'a, Result<(), ApplyError>>;
}

/// When an entry that could not be applied is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// When one of the two nodes changes its mind by an entry.
    Never,
    /// When this program is upgraded.
    AfterUpgrade,
}

impl Retry {
    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::AfterUpgrade => "after_upgrade",
        }
    }
}

/// Why an entry was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The entry cannot be applied, now or on a replay: quarantine.
    #[error("{text}")]
    Refused {
        /// Stable, for programs: `unknown_kind`, `invalid_body`, `refused`, `depends_on_held`.
        code: &'static str,
        /// When it is tried again.
        retry: Retry,
        /// What is wrong.
        text: String,
        /// What to do.
        remedy: String,
    },
    /// The database failed: nothing is known about the entry.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApplyError {
    /// A rule of the domain stands against the entry.
    pub fn refused(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Refused {
            code: "refused",
            retry: Retry::Never,
            text: text.into(),
            remedy: remedy.into(),
        }
    }
}

/// An entry that is held, as listed.
pub type HeldRow = (String, i64, String, String, String, String, String);

/// An entry that was refused just now, to be told to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whose ledger.
    pub node: NodeId,
    /// Where in it.
    pub index: u64,
    /// Stable code.
    pub code: &'static str,
    /// When it is tried again.
    pub retry: Retry,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

/// How far `node`'s ledger is applied here.
pub async fn cursor(tx: &mut Tx, node: NodeId) -> Result<u64, StoreError> {
    let row: Option<(i64,)> = tx.query(CURSOR).bind(node.to_string()).fetch_optional().await?;
    Ok(row.map_or(0, |(applied,)| applied as u64))
}

/// How far every ledger is applied here; at most one row per node.
pub async fn cursors(tx: &mut Tx) -> Result<Vec<(NodeId, u64)>, StoreError> {
    let rows: Vec<(String, i64)> = tx.query(CURSORS).fetch_all().await?;
    rows.into_iter()
        .map(|(ledger, applied)| match ledger.parse() {
            Ok(node) => Ok((node, applied as u64)),
            Err(_) => Err(StoreError::Corrupt {
                table: "proj_cursor",
                column: "ledger",
                key: ledger,
            }),
        })
        .collect()
}

/// Everything that is held here; at most 1,000 rows.
pub async fn held(tx: &mut Tx) -> Result<Vec<HeldRow>, StoreError> {
    tx.query(LIST_HELD).fetch_all().await
}

/// Applies one entry of the own ledger or of a followed one, without a safety net.
pub async fn apply_one(projector: &dyn Projector, tx: &mut Tx, entry: &Entry) -> Result<(), ApplyError> {
    let known = match &entry.header.kind {
        Kind::Known(kind) if entry.header.minimum_reader <= READER_VERSION => *kind,
        _ if entry.header.criticality == Criticality::Optional => return Ok(()),
        kind => {
            return Err(ApplyError::Refused {
                code: "unknown_kind",
                retry: Retry::AfterUpgrade,
                text: format!("this program does not know entries of kind `{kind}`"),
                remedy: "upgrade this node".into(),
            });
        }
    };
    let act = match &entry.body {
        None => None,
        Some(body) => {
            let act = raccordo_proto::entry::unpack_body(&entry.header, &body.stored)
                .and_then(|bytes| Act::decode(known, &bytes))
                .map_err(|error| ApplyError::Refused {
                    code: "invalid_body",
                    retry: Retry::Never,
                    text: clip(error.to_string()),
                    remedy: "the owner of the entry corrects it by a new one".into(),
                })?;
            Some(act)
        }
    };
    projector.apply(tx, entry, act.as_ref()).await
}

/// Applies entries of one followed ledger in order, each behind a savepoint, and moves the cursor.
/// Returns what was put in quarantine.
pub async fn apply_carefully(
    projector: &dyn Projector,
    tx: &mut Tx,
    node: NodeId,
    entries: &[Entry],
) -> Result<Vec<Held>, StoreError> {
    let mut any: Option<(i64,)> = tx.query(ANY_HELD).bind(node.to_string()).fetch_optional().await?;
    let mut held = Vec::new();
    for entry in entries {
        let verdict = match depends_on_held(tx, entry, any.is_some()).await? {
            Some(refusal) => Err(refusal),
            None => {
                tx.mark().await?;
                let applied = apply_one(projector, tx, entry).await;
                match &applied {
                    Ok(()) => tx.keep().await?,
                    Err(ApplyError::Refused { .. }) => tx.undo().await?,
                    Err(ApplyError::Store(_)) => {}
                }
                applied
            }
        };
        match verdict {
            Ok(()) => {}
            Err(ApplyError::Store(error)) => return Err(error),
            Err(ApplyError::Refused {
                code,
                retry,
                text,
                remedy,
            }) => {
                let row = Held {
                    node,
                    index: entry.index,
                    code,
                    retry,
                    text: clip(text),
                    remedy: clip(remedy),
                };
                hold(tx, entry, &row).await?;
                any = Some((0,));
                held.push(row);
            }
        }
    }
    move_cursor(tx, node, entries).await?;
    Ok(held)
}

/// Applies entries of one followed ledger in order and moves the cursor, hoping that none is
/// refused; on a refusal the caller rolls the whole transaction back and applies carefully.
pub async fn apply_hopefully(
    projector: &dyn Projector,
    tx: &mut Tx,
    node: NodeId,
    entries: &[Entry],
) -> Result<(), ApplyError> {
    let any: Option<(i64,)> = tx.query(ANY_HELD).bind(node.to_string()).fetch_optional().await?;
    for entry in entries {
        if let Some(refusal) = depends_on_held(tx, entry, any.is_some()).await? {
            return Err(refusal);
        }
        apply_one(projector, tx, entry).await?;
    }
    Ok(move_cursor(tx, node, entries).await?)
}

/// Moves the cursor of `node`'s ledger past the last of these entries.
pub async fn move_cursor(tx: &mut Tx, node: NodeId, entries: &[Entry]) -> Result<(), StoreError> {
    let Some(last) = entries.last() else { return Ok(()) };
    tx.query(MOVE)
        .bind(node.to_string())
        .bind(last.index as i64 + 1)
        .execute()
        .await
        .map(drop)
}

async fn depends_on_held(
    tx: &mut Tx,
    entry: &Entry,
    any_held: bool,
) -> Result<Option<ApplyError>, StoreError> {
    if !any_held {
        return Ok(None);
    }
    for subject in std::iter::once(&entry.header.subject).chain(&entry.header.depends_on) {
        let row: Option<(String,)> = tx
            .query(HELD)
            .bind(entry.node.to_string())
            .bind(subject.to_string())
            .fetch_optional()
            .await?;
        if row.is_some() {
            return Ok(Some(ApplyError::Refused {
                code: "depends_on_held",
                retry: Retry::Never,
                text: format!("an earlier entry on `{subject}` is held"),
                remedy: "correct or waive that entry first".into(),
            }));
        }
    }
    Ok(None)
}

async fn hold(tx: &mut Tx, entry: &Entry, row: &Held) -> Result<(), StoreError> {
    tx.query(HOLD)
        .bind(entry.node.to_string())
        .bind(entry.index as i64)
        .bind(entry.header.kind.to_string())
        .bind(entry.header.subject.to_string())
        .bind(row.code.to_owned())
        .bind(row.retry.as_str().to_owned())
        .bind(row.text.clone())
        .bind(row.remedy.clone())
        .execute()
        .await
        .map(drop)
}

/// At most [`REFUSAL_BYTES_MAX`] bytes of a text, cut between characters.
fn clip(mut text: String) -> String {
    if text.len() > REFUSAL_BYTES_MAX {
        let end = (0..=REFUSAL_BYTES_MAX)
            .rev()
            .find(|i| text.is_char_boundary(*i))
            .unwrap_or(0);
        text.truncate(end);
    }
    text
}
