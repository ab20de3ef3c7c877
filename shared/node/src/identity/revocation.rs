//! Who may no longer come in: regions, and single certificates by serial number.
//!
//! Asked at each handshake and at each request; live connections of the revoked are closed, because
//! they wait for [`Revoked::changed`].

use super::peer::Peer;
use raccordo_model::node::NodeId;
use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};
use tokio::sync::watch;

#[derive(Debug, Default)]
struct Lists {
    nodes: BTreeSet<NodeId>,
    serials: BTreeSet<String>,
}

/// The revoked. Shared by `Arc` between the TLS configuration, the port and the enrolment service.
#[derive(Debug)]
pub struct Revoked {
    lists: RwLock<Lists>,
    version: watch::Sender<u64>,
}

impl Default for Revoked {
    fn default() -> Self {
        Self {
            lists: RwLock::default(),
            version: watch::Sender::new(0),
        }
    }
}

impl Revoked {
    /// These nodes are revoked, with every certificate that they hold.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let revoked = Self::default();
        revoked.replace_nodes(nodes);
        revoked
    }

    /// Exactly these nodes are revoked from now on: after each change of the projection of regions.
    pub fn replace_nodes(&self, nodes: impl IntoIterator<Item = NodeId>) {
        let nodes = nodes.into_iter().collect();
        self.change(|lists| lists.nodes = nodes);
    }

    /// A node is revoked.
    pub fn revoke_node(&self, node: NodeId) {
        self.change(|lists| {
            lists.nodes.insert(node);
        });
    }

    /// One certificate is revoked, by its serial number in hexadecimal.
    pub fn revoke_serial(&self, serial: &str) {
        self.change(|lists| {
            lists.serials.insert(serial.to_ascii_lowercase());
        });
    }

    /// Whether the bearer of a certificate is refused.
    pub fn refuses(&self, peer: &Peer) -> bool {
        // The sets are whole at every instant, also when a writer panicked.
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        lists.nodes.contains(&peer.node) || lists.serials.contains(&peer.serial)
    }

    /// Whether a node is revoked.
    pub fn refuses_node(&self, node: NodeId) -> bool {
        self.lists
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .nodes
            .contains(&node)
    }

    /// Tells of every change.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Lists)) {
        change(&mut self.lists.write().unwrap_or_else(PoisonError::into_inner));
        self.version.send_modify(|version| *version += 1);
    }
}
