//! `ledger_fence`: why the exchange with a peer stopped for good, with the evidence. A person lifts it.

use crate::{StoreError, Tx};
use raccordo_model::{node::NodeId, timestamp::Timestamp};

pub(crate) const INSERT: &str = "INSERT INTO ledger_fence (peer, at_us, reason, evidence)
    VALUES ($1, $2, $3, $4) ON CONFLICT (peer, at_us) DO NOTHING";
pub(crate) const LIST: &str =
    "SELECT peer, at_us, reason, evidence FROM ledger_fence ORDER BY at_us, peer LIMIT 1000";
pub(crate) const OF: &str = "SELECT peer, at_us, reason, evidence FROM ledger_fence WHERE peer = $1
    ORDER BY at_us LIMIT 1";

/// A stop that only a person lifts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The peer that we no longer exchange with; our own node: we append nothing either.
    pub peer: NodeId,
    /// When it was put up, by the system's clock.
    pub at: Timestamp,
    /// What was found, one sentence.
    pub reason: String,
    /// The checkpoints or epochs that show it.
    pub evidence: String,
}

type Row = (String, i64, String, String);

/// Puts up a fence.
pub async fn insert(tx: &mut Tx, fence: &Fence) -> Result<(), StoreError> {
    tx.query(INSERT)
        .bind(fence.peer.to_string())
        .bind(fence.at.0)
        .bind(fence.reason.clone())
        .bind(fence.evidence.clone())
        .execute()
        .await
        .map(drop)
}

/// Every fence, oldest first; at most 1,000.
pub async fn list(tx: &mut Tx) -> Result<Vec<Fence>, StoreError> {
    let rows: Vec<Row> = tx.query(LIST).fetch_all().await?;
    rows.into_iter().map(parse).collect()
}

/// The oldest fence against `peer`.
pub async fn of(tx: &mut Tx, peer: NodeId) -> Result<Option<Fence>, StoreError> {
    let row: Option<Row> = tx.query(OF).bind(peer.to_string()).fetch_optional().await?;
    row.map(parse).transpose()
}

fn parse((peer, at, reason, evidence): Row) -> Result<Fence, StoreError> {
    match peer.parse() {
        Ok(peer) => Ok(Fence {
            peer,
            at: Timestamp(at),
            reason,
            evidence,
        }),
        Err(_) => Err(StoreError::Corrupt {
            table: "ledger_fence",
            column: "peer",
            key: peer,
        }),
    }
}
