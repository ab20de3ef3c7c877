//! `ledger_checkpoint`: every checkpoint at which an append or a batch ended.

use crate::{StoreError, Tx};
use raccordo_model::node::NodeId;

pub(crate) const INSERT: &str = "INSERT INTO ledger_checkpoint (ledger, size, note) VALUES ($1, $2, $3)
    ON CONFLICT (ledger, size) DO NOTHING";
pub(crate) const GET: &str = "SELECT note FROM ledger_checkpoint WHERE ledger = $1 AND size = $2";
pub(crate) const AFTER: &str = "SELECT size, note FROM ledger_checkpoint WHERE ledger = $1 AND size > $2
    ORDER BY size LIMIT $3";

/// Keeps the signed checkpoint at `size`.
pub async fn insert(tx: &mut Tx, node: NodeId, size: u64, note: &str) -> Result<(), StoreError> {
    tx.query(INSERT)
        .bind(node.to_string())
        .bind(size as i64)
        .bind(note.to_owned())
        .execute()
        .await
        .map(drop)
}

/// The signed checkpoint at exactly `size`, if one was kept.
pub async fn get(tx: &mut Tx, node: NodeId, size: u64) -> Result<Option<String>, StoreError> {
    let row: Option<(String,)> = tx
        .query(GET)
        .bind(node.to_string())
        .bind(size as i64)
        .fetch_optional()
        .await?;
    Ok(row.map(|(note,)| note))
}

/// The next checkpoints after `size`, at most `limit`, in order.
pub async fn after(
    tx: &mut Tx,
    node: NodeId,
    size: u64,
    limit: u32,
) -> Result<Vec<(u64, String)>, StoreError> {
    let rows: Vec<(i64, String)> = tx
        .query(AFTER)
        .bind(node.to_string())
        .bind(size as i64)
        .bind(i64::from(limit))
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(size, note)| (size as u64, note)).collect())
}
