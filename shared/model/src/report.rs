//! The monitoring report (Rilevazione) of a region and a month.
//!
//! # How it is counted
//! Counts are cumulative, per edition, over the editions that the Executive Plan of the period's year
//! planned, up to the last day `D` of the period (days as they are recorded; Europe/Rome).
//!
//! A **cell** is one combination of [`Dims`]: cluster and profession are the learner's (the cluster
//! is the profession's; `UNSPECIFIED` goes with `UNSPECIFIED`), the rest is the edition's. A cell
//! exists if somebody in it was enrolled on or before `D`. Its measures, over those learners:
//!
//! - `enrolled`, `started`, `completed`: rows whose day of that name is on or before `D`.
//! - `minutes_delivered`: the edition's minutes × `completed`.
//! - `passed`: completed rows with `passed` = yes, and those with `ecm_credited` = yes of editions
//!   without a test (a credit stands for what a test would show, so that passed ≥ credited always
//!   holds). Not applicable if no edition of the cell has a test.
//! - `ecm_credited`: completed rows with `ecm_credited` = yes. Not applicable if no edition of the
//!   cell gives ECM credits.
//! - `editions`: editions that started on or before `D`, each counted **once per cluster**: in the
//!   cell of the lowest profession code (in byte order) among its learners of that cluster enrolled
//!   by `D`. So the sum over the cells of a cluster and area is the number of editions that reached
//!   that cluster; summed over clusters, an edition for two clusters counts twice.
//!
//! **Distinct people**: learners with at least one edition completed on or before `D`, counted once
//! per margin: (`ALL`, `ALL`), (cluster, `ALL`), (`ALL`, area), (cluster, area), for the clusters and
//! areas that have cells.
//!
//! # What leaves the region
//! [`protect_small_groups`]: in a cell with 0 < `completed` < 5, `passed` and `ecm_credited` become
//! suppressed. No margin of those two measures leaves, so nothing gives them back.

use crate::{
    code::{Code, Id},
    edition::{Edition, PlanOrigin, Versioned},
    measure::{CellValue, Measure},
    node::RegionCode,
    outcome::OutcomeRow,
    period::Period,
    taxonomy::CodeLists,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

mod check;

pub use check::{Difference, check, differences, protect_small_groups};

/// Fewest completions of a cell whose `passed` and `ecm_credited` leave a region.
pub const GROUP_MIN: u64 = 5;
/// Most cells of a report.
pub const CELLS_MAX: usize = 20_000;
/// Most distinct counts of a report.
pub const DISTINCT_MAX: usize = 1_000;
/// Largest count that is believed.
pub const COUNT_MAX: u64 = 1_000_000_000_000;

/// What identifies a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportHead {
    /// Whose.
    #[serde(serialize_with = "crate::node::region_as_text")]
    pub region: RegionCode,
    /// The month.
    pub period: Period,
    /// From 1; grows by one with each correction.
    pub revision: u32,
    /// Year of the Executive Plan that planned the editions.
    pub pe_year: i16,
    /// Its version.
    pub pe_version: u32,
    /// Version of the code lists.
    pub code_lists: u32,
    /// Why an earlier revision is corrected; empty in the first.
    pub reason: String,
}

/// One combination of dimensions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Dims {
    /// Cluster of the profession.
    pub cluster: Code,
    /// Profession of the learners.
    pub profession: Code,
    /// Area.
    pub area: Code,
    /// Objective.
    pub objective: Code,
    /// Instrument.
    pub instrument: Code,
    /// Level.
    pub level: Code,
    /// Whether the intervention was in the Operational Plan.
    pub origin: PlanOrigin,
    /// Package; none: `UNSPECIFIED`.
    pub package: Option<Id>,
    /// Kit version; none: `UNSPECIFIED`.
    pub kit: Option<Versioned>,
}

impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {} {} {}",
            self.cluster,
            self.profession,
            self.area,
            self.objective,
            self.instrument,
            self.level,
            self.origin
        )?;
        if let Some(package) = &self.package {
            write!(f, " {package}")?;
        }
        if let Some(kit) = &self.kit {
            write!(f, " {kit}")?;
        }
        Ok(())
    }
}

/// The figures of a cell.
pub type Measures = BTreeMap<Measure, CellValue>;

