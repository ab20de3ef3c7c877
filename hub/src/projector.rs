//! What entries mean at the Hub: each goes to its noun.

use crate::{
    catalogue::{code_lists, kit, syllabus},
    federation, fleet,
    monitoring::report,
    plans::{pe, po},
    regions,
};
use futures::future::BoxFuture;
use raccordo_ledger::hash;
use raccordo_model::{
    entry::Entry,
    node::{NodeId, RegionCode},
};
use raccordo_node::projection::{ApplyError, Projector};
use raccordo_proto::body::Act;
use raccordo_store::{Tx, dump::Table, migration::Migration, table};

/// The projections of the Hub.
pub const PROJECTIONS: &[Migration] = &[Migration {
    component: "hub_proj",
    version: 1,
    sqlite: include_str!("../migrations/sqlite/projection_0001.sql"),
    postgres: include_str!("../migrations/postgres/projection_0001.sql"),
}];

/// What the Hub keeps in no ledger.
pub const LOCAL: &[Migration] = &[Migration {
    component: "hub_local",
    version: 1,
    sqlite: include_str!("../migrations/sqlite/local_0001.sql"),
    postgres: include_str!("../migrations/postgres/local_0001.sql"),
}];

/// The tables of [`PROJECTIONS`].
pub const TABLES: &[Table] = &[
    table!("proj_federation", "federation"),
    table!("proj_region", "region"),
    table!("proj_code_lists", "version"),
    table!("proj_syllabus", "id, version"),
    table!("proj_kit", "id, version"),
    table!("proj_po_submission", "region, version"),
    table!("proj_po", "region, version"),
    table!("proj_pe", "region, year, version"),
    table!("proj_pe_observation", "idx, place"),
    table!("proj_report", "region, period, revision"),
    table!("proj_verdict", "region, period, revision"),
    table!(
        "proj_cell",
        "region, period, cluster, profession, area, objective, instrument, level, origin, package, kit, measure"
    ),
    table!("proj_rollup", "period, region, cluster, area, measure"),
    table!("proj_phase", "region, kit, version"),
    table!("proj_adoption", "region, kit, version"),
];

/// What the Hub makes of entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct HubProjector;

impl Projector for HubProjector {
    fn migrations(&self) -> &'static [Migration] {
        PROJECTIONS
    }

    fn tables(&self) -> &'static [Table] {
        TABLES
    }

    fn apply<'a>(
        &'a self,
        tx: &'a mut Tx,
        entry: &'a Entry,
        act: Option<&'a Act>,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async move {
            // An erased body says nothing any more; its header is in the ledger all the same.
            let Some(act) = act else { return Ok(()) };
            match entry.node {
                NodeId::Hub => own(tx, entry, act).await,
                NodeId::Region(region) => followed(tx, region, entry, act).await,
            }
        })
    }
}

async fn own(tx: &mut Tx, entry: &Entry, act: &Act) -> Result<(), ApplyError> {
    match act {
        Act::FederationCreated(created) => federation::apply(tx, entry, created).await,
        Act::RegionEnrolled {
            region,
            origin,
            ledger_key,
            cosigner_key,
        } => regions::apply_enrolled(tx, entry, *region, origin, ledger_key, cosigner_key).await,
        Act::RegionRevoked { region, reason } => regions::apply_revoked(tx, entry, *region, reason).await,
        Act::CodeListsPublished(codes) => code_lists::apply(tx, entry, codes).await,
        Act::SyllabusPublished(syllabus) => syllabus::apply(tx, entry, act, syllabus).await,
        Act::KitPublished(kit) => kit::apply_published(tx, entry, act, kit).await,
        Act::KitWithdrawn { kit, reason } => kit::apply_withdrawn(tx, entry, kit, reason).await,
        Act::PoRecorded { plan, .. } => po::apply_recorded(tx, entry, plan).await,
        Act::PoDecision {
            submission,
            verdict,
            reasons,
        } => po::apply_decision(tx, entry, submission, *verdict, reasons).await,
        Act::PeObservation {
            submission,
            observations,
        } => pe::apply_observation(tx, entry, submission, observations).await,
        Act::ReportVerdict {
            submission,
            accepted,
            reasons,
        } => report::apply_verdict(tx, entry, submission, *accepted, reasons).await,
        // What these do, they do to ledgers, not to tables.
        Act::EntryWaived { .. }
        | Act::EntryErased { .. }
        | Act::KeyRotated { .. }
        | Act::LedgerSuccession { .. } => Ok(()),
        Act::RegionOpened { .. }
        | Act::PoSubmitted(_)
        | Act::PeShared(_)
        | Act::ReportSubmitted(_)
        | Act::KitPhases(_)
        | Act::KitAdoption { .. } => Err(not_theirs(entry, "a region")),
    }
}

async fn followed(tx: &mut Tx, region: RegionCode, entry: &Entry, act: &Act) -> Result<(), ApplyError> {
    match act {
        Act::RegionOpened { region: named, .. } => same_region(region, *named),
        Act::PoSubmitted(plan) => {
            same_region(region, plan.region)?;
            po::apply_submitted(tx, entry, plan).await
        }
        Act::PeShared(plan) => {
            same_region(region, plan.region)?;
            pe::apply_shared(tx, entry, plan).await
        }
        Act::ReportSubmitted(submitted) => {
            same_region(region, submitted.head.region)?;
            report::apply_submitted(tx, entry, act, submitted).await
        }
        Act::KitPhases(phases) => fleet::apply_phases(tx, region, phases).await,
        Act::KitAdoption { kit, state, reason } => {
            fleet::apply_adoption(tx, region, entry, kit, *state, reason).await
        }
        Act::EntryWaived { .. }
        | Act::EntryErased { .. }
        | Act::KeyRotated { .. }
        | Act::LedgerSuccession { .. } => Ok(()),
        Act::FederationCreated(_)
        | Act::RegionEnrolled { .. }
        | Act::RegionRevoked { .. }
        | Act::CodeListsPublished(_)
        | Act::SyllabusPublished(_)
        | Act::KitPublished(_)
        | Act::KitWithdrawn { .. }
        | Act::PoRecorded { .. }
        | Act::PoDecision { .. }
        | Act::PeObservation { .. }
        | Act::ReportVerdict { .. } => Err(not_theirs(entry, "the Hub")),
    }
}

/// A region speaks for itself alone, whatever its body says.
fn same_region(ledger: RegionCode, named: RegionCode) -> Result<(), ApplyError> {
    if ledger == named {
        return Ok(());
    }
    Err(ApplyError::refused(
        format!("an entry in the ledger of region {ledger} speaks for region {named}"),
        "each region writes of itself in its own ledger",
    ))
}

fn not_theirs(entry: &Entry, whose: &str) -> ApplyError {
    ApplyError::refused(
        format!(
            "`{}` is an act of {whose}, not of {}",
            entry.header.kind, entry.node
        ),
        "the owner of the ledger finds out how it came there",
    )
}

/// A digest of what an act says, to tell a repetition from a conflict. Stays in this database.
pub fn content_of(act: &Act) -> Vec<u8> {
    hash::body_hash(&[0; 32], &act.encode()).0.to_vec()
}
