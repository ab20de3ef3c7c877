//! Who is connected: at most one session per peer; a newer one ends the older.

use raccordo_model::node::NodeId;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::watch;

/// The sessions of a node.
#[derive(Debug, Default)]
pub struct Peers {
    sessions: Mutex<BTreeMap<NodeId, Session>>,
    exchanges: AtomicU64,
}

#[derive(Debug)]
struct Session {
    number: u64,
    exchanging: bool,
    stop: watch::Sender<bool>,
}

/// A place in the list; given back when dropped.
#[derive(Debug)]
pub struct Seat<'p> {
    peers: &'p Peers,
    peer: NodeId,
    number: u64,
    /// Turns true when a newer session of the same peer took over, or the peer was revoked.
    pub stop: watch::Receiver<bool>,
}

impl Peers {
    /// Takes the peer's place; an older session of the same peer is told to end.
    pub fn enter(&self, peer: NodeId) -> Seat<'_> {
        let mut sessions = self.lock();
        let number = sessions.get(&peer).map_or(0, |s| s.number + 1);
        let (stop, stopped) = watch::channel(false);
        if let Some(older) = sessions.insert(
            peer,
            Session {
                number,
                exchanging: false,
                stop,
            },
        ) {
            older.stop.send_replace(true);
        }
        Seat {
            peers: self,
            peer,
            number,
            stop: stopped,
        }
    }

    /// Ends the session of a peer, if there is one.
    pub fn dismiss(&self, peer: NodeId) {
        if let Some(session) = self.lock().get(&peer) {
            session.stop.send_replace(true);
        }
    }

    /// Whether entries flow between us and the peer.
    pub fn is_connected(&self, peer: NodeId) -> bool {
        self.lock().get(&peer).is_some_and(|s| s.exchanging)
    }

    /// How many sessions came through their handshake since the start.
    pub fn exchanges(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }

    /// How many peers entries flow with.
    pub fn connected(&self) -> usize {
        self.lock().values().filter(|s| s.exchanging).count()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Session>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat<'_> {
    /// The handshake is done: entries flow.
    pub fn exchanging(&self) {
        if let Some(session) = self.peers.lock().get_mut(&self.peer)
            && session.number == self.number
            && !std::mem::replace(&mut session.exchanging, true)
        {
            self.peers.exchanges.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut sessions = self.peers.lock();
        if sessions.get(&self.peer).is_some_and(|s| s.number == self.number) {
            sessions.remove(&self.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_session_ends_the_older_and_keeps_its_place() {
        let peers = Peers::default();
        let older = peers.enter(NodeId::Hub);
        older.exchanging();
        let newer = peers.enter(NodeId::Hub);
        assert!(*older.stop.borrow() && !*newer.stop.borrow());
        drop(older);
        newer.exchanging();
        newer.exchanging();
        assert_eq!(peers.exchanges(), 2);
        assert!(peers.is_connected(NodeId::Hub));
        drop(newer);
        assert_eq!(peers.connected(), 0);
    }
}
