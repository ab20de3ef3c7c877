//! What becomes of entries at a Spoke: the Hub's publications and decisions, and our own acts.
//!
//! Bodies stay in the ledger; the tables hold what is looked for. Rows of the Hub's entries and of
//! our own never touch the same columns, so that the two ledgers commute: what a submission has
//! come to is computed when it is read (see [`crate::plans`], [`crate::reports`]).

use futures::future::BoxFuture;
use raccordo_model::{entry::Entry, kit::KitPhase, node::NodeId};
use raccordo_node::projection::{ApplyError, Projector};
use raccordo_proto::body::Act;
use raccordo_store::{Tx, dump::Table, migration::Migration, table};

pub(crate) const FEDERATION: &str = "INSERT INTO proj_federation (ledger, federation, test, report_due_days)
    VALUES ($1, $2, $3, $4)";
pub(crate) const CODE_LISTS: &str =
    "INSERT INTO proj_code_lists (version, idx, recorded_us) VALUES ($1, $2, $3)
    ON CONFLICT (version) DO NOTHING";
pub(crate) const SYLLABUS: &str = "INSERT INTO proj_syllabus
    (syllabus, version, idx, title, level, area, minutes, recorded_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (syllabus, version) DO NOTHING";
pub(crate) const KIT: &str =
    "INSERT INTO proj_kit (kit, version, idx, leaf_hash, title, syllabus, manifest, files,
    bytes, recorded_us, withdrawn, withdrawn_reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, '')
    ON CONFLICT (kit, version) DO NOTHING";
pub(crate) const WITHDRAW: &str =
    "UPDATE proj_kit SET withdrawn = 1, withdrawn_reason = $3 WHERE kit = $1 AND version = $2";
pub(crate) const PHASE: &str = "INSERT INTO proj_kit_phase (kit, version, phase, idx, reached_us)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kit, version, phase) DO UPDATE
    SET idx = excluded.idx, reached_us = excluded.reached_us";
pub(crate) const UNSERVE: &str = "DELETE FROM proj_kit_phase WHERE kit = $1 AND version = $2 AND phase = $3";
pub(crate) const ADOPTION: &str = "INSERT INTO proj_adoption (kit, version, idx, state, reason, recorded_us)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (kit, version) DO UPDATE SET idx = excluded.idx,
    state = excluded.state, reason = excluded.reason, recorded_us = excluded.recorded_us";
pub(crate) const PO_VERSION: &str = "INSERT INTO proj_po_version
    (ledger, idx, version, leaf_hash, interventions, approved, recorded_us) VALUES ($1, $2, $3, $4, $5, $6, $7)";
pub(crate) const PO_DECISION: &str =
    "INSERT INTO proj_po_decision (idx, submission_idx, verdict, reasons, recorded_us)
    VALUES ($1, $2, $3, $4, $5)";
pub(crate) const PE_VERSION: &str = "INSERT INTO proj_pe_version
    (idx, year, version, po_version, leaf_hash, interventions, recorded_us) VALUES ($1, $2, $3, $4, $5, $6, $7)";
pub(crate) const PE_OBSERVATION: &str = "INSERT INTO proj_pe_observation
    (idx, place, submission_idx, intervention, text, recorded_us) VALUES ($1, $2, $3, $4, $5, $6)";
