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
//!   cell of the lowest profession code among its learners of that cluster enrolled by `D`. So the
//!   sum over the cells of a cluster and area is the number of editions that reached that cluster;
//!   summed over clusters, an edition for two clusters counts twice.
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
    finding::Finding,
    measure::{CellValue, Measure},
    node::RegionCode,
    outcome::OutcomeRow,
    period::Period,
    taxonomy::{CodeLists, Dimension},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

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

/// The rule at the source: where 0 < `completed` < 5, `passed` and `ecm_credited` are suppressed,
/// unless they do not apply. To be run before a report is signed.
pub fn protect_small_groups(report: &mut Report) {
    for measures in report.cells.values_mut() {
        if !is_small(measures) {
            continue;
        }
        for measure in [Measure::Passed, Measure::EcmCredited] {
            if let Some(value) = measures.get_mut(&measure)
                && *value != CellValue::NotApplicable
            {
                *value = CellValue::Suppressed;
            }
        }
    }
}

fn is_small(measures: &Measures) -> bool {
    measures
        .get(&Measure::Completed)
        .and_then(|value| value.as_count())
        .is_some_and(|n| (1..GROUP_MIN).contains(&n))
}

/// What breaks a rule: invariant 9 in each cell, measures that are absent or do not belong, small
/// groups that were not protected, codes that do not exist, distinct people that cannot be, a period
/// outside the plan's year. The same check runs in the Spoke before signing and in the Hub.
pub fn check(report: &Report, codes: &CodeLists) -> Vec<Finding> {
    let mut findings = Vec::new();
    let head = &report.head;
    if head.period.year() != head.pe_year {
        findings.push(Finding::error(
            "pe_year",
            format!(
                "the period {} is outside the plan's year {}",
                head.period, head.pe_year
            ),
            "report the period under the Executive Plan of its year",
        ));
    }
    if head.revision > 1 && head.reason.trim().is_empty() {
        findings.push(Finding::error(
            "reason",
            "a correction has no reason",
            "say what is corrected",
        ));
    }
    for (dims, measures) in &report.cells {
        check_cell(dims, measures, codes, &mut findings);
    }
    check_distinct(report, &mut findings);
    findings
}

fn check_cell(dims: &Dims, measures: &Measures, codes: &CodeLists, findings: &mut Vec<Finding>) {
    let field = format!("cells[{dims}]");
    for (dimension, code) in [
        (Dimension::Cluster, &dims.cluster),
        (Dimension::Profession, &dims.profession),
        (Dimension::Area, &dims.area),
        (Dimension::Objective, &dims.objective),
        (Dimension::Instrument, &dims.instrument),
        (Dimension::Level, &dims.level),
    ] {
        codes.check_into(dimension, code, &field, findings);
    }
    if codes.cluster_of(&dims.profession) != dims.cluster && !dims.profession.is_unspecified() {
        let problem = format!(
            "the profession {} is not of the cluster {}",
            dims.profession, dims.cluster
        );
        findings.push(Finding::error(&field, problem, "correct the cluster"));
    }
    if measures.keys().ne(Measure::ADDITIVE.iter()) {
        let problem = "the measures are not exactly those of a cell";
        findings.push(Finding::error(&field, problem, "compute the report again"));
    }
    let count = |measure| measures.get(&measure).copied().and_then(CellValue::as_count);
    let mut larger: Option<(Measure, u64)> = None;
    for measure in [
        Measure::Enrolled,
        Measure::Started,
        Measure::Completed,
        Measure::Passed,
        Measure::EcmCredited,
    ] {
        // What is suppressed or not applicable is left out of the chain, not counted as zero.
        let Some(n) = count(measure) else { continue };
        if let Some((above, most)) = larger
            && n > most
        {
            findings.push(Finding::error(
                &field,
                format!("{measure} is {n}, more than {above} ({most})"),
                "correct the outcomes: enrolled ≥ started ≥ completed ≥ passed ≥ ecm_credited",
            ));
        }
        larger = Some((measure, n));
    }
    for measure in [Measure::Enrolled, Measure::Started, Measure::Completed] {
        if measures.get(&measure) == Some(&CellValue::NotApplicable) {
            let problem = format!("{measure} always applies");
            findings.push(Finding::error(&field, problem, "compute the report again"));
        }
    }
    if is_small(measures)
        && [Measure::Passed, Measure::EcmCredited]
            .iter()
            .any(|m| count(*m).is_some())
    {
        findings.push(Finding::error(
            &field,
            format!("shows passed or ecm_credited of a group below {GROUP_MIN}"),
            "suppress them: they would give failures away",
        ));
    }
}

fn check_distinct(report: &Report, findings: &mut Vec<Finding>) {
    let completed = |cluster: &Code, area: &Code| -> Option<u64> {
        report
            .cells
            .iter()
            .filter(|(dims, _)| {
                (cluster.is_all() || dims.cluster == *cluster) && (area.is_all() || dims.area == *area)
            })
            .map(|(_, measures)| measures.get(&Measure::Completed)?.as_count())
            .sum()
    };
    if !report.distinct.contains_key(&(Code::all(), Code::all())) {
        findings.push(Finding::error(
            "distinct",
            "the region's own count is absent",
            "compute the report again",
        ));
    }
    for ((cluster, area), value) in &report.distinct {
        let field = format!("distinct[{cluster} {area}]");
        let Some(people) = value.as_count() else {
            continue;
        };
        let Some(completions) = completed(cluster, area) else {
            continue;
        };
        if people > completions || (people == 0) != (completions == 0) {
            findings.push(Finding::error(
                &field,
                format!("{people} people cannot have {completions} completions"),
                "compute the report again from the outcomes",
            ));
        }
        for wider in [(Code::all(), area.clone()), (cluster.clone(), Code::all())] {
            let most = report.distinct.get(&wider).and_then(|v| v.as_count());
            if most.is_some_and(|most| people > most) {
                findings.push(Finding::error(
                    &field,
                    format!("{people} people, more than in the margin {} {}", wider.0, wider.1),
                    "compute the report again from the outcomes",
                ));
            }
        }
    }
}

/// A figure that differs between two reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The cell, or `distinct CLUSTER AREA`.
    pub cell: String,
    /// The measure.
    pub measure: Measure,
    /// What the earlier report says; missing if it has no such cell.
    pub before: CellValue,
    /// What the later one says.
    pub after: CellValue,
}

/// What differs between two reports, in order; for people who look before they send.
pub fn differences(previous: &Report, current: &Report) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |cell: String, measure, before: Option<CellValue>, after: Option<CellValue>| {
        let (before, after) = (
            before.unwrap_or(CellValue::Missing),
            after.unwrap_or(CellValue::Missing),
        );
        if before != after {
            found.push(Difference {
                cell,
                measure,
                before,
                after,
            });
        }
    };
    let keys: BTreeSet<&Dims> = previous.cells.keys().chain(current.cells.keys()).collect();
    for dims in keys {
        for measure in Measure::ADDITIVE {
            let value = |report: &Report| report.cells.get(dims)?.get(&measure).copied();
            compare(dims.to_string(), measure, value(previous), value(current));
        }
    }
    let margins: BTreeSet<_> = previous.distinct.keys().chain(current.distinct.keys()).collect();
    for margin in margins {
        let value = |report: &Report| report.distinct.get(margin).copied();
        compare(
            format!("distinct {} {}", margin.0, margin.1),
            Measure::DistinctTrained,
            value(previous),
            value(current),
        );
    }
    found
}
