//! Editions: one run of a course, with its learners.

use crate::{
    code::{Code, Id},
    version::Version,
};
use jiff::civil::Date;
use serde::Serialize;
use std::{fmt, str::FromStr};

/// Whether an intervention was in the Operational Plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanOrigin {
    /// It was.
    FromPo,
    /// The Executive Plan added it, with a reason.
    Additional,
}

impl PlanOrigin {
    /// `from_po` or `additional`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FromPo => "from_po",
            Self::Additional => "additional",
        }
    }
}

impl fmt::Display for PlanOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One version of a kit (or syllabus), `KIT@1.0.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Versioned {
    /// The thing.
    pub id: Id,
    /// Its version.
    pub version: Version,
}

/// Not `ID@version`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name a version: write it as KIT-FSE-GEN@1.0.0")]
pub struct NotVersioned(pub String);

impl FromStr for Versioned {
    type Err = NotVersioned;

    fn from_str(text: &str) -> Result<Self, NotVersioned> {
        let parse = || {
            let (id, version) = text.split_once('@')?;
            Some(Self {
                id: id.parse().ok()?,
                version: version.parse().ok()?,
            })
        };
        parse().ok_or_else(|| NotVersioned(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Versioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.id, self.version))
    }
}

impl Serialize for Versioned {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One run of a course. Cluster and profession belong to its learners, not to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edition {
    /// Its identifier, unique in the region.
    pub id: Id,
    /// The intervention of the Executive Plan that it carries out.
    pub intervention: Id,
    /// The kit version that it uses.
    pub kit: Option<Versioned>,
    /// The syllabus version that it follows.
    pub syllabus: Option<Versioned>,
    /// Code of the instrument.
    pub instrument: Code,
    /// Code of the area.
    pub area: Code,
    /// Code of the objective, or `UNSPECIFIED`.
    pub objective: Code,
    /// Code of the level.
    pub level: Code,
    /// Whether its intervention was in the Operational Plan.
    pub origin: PlanOrigin,
    /// The package that it belongs to.
    pub package: Option<Id>,
    /// Length of the course in minutes.
    pub minutes: u32,
    /// First day.
    pub start: Date,
    /// Last day.
    pub end: Date,
    /// Whether ECM credits apply.
    pub ecm: bool,
    /// Whether it ends with a test.
    pub test: bool,
}
