//! Bodies of entries: one [`Act`] per kind, holding model values. An act that decodes is well formed
//! and within bounds; whether it is allowed is for the node that applies it.

use raccordo_model::{
    code::Id,
    date::PartialDate,
    edition::Versioned,
    entry::EntryRef,
    executive_plan::ExecutivePlan,
    kind::KnownKind,
    kit::{Kit, KitAdoption, KitPhase},
    node::{Federation, Origin, RegionCode},
    operational_plan::{OperationalPlan, PoVerdict},
    report::Report,
    syllabus::Syllabus,
    taxonomy::CodeLists,
    timestamp::Timestamp,
};

mod decode;
mod encode;

/// Most observations of one entry.
pub const OBSERVATIONS_MAX: usize = 500;
/// Most phases of one entry.
pub const PHASES_MAX: usize = 1_000;

/// What an entry says, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// `federation.created`
    FederationCreated(FederationCreated),
    /// `region.enrolled`
    RegionEnrolled {
        /// The region.
        region: RegionCode,
        /// First line of its checkpoints.
        origin: Origin,
        /// Ed25519 key that signs its checkpoints.
        ledger_key: [u8; 32],
        /// Ed25519 key that cosigns the Hub's.
        cosigner_key: [u8; 32],
    },
    /// `region.revoked`
    RegionRevoked {
        /// The region.
        region: RegionCode,
        /// Why.
        reason: String,
    },
    /// `region.opened`
    RegionOpened {
        /// The region.
        region: RegionCode,
        /// The federation that it joined.
        federation: Federation,
        /// Whether that is a test federation.
        test: bool,
    },
    /// `code_lists.published`
    CodeListsPublished(CodeLists),
    /// `syllabus.published`
    SyllabusPublished(Syllabus),
    /// `kit.published`
    KitPublished(Kit),
    /// `kit.withdrawn`
    KitWithdrawn {
        /// The version.
        kit: Versioned,
        /// Why.
        reason: String,
    },
    /// `po.submitted`
    PoSubmitted(OperationalPlan),
    /// `po.recorded`
    PoRecorded {
        /// The plan.
        plan: OperationalPlan,
        /// When it was approved, to the day or month.
        approved: PartialDate,
        /// Number of the act, or `unknown`.
        act_number: String,
        /// The document, or `unknown`.
        document: String,
    },
    /// `po.decision`
    PoDecision {
        /// What is decided about.
        submission: EntryRef,
        /// The decision.
        verdict: PoVerdict,
        /// Why; empty only with an approval.
        reasons: String,
    },
    /// `pe.shared`
    PeShared(ExecutivePlan),
    /// `pe.observation`
    PeObservation {
        /// The plan that is observed on.
        submission: EntryRef,
        /// At least one.
        observations: Vec<Observation>,
    },
    /// `report.submitted`
    ReportSubmitted(Report),
    /// `report.verdict`
    ReportVerdict {
        /// The report.
        submission: EntryRef,
        /// Whether it counts from now on.
        accepted: bool,
        /// Why; empty only with an acceptance.
        reasons: String,
    },
    /// `kit.phases`
    KitPhases(Vec<KitPhaseReached>),
    /// `kit.adoption`
    KitAdoption {
        /// The version.
        kit: Versioned,
        /// The decision.
        state: KitAdoption,
        /// Why; needed with `NotApplicable`.
        reason: String,
    },
    /// `entry.waived`
    EntryWaived {
        /// The entry.
        entry: EntryRef,
        /// Why.
        reason: String,
    },
    /// `entry.erased`
    EntryErased {
        /// Where in the same ledger.
        index: u64,
        /// Why.
        reason: String,
    },
    /// `key.rotated`
    KeyRotated {
        /// The new key that signs checkpoints.
        ledger_key: [u8; 32],
        /// The new key that cosigns.
        cosigner_key: [u8; 32],
    },
    /// `ledger.succession`
    LedgerSuccession {
        /// First index that nobody has.
        lost_from: u64,
        /// The index after the last that nobody has.
        lost_to: u64,
        /// By the root key.
        root_signature: [u8; 64],
        /// The last checkpoint that a follower cosigned.
        last_checkpoint: String,
    },
}

/// What the first entry of the Hub's ledger says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederationCreated {
    /// Its name.
    pub federation: Federation,
    /// Invented data and a business clock.
    pub test: bool,
    /// Ed25519 root key, kept offline.
    pub root_key: [u8; 32],
    /// Ed25519 key that signs the Hub's checkpoints.
    pub ledger_key: [u8; 32],
    /// Ed25519 key that cosigns the regions'.
    pub cosigner_key: [u8; 32],
    /// Institutions whose people must decide on a PO together; at most 4.
    pub deciding_institutions: Vec<String>,
    /// Days after the end of a month at which its report is due; 1 to 366.
    pub report_due_days: u32,
}

/// An observation on an Executive Plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The intervention; none: the whole plan.
    pub intervention: Option<Id>,
    /// What the centre says.
    pub text: String,
}

/// A phase that a kit version reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KitPhaseReached {
    /// The version.
    pub kit: Versioned,
    /// The phase.
    pub phase: KitPhase,
    /// When.
    pub reached_at: Timestamp,
}

impl Act {
    /// The kind of entry that holds it.
    pub fn kind(&self) -> KnownKind {
        match self {
            Self::FederationCreated(_) => KnownKind::FederationCreated,
            Self::RegionEnrolled { .. } => KnownKind::RegionEnrolled,
            Self::RegionRevoked { .. } => KnownKind::RegionRevoked,
            Self::RegionOpened { .. } => KnownKind::RegionOpened,
            Self::CodeListsPublished(_) => KnownKind::CodeListsPublished,
            Self::SyllabusPublished(_) => KnownKind::SyllabusPublished,
            Self::KitPublished(_) => KnownKind::KitPublished,
            Self::KitWithdrawn { .. } => KnownKind::KitWithdrawn,
            Self::PoSubmitted(_) => KnownKind::PoSubmitted,
            Self::PoRecorded { .. } => KnownKind::PoRecorded,
            Self::PoDecision { .. } => KnownKind::PoDecision,
            Self::PeShared(_) => KnownKind::PeShared,
            Self::PeObservation { .. } => KnownKind::PeObservation,
            Self::ReportSubmitted(_) => KnownKind::ReportSubmitted,
            Self::ReportVerdict { .. } => KnownKind::ReportVerdict,
            Self::KitPhases(_) => KnownKind::KitPhases,
            Self::KitAdoption { .. } => KnownKind::KitAdoption,
            Self::EntryWaived { .. } => KnownKind::EntryWaived,
            Self::EntryErased { .. } => KnownKind::EntryErased,
            Self::KeyRotated { .. } => KnownKind::KeyRotated,
            Self::LedgerSuccession { .. } => KnownKind::LedgerSuccession,
        }
    }
}
