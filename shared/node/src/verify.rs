//! Everything that a data folder can be held against without the network: hashes, trees,
//! signatures, cosignatures, scopes, and projections against their ledgers.

use crate::{
    follow,
    node::{Node, NodeError},
    rebuild,
};
use raccordo_ledger::{
    cosign::{CosignatureVerifier, cosigner_name},
    hash,
    tree::Frontier,
};
use raccordo_model::node::NodeId;
use raccordo_store::{Tx, checkpoints, cosignatures, entries, heads, keys};

/// Entries that are read at once.
const PAGE: u64 = 128;
/// Findings after which the rest is not looked for.
const FINDINGS_MAX: usize = 100;

/// One thing that does not hold, named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What: `entry 090/12`, `checkpoint hub/40`, `projections`.
    pub item: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What a verification saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Ledgers, with the entries verified in each.
    pub ledgers: Vec<(String, u64)>,
    /// Checkpoints whose signature and root hold.
    pub checkpoints: u64,
    /// Cosignatures that hold.
    pub cosignatures: u64,
    /// Bodies that hash to what their entry says.
    pub bodies: u64,
    /// Digest of the projections.
    pub digest: String,
    /// What does not hold; empty when all does.
    pub damage: Vec<Damage>,
}

impl Verification {
    fn report(&mut self, item: impl Into<String>, problem: impl Into<String>) {
        if self.damage.len() < FINDINGS_MAX {
            self.damage.push(Damage {
                item: item.into(),
                problem: problem.into(),
            });
        }
    }
}

/// Verifies the whole database of a node that serves nobody meanwhile.
pub async fn verify(node: &Node) -> Result<Verification, NodeError> {
    let mut seen = Verification::default();
    let mut tx = node.db.read().await?;
    for (ledger, size) in heads::list(&mut tx).await? {
        verify_ledger(node, &mut tx, ledger, size, &mut seen).await?;
    }
    drop(tx);
    seen.digest = rebuild::digest(node).await?;
    if seen.damage.is_empty() {
        // Replaying a damaged ledger would only repeat what was found.
        match rebuild::would_change(node).await {
            Ok(None) => {}
            Ok(Some(rebuilt)) => seen.report(
                "projections",
                format!(
                    "their digest is {}, the ledgers give {}",
                    rebuilt.before, rebuilt.after
                ),
            ),
            Err(error) => seen.report("projections", format!("the ledgers cannot be replayed: {error}")),
        }
    }
    Ok(seen)
}

async fn verify_ledger(
    node: &Node,
    tx: &mut Tx,
    ledger: NodeId,
    size: u64,
    seen: &mut Verification,
) -> Result<(), NodeError> {
    let Some(head) = heads::get(tx, ledger).await? else {
        return Ok(());
    };
    let mut frontier = Frontier::new();
    let mut next = 0;
    let mut marks = checkpoints::after(tx, ledger, 0, PAGE as u32).await?;
    marks.reverse();
    while next < size {
        let to = (next + PAGE).min(size);
        let page = entries::range(tx, ledger, next, to).await?;
        for entry in page {
            if entry.index != next {
                seen.report(format!("entry {ledger}/{next}"), "it is missing");
                return Ok(());
            }
            verify_entry(node, &entry, seen);
            frontier.push(hash::leaf_hash(&entry.header, &entry.body_hash));
            next += 1;
            while marks.last().is_some_and(|(at, _)| *at == next) {
                let (at, note) = marks.pop().unwrap_or_default();
                verify_checkpoint(tx, ledger, at, &note, &frontier, seen).await?;
                if marks.is_empty() {
                    marks = checkpoints::after(tx, ledger, next, PAGE as u32).await?;
                    marks.reverse();
                }
            }
        }
        if next < to {
            seen.report(format!("entry {ledger}/{next}"), "it is missing");
            return Ok(());
        }
    }
    if frontier.root() != head.root || frontier.to_bytes() != head.frontier {
        seen.report(
            format!("head of ledger {ledger}"),
            format!("its root is not that of its {size} entries"),
        );
    }
    if size > 0 && checkpoints::get(tx, ledger, size).await?.as_deref() != Some(head.note.as_str()) {
        seen.report(
            format!("checkpoint {ledger}/{size}"),
            "it is missing or differs from the head's",
        );
    }
    verify_cosignatures(tx, ledger, seen).await?;
    seen.ledgers.push((ledger.to_string(), size));
    Ok(())
}

fn verify_entry(node: &Node, entry: &entries::StoredEntry, seen: &mut Verification) {
    let item = format!("entry {}/{}", entry.node, entry.index);
    if hash::leaf_hash(&entry.header, &entry.body_hash) != entry.leaf_hash {
        return seen.report(item, "its header or body hash was changed: the leaf hash differs");
    }
    let header = match raccordo_proto::entry::decode_header(&entry.header) {
        Ok(header) => header,
        Err(error) => return seen.report(item, format!("its header cannot be read: {error}")),
    };
    let entitled = entry.node == node.me() || header.scope.admits(node.me());
    match &entry.body {
        Some(body) if hash::body_hash(&body.salt, &body.stored) != entry.body_hash => {
            seen.report(
                item,
                format!("its body ({}) was changed: the hash differs", header.kind),
            );
        }
        Some(_) if !entitled => seen.report(item, "its body is here, but this node may not read it"),
        Some(_) => seen.bodies += 1,
        None if entitled => {
            seen.report(item, format!("its body ({}) is missing", header.kind));
        }
        None => {}
    }
}

async fn verify_checkpoint(
    tx: &mut Tx,
    ledger: NodeId,
    size: u64,
    note: &str,
    frontier: &Frontier,
    seen: &mut Verification,
) -> Result<(), NodeError> {
    let item = format!("checkpoint {ledger}/{size}");
    let verifier = match follow::verifier(tx, ledger, size).await {
        Ok(verifier) => verifier,
        Err(error) => {
            seen.report(item, error.to_string());
            return Ok(());
        }
    };
    match verifier.open(note) {
        Err(error) => seen.report(item, error.to_string()),
        Ok(signed) if signed.checkpoint.size != size || signed.checkpoint.root != frontier.root() => {
            seen.report(item, format!("its root is not that of the first {size} entries"));
        }
        Ok(_) => seen.checkpoints += 1,
    }
    Ok(())
}

async fn verify_cosignatures(tx: &mut Tx, ledger: NodeId, seen: &mut Verification) -> Result<(), NodeError> {
    for (cosigner, size) in cosignatures::all_last(tx, ledger).await? {
        let item = format!("cosignature of {ledger}/{size} by {cosigner}");
        let kept = cosignatures::last(tx, ledger, cosigner).await?;
        let note = checkpoints::get(tx, ledger, size).await?;
        let keys = keys::at(tx, cosigner, u64::MAX).await?;
        let (Some(kept), Some(note), Some(keys)) = (kept, note, keys) else {
            seen.report(item, "the checkpoint or the key that it needs is missing");
            continue;
        };
        let verifier = match follow::verifier(tx, ledger, size).await {
            Ok(verifier) => verifier,
            Err(error) => {
                seen.report(item, error.to_string());
                continue;
            }
        };
        let verdict = verifier.open(&note).and_then(|signed| {
            CosignatureVerifier::new(&cosigner_name(&keys.origin), &keys.cosigner_key)?
                .verify(&signed, &kept.line)
        });
        match verdict {
            Ok(_) => seen.cosignatures += 1,
            Err(error) => seen.report(item, error.to_string()),
        }
    }
    Ok(())
}