pub(crate) const REPORT: &str = "INSERT INTO proj_report
    (idx, period, revision, pe_year, leaf_hash, cells, reason, recorded_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
pub(crate) const REPORT_VERDICT: &str = "INSERT INTO proj_report_verdict
    (idx, submission_idx, accepted, reasons, recorded_us) VALUES ($1, $2, $3, $4, $5)";

/// The statements of this room.
pub(crate) const STATEMENTS: &[&str] = &[
    FEDERATION,
    CODE_LISTS,
    SYLLABUS,
    KIT,
    WITHDRAW,
    PHASE,
    UNSERVE,
    ADOPTION,
    PO_VERSION,
    PO_DECISION,
    PE_VERSION,
    PE_OBSERVATION,
    REPORT,
    REPORT_VERDICT,
];

const MIGRATIONS: &[Migration] = &[Migration {
    component: "spoke_proj",
    version: 1,
    sqlite: include_str!("../migrations/sqlite/projection_0001.sql"),
    postgres: include_str!("../migrations/postgres/projection_0001.sql"),
}];

const TABLES: &[Table] = &[
    table!("proj_federation", "ledger"),
    table!("proj_code_lists", "version"),
    table!("proj_syllabus", "syllabus, version"),
    table!("proj_kit", "kit, version"),
    table!("proj_kit_phase", "kit, version, phase"),
    table!("proj_adoption", "kit, version"),
    table!("proj_po_version", "ledger, idx"),
    table!("proj_po_decision", "idx"),
    table!("proj_pe_version", "idx"),
    table!("proj_pe_observation", "idx, place"),
    table!("proj_report", "idx"),
    table!("proj_report_verdict", "idx"),
];

/// What the Spoke of one region makes of entries.
#[derive(Debug, Clone, Copy)]
pub struct SpokeProjector {
    /// The Spoke itself.
    pub me: NodeId,
}

impl Projector for SpokeProjector {
    fn migrations(&self) -> &'static [Migration] {
        MIGRATIONS
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
            match act {
                None => Ok(()),
                Some(act) if entry.node == self.me => own(tx, entry, act).await,
                Some(act) if entry.node == NodeId::Hub => hub(tx, entry, act, self.me).await,
                Some(_) => Ok(()),
            }
        })
    }
}

async fn own(tx: &mut Tx, entry: &Entry, act: &Act) -> Result<(), ApplyError> {
    let (index, at) = (entry.index as i64, entry.header.recorded_at.0);
    match act {
        Act::PoSubmitted(plan) => {
            tx.query(PO_VERSION)
                .bind(entry.node.to_string())
                .bind(index)
                .bind(i64::from(plan.version))
                .bind(entry.leaf_hash.0.to_vec())
                .bind(plan.interventions.len() as i64)
                .bind(String::new())
                .bind(at)
                .execute()
                .await?;
        }
        Act::PeShared(plan) => {
            tx.query(PE_VERSION)
                .bind(index)
                .bind(i64::from(plan.year))
                .bind(i64::from(plan.version))
                .bind(i64::from(plan.po_version))
                .bind(entry.leaf_hash.0.to_vec())
                .bind(plan.interventions.len() as i64)
                .bind(at)
                .execute()
                .await?;
        }
        Act::ReportSubmitted(report) => {
            tx.query(REPORT)
                .bind(index)
                .bind(report.head.period.to_string())
                .bind(i64::from(report.head.revision))
                .bind(i64::from(report.head.pe_year))
                .bind(entry.leaf_hash.0.to_vec())
                .bind(report.cells.len() as i64)
                .bind(report.head.reason.clone())
                .bind(at)
                .execute()
                .await?;
        }
        Act::KitPhases(phases) => {
            for reached in phases {
                // Serving and no longer served take each other's place; the earlier phases stay.
                let replaced = match reached.phase {
                    KitPhase::Serving => Some(KitPhase::NoLongerServed),
                    KitPhase::NoLongerServed => Some(KitPhase::Serving),
                    KitPhase::Applied | KitPhase::ContentComplete => None,
                };
                let (kit, version) = (reached.kit.id.to_string(), reached.kit.version.to_string());
                if let Some(phase) = replaced {
                    let query = tx.query(UNSERVE).bind(kit.clone()).bind(version.clone());
                    query.bind(phase.as_str().to_owned()).execute().await?;
                }
                tx.query(PHASE)
                    .bind(kit)
                    .bind(version)
                    .bind(reached.phase.as_str().to_owned())
                    .bind(index)
                    .bind(reached.reached_at.0)
                    .execute()
                    .await?;
            }
        }
        Act::KitAdoption { kit, state, reason } => {
            tx.query(ADOPTION)
                .bind(kit.id.to_string())
                .bind(kit.version.to_string())
                .bind(index)
                .bind(state.as_str().to_owned())
                .bind(reason.clone())
                .bind(at)
                .execute()
                .await?;
        }
        _ => {}
    }
    Ok(())
}

