//! `ledger_cosignature`: acknowledgements, ours of followed ledgers and others' of our own.

use crate::{StoreError, Tx};
use raccordo_model::{checkpoint::Cosignature, node::NodeId, timestamp::Timestamp};

pub(crate) const INSERT: &str = "INSERT INTO ledger_cosignature (ledger, size, cosigner, line, at_us)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (ledger, cosigner, size) DO NOTHING";
pub(crate) const LAST: &str = "SELECT size, line, at_us FROM ledger_cosignature
    WHERE ledger = $1 AND cosigner = $2 ORDER BY size DESC LIMIT 1";
pub(crate) const COVERING: &str = "SELECT size, line, at_us FROM ledger_cosignature
    WHERE ledger = $1 AND cosigner = $2 AND size > $3 ORDER BY size LIMIT 1";
pub(crate) const ALL_LAST: &str = "SELECT cosigner, CAST(MAX(size) AS BIGINT) AS size FROM ledger_cosignature
    WHERE ledger = $1 GROUP BY cosigner ORDER BY cosigner";

type Row = (i64, String, i64);

/// Keeps a cosignature; the same one again changes nothing.
pub async fn insert(
    tx: &mut Tx,
    node: NodeId,
    cosigner: NodeId,
    cosignature: &Cosignature,
) -> Result<(), StoreError> {
    tx.query(INSERT)
        .bind(node.to_string())
        .bind(cosignature.size as i64)
        .bind(cosigner.to_string())
        .bind(cosignature.line.clone())
        .bind(cosignature.at.0)
        .execute()
        .await
        .map(drop)
}

/// The cosignature of the largest size by `cosigner`.
pub async fn last(tx: &mut Tx, node: NodeId, cosigner: NodeId) -> Result<Option<Cosignature>, StoreError> {
    let row: Option<Row> = tx
        .query(LAST)
        .bind(node.to_string())
        .bind(cosigner.to_string())
        .fetch_optional()
        .await?;
    Ok(row.map(parse))
}

/// The earliest cosignature by `cosigner` that covers the entry at `index`: the receipt of that entry.
pub async fn covering(
    tx: &mut Tx,
    node: NodeId,
    cosigner: NodeId,
    index: u64,
) -> Result<Option<Cosignature>, StoreError> {
    let row: Option<Row> = tx
        .query(COVERING)
        .bind(node.to_string())
        .bind(cosigner.to_string())
        .bind(index as i64)
        .fetch_optional()
        .await?;
    Ok(row.map(parse))
}

/// The largest size that each cosigner confirmed.
pub async fn all_last(tx: &mut Tx, node: NodeId) -> Result<Vec<(NodeId, u64)>, StoreError> {
    let rows: Vec<(String, i64)> = tx.query(ALL_LAST).bind(node.to_string()).fetch_all().await?;
    rows.into_iter()
        .map(|(cosigner, size)| match cosigner.parse() {
            Ok(node) => Ok((node, size as u64)),
            Err(_) => Err(StoreError::Corrupt {
                table: "ledger_cosignature",
                column: "cosigner",
                key: cosigner,
            }),
        })
        .collect()
}

fn parse((size, line, at_us): Row) -> Cosignature {
    Cosignature {
        size: size as u64,
        at: Timestamp(at_us),
        line,
    }
}
