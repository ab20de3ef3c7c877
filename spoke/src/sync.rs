//! How the exchange stands: what `sync status` and the metrics tell.

use futures::future::BoxFuture;
use raccordo_model::node::NodeId;
use raccordo_node::{Node, metrics::Metrics, node_api::SyncView, projection, session::peers::Peers};
use raccordo_proto::wire;
use raccordo_store::{StoreError, cosignatures, epochs, fences, heads};
use std::{collections::BTreeMap, sync::Arc};

/// Reads how the exchange stands from the database and the open session.
pub struct Standing {
    /// The node.
    pub node: Arc<Node>,
    /// Its sessions.
    pub peers: Arc<Peers>,
}

impl SyncView for Standing {
    fn status(&self) -> BoxFuture<'_, Result<wire::SyncStatusResponse, StoreError>> {
        Box::pin(status(&self.node, &self.peers))
    }
}

/// Sizes, checkpoints, cosignatures, quarantine and fences of a Spoke.
pub async fn status(node: &Node, peers: &Peers) -> Result<wire::SyncStatusResponse, StoreError> {
    let mut tx = node.db.read().await?;
    let applied: BTreeMap<NodeId, u64> = projection::cursors(&mut tx).await?.into_iter().collect();
    let contact = epochs::get(&mut tx, NodeId::Hub)
        .await?
        .map_or(0, |epoch| epoch.last_contact.0);
    let mut ledgers = Vec::new();
    for (ledger, size) in heads::list(&mut tx).await? {
        // Ours is confirmed by the Hub; the Hub's by us.
        let cosigner = if ledger == node.me() {
            NodeId::Hub
        } else {
            node.me()
        };
        let cosigned = cosignatures::last(&mut tx, ledger, cosigner)
            .await?
            .map_or(0, |c| c.size);
        ledgers.push(wire::LedgerStatus {
            node: ledger.to_string(),
            size,
            applied: applied.get(&ledger).copied().unwrap_or(0),
            cosigned,
            connected: peers.is_connected(NodeId::Hub),
            last_contact_us: contact,
            checkpoint: heads::get(&mut tx, ledger)
                .await?
                .map(|h| h.note)
                .unwrap_or_default(),
        });
    }
    let held = projection::held(&mut tx).await?.into_iter();
    let quarantine = held.map(
        |(node, index, kind, subject, code, text, remedy)| wire::QuarantinedEntry {
            node,
            index: index as u64,
            kind,
            subject,
            code,
            text,
            remedy,
        },
    );
    let fences = fences::list(&mut tx).await?.into_iter();
    let fences = fences.map(|f| wire::FenceStatus {
        node: f.peer.to_string(),
        reason: f.reason,
        at_us: f.at.0,
    });
    Ok(wire::SyncStatusResponse {
        ledgers,
        quarantine: quarantine.collect(),
        fences: fences.collect(),
    })
}

/// Puts the standing into the figures of the metrics port. `now_us` is the system's time.
pub fn measure(metrics: &Metrics, me: NodeId, status: &wire::SyncStatusResponse, now_us: i64) {
    let hub = Metrics::of(NodeId::Hub);
    let (me, mut connected) = (me.to_string(), false);
    for ledger in &status.ledgers {
        connected |= ledger.connected;
        if ledger.node == me {
            metrics
                .outbox_entries
                .get_or_create(&hub)
                .set(ledger.size.saturating_sub(ledger.cosigned) as i64);
        } else {
            metrics
                .lag_entries
                .get_or_create(&hub)
                .set(ledger.size.saturating_sub(ledger.applied) as i64);
            let silent = if ledger.connected || ledger.last_contact_us == 0 {
                0
            } else {
                now_us - ledger.last_contact_us
            };
            metrics
                .lag_seconds
                .get_or_create(&hub)
                .set(silent.max(0) / 1_000_000);
        }
    }
    metrics.sessions.set(i64::from(connected));
    metrics.quarantined_entries.set(status.quarantine.len() as i64);
    metrics.fences.set(status.fences.len() as i64);
}