async fn hub(tx: &mut Tx, entry: &Entry, act: &Act, me: NodeId) -> Result<(), ApplyError> {
    let (index, at) = (entry.index as i64, entry.header.recorded_at.0);
    match act {
        Act::FederationCreated(created) => {
            tx.query(FEDERATION)
                .bind(entry.node.to_string())
                .bind(created.federation.to_string())
                .bind(i64::from(created.test))
                .bind(i64::from(created.report_due_days))
                .execute()
                .await?;
        }
        Act::CodeListsPublished(codes) => {
            let query = tx
                .query(CODE_LISTS)
                .bind(i64::from(codes.version()))
                .bind(index)
                .bind(at);
            let changed = query.execute().await?;
            published_once(changed, || {
                format!("version {} of the code lists", codes.version())
            })?;
        }
        Act::SyllabusPublished(syllabus) => {
            let changed = tx
                .query(SYLLABUS)
                .bind(syllabus.syllabus.id.to_string())
                .bind(syllabus.syllabus.version.to_string())
                .bind(index)
                .bind(syllabus.title.it.clone())
                .bind(syllabus.level.to_string())
                .bind(syllabus.area.to_string())
                .bind(i64::from(syllabus.minutes()))
                .bind(at)
                .execute()
                .await?;
            published_once(changed, || format!("syllabus {}", syllabus.syllabus))?;
        }
        Act::KitPublished(kit) => {
            let changed = tx
                .query(KIT)
                .bind(kit.descriptor.kit.id.to_string())
                .bind(kit.descriptor.kit.version.to_string())
                .bind(index)
                .bind(entry.leaf_hash.0.to_vec())
                .bind(kit.descriptor.title.it.clone())
                .bind(kit.descriptor.syllabus.to_string())
                .bind(kit.manifest.0.to_vec())
                .bind(kit.files as i64)
                .bind(kit.bytes as i64)
                .bind(at)
                .execute()
                .await?;
            published_once(changed, || format!("kit {}", kit.descriptor.kit))?;
        }
        Act::KitWithdrawn { kit, reason } => {
            let query = tx
                .query(WITHDRAW)
                .bind(kit.id.to_string())
                .bind(kit.version.to_string());
            if query.bind(reason.clone()).execute().await? == 0 {
                return Err(ApplyError::refused(
                    format!("kit {kit} is withdrawn, but was never published"),
                    "the centre corrects it by a new entry",
                ));
            }
        }
        Act::PoRecorded { plan, approved, .. } if NodeId::Region(plan.region) == me => {
            tx.query(PO_VERSION)
                .bind(entry.node.to_string())
                .bind(index)
                .bind(i64::from(plan.version))
                .bind(entry.leaf_hash.0.to_vec())
                .bind(plan.interventions.len() as i64)
                .bind(approved.to_string())
                .bind(at)
                .execute()
                .await?;
        }
        Act::PoDecision {
            submission,
            verdict,
            reasons,
        } if submission.node == me => {
            tx.query(PO_DECISION)
                .bind(index)
                .bind(submission.index as i64)
                .bind(
                    raccordo_model::operational_plan::PoState::from(*verdict)
                        .as_str()
                        .to_owned(),
                )
                .bind(reasons.clone())
                .bind(at)
                .execute()
                .await?;
        }
        Act::PeObservation {
            submission,
            observations,
        } if submission.node == me => {
            for (place, observation) in observations.iter().enumerate() {
                let intervention = observation.intervention.as_ref().map(ToString::to_string);
                tx.query(PE_OBSERVATION)
                    .bind(index)
                    .bind(place as i64)
                    .bind(submission.index as i64)
                    .bind(intervention.unwrap_or_default())
                    .bind(observation.text.clone())
                    .bind(at)
                    .execute()
                    .await?;
            }
        }
        Act::ReportVerdict {
            submission,
            accepted,
            reasons,
        } if submission.node == me => {
            tx.query(REPORT_VERDICT)
                .bind(index)
                .bind(submission.index as i64)
                .bind(i64::from(*accepted))
                .bind(reasons.clone())
                .bind(at)
                .execute()
                .await?;
        }
        _ => {}
    }
    Ok(())
}

/// Published versions are immutable: the same version a second time is held, the first one stays.
fn published_once(changed: u64, what: impl FnOnce() -> String) -> Result<(), ApplyError> {
    if changed > 0 {
        return Ok(());
    }
    Err(ApplyError::refused(
        format!("{} was published before: versions are immutable", what()),
        "the centre publishes it under a new version",
    ))
}
