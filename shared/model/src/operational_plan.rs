//! The Operational Plan (Piano Operativo, PO): what a region means to do over several years.

use crate::{
    code::{Code, Id},
    date::PartialDate,
    finding::Finding,
    node::RegionCode,
    personal_data,
    taxonomy::{CodeLists, Dimension},
};
use serde::Serialize;
use std::{collections::BTreeSet, fmt};

/// Most interventions of a plan.
pub const INTERVENTIONS_MAX: usize = 1_000;
/// Longest title, in bytes.
pub const TITLE_BYTES_MAX: usize = 300;
/// Longest note or reason, in bytes.
pub const NOTE_BYTES_MAX: usize = 2_000;
/// Most legal bases of a plan.
pub const BASES_MAX: usize = 50;

/// A version of a region's Operational Plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationalPlan {
    /// Whose.
    #[serde(serialize_with = "crate::node::region_as_text")]
    pub region: RegionCode,
    /// From 1; grows by one with each submission. A plan read from a document is version 1 until
    /// its Spoke numbers it.
    pub version: u32,
    /// First year.
    pub from_year: i16,
    /// Last year.
    pub to_year: i16,
    /// When it was proposed, as far as it is known.
    pub proposed: Option<PartialDate>,
    /// The acts that it is based on.
    pub basis: Vec<String>,
    /// What it provides for.
    pub interventions: Vec<PoIntervention>,
    /// Version of the code lists that its codes come from.
    pub code_lists: u32,
}

/// What an Operational Plan provides for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoIntervention {
    /// Unique in the plan.
    pub id: Id,
    /// Title.
    pub title: String,
    /// Code of the level.
    pub level: Code,
}

impl OperationalPlan {
    /// What breaks a rule: no interventions, identifiers twice, years in the wrong order, codes that
    /// do not exist.
    pub fn check(&self, codes: &CodeLists) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.from_year > self.to_year {
            findings.push(Finding::error(
                "horizon",
                format!("ends in {}, before it begins in {}", self.to_year, self.from_year),
                "correct the years",
            ));
        }
        if self.interventions.is_empty() {
            findings.push(Finding::error(
                "interventions",
                "there is none",
                "add what the plan provides for",
            ));
        }
        let mut seen = BTreeSet::new();
        for (index, intervention) in self.interventions.iter().enumerate() {
            let field = format!("interventions[{index}]");
            codes.check_into(
                Dimension::Level,
                &intervention.level,
                &format!("{field}.level"),
                &mut findings,
            );
            if !seen.insert(&intervention.id) {
                findings.push(Finding::error(
                    format!("{field}.id"),
                    format!("`{}` is there twice", intervention.id),
                    "give each intervention its own identifier",
                ));
            }
        }
        findings
    }

    /// Free texts that look like personal data, as warnings: a person may go on on record.
    pub fn personal_data(&self) -> Vec<Finding> {
        let titles = self.interventions.iter().enumerate().map(|(index, i)| {
            let field = format!("interventions[{index}].title");
            (field, i.title.as_str())
        });
        let basis = self.basis.iter().enumerate();
        personal_data::findings(
            titles.chain(basis.map(|(index, text)| (format!("basis[{index}]"), text.as_str()))),
        )
    }
}

/// Where a version of an Operational Plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PoState {
    /// With its Spoke only.
    Draft,
    /// Sent to the centre.
    Submitted,
    /// Two people of the centre approved it.
    Approved,
    /// The centre asks for a new version.
    ChangesRequested,
    /// The centre refused it.
    Rejected,
    /// A later version was approved.
    Superseded,
}

/// What the centre decides about a submitted version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PoVerdict {
    /// Approved.
    Approved,
    /// A new version is asked for.
    ChangesRequested,
    /// Refused.
    Rejected,
}

/// What happens to a version of an Operational Plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoEvent {
    /// Its region submits it.
    Submit,
    /// The centre decides.
    Decide(PoVerdict),
    /// The centre takes it in as approved before the system existed.
    RecordApproved,
    /// A later version of the same region is approved.
    LaterApproved,
}

impl PoState {
    /// The state after `event`; none if the event is not allowed now.
    pub fn after(self, event: PoEvent) -> Option<Self> {
        match (self, event) {
            (Self::Draft, PoEvent::Submit) => Some(Self::Submitted),
            (Self::Draft, PoEvent::RecordApproved) => Some(Self::Approved),
            (Self::Submitted, PoEvent::Decide(PoVerdict::Approved)) => Some(Self::Approved),
            (Self::Submitted, PoEvent::Decide(PoVerdict::ChangesRequested)) => Some(Self::ChangesRequested),
            (Self::Submitted, PoEvent::Decide(PoVerdict::Rejected)) => Some(Self::Rejected),
            // Only what was approved, or is undecided, ends with its successor: a version that was sent back
            // stays sent back, so that nobody takes it for one that was ever approved.
            (Self::Submitted | Self::Approved, PoEvent::LaterApproved) => Some(Self::Superseded),
            _ => None,
        }
    }

    /// Stable name: `draft`, `submitted`, `approved`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::Approved => "approved",
            Self::ChangesRequested => "changes_requested",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
        }
    }

    /// What people see, Italian.
    pub fn label_it(self) -> &'static str {
        match self {
            Self::Draft => "Bozza",
            Self::Submitted => "Presentato",
            Self::Approved => "Approvato",
            Self::ChangesRequested => "Modifiche richieste",
            Self::Rejected => "Respinto",
            Self::Superseded => "Superato",
        }
    }
}

impl fmt::Display for PoState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<PoVerdict> for PoState {
    fn from(verdict: PoVerdict) -> Self {
        match verdict {
            PoVerdict::Approved => Self::Approved,
            PoVerdict::ChangesRequested => Self::ChangesRequested,
            PoVerdict::Rejected => Self::Rejected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_submitted_version_is_decided() {
        let approve = PoEvent::Decide(PoVerdict::Approved);
        assert_eq!(PoState::Draft.after(approve), None);
        assert_eq!(PoState::Rejected.after(approve), None);
        assert_eq!(PoState::Submitted.after(approve), Some(PoState::Approved));
        assert_eq!(
            PoState::Approved.after(PoEvent::LaterApproved),
            Some(PoState::Superseded)
        );
        assert_eq!(PoState::Approved.after(PoEvent::Submit), None);
    }
}
