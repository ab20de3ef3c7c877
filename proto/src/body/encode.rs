//! From an act to the bytes of a body.

use super::Act;
use crate::{
    act_parts,
    catalogue::{code_lists_to_wire, kit_to_wire, syllabus_to_wire},
    entry::entry_ref_to_wire,
    plan::{executive_plan_to_wire, operational_plan_to_wire},
    report::report_to_wire,
    wire,
};
use prost::Message;

impl Act {
    /// The bytes of the body, unpacked.
    pub fn encode(&self) -> Vec<u8> {
        match self.clone() {
            Self::FederationCreated(act) => act_parts::federation_to_wire(act).encode_to_vec(),
            Self::RegionEnrolled {
                region,
                origin,
                ledger_key,
                cosigner_key,
            } => wire::RegionEnrolled {
                region: region.to_string(),
                origin: origin.to_string(),
                ledger_key: ledger_key.to_vec(),
                cosigner_key: cosigner_key.to_vec(),
            }
            .encode_to_vec(),
            Self::RegionRevoked { region, reason } => wire::RegionRevoked {
                region: region.to_string(),
                reason,
            }
            .encode_to_vec(),
            Self::RegionOpened {
                region,
                federation,
                test,
            } => wire::RegionOpened {
                region: region.to_string(),
                federation: federation.to_string(),
                test,
            }
            .encode_to_vec(),
            Self::CodeListsPublished(codes) => {
                let code_lists = Some(code_lists_to_wire(&codes));
                wire::CodeListsPublished { code_lists }.encode_to_vec()
            }
            Self::SyllabusPublished(syllabus) => {
                let syllabus = Some(syllabus_to_wire(&syllabus));
                wire::SyllabusPublished { syllabus }.encode_to_vec()
            }
            Self::KitPublished(kit) => wire::KitPublished {
                kit: Some(kit_to_wire(&kit)),
            }
            .encode_to_vec(),
            Self::KitWithdrawn { kit, reason } => wire::KitWithdrawn {
                kit: kit.id.to_string(),
                version: kit.version.to_string(),
                reason,
            }
            .encode_to_vec(),
            Self::PoSubmitted(plan) => {
                let plan = Some(operational_plan_to_wire(&plan));
                wire::PoSubmitted { plan }.encode_to_vec()
            }
            Self::PoRecorded {
                plan,
                approved,
                act_number,
                document,
            } => wire::PoRecorded {
                plan: Some(operational_plan_to_wire(&plan)),
                approved: approved.to_string(),
                act_number,
                document,
            }
            .encode_to_vec(),
            Self::PoDecision {
                submission,
                verdict,
                reasons,
            } => wire::PoDecision {
                submission: Some(entry_ref_to_wire(&submission)),
                verdict: act_parts::verdict_to_wire(verdict).into(),
                reasons,
            }
            .encode_to_vec(),
            Self::PeShared(plan) => wire::PeShared {
                plan: Some(executive_plan_to_wire(&plan)),
            }
            .encode_to_vec(),
            Self::PeObservation {
                submission,
                observations,
            } => wire::PeObservation {
                submission: Some(entry_ref_to_wire(&submission)),
                observations: observations
                    .into_iter()
                    .map(act_parts::observation_to_wire)
                    .collect(),
            }
            .encode_to_vec(),
            Self::ReportSubmitted(report) => {
                let report = Some(report_to_wire(&report));
                wire::ReportSubmitted { report }.encode_to_vec()
            }
            Self::ReportVerdict {
                submission,
                accepted,
                reasons,
            } => wire::ReportVerdict {
                submission: Some(entry_ref_to_wire(&submission)),
                accepted,
                reasons,
            }
            .encode_to_vec(),
            Self::KitPhases(phases) => {
                let phases = phases.into_iter().map(act_parts::phase_to_wire).collect();
                wire::KitPhases { phases }.encode_to_vec()
            }
            Self::KitAdoption { kit, state, reason } => wire::KitAdoption {
                kit: kit.id.to_string(),
                version: kit.version.to_string(),
                state: act_parts::adoption_to_wire(state).into(),
                reason,
            }
            .encode_to_vec(),
            Self::EntryWaived { entry, reason } => wire::EntryWaived {
                entry: Some(entry_ref_to_wire(&entry)),
                reason,
            }
            .encode_to_vec(),
            Self::EntryErased { index, reason } => wire::EntryErased { index, reason }.encode_to_vec(),
            Self::KeyRotated {
                ledger_key,
                cosigner_key,
            } => wire::KeyRotated {
                ledger_key: ledger_key.to_vec(),
                cosigner_key: cosigner_key.to_vec(),
            }
            .encode_to_vec(),
            Self::LedgerSuccession {
                lost_from,
                lost_to,
                root_signature,
                last_checkpoint,
            } => wire::LedgerSuccession {
                lost_from,
                lost_to,
                root_signature: root_signature.to_vec(),
                last_checkpoint,
            }
            .encode_to_vec(),
        }
    }
}