/// A region's report of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What identifies it.
    pub head: ReportHead,
    /// Every additive measure, by dimensions.
    pub cells: BTreeMap<Dims, Measures>,
    /// Distinct people trained, by (cluster, area), where `ALL` names a whole dimension.
    pub distinct: BTreeMap<(Code, Code), CellValue>,
}

/// Counts of a cell while it is being computed.
#[derive(Default)]
struct Counts {
    editions: u64,
    minutes: u64,
    enrolled: u64,
    started: u64,
    completed: u64,
    passed: u64,
    credited: u64,
    test: bool,
    ecm: bool,
}

/// Counts `outcomes` of `editions`; see the module for the rules. Outcomes of other editions are
/// another plan's and are left out. Nothing is suppressed yet: see [`protect_small_groups`].
pub fn compute(head: ReportHead, codes: &CodeLists, editions: &[Edition], outcomes: &[OutcomeRow]) -> Report {
    let end = head.period.last_day();
    let by_id: BTreeMap<&Id, &Edition> = editions.iter().map(|e| (&e.id, e)).collect();
    let mut cells: BTreeMap<Dims, Counts> = BTreeMap::new();
    // Per edition and cluster, the lowest profession: the cell that counts the edition.
    let mut reached: BTreeMap<(&Id, Code), &Code> = BTreeMap::new();
    let mut people: BTreeMap<(Code, Code), BTreeSet<&str>> = BTreeMap::new();
    people.insert((Code::all(), Code::all()), BTreeSet::new());
    for row in outcomes {
        let Some(edition) = by_id.get(&row.edition) else {
            continue;
        };
        if row.enrolled.is_none_or(|day| day > end) {
            continue;
        }
        let cluster = codes.cluster_of(&row.profession);
        reached
            .entry((&edition.id, cluster.clone()))
            .and_modify(|lowest| *lowest = (*lowest).min(&row.profession))
            .or_insert(&row.profession);
        let completed = row.completed.is_some_and(|day| day <= end);
        for margin in [
            (Code::all(), Code::all()),
            (cluster.clone(), Code::all()),
            (Code::all(), edition.area.clone()),
            (cluster.clone(), edition.area.clone()),
        ] {
            let people = people.entry(margin).or_default();
            if completed {
                people.insert(&row.learner);
            }
        }
        let cell = cells.entry(dims(edition, cluster, &row.profession)).or_default();
        cell.test |= edition.test;
        cell.ecm |= edition.ecm;
        cell.enrolled += 1;
        cell.started += u64::from(row.started.is_some_and(|day| day <= end));
        if completed {
            let credited = row.ecm_credited == Some(true);
            let passed = row.passed == Some(true) || credited && !edition.test;
            cell.completed += 1;
            cell.minutes += u64::from(edition.minutes);
            cell.passed += u64::from(passed);
            cell.credited += u64::from(credited);
        }
    }
    for ((id, cluster), profession) in reached {
        if let Some(edition) = by_id.get(id).filter(|e| e.start <= end)
            && let Some(cell) = cells.get_mut(&dims(edition, cluster, profession))
        {
            cell.editions += 1;
        }
    }
    let number = |set: BTreeSet<&str>| CellValue::count(set.len() as u64);
    Report {
        head,
        cells: cells.into_iter().map(|(d, c)| (d, c.measures())).collect(),
        distinct: people.into_iter().map(|(m, set)| (m, number(set))).collect(),
    }
}

fn dims(edition: &Edition, cluster: Code, profession: &Code) -> Dims {
    Dims {
        cluster,
        profession: profession.clone(),
        area: edition.area.clone(),
        objective: edition.objective.clone(),
        instrument: edition.instrument.clone(),
        level: edition.level.clone(),
        origin: edition.origin,
        package: edition.package.clone(),
        kit: edition.kit.clone(),
    }
}

impl Counts {
    fn measures(&self) -> Measures {
        let where_applicable = |applicable: bool, n| {
            if applicable {
                CellValue::count(n)
            } else {
                CellValue::NotApplicable
            }
        };
        BTreeMap::from([
            (Measure::Editions, CellValue::count(self.editions)),
            (Measure::MinutesDelivered, CellValue::count(self.minutes)),
            (Measure::Enrolled, CellValue::count(self.enrolled)),
            (Measure::Started, CellValue::count(self.started)),
            (Measure::Completed, CellValue::count(self.completed)),
            (Measure::Passed, where_applicable(self.test, self.passed)),
            (Measure::EcmCredited, where_applicable(self.ecm, self.credited)),
        ])
    }
}
