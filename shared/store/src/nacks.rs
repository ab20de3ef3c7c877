//! `ledger_nack`: refusals that followers told of our entries, for the publisher's page.

use crate::{StoreError, Tx};
use raccordo_model::{node::NodeId, timestamp::Timestamp};

pub(crate) const PUT: &str = "INSERT INTO ledger_nack (peer, idx, code, text, remedy, at_us)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (peer, idx) DO UPDATE
    SET code = excluded.code, text = excluded.text, remedy = excluded.remedy, at_us = excluded.at_us";
pub(crate) const LIST: &str = "SELECT peer, idx, code, text, remedy, at_us FROM ledger_nack
    ORDER BY at_us DESC, peer, idx LIMIT 1000";

/// A refusal of one of our entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Who refused it.
    pub peer: NodeId,
    /// Which entry of our ledger.
    pub index: u64,
    /// Stable code.
    pub code: String,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub remedy: String,
    /// When it was told, by the system's clock.
    pub at: Timestamp,
}

/// Keeps a refusal; the latest one of an entry by a peer counts.
pub async fn put(tx: &mut Tx, refused: &Refused) -> Result<(), StoreError> {
    tx.query(PUT)
        .bind(refused.peer.to_string())
        .bind(refused.index as i64)
        .bind(refused.code.clone())
        .bind(refused.text.clone())
        .bind(refused.remedy.clone())
        .bind(refused.at.0)
        .execute()
        .await
        .map(drop)
}

/// The latest refusals; at most 1,000.
pub async fn list(tx: &mut Tx) -> Result<Vec<Refused>, StoreError> {
    let rows: Vec<(String, i64, String, String, String, i64)> = tx.query(LIST).fetch_all().await?;
    rows.into_iter()
        .map(|(peer, index, code, text, remedy, at)| match peer.parse() {
            Ok(peer) => Ok(Refused {
                peer,
                index: index as u64,
                code,
                text,
                remedy,
                at: Timestamp(at),
            }),
            Err(_) => Err(StoreError::Corrupt {
                table: "ledger_nack",
                column: "peer",
                key: peer,
            }),
        })
        .collect()
}
