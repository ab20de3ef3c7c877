//! `ledger_entry` and `ledger_body`: entries at their places, bytes as they came.

use crate::{StoreError, Tx};
use raccordo_model::{
    digest::{BodyHash, LeafHash},
    entry::Body,
    node::NodeId,
};

pub(crate) const INSERT: &str =
    "INSERT INTO ledger_entry (ledger, idx, header, body_hash, leaf_hash, erased_by)
    VALUES ($1, $2, $3, $4, $5, $6)";
pub(crate) const INSERT_BODY: &str =
    "INSERT INTO ledger_body (ledger, idx, salt, stored) VALUES ($1, $2, $3, $4)";
/// [`INSERT`] of [`ROWS`] entries of one ledger: a sixteenth of the ways to the database and back.
pub(crate) const INSERT_ROWS: &str =
    "INSERT INTO ledger_entry (ledger, idx, header, body_hash, leaf_hash, erased_by)
    VALUES
    ($1, $2, $3, $4, $5, $6), ($1, $7, $8, $9, $10, $11), ($1, $12, $13, $14, $15, $16),
    ($1, $17, $18, $19, $20, $21), ($1, $22, $23, $24, $25, $26), ($1, $27, $28, $29, $30, $31),
    ($1, $32, $33, $34, $35, $36), ($1, $37, $38, $39, $40, $41), ($1, $42, $43, $44, $45, $46),
    ($1, $47, $48, $49, $50, $51), ($1, $52, $53, $54, $55, $56), ($1, $57, $58, $59, $60, $61),
    ($1, $62, $63, $64, $65, $66), ($1, $67, $68, $69, $70, $71), ($1, $72, $73, $74, $75, $76),
    ($1, $77, $78, $79, $80, $81)";
/// [`INSERT_BODY`] of [`ROWS`] bodies of one ledger.
pub(crate) const INSERT_BODY_ROWS: &str = "INSERT INTO ledger_body (ledger, idx, salt, stored) VALUES
    ($1, $2, $3, $4), ($1, $5, $6, $7), ($1, $8, $9, $10), ($1, $11, $12, $13),
    ($1, $14, $15, $16), ($1, $17, $18, $19), ($1, $20, $21, $22), ($1, $23, $24, $25),
    ($1, $26, $27, $28), ($1, $29, $30, $31), ($1, $32, $33, $34), ($1, $35, $36, $37),
    ($1, $38, $39, $40), ($1, $41, $42, $43), ($1, $44, $45, $46), ($1, $47, $48, $49)";
pub(crate) const RANGE: &str =
    "SELECT e.idx, e.header, e.body_hash, e.leaf_hash, e.erased_by, b.salt, b.stored
    FROM ledger_entry e LEFT JOIN ledger_body b ON b.ledger = e.ledger AND b.idx = e.idx
    WHERE e.ledger = $1 AND e.idx >= $2 AND e.idx < $3 ORDER BY e.idx";
pub(crate) const SIZES: &str = "SELECT e.idx,
    CAST(length(e.header) + COALESCE(length(b.stored), 0) AS BIGINT) AS bytes
    FROM ledger_entry e LEFT JOIN ledger_body b ON b.ledger = e.ledger AND b.idx = e.idx
    WHERE e.ledger = $1 AND e.idx >= $2 AND e.idx < $3 ORDER BY e.idx";
pub(crate) const LEAF_HASHES: &str = "SELECT leaf_hash FROM ledger_entry
    WHERE ledger = $1 AND idx >= $2 AND idx < $3 ORDER BY idx";

/// An entry as stored: bytes and hashes; `raccordo-node` parses the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Whose ledger.
    pub node: NodeId,
    /// Where in it.
    pub index: u64,
    /// Encoded header, as hashed.
    pub header: Vec<u8>,
    /// Commitment to the body.
    pub body_hash: BodyHash,
    /// RFC 6962 leaf hash.
    pub leaf_hash: LeafHash,
    /// The entry that says that the body was erased.
    pub erased_by: Option<u64>,
    /// The body, where this node holds it.
    pub body: Option<Body>,
}

type Row = (
    i64,
    Vec<u8>,
    Vec<u8>,
    Vec<u8>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
);

/// Rows of the statements that insert many.
const ROWS: usize = 16;

