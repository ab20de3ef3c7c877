//! How the exchange stands, for `sync status` and for the metrics.

use futures::future::BoxFuture;
use raccordo_model::node::NodeId;
use raccordo_node::{Node, metrics::Metrics, node_api::SyncView, projection, session::peers::Peers};
use raccordo_proto::wire;
use raccordo_store::{StoreError, cosignatures, epochs, fences, heads};
use std::sync::Arc;

/// Tells how the exchange stands.
pub struct HubSync {
    /// This node.
    pub node: Arc<Node>,
    /// Who is connected.
    pub peers: Arc<Peers>,
}

impl SyncView for HubSync {
    fn status(&self) -> BoxFuture<'_, Result<wire::SyncStatusResponse, StoreError>> {
        Box::pin(self.read())
    }
}

impl HubSync {
    async fn read(&self) -> Result<wire::SyncStatusResponse, StoreError> {
        let mut tx = self.node.db.read().await?;
        let mut ledgers = Vec::new();
        let mut confirmations: Vec<u64> = Vec::new();
        // Of each region: how much of the Hub's ledger it has cosigned.
        for (node, size) in heads::list(&mut tx).await? {
            let followed = node != NodeId::Hub;
            let (cosigned, last_contact_us) = if followed {
                let last = cosignatures::last(&mut tx, NodeId::Hub, node).await?;
                confirmations.push(last.map_or(0, |c| c.size));
                let ours = cosignatures::last(&mut tx, node, NodeId::Hub)
                    .await?
                    .map_or(0, |c| c.size);
                (
                    ours,
                    epochs::get(&mut tx, node).await?.map_or(0, |e| e.last_contact.0),
                )
            } else {
                (0, 0)
            };
            ledgers.push(wire::LedgerStatus {
                node: node.to_string(),
                size,
                applied: projection::cursor(&mut tx, node).await?,
                cosigned,
                connected: followed && self.peers.is_connected(node),
                last_contact_us,
                checkpoint: heads::get(&mut tx, node)
                    .await?
                    .map_or(String::new(), |head| head.note),
            });
        }
        if let Some(own) = ledgers.iter_mut().find(|ledger| ledger.node == "hub") {
            own.cosigned = confirmed(confirmations);
        }
        let quarantine = projection::held(&mut tx).await?.into_iter();
        let fences = fences::list(&mut tx).await?.into_iter();
        Ok(wire::SyncStatusResponse {
            ledgers,
            quarantine: quarantine
                .map(
                    |(node, index, kind, subject, code, text, remedy)| wire::QuarantinedEntry {
                        node,
                        index: index as u64,
                        kind,
                        subject,
                        code,
                        text,
                        remedy,
                    },
                )
                .collect(),
            fences: fences
                .map(|fence| wire::FenceStatus {
                    node: fence.peer.to_string(),
                    reason: fence.reason,
                    at_us: fence.at.0,
                })
                .collect(),
        })
    }
}

/// The size up to which a third of the regions has cosigned: what is confirmed of a public ledger.
fn confirmed(mut sizes: Vec<u64>) -> u64 {
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let third = sizes.len().div_ceil(3);
    third
        .checked_sub(1)
        .and_then(|place| sizes.get(place))
        .copied()
        .unwrap_or(0)
}

/// Puts the state of the exchange into the metrics; `now_us` is the system's time.
pub fn measure(metrics: &Metrics, status: &wire::SyncStatusResponse, now_us: i64) {
    let own = status.ledgers.iter().find(|ledger| ledger.node == "hub");
    let (size, confirmed) = own.map_or((0, 0), |ledger| (ledger.size, ledger.cosigned));
    metrics
        .outbox_entries
        .get_or_create(&Metrics::of("regions"))
        .set(size.saturating_sub(confirmed) as i64);
    let mut sessions = 0;
    for ledger in status.ledgers.iter().filter(|ledger| ledger.node != "hub") {
        let peer = Metrics::of(&ledger.node);
        sessions += i64::from(ledger.connected);
        metrics
            .lag_entries
            .get_or_create(&peer)
            .set(ledger.size.saturating_sub(ledger.applied) as i64);
        let silent = if ledger.connected || ledger.last_contact_us == 0 {
            0
        } else {
            now_us - ledger.last_contact_us
        };
        metrics
            .lag_seconds
            .get_or_create(&peer)
            .set(silent.max(0) / 1_000_000);
    }
    metrics.sessions.set(sessions);
    metrics.quarantined_entries.set(status.quarantine.len() as i64);
    metrics.fences.set(status.fences.len() as i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_regions_confirms() {
        assert_eq!(confirmed(vec![]), 0);
        assert_eq!(confirmed(vec![4]), 4);
        assert_eq!(confirmed(vec![1, 9, 5]), 9);
        assert_eq!(confirmed(vec![1, 9, 5, 7]), 7);
    }
}
