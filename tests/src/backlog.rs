//! Pending entries, made in a node's data folder while it does not serve: with its keys, through the
//! same [`Node`], as thousands of acts by thousands of commands would have left them.

use anyhow::{Context, Result};
use raccordo_hub::federation::Hub;
use raccordo_model::{
    entry::{AccountId, Actor, BATCH_ENTRIES_MAX},
    scope::Scope,
};
use raccordo_node::{
    Node,
    journal::{Draft, Payload},
};
use raccordo_spoke::Spoke;
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// The kind of these entries, which means nothing to any node.
pub const KIND: &str = "x.load";

/// The node of a Hub's data folder. Its process must not run.
pub async fn hub_node(data: &Path) -> Result<Arc<Node>> {
    let config = raccordo_hub::config::Config::load(data, &BTreeMap::new())?;
    Ok(Hub::open(data, config).await?.node)
}

/// The node of a Spoke's data folder. Its process must not run.
pub async fn spoke_node(data: &Path) -> Result<Arc<Node>> {
    let config = raccordo_spoke::config::Config::load(data, &BTreeMap::new())?;
    Ok(Spoke::open(data, config).await?.node)
}

/// Appends `count` entries of `bytes` incompressible bytes each, `per_act` at a time, on subjects
/// `load/0`, `load/1`, …; the same seed gives the same bytes.
pub async fn append(
    node: &Node,
    count: usize,
    bytes: usize,
    per_act: usize,
    scope: &Scope,
    seed: u64,
) -> Result<()> {
    let mut noise = Noise(seed | 1);
    let actor = Actor {
        account: AccountId([7; 16]),
        institution: "MDS".into(),
    };
    let mut next = 0;
    while next < count {
        let mut act = node.act().await?;
        for _ in 0..per_act.clamp(1, BATCH_ENTRIES_MAX).min(count - next) {
            let mut body = vec![0; bytes];
            noise.fill(&mut body);
            act.append(Draft {
                subject: format!("load/{next}").parse().context("a subject")?,
                scope: scope.clone(),
                actors: vec![actor.clone()],
                payload: Payload::Opaque {
                    kind: KIND.parse().context("a kind")?,
                    body,
                },
                depends_on: Vec::new(),
                supersedes: None,
                not_before: None,
                content: Vec::new(),
            })
            .await?;
            next += 1;
        }
        act.commit().await?;
    }
    Ok(())
}

/// Bytes that do not compress (xorshift64): 400 MB of them cost nothing, as hashes would.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, into: &mut [u8]) {
        for part in into.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            part.copy_from_slice(&self.0.to_le_bytes()[..part.len()]);
        }
    }
}
