//! The fleet: which kit version is in which phase in which region, as the regions tell it
//! (`proj_phase`, `proj_adoption`), and how far each region has cosigned the Hub's ledger.

use crate::{catalogue::kit, receipt::own_size, regions};
use raccordo_model::{
    edition::Versioned,
    entry::Entry,
    kit::{KitAdoption, KitPhase},
    node::{NodeId, RegionCode},
    region,
    timestamp::Timestamp,
};
use raccordo_node::{projection::ApplyError, session::peers::Peers};
use raccordo_proto::body::KitPhaseReached;
use raccordo_store::{StoreError, Tx, cosignatures, epochs};
use std::collections::BTreeMap;

pub(crate) const PHASE: &str =
    "SELECT phase, reached_us FROM proj_phase WHERE region = $1 AND kit = $2 AND version = $3";
pub(crate) const PUT_PHASE: &str = "INSERT INTO proj_phase (region, kit, version, phase, reached_us)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (region, kit, version) DO UPDATE
    SET phase = excluded.phase, reached_us = excluded.reached_us";
pub(crate) const PHASES: &str = "SELECT region, kit, version, phase, reached_us FROM proj_phase
    ORDER BY region, kit, version LIMIT 100000";
pub(crate) const PUT_ADOPTION: &str = "INSERT INTO proj_adoption (region, kit, version, state, reason, idx)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (region, kit, version) DO UPDATE
    SET state = excluded.state, reason = excluded.reason, idx = excluded.idx";
pub(crate) const ADOPTIONS: &str = "SELECT region, kit, version, state FROM proj_adoption
    ORDER BY region, kit, version LIMIT 100000";

/// A kit version at a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetRow {
    /// The region.
    pub region: RegionCode,
    /// Its name.
    pub name: String,
    /// The kit and its version; none where nothing was published.
    pub kit: Option<(String, String)>,
    /// Stable name of the phase, `unknown` when the region never told.
    pub phase: String,
    /// Stable name of the adoption; empty when the region never told.
    pub adoption: String,
    /// When the phase was reached.
    pub phase_at: Option<Timestamp>,
    /// The Hub's ledger up to here is stored and cosigned by the region.
    pub cosigned: u64,
    /// Last contact, by the system's clock.
    pub last_contact: Option<Timestamp>,
    /// Whether entries flow with the region now.
    pub connected: bool,
}

/// The whole fleet: every region that takes part, with every published kit version. The size is that
/// of the Hub's ledger.
pub async fn fleet(tx: &mut Tx, peers: &Peers) -> Result<(u64, Vec<FleetRow>), StoreError> {
    type Key = (String, String, String);
    let phases: Vec<(String, String, String, String, i64)> = tx.query(PHASES).fetch_all().await?;
    let phases: BTreeMap<Key, (String, i64)> = phases
        .into_iter()
        .map(|(r, k, v, phase, at)| ((r, k, v), (phase, at)))
        .collect();
    let adoptions: Vec<(String, String, String, String)> = tx.query(ADOPTIONS).fetch_all().await?;
    let adoptions: BTreeMap<Key, String> = adoptions
        .into_iter()
        .map(|(r, k, v, state)| ((r, k, v), state))
        .collect();
    let mut kits: Vec<Option<(String, String)>> = kit::versions(tx).await?.into_iter().map(Some).collect();
    if kits.is_empty() {
        kits.push(None);
    }
    let mut rows = Vec::new();
    for code in regions::enrolled(tx).await? {
        let node = NodeId::Region(code);
        let cosigned = cosignatures::last(tx, NodeId::Hub, node)
            .await?
            .map_or(0, |c| c.size);
        let last_contact = epochs::get(tx, node).await?.map(|epoch| epoch.last_contact);
        for kit in &kits {
            let (id, version) = kit.clone().unwrap_or_default();
            let key = (code.to_string(), id, version);
            let phase = phases.get(&key);
            rows.push(FleetRow {
                region: code,
                name: region::region(code).map_or_else(|| code.to_string(), |r| r.name.clone()),
                kit: kit.clone(),
                phase: phase.map_or_else(|| "unknown".into(), |(phase, _)| phase.clone()),
                adoption: adoptions.get(&key).cloned().unwrap_or_default(),
                phase_at: phase.map(|(_, at)| Timestamp(*at)),
                cosigned,
                last_contact,
                connected: peers.is_connected(node),
            });
        }
    }
    Ok((own_size(tx).await?, rows))
}

/// Applies `kit.phases`: phases only go forward.
pub async fn apply_phases(
    tx: &mut Tx,
    region: RegionCode,
    phases: &[KitPhaseReached],
) -> Result<(), ApplyError> {
    for reached in phases {
        let (kit, version) = (reached.kit.id.to_string(), reached.kit.version.to_string());
        let query = tx
            .query(PHASE)
            .bind(region.to_string())
            .bind(kit.clone())
            .bind(version.clone());
        let known: Option<(String, i64)> = query.fetch_optional().await?;
        if known.is_some_and(|(phase, _)| rank(&phase) >= rank(reached.phase.as_str())) {
            continue;
        }
        tx.query(PUT_PHASE)
            .bind(region.to_string())
            .bind(kit)
            .bind(version)
            .bind(reached.phase.as_str().to_owned())
            .bind(reached.reached_at.0)
            .execute()
            .await?;
    }
    Ok(())
}

/// Applies `kit.adoption`: the latest one counts.
pub async fn apply_adoption(
    tx: &mut Tx,
    region: RegionCode,
    entry: &Entry,
    kit: &Versioned,
    state: KitAdoption,
    reason: &str,
) -> Result<(), ApplyError> {
    tx.query(PUT_ADOPTION)
        .bind(region.to_string())
        .bind(kit.id.to_string())
        .bind(kit.version.to_string())
        .bind(state.as_str().to_owned())
        .bind(reason.to_owned())
        .bind(entry.index as i64)
        .execute()
        .await?;
    Ok(())
}

fn rank(phase: &str) -> usize {
    let order = [
        KitPhase::Applied,
        KitPhase::ContentComplete,
        KitPhase::Serving,
        KitPhase::NoLongerServed,
    ];
    order
        .iter()
        .position(|p| p.as_str() == phase)
        .map_or(0, |place| place + 1)
}
