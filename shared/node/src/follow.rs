//! A followed ledger: a batch is verified, stored, applied and the cursor moved, in one transaction.

use crate::{
    node::{self, Node, NodeError, frontier_of},
    projection::{self, ApplyError, Held},
};
use raccordo_ledger::{
    cosign::{CosignatureVerifier, cosigner_name},
    follower::{self, FollowError, Offered, may_cosign},
    note::{LedgerVerifier, peek},
};
use raccordo_model::{
    checkpoint::{Cosignature, SignedCheckpoint},
    entry::Entry,
    node::NodeId,
};
use raccordo_proto::{
    entry::{OfferedLeaf, offered},
    wire,
};
use raccordo_store::{
    StoreError, Tx, checkpoints, cosignatures,
    entries::{self, StoredEntry},
    epochs,
    fences::{self, Fence},
    heads::{self, Head},
    keys,
};

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// How much of the ledger is durable here now.
    pub size: u64,
    /// Entries of the batch that were stored and are held.
    pub held: Vec<Held>,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The peer lied or its data are damaged: fence, with the evidence.
    #[error("the batch does not verify: {0}")]
    Verification(String),
    /// The peer broke a rule of the protocol.
    #[error("the batch breaks the protocol: {0}")]
    Protocol(String),
    /// Our own failure; the peer sends again.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for ReceiveError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

impl Node {
    /// Takes in a batch of a followed ledger, whole or not at all.
    ///
    /// Dying before the commit leaves the ledger as it was, and the peer sends the batch again.
    /// Dying after it leaves it stored and applied; the answer is then given at the next handshake.
    pub async fn receive(&self, batch: wire::Batch) -> Result<Received, ReceiveError> {
        let node: NodeId = batch
            .node
            .parse()
            .map_err(|e: raccordo_model::node::NameError| ReceiveError::Protocol(e.to_string()))?;
        if node == self.me() {
            return Err(ReceiveError::Protocol("a batch of our own ledger".into()));
        }
        // A bound is the protocol's and not a lie: told before anything is parsed.
        follower::check_sizes(batch.first, batch.leaves.iter().map(sizes))
            .map_err(|e| ReceiveError::Protocol(format!("the batch breaks a limit: {e}")))?;
        let first = batch.first;
        let leaves = batch
            .leaves
            .into_iter()
            .map(offered)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| ReceiveError::Verification(e.to_string()))?;

        let mut tx = self.db.write().await?;
        let head = followed_head(&mut tx, node).await?;
        if first < head.size {
            // Repeated after a cut: what we hold is the answer.
            return Ok(Received {
                size: head.size,
                held: Vec::new(),
            });
        }
        let size = first + leaves.len() as u64;
        let verifier = verifier(&mut tx, node, size).await?;
        let verified = verify(self.me(), &head, &verifier, first, &leaves, &batch.checkpoint)?;
        let stored: Vec<StoredEntry> = leaves
            .into_iter()
            .zip(verified.leaf_hashes)
            .zip(first..)
            .map(|((leaf, leaf_hash), index)| StoredEntry {
                node,
                index,
                header: leaf.header_bytes,
                body_hash: leaf.body_hash,
                leaf_hash,
                erased_by: leaf.erased_by,
                body: leaf.body,
            })
            .collect();
        let next = Head {
            node,
            origin: head.origin.clone(),
            size,
            root: verified.frontier.root(),
            frontier: verified.frontier.to_bytes(),
            note: verified.signed.note.clone(),
        };
        store(&mut tx, &head, &next, &stored).await?;
        let parsed = stored
            .iter()
            .cloned()
            .map(node::parse)
            .collect::<Result<Vec<Entry>, _>>()?;
        let held = match projection::apply_hopefully(self.projector.as_ref(), &mut tx, node, &parsed).await {
            Ok(()) => Vec::new(),
            Err(ApplyError::Store(error)) => return Err(error.into()),
            Err(ApplyError::Refused { .. }) => {
                drop(tx);
                tx = self.db.write().await?;
                store(&mut tx, &head, &next, &stored).await?;
                projection::apply_carefully(self.projector.as_ref(), &mut tx, node, &parsed).await?
            }
        };
        epochs::touch(&mut tx, node, self.system_clock.now()).await?;
        tx.commit().await?;
        self.applied.send_modify(|n| *n = n.wrapping_add(1));
        Ok(Received { size, held })
    }

    /// Our cosignature of a followed ledger at the size that we hold, made once and kept: the same
    /// one is told again after a cut. `None` at size 0.
    ///
    /// Dying between the commit and telling it loses nothing: the next session tells it.
    pub async fn cosign(&self, node: NodeId) -> Result<Option<(u64, String)>, NodeError> {
        let mut tx = self.db.write().await?;
        let Some(head) = heads::get(&mut tx, node).await?.filter(|h| h.size > 0) else {
            return Ok(None);
        };
        let last = cosignatures::last(&mut tx, node, self.me()).await?;
        if let Some(kept) = last.as_ref().filter(|c| c.size == head.size) {
            return Ok(Some((kept.size, kept.line.clone())));
        }
        let signed = SignedCheckpoint {
            checkpoint: raccordo_model::checkpoint::Checkpoint {
                origin: head.origin.clone(),
                size: head.size,
                root: head.root,
            },
            note: head.note.clone(),
        };
        // Never two trees of one size, never backwards.
        let last = match last {
            None => None,
            Some(kept) => {
                let note = checkpoints::get(&mut tx, node, kept.size)
                    .await?
                    .unwrap_or_default();
                let root = peek(&note).map(|c| c.root).map_err(|_| StoreError::Corrupt {
                    table: "ledger_checkpoint",
                    column: "note",
                    key: format!("{node}/{}", kept.size),
                })?;
                Some((kept.size, root))
            }
        };
        may_cosign(last, &signed).map_err(|_| StoreError::Moved("the last cosignature"))?;
        let cosignature = self.identity.cosigner.cosign(&signed, self.clock.now());
        cosignatures::insert(&mut tx, node, self.me(), &cosignature).await?;
        tx.commit().await?;
        Ok(Some((cosignature.size, cosignature.line)))
    }

    /// Verifies and keeps a follower's cosignature of our own ledger.
    pub async fn keep_cosignature(
        &self,
        cosigner: NodeId,
        size: u64,
        line: &str,
    ) -> Result<Cosignature, ReceiveError> {
        let mut tx = self.db.write().await?;
        let protocol = |why: &str| ReceiveError::Protocol(why.into());
        let note = checkpoints::get(&mut tx, self.me(), size)
            .await?
            .ok_or_else(|| protocol("a cosignature of a size at which we signed nothing"))?;
        let signed = self
            .identity
            .verifier()?
            .open(&note)
            .map_err(|_| StoreError::Corrupt {
                table: "ledger_checkpoint",
                column: "note",
                key: size.to_string(),
            })?;
        let keys = keys::at(&mut tx, cosigner, u64::MAX)
            .await?
            .ok_or_else(|| protocol("a cosignature by a node whose keys we do not know"))?;
        let cosignature = CosignatureVerifier::new(&cosigner_name(&keys.origin), &keys.cosigner_key)
            .and_then(|verifier| verifier.verify(&signed, line))
            .map_err(|e| ReceiveError::Verification(e.to_string()))?;
        cosignatures::insert(&mut tx, self.me(), cosigner, &cosignature).await?;
        epochs::touch(&mut tx, cosigner, self.system_clock.now()).await?;
        tx.commit().await?;
        Ok(cosignature)
    }

    /// Keeps why the exchange with `peer` stopped; only a person goes on from there.
    pub async fn fence(&self, peer: NodeId, reason: &str, evidence: &str) -> Result<(), NodeError> {
        tracing::error!(%peer, reason, "fenced");
        let mut tx = self.db.write().await?;
        let at = self.system_clock.now();
        fences::insert(
            &mut tx,
            &Fence {
                peer,
                at,
                reason: reason.into(),
                evidence: evidence.into(),
            },
        )
        .await?;
        Ok(tx.commit().await?)
    }
}

