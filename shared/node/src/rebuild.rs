//! The projections from nothing: drop every `proj_*` table, replay the ledgers, compare digests.
//!
//! The own ledger is replayed in order, each entry after what it had `seen` of the followed ones;
//! then the rest of those. As their rows commute, the result does not depend on when they came.

use crate::{
    node::{self, Node, NodeError},
    projection::{self, NODE_MIGRATIONS, NODE_TABLES},
};
use raccordo_model::{entry::Entry, node::NodeId};
use raccordo_store::{
    StoreError, Tx,
    dump::{self, Table},
    entries, heads, migration,
};
use std::collections::BTreeMap;

/// Entries that are read at once.
const PAGE: u64 = 128;

/// What a rebuild did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Digest of the tables before.
    pub before: String,
    /// Digest of the tables after.
    pub after: String,
    /// Entries replayed, of all ledgers.
    pub entries: u64,
}

/// Every projection table of a node.
pub fn tables(node: &Node) -> Vec<Table> {
    NODE_TABLES
        .iter()
        .chain(node.projector.tables())
        .copied()
        .collect()
}

/// The digest of a node's projections (see [`dump::digest`]).
pub async fn digest(node: &Node) -> Result<String, NodeError> {
    Ok(dump::digest(&node.db, &tables(node)).await?)
}

/// Rebuilds the projections of a node that serves nobody meanwhile.
///
/// One transaction: dying anywhere leaves the tables as they were.
pub async fn rebuild(node: &Node) -> Result<Rebuilt, NodeError> {
    let declared = tables(node);
    let mut tx = node.db.write().await?;
    refuse_undeclared(&mut tx, &declared).await?;
    let before = dump::digest_in(&mut tx, &declared).await?;
    for table in &declared {
        tx.script(table.drop).await?;
    }
    let migrations: Vec<_> = NODE_MIGRATIONS
        .iter()
        .chain(node.projector.migrations())
        .collect();
    for migration in &migrations {
        migration::forget(&mut tx, migration.component).await?;
    }
    for migration in &migrations {
        migration::apply(&mut tx, migration).await?;
    }
    let entries = replay(node, &mut tx).await?;
    let after = dump::digest_in(&mut tx, &declared).await?;
    tx.commit().await?;
    Ok(Rebuilt {
        before,
        after,
        entries,
    })
}

/// A `proj_*` table that nobody declares would escape digest and rebuild.
pub async fn refuse_undeclared(tx: &mut Tx, declared: &[Table]) -> Result<(), StoreError> {
    for name in dump::projection_tables(tx).await? {
        if !declared.iter().any(|t| t.name == name) {
            return Err(StoreError::Corrupt {
                table: "sqlite_master or pg_tables",
                column: "name",
                key: name,
            });
        }
    }
    Ok(())
}

/// Whether a database holds exactly the projections that its ledgers give, without changing it.
pub async fn would_change(node: &Node) -> Result<Option<Rebuilt>, NodeError> {
    let declared = tables(node);
    let mut tx = node.db.write().await?;
    let before = dump::digest_in(&mut tx, &declared).await?;
    for table in &declared {
        tx.script(table.drop).await?;
    }
    for migration in NODE_MIGRATIONS.iter().chain(node.projector.migrations()) {
        let text = if tx.is_sqlite() {
            migration.sqlite
        } else {
            migration.postgres
        };
        tx.script(text).await?;
    }
    let entries = replay(node, &mut tx).await?;
    let after = dump::digest_in(&mut tx, &declared).await?;
    // Dropped without a commit: the tables stay as they were.
    drop(tx);
    Ok((before != after).then_some(Rebuilt {
        before,
        after,
        entries,
    }))
}

async fn replay(node: &Node, tx: &mut Tx) -> Result<u64, NodeError> {
    let sizes: BTreeMap<NodeId, u64> = heads::list(tx).await?.into_iter().collect();
    let mut applied: BTreeMap<NodeId, u64> = BTreeMap::new();
    let own = sizes.get(&node.me()).copied().unwrap_or(0);
    let mut from = 0;
    while from < own {
        let to = (from + PAGE).min(own);
        for entry in page(tx, node.me(), from, to).await? {
            for (followed, size) in entry.header.seen.clone() {
                advance(node, tx, &mut applied, followed, size).await?;
            }
            projection::apply_one(node.projector.as_ref(), tx, &entry).await?;
            projection::move_cursor(tx, entry.node, std::slice::from_ref(&entry)).await?;
        }
        from = to;
    }
    for (followed, size) in &sizes {
        if *followed != node.me() {
            advance(node, tx, &mut applied, *followed, *size).await?;
        }
    }
    Ok(sizes.values().sum())
}

async fn advance(
    node: &Node,
    tx: &mut Tx,
    applied: &mut BTreeMap<NodeId, u64>,
    followed: NodeId,
    size: u64,
) -> Result<(), NodeError> {
    let done = applied.entry(followed).or_default();
    while *done < size {
        let to = (*done + PAGE).min(size);
        let entries = page(tx, followed, *done, to).await?;
        if entries.len() as u64 != to - *done {
            return Err(NodeError::Unreadable {
                node: followed,
                index: *done,
                why: "entries are missing".into(),
            });
        }
        projection::apply_carefully(node.projector.as_ref(), tx, followed, &entries).await?;
        *done = to;
    }
    Ok(())
}

async fn page(tx: &mut Tx, ledger: NodeId, from: u64, to: u64) -> Result<Vec<Entry>, NodeError> {
    entries::range(tx, ledger, from, to)
        .await?
        .into_iter()
        .map(node::parse)
        .collect()
}
