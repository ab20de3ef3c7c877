//! From the bytes of a body to an act.

use super::{Act, OBSERVATIONS_MAX, PHASES_MAX};
use crate::{
    act_parts::{self, reason},
    catalogue::{code_lists_from_wire, kit_from_wire, syllabus_from_wire, versioned},
    entry::entry_ref_from_wire,
    error::{self, DecodeError, at_most, exactly, parse, required},
    plan::{executive_plan_from_wire, operational_plan_from_wire},
    report::report_from_wire,
    wire,
};
use prost::Message;
use raccordo_model::{
    entry::{BODY_UNPACKED_BYTES_MAX, EntryRef},
    kind::KnownKind,
    kit::KitAdoption,
    operational_plan::{OperationalPlan, PoVerdict},
};

impl Act {
    /// The act in the unpacked body `bytes` of an entry of `kind`.
    pub fn decode(kind: KnownKind, bytes: &[u8]) -> Result<Self, DecodeError> {
        match kind {
            KnownKind::FederationCreated => {
                let body = message("FederationCreated", bytes)?;
                act_parts::federation_from_wire(body).map(Self::FederationCreated)
            }
            KnownKind::RegionEnrolled => {
                const M: &str = "RegionEnrolled";
                let body: wire::RegionEnrolled = message(M, bytes)?;
                Ok(Self::RegionEnrolled {
                    region: parse(M, "region", &body.region)?,
                    origin: parse(M, "origin", &body.origin)?,
                    ledger_key: exactly(M, "ledger_key", &body.ledger_key)?,
                    cosigner_key: exactly(M, "cosigner_key", &body.cosigner_key)?,
                })
            }
            KnownKind::RegionRevoked => {
                const M: &str = "RegionRevoked";
                let body: wire::RegionRevoked = message(M, bytes)?;
                Ok(Self::RegionRevoked {
                    region: parse(M, "region", &body.region)?,
                    reason: reason(M, "reason", body.reason, true)?,
                })
            }
            KnownKind::RegionOpened => {
                const M: &str = "RegionOpened";
                let body: wire::RegionOpened = message(M, bytes)?;
                Ok(Self::RegionOpened {
                    region: parse(M, "region", &body.region)?,
                    federation: parse(M, "federation", &body.federation)?,
                    test: body.test,
                })
            }
            KnownKind::CodeListsPublished => {
                const M: &str = "CodeListsPublished";
                let body: wire::CodeListsPublished = message(M, bytes)?;
                code_lists_from_wire(&required(M, "code_lists", body.code_lists)?)
                    .map(Self::CodeListsPublished)
                    .map_err(|e| e.within(M, "code_lists"))
            }
            KnownKind::SyllabusPublished => {
                const M: &str = "SyllabusPublished";
                let body: wire::SyllabusPublished = message(M, bytes)?;
                syllabus_from_wire(required(M, "syllabus", body.syllabus)?)
                    .map(Self::SyllabusPublished)
                    .map_err(|e| e.within(M, "syllabus"))
            }
            KnownKind::KitPublished => {
                const M: &str = "KitPublished";
                let body: wire::KitPublished = message(M, bytes)?;
                kit_from_wire(required(M, "kit", body.kit)?)
                    .map(Self::KitPublished)
                    .map_err(|e| e.within(M, "kit"))
            }
            KnownKind::KitWithdrawn => {
                const M: &str = "KitWithdrawn";
                let body: wire::KitWithdrawn = message(M, bytes)?;
                Ok(Self::KitWithdrawn {
                    kit: versioned(M, "kit", &body.kit, &body.version)?,
                    reason: reason(M, "reason", body.reason, true)?,
                })
            }
            KnownKind::PoSubmitted => {
                const M: &str = "PoSubmitted";
                let body: wire::PoSubmitted = message(M, bytes)?;
                po(M, body.plan).map(Self::PoSubmitted)
            }
            KnownKind::PoRecorded => {
                const M: &str = "PoRecorded";
                let body: wire::PoRecorded = message(M, bytes)?;
                Ok(Self::PoRecorded {
                    plan: po(M, body.plan)?,
                    approved: parse(M, "approved", &body.approved)?,
                    act_number: reason(M, "act_number", body.act_number, true)?,
                    document: reason(M, "document", body.document, true)?,
                })
            }
            KnownKind::PoDecision => {
                const M: &str = "PoDecision";
                let body: wire::PoDecision = message(M, bytes)?;
                let verdict = act_parts::verdict_from_wire(body.verdict)?;
                let needed = verdict != PoVerdict::Approved;
                Ok(Self::PoDecision {
                    submission: submission(M, body.submission)?,
                    verdict,
                    reasons: reason(M, "reasons", body.reasons, needed)?,
                })
            }
            KnownKind::PeShared => {
                const M: &str = "PeShared";
                let body: wire::PeShared = message(M, bytes)?;
                executive_plan_from_wire(required(M, "plan", body.plan)?)
                    .map(Self::PeShared)
                    .map_err(|e| e.within(M, "plan"))
            }
            KnownKind::PeObservation => {
                const M: &str = "PeObservation";
                let body: wire::PeObservation = message(M, bytes)?;
                if body.observations.is_empty() {
                    return Err(DecodeError::new(M, "observations", "there is none"));
                }
                let found = body.observations.len();
                at_most(M, "observations", "observations", found, OBSERVATIONS_MAX)?;
                Ok(Self::PeObservation {
                    submission: submission(M, body.submission)?,
                    observations: body
                        .observations
                        .into_iter()
                        .map(act_parts::observation_from_wire)
                        .collect::<Result<_, _>>()?,
                })
            }
            KnownKind::ReportSubmitted => {
                const M: &str = "ReportSubmitted";
                let body: wire::ReportSubmitted = message(M, bytes)?;
                report_from_wire(required(M, "report", body.report)?)
                    .map(Self::ReportSubmitted)
                    .map_err(|e| e.within(M, "report"))
            }
            KnownKind::ReportVerdict => {
                const M: &str = "ReportVerdict";
                let body: wire::ReportVerdict = message(M, bytes)?;
                Ok(Self::ReportVerdict {
                    submission: submission(M, body.submission)?,
                    accepted: body.accepted,
                    reasons: reason(M, "reasons", body.reasons, !body.accepted)?,
                })
            }
            KnownKind::KitPhases => {
                const M: &str = "KitPhases";
                let body: wire::KitPhases = message(M, bytes)?;
                at_most(M, "phases", "phases", body.phases.len(), PHASES_MAX)?;
                let phases = body.phases.iter().map(act_parts::phase_from_wire);
                phases.collect::<Result<_, _>>().map(Self::KitPhases)
            }
            KnownKind::KitAdoption => {
                const M: &str = "KitAdoption";
                let body: wire::KitAdoption = message(M, bytes)?;
                let state = act_parts::adoption_from_wire(body.state)?;
                let needed = state == KitAdoption::NotApplicable;
                Ok(Self::KitAdoption {
                    kit: versioned(M, "kit", &body.kit, &body.version)?,
                    state,
                    reason: reason(M, "reason", body.reason, needed)?,
                })
            }
            KnownKind::EntryWaived => {
                const M: &str = "EntryWaived";
                let body: wire::EntryWaived = message(M, bytes)?;
                let entry = required(M, "entry", body.entry)?;
                Ok(Self::EntryWaived {
                    entry: entry_ref_from_wire(&entry).map_err(|e| e.within(M, "entry"))?,
                    reason: reason(M, "reason", body.reason, true)?,
                })
            }
            KnownKind::EntryErased => {
                const M: &str = "EntryErased";
                let body: wire::EntryErased = message(M, bytes)?;
                Ok(Self::EntryErased {
                    index: body.index,
                    reason: reason(M, "reason", body.reason, true)?,
                })
            }
            KnownKind::KeyRotated => {
                const M: &str = "KeyRotated";
                let body: wire::KeyRotated = message(M, bytes)?;
                Ok(Self::KeyRotated {
                    ledger_key: exactly(M, "ledger_key", &body.ledger_key)?,
                    cosigner_key: exactly(M, "cosigner_key", &body.cosigner_key)?,
                })
            }
            KnownKind::LedgerSuccession => {
                const M: &str = "LedgerSuccession";
                let body: wire::LedgerSuccession = message(M, bytes)?;
                if body.lost_from >= body.lost_to {
                    return Err(DecodeError::new(M, "lost_to", "not after lost_from"));
                }
                Ok(Self::LedgerSuccession {
                    lost_from: body.lost_from,
                    lost_to: body.lost_to,
                    root_signature: exactly(M, "root_signature", &body.root_signature)?,
                    last_checkpoint: error::text(M, "last_checkpoint", body.last_checkpoint, 2_048)?,
                })
            }
        }
    }
}

fn message<M: Message + Default>(name: &'static str, bytes: &[u8]) -> Result<M, DecodeError> {
    error::decode(name, bytes, BODY_UNPACKED_BYTES_MAX)
}

fn po(message: &'static str, plan: Option<wire::OperationalPlan>) -> Result<OperationalPlan, DecodeError> {
    operational_plan_from_wire(required(message, "plan", plan)?).map_err(|e| e.within(message, "plan"))
}

fn submission(message: &'static str, reference: Option<wire::EntryRef>) -> Result<EntryRef, DecodeError> {
    entry_ref_from_wire(&required(message, "submission", reference)?)
        .map_err(|e| e.within(message, "submission"))
}
