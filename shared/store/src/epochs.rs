//! `ledger_epoch`: the session epoch with each peer, and when it was last heard.
//!
//! At the Hub a row per region: the epoch last confirmed and the one last issued. At a Spoke one
//! row for the Hub, where both are equal.

use crate::{StoreError, Tx};
use raccordo_model::{node::NodeId, timestamp::Timestamp};

pub(crate) const GET: &str = "SELECT current, issued, last_contact_us FROM ledger_epoch WHERE peer = $1";
pub(crate) const PUT: &str = "INSERT INTO ledger_epoch (peer, current, issued, last_contact_us)
    VALUES ($1, $2, $3, $4) ON CONFLICT (peer) DO UPDATE
    SET current = excluded.current, issued = excluded.issued, last_contact_us = excluded.last_contact_us";
pub(crate) const TOUCH: &str = "UPDATE ledger_epoch SET last_contact_us = $2 WHERE peer = $1";

/// The epoch with one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Confirmed by the Spoke.
    pub current: u64,
    /// Issued by the Hub, perhaps not yet confirmed.
    pub issued: u64,
    /// Last contact, by the system's clock.
    pub last_contact: Timestamp,
}

/// The epoch with `peer`, if there was ever a session.
pub async fn get(tx: &mut Tx, peer: NodeId) -> Result<Option<Epoch>, StoreError> {
    let row: Option<(i64, i64, i64)> = tx.query(GET).bind(peer.to_string()).fetch_optional().await?;
    Ok(row.map(|(current, issued, at)| Epoch {
        current: current as u64,
        issued: issued as u64,
        last_contact: Timestamp(at),
    }))
}

/// Replaces the epoch with `peer`.
pub async fn put(tx: &mut Tx, peer: NodeId, epoch: Epoch) -> Result<(), StoreError> {
    tx.query(PUT)
        .bind(peer.to_string())
        .bind(epoch.current as i64)
        .bind(epoch.issued as i64)
        .bind(epoch.last_contact.0)
        .execute()
        .await
        .map(drop)
}

/// Notes that `peer` was heard.
pub async fn touch(tx: &mut Tx, peer: NodeId, at: Timestamp) -> Result<(), StoreError> {
    tx.query(TOUCH)
        .bind(peer.to_string())
        .bind(at.0)
        .execute()
        .await
        .map(drop)
}
