//! `ledger_head`: how far a ledger has come here. Moves by compare-and-swap only.

use crate::{StoreError, Tx};
use raccordo_model::{
    digest::TreeHash,
    node::{NodeId, Origin},
};

pub(crate) const INSERT: &str = "INSERT INTO ledger_head (ledger, origin, size, root, frontier, note)
    VALUES ($1, $2, 0, $3, $4, '')";
pub(crate) const GET: &str = "SELECT origin, size, root, frontier, note FROM ledger_head WHERE ledger = $1";
pub(crate) const LIST: &str = "SELECT ledger, size FROM ledger_head ORDER BY ledger";
pub(crate) const SWAP: &str = "UPDATE ledger_head SET size = $3, root = $4, frontier = $5, note = $6
    WHERE ledger = $1 AND size = $2";

/// The head of one ledger as it is stored here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Whose ledger.
    pub node: NodeId,
    /// Its name.
    pub origin: Origin,
    /// Number of entries held.
    pub size: u64,
    /// Root at that size.
    pub root: TreeHash,
    /// Encoded frontier (`raccordo_ledger::tree::Frontier`).
    pub frontier: Vec<u8>,
    /// The signed checkpoint at that size; empty at size 0.
    pub note: String,
}

/// Starts a ledger at size 0.
pub async fn create(
    tx: &mut Tx,
    node: NodeId,
    origin: &Origin,
    root: TreeHash,
    frontier: Vec<u8>,
) -> Result<(), StoreError> {
    tx.query(INSERT)
        .bind(node.to_string())
        .bind(origin.to_string())
        .bind(root.0.to_vec())
        .bind(frontier)
        .execute()
        .await
        .map(drop)
}

/// The head of a ledger, if it was started here.
pub async fn get(tx: &mut Tx, node: NodeId) -> Result<Option<Head>, StoreError> {
    type Row = (String, i64, Vec<u8>, Vec<u8>, String);
    let row: Option<Row> = tx.query(GET).bind(node.to_string()).fetch_optional().await?;
    let Some((origin, size, root, frontier, note)) = row else {
        return Ok(None);
    };
    let corrupt = |column| StoreError::Corrupt {
        table: "ledger_head",
        column,
        key: node.to_string(),
    };
    Ok(Some(Head {
        node,
        origin: origin.parse().map_err(|_| corrupt("origin"))?,
        size: u64::try_from(size).map_err(|_| corrupt("size"))?,
        root: TreeHash::from_slice(&root).ok_or_else(|| corrupt("root"))?,
        frontier,
        note,
    }))
}

/// Every ledger that was started here, with its size; at most one per node.
pub async fn list(tx: &mut Tx) -> Result<Vec<(NodeId, u64)>, StoreError> {
    let rows: Vec<(String, i64)> = tx.query(LIST).fetch_all().await?;
    rows.into_iter()
        .map(|(ledger, size)| {
            let corrupt = |column| StoreError::Corrupt {
                table: "ledger_head",
                column,
                key: ledger.clone(),
            };
            let size = u64::try_from(size).map_err(|_| corrupt("size"))?;
            Ok((ledger.parse().map_err(|_| corrupt("ledger"))?, size))
        })
        .collect()
}

/// Moves the head from `from` to `to`, or says that another writer did.
pub async fn swap(tx: &mut Tx, from: u64, to: &Head) -> Result<(), StoreError> {
    let moved = tx
        .query(SWAP)
        .bind(to.node.to_string())
        .bind(from as i64)
        .bind(to.size as i64)
        .bind(to.root.0.to_vec())
        .bind(to.frontier.clone())
        .bind(to.note.clone())
        .execute()
        .await?;
    if moved == 1 {
        Ok(())
    } else {
        Err(StoreError::Moved("the ledger's head"))
    }
}