/// Adds entries; the caller moves the head in the same transaction.
pub async fn insert(tx: &mut Tx, entries: &[StoredEntry]) -> Result<(), StoreError> {
    let all: Vec<&StoredEntry> = entries.iter().collect();
    for rows in in_rows(&all) {
        let sql = if rows.len() == ROWS { INSERT_ROWS } else { INSERT };
        let mut query = tx.query(sql).bind(rows[0].node.to_string());
        for entry in rows {
            query = query
                .bind(entry.index as i64)
                .bind(entry.header.clone())
                .bind(entry.body_hash.0.to_vec())
                .bind(entry.leaf_hash.0.to_vec())
                .bind(entry.erased_by.map(|i| i as i64));
        }
        query.execute().await?;
    }
    let with_body: Vec<&StoredEntry> = entries.iter().filter(|e| e.body.is_some()).collect();
    for rows in in_rows(&with_body) {
        let sql = if rows.len() == ROWS {
            INSERT_BODY_ROWS
        } else {
            INSERT_BODY
        };
        let mut query = tx.query(sql).bind(rows[0].node.to_string());
        for (index, body) in rows.iter().filter_map(|e| Some((e.index, e.body.as_ref()?))) {
            query = query
                .bind(index as i64)
                .bind(body.salt.to_vec())
                .bind(body.stored.clone());
        }
        query.execute().await?;
    }
    Ok(())
}

/// Entries of one ledger each, [`ROWS`] at once as far as that goes, then one by one.
fn in_rows<'a>(entries: &'a [&'a StoredEntry]) -> impl Iterator<Item = &'a [&'a StoredEntry]> {
    entries
        .chunk_by(|one, next| one.node == next.node)
        .flat_map(|group| {
            let (whole, rest) = group.split_at(group.len() / ROWS * ROWS);
            whole.chunks(ROWS).chain(rest.chunks(1))
        })
}

/// The entries `from..to` of a ledger; the caller bounds the range.
pub async fn range(tx: &mut Tx, node: NodeId, from: u64, to: u64) -> Result<Vec<StoredEntry>, StoreError> {
    let rows: Vec<Row> = tx
        .query(RANGE)
        .bind(node.to_string())
        .bind(from as i64)
        .bind(to as i64)
        .fetch_all()
        .await?;
    rows.into_iter().map(|row| parse(node, row)).collect()
}

/// One entry, if it is held here.
pub async fn get(tx: &mut Tx, node: NodeId, index: u64) -> Result<Option<StoredEntry>, StoreError> {
    Ok(range(tx, node, index, index + 1).await?.pop())
}

/// Bytes of header and body of each of the entries `from..to`.
pub async fn sizes(tx: &mut Tx, node: NodeId, from: u64, to: u64) -> Result<Vec<u64>, StoreError> {
    let rows: Vec<(i64, i64)> = tx
        .query(SIZES)
        .bind(node.to_string())
        .bind(from as i64)
        .bind(to as i64)
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(_, bytes)| bytes as u64).collect())
}

/// The leaf hashes `from..to`, for proofs.
pub async fn leaf_hashes(tx: &mut Tx, node: NodeId, from: u64, to: u64) -> Result<Vec<LeafHash>, StoreError> {
    let rows: Vec<(Vec<u8>,)> = tx
        .query(LEAF_HASHES)
        .bind(node.to_string())
        .bind(from as i64)
        .bind(to as i64)
        .fetch_all()
        .await?;
    rows.into_iter()
        .zip(from..)
        .map(|((hash,), index)| LeafHash::from_slice(&hash).ok_or_else(|| corrupt(node, index, "leaf_hash")))
        .collect()
}

fn parse(node: NodeId, row: Row) -> Result<StoredEntry, StoreError> {
    let (index, header, body_hash, leaf_hash, erased_by, salt, stored) = row;
    let index = index as u64;
    let body = match (salt, stored) {
        (Some(salt), Some(stored)) => Some(Body {
            salt: salt
                .as_slice()
                .try_into()
                .map_err(|_| corrupt(node, index, "salt"))?,
            stored,
        }),
        _ => None,
    };
    Ok(StoredEntry {
        node,
        index,
        header,
        body_hash: BodyHash::from_slice(&body_hash).ok_or_else(|| corrupt(node, index, "body_hash"))?,
        leaf_hash: LeafHash::from_slice(&leaf_hash).ok_or_else(|| corrupt(node, index, "leaf_hash"))?,
        erased_by: erased_by.map(|i| i as u64),
        body,
    })
}

fn corrupt(node: NodeId, index: u64, column: &'static str) -> StoreError {
    StoreError::Corrupt {
        table: "ledger_entry",
        column,
        key: format!("{node}/{index}"),
    }
}
