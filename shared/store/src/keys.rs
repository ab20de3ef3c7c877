//! `ledger_key`: the public keys of each node's ledger, from the size at which they took effect.

use crate::{StoreError, Tx};
use raccordo_model::node::{NodeId, Origin};

pub(crate) const INSERT: &str = "INSERT INTO ledger_key (node, from_size, origin, ledger_key, cosigner_key)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (node, from_size) DO NOTHING";
pub(crate) const AT: &str = "SELECT from_size, origin, ledger_key, cosigner_key FROM ledger_key
    WHERE node = $1 AND from_size <= $2 ORDER BY from_size DESC LIMIT 1";

/// The public keys of a node, Ed25519, 32 bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeys {
    /// Whose.
    pub node: NodeId,
    /// The ledger that they belong to.
    pub origin: Origin,
    /// Verifies checkpoints of sizes greater than or equal to this.
    pub from_size: u64,
    /// Verifies the ledger's checkpoints.
    pub ledger_key: [u8; 32],
    /// Verifies the node's cosignatures.
    pub cosigner_key: [u8; 32],
}

/// Keeps keys; the same again changes nothing.
pub async fn insert(tx: &mut Tx, keys: &PublicKeys) -> Result<(), StoreError> {
    tx.query(INSERT)
        .bind(keys.node.to_string())
        .bind(keys.from_size as i64)
        .bind(keys.origin.to_string())
        .bind(keys.ledger_key.to_vec())
        .bind(keys.cosigner_key.to_vec())
        .execute()
        .await
        .map(drop)
}

/// The keys in force for checkpoints of `size`.
pub async fn at(tx: &mut Tx, node: NodeId, size: u64) -> Result<Option<PublicKeys>, StoreError> {
    let row: Option<(i64, String, Vec<u8>, Vec<u8>)> = tx
        .query(AT)
        .bind(node.to_string())
        .bind(size.min(i64::MAX as u64) as i64)
        .fetch_optional()
        .await?;
    let Some((from_size, origin, ledger_key, cosigner_key)) = row else {
        return Ok(None);
    };
    let corrupt = |column| StoreError::Corrupt {
        table: "ledger_key",
        column,
        key: node.to_string(),
    };
    Ok(Some(PublicKeys {
        node,
        from_size: from_size as u64,
        origin: origin.parse().map_err(|_| corrupt("origin"))?,
        ledger_key: ledger_key
            .as_slice()
            .try_into()
            .map_err(|_| corrupt("ledger_key"))?,
        cosigner_key: cosigner_key
            .as_slice()
            .try_into()
            .map_err(|_| corrupt("cosigner_key"))?,
    }))
}
