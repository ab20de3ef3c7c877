//! What is counted, and the five states of a figure.

use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::{fmt, num::NonZeroU64};

/// What is counted. Cumulative from the start of the plan's year to the end of the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Editions that have begun, with enrolled learners.
    Editions,
    /// Course minutes × completions.
    MinutesDelivered,
    /// Enrolments.
    Enrolled,
    /// Enrolments that were taken up.
    Started,
    /// Courses that were completed.
    Completed,
    /// Completions with a passed test; not applicable without one.
    Passed,
    /// Completions that gave ECM credits; not applicable where there are none.
    EcmCredited,
    /// Different people who completed at least one edition. Adds up over nothing.
    DistinctTrained,
}

impl Measure {
    /// Every measure, in the order of tables.
    pub const ALL: [Self; 8] = [
        Self::Editions,
        Self::MinutesDelivered,
        Self::Enrolled,
        Self::Started,
        Self::Completed,
        Self::Passed,
        Self::EcmCredited,
        Self::DistinctTrained,
    ];
    /// The measures of a report's cells: all that add up.
    pub const ADDITIVE: [Self; 7] = [
        Self::Editions,
        Self::MinutesDelivered,
        Self::Enrolled,
        Self::Started,
        Self::Completed,
        Self::Passed,
        Self::EcmCredited,
    ];

    /// Stable name for programs, such as `minutes_delivered`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Editions => "editions",
            Self::MinutesDelivered => "minutes_delivered",
            Self::Enrolled => "enrolled",
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Passed => "passed",
            Self::EcmCredited => "ecm_credited",
            Self::DistinctTrained => "distinct_trained",
        }
    }

    /// Heading for people, Italian.
    pub fn label_it(self) -> &'static str {
        match self {
            Self::Editions => "Edizioni",
            Self::MinutesDelivered => "Minuti erogati",
            Self::Enrolled => "Iscritti",
            Self::Started => "Avviati",
            Self::Completed => "Completati",
            Self::Passed => "Superati",
            Self::EcmCredited => "Accreditati ECM",
            Self::DistinctTrained => "Persone formate",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A figure, or why there is none. The five are never mixed up: zero is a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CellValue {
    /// A count above zero.
    Number(NonZeroU64),
    /// Counted, and there were none.
    Zero,
    /// Not reported.
    Missing,
    /// Reported or known, and withheld to protect people.
    Suppressed,
    /// Makes no sense here (no test, no ECM).
    NotApplicable,
}

impl CellValue {
    /// The figure for a count.
    pub fn count(n: u64) -> Self {
        NonZeroU64::new(n).map_or(Self::Zero, Self::Number)
    }

    /// The count, where there is one; 0 for zero.
    pub fn as_count(self) -> Option<u64> {
        match self {
            Self::Number(n) => Some(n.get()),
            Self::Zero => Some(0),
            Self::Missing | Self::Suppressed | Self::NotApplicable => None,
        }
    }

    /// Stable name of the state: `number`, `zero`, `missing`, `suppressed`, `not_applicable`.
    pub fn state(self) -> &'static str {
        match self {
            Self::Number(_) => "number",
            Self::Zero => "zero",
            Self::Missing => "missing",
            Self::Suppressed => "suppressed",
            Self::NotApplicable => "not_applicable",
        }
    }
}

impl fmt::Display for CellValue {
    /// The count; otherwise `0`, `…` (missing), `*` (suppressed) or `–` (not applicable).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => f.pad(&n.to_string()),
            Self::Zero => f.pad("0"),
            Self::Missing => f.pad("…"),
            Self::Suppressed => f.pad("*"),
            Self::NotApplicable => f.pad("–"),
        }
    }
}

impl Serialize for CellValue {
    /// `{"state": "number", "number": 12}`; the number is null in every state but number and zero.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cell = serializer.serialize_struct("CellValue", 2)?;
        cell.serialize_field("state", self.state())?;
        cell.serialize_field("number", &self.as_count())?;
        cell.end()
    }
}
