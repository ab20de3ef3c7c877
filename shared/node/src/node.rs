//! A node: its database, its keys, its projector, and who is told when a ledger grows.

use crate::{
    clock::Clock,
    projection::{self, ApplyError, Projector},
    random::Random,
    status::{Refusal, RefusalKind},
};
use raccordo_ledger::{cosign::Cosigner, note::LedgerSigner, tree::Frontier};
use raccordo_model::{
    digest::TreeHash,
    entry::Entry,
    node::{Federation, NodeId, Origin},
};
use raccordo_store::{
    Db, StoreError,
    entries::StoredEntry,
    heads::{self, Head},
    keys::{self, PublicKeys},
    migration,
};
use std::sync::Arc;
use tokio::sync::watch;

/// A failure of a node's own work.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The database failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A rule stands against what was asked; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Stored bytes that this program cannot read.
    #[error("entry {node}/{index} cannot be read: {why}")]
    Unreadable {
        /// Whose ledger.
        node: NodeId,
        /// Where in it.
        index: u64,
        /// What is wrong.
        why: String,
    },
}

impl From<ApplyError> for NodeError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Store(error) => Self::Store(error),
            ApplyError::Refused { text, remedy, .. } => {
                Self::Refused(Refusal::new(RefusalKind::Precondition, text, remedy))
            }
        }
    }
}

/// Who a node is, and with what it signs.
pub struct Identity {
    /// Which node.
    pub node: NodeId,
    /// Of which federation.
    pub federation: Federation,
    /// Whether that is a test federation, with invented data and a business clock.
    pub test: bool,
    /// The name of the own ledger.
    pub origin: Origin,
    /// Signs the own ledger's checkpoints.
    pub signer: LedgerSigner,
    /// Cosigns followed ledgers' checkpoints.
    pub cosigner: Cosigner,
}

/// A node of the federation.
pub struct Node {
    /// Its database.
    pub db: Db,
    /// Who it is.
    pub identity: Identity,
    /// What it makes of entries.
    pub projector: Arc<dyn Projector>,
    /// Stamps entries and cosignatures; a business clock in a test federation.
    pub clock: Arc<dyn Clock>,
    /// The system's clock: tokens, certificates, contacts.
    pub system_clock: Arc<dyn Clock>,
    /// Salts and identifiers.
    pub random: Arc<dyn Random>,
    pub(crate) grown: watch::Sender<u64>,
    pub(crate) applied: watch::Sender<u64>,
}

impl Node {
    /// Opens a node on a database that [`Node::prepare`] has made ready.
    pub async fn open(
        db: Db,
        identity: Identity,
        projector: Arc<dyn Projector>,
        clock: Arc<dyn Clock>,
        system_clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, NodeError> {
        db.migrate(migration::LEDGER).await?;
        db.migrate(crate::account::LOCAL).await?;
        db.migrate(projection::NODE_MIGRATIONS).await?;
        db.migrate(projector.migrations()).await?;
        let mut tx = db.write().await?;
        ensure_ledger(&mut tx, identity.node, &identity.origin).await?;
        keys::insert(
            &mut tx,
            &PublicKeys {
                node: identity.node,
                origin: identity.origin.clone(),
                from_size: 0,
                ledger_key: identity.signer.verifying_key(),
                cosigner_key: identity.cosigner.verifying_key(),
            },
        )
        .await?;
        let size = heads::get(&mut tx, identity.node).await?.map_or(0, |h| h.size);
        tx.commit().await?;
        Ok(Self {
            db,
            identity,
            projector,
            clock,
            system_clock,
            random,
            grown: watch::Sender::new(size),
            applied: watch::Sender::new(0),
        })
    }

    /// Starts to follow another node's ledger; the same again changes nothing.
    pub async fn follow(&self, keys: &PublicKeys) -> Result<(), NodeError> {
        let mut tx = self.db.write().await?;
        follow_in(&mut tx, keys).await?;
        Ok(tx.commit().await?)
    }

    /// Which node this is.
    pub fn me(&self) -> NodeId {
        self.identity.node
    }

    /// The own ledger's size, told whenever it grows.
    pub fn watch_growth(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    /// A number that changes whenever entries of a followed ledger were applied.
    pub fn watch_applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// The entries `from..to` of a ledger, parsed; the caller bounds the range.
    pub async fn entries(&self, node: NodeId, from: u64, to: u64) -> Result<Vec<Entry>, NodeError> {
        let mut tx = self.db.read().await?;
        let stored = raccordo_store::entries::range(&mut tx, node, from, to).await?;
        stored.into_iter().map(parse).collect()
    }
}

/// Starts to follow a ledger inside a transaction.
pub async fn follow_in(tx: &mut raccordo_store::Tx, keys: &PublicKeys) -> Result<(), StoreError> {
    ensure_ledger(tx, keys.node, &keys.origin).await?;
    keys::insert(tx, keys).await
}

async fn ensure_ledger(tx: &mut raccordo_store::Tx, node: NodeId, origin: &Origin) -> Result<(), StoreError> {
    if heads::get(tx, node).await?.is_some() {
        return Ok(());
    }
    let empty = Frontier::new();
    heads::create(tx, node, origin, empty.root(), empty.to_bytes()).await
}

/// Parses a stored entry; its bytes were verified when they came.
pub fn parse(stored: StoredEntry) -> Result<Entry, NodeError> {
    let header =
        raccordo_proto::entry::decode_header(&stored.header).map_err(|error| NodeError::Unreadable {
            node: stored.node,
            index: stored.index,
            why: error.to_string(),
        })?;
    Ok(Entry {
        node: stored.node,
        index: stored.index,
        header_bytes: stored.header,
        header,
        body_hash: stored.body_hash,
        body: stored.body,
        leaf_hash: stored.leaf_hash,
    })
}

/// The frontier of a stored head, checked against its root.
pub fn frontier_of(head: &Head) -> Result<Frontier, StoreError> {
    let corrupt = || StoreError::Corrupt {
        table: "ledger_head",
        column: "frontier",
        key: head.node.to_string(),
    };
    let frontier = Frontier::from_bytes(&head.frontier).map_err(|_| corrupt())?;
    let root: TreeHash = frontier.root();
    if frontier.size() == head.size && root == head.root {
        Ok(frontier)
    } else {
        Err(corrupt())
    }
}