impl node::Identity {
    /// Verifies our own checkpoints.
    pub fn verifier(&self) -> Result<LedgerVerifier, StoreError> {
        LedgerVerifier::new(&self.origin, &self.signer.verifying_key()).map_err(|_| StoreError::Corrupt {
            table: "ledger_key",
            column: "ledger_key",
            key: self.node.to_string(),
        })
    }
}

/// The verifier of `node`'s checkpoints at `size`.
pub async fn verifier(tx: &mut Tx, node: NodeId, size: u64) -> Result<LedgerVerifier, ReceiveError> {
    let keys = keys::at(tx, node, size)
        .await?
        .ok_or_else(|| ReceiveError::Protocol(format!("no key of node {node} is known here")))?;
    LedgerVerifier::new(&keys.origin, &keys.ledger_key).map_err(|_| {
        StoreError::Corrupt {
            table: "ledger_key",
            column: "ledger_key",
            key: node.to_string(),
        }
        .into()
    })
}

/// Bytes of header and body of a leaf as it came.
fn sizes(leaf: &wire::Leaf) -> (usize, usize) {
    (
        leaf.header.len(),
        leaf.body.as_ref().map_or(0, |body| body.stored.len()),
    )
}

async fn followed_head(tx: &mut Tx, node: NodeId) -> Result<Head, ReceiveError> {
    heads::get(tx, node)
        .await?
        .ok_or_else(|| ReceiveError::Protocol(format!("we do not follow the ledger of {node}")))
}

fn verify(
    reader: NodeId,
    head: &Head,
    verifier: &LedgerVerifier,
    first: u64,
    leaves: &[OfferedLeaf],
    checkpoint: &str,
) -> Result<follower::Verified, ReceiveError> {
    let origin = head.origin.as_str();
    if let Some(foreign) = leaves.iter().find(|l| l.header.ledger.as_str() != origin) {
        return Err(ReceiveError::Verification(format!(
            "an entry of ledger {} stands in {origin}",
            foreign.header.ledger
        )));
    }
    let offered: Vec<Offered<'_>> = leaves
        .iter()
        .map(|leaf| Offered {
            header_bytes: &leaf.header_bytes,
            body_hash: leaf.body_hash,
            body: leaf.body.as_ref().map(|b| (&b.salt, b.stored.as_slice())),
            entitled: leaf.header.scope.admits(reader),
            // This version writes no `entry.erased`, so it believes no claim of one: a body that we may
            // read and that is not there is withheld, and nothing is confirmed.
            erased: false,
        })
        .collect();
    let frontier = frontier_of(head)?;
    follower::verify_batch(&frontier, verifier, first, &offered, checkpoint).map_err(|error| match error {
        FollowError::NotContiguous { .. } | FollowError::Bounds(_) => {
            ReceiveError::Protocol(error.to_string())
        }
        _ => ReceiveError::Verification(format!("{error}; checkpoint {checkpoint:?}")),
    })
}

async fn store(tx: &mut Tx, head: &Head, next: &Head, stored: &[StoredEntry]) -> Result<(), StoreError> {
    entries::insert(tx, stored).await?;
    checkpoints::insert(tx, next.node, next.size, &next.note).await?;
    heads::swap(tx, head.size, next).await
}
