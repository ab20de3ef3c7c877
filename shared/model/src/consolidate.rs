//! The consolidated status: what readers outside the national team see of accepted reports.
//!
//! This page is the specification; `tests/foreign/recount.py` implements it a second time.
//!
//! # 1. Roll-up of one report: [`roll_up`]
//! For each (cluster, area) that has a cell in the report and each additive measure, the **sum** of
//! the report's cells with that cluster and area, over all other dimensions:
//!
//! 1. if a part is suppressed, the sum is suppressed;
//! 2. else if a part is missing, the sum is missing;
//! 3. else parts that are not applicable are left out; if none is left, the sum is not applicable;
//! 4. else it is the number, or zero.
//!
//! `distinct_trained` is the report's own distinct count for (cluster, area); missing if it has none.
//!
//! # 2. Protection of a base row: [`protect`]
//! A base row is (region, cluster, area). In it, independently of all other rows:
//!
//! 1. every number *n* with 0 < *n* < 3 becomes suppressed, except in `editions`: an edition is an
//!    event that was announced, not a person;
//! 2. if `completed` is suppressed after that, `minutes_delivered` becomes suppressed: minutes
//!    divided by the length of the course would give it back;
//! 3. if `completed` is suppressed, `passed` and `ecm_credited` that are numbers cannot occur (they
//!    are at most `completed`).
//!
//! # 3. Totals: [`consolidate`]
//! The **published sum** of a list of parts, each already protected:
//!
//! 1. published parts are numbers and zeros; coverage = how many there are;
//! 2. if their sum is above zero, the total is that number;
//! 3. else (their sum is zero, or there are none): suppressed if any part is suppressed; else missing
//!    if any part is missing; else zero if any part is zero; else not applicable.
//!
//! With it: region totals (region, `ALL`, `ALL`) over the region's base rows; country rows (`ALL`,
//! cluster, area) over all regions' base rows of that cluster and area; the country total (`ALL`,
//! `ALL`, `ALL`) over the region totals. In all four kinds of row the measures are the same.
//!
//! One exception: `distinct_trained` of a region total is not a sum (a person may stand in several
//! base rows). It is the report's own (`ALL`, `ALL`) count, protected by rule 2.1, and it is
//! suppressed if `distinct_trained` of any base row of the region is suppressed. Its coverage is the
//! number of published parts all the same. Country figures of `distinct_trained` are sums over
//! regions: they count a person once per region.
//!
//! # Why nothing gives a suppressed figure back
//! Every total but that exception is a function of *published* figures and states alone, so a reader
//! learns nothing from it that the base rows did not say: there is no margin to subtract from. The
//! exception is computed from people, but is shown only when no base row of its region hides a count
//! of people; then there is nothing to give back. A suppressed figure thus stays "1 or 2" (or, for
//! `passed` and `ecm_credited`, what the region's own rule hid). What is *not* covered: differences
//! between releases of successive months, and figures of very few people who dropped out.

use crate::{
    code::Code,
    measure::{CellValue, Measure},
    node::RegionCode,
    report::{Measures, Report},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The smallest number that is published (minimum of the Italian statistical rules).
pub const PUBLISHED_MIN: u64 = 3;

/// A row of the consolidated status. Rows sort by region, then cluster, then area; totals last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsolidatedRow {
    /// The region; none: the country (`ALL`).
    #[serde(serialize_with = "region_or_all")]
    pub region: Option<RegionCode>,
    /// Cluster, or `ALL`.
    pub cluster: Code,
    /// Area, or `ALL`.
    pub area: Code,
    /// Every measure.
    pub measures: Measures,
    /// How many parts are in each measure; 1 or 0 in a base row.
    pub coverage: BTreeMap<Measure, u32>,
}

fn region_or_all<S: serde::Serializer>(
    region: &Option<RegionCode>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(region.as_ref().map_or("ALL", RegionCode::as_str))
}

/// Sums the cells of a report by (cluster, area); section 1. Nothing is protected yet.
pub fn roll_up(report: &Report) -> BTreeMap<(Code, Code), Measures> {
    let mut parts: BTreeMap<(Code, Code), BTreeMap<Measure, Vec<CellValue>>> = BTreeMap::new();
    for (dims, measures) in &report.cells {
        let row = parts
            .entry((dims.cluster.clone(), dims.area.clone()))
            .or_default();
        for measure in Measure::ADDITIVE {
            let value = measures.get(&measure).copied();
            row.entry(measure)
                .or_default()
                .push(value.unwrap_or(CellValue::Missing));
        }
    }
    parts
        .into_iter()
        .map(|(key, row)| {
            let mut measures: Measures = row.into_iter().map(|(m, p)| (m, sum(&p))).collect();
            let people = report.distinct.get(&key).copied();
            measures.insert(Measure::DistinctTrained, people.unwrap_or(CellValue::Missing));
            (key, measures)
        })
        .collect()
}

/// The sum of parts that all belong to one reporter; section 1.
pub fn sum(parts: &[CellValue]) -> CellValue {
    if parts.contains(&CellValue::Suppressed) {
        CellValue::Suppressed
    } else if parts.contains(&CellValue::Missing) {
        CellValue::Missing
    } else {
        let mut counts = parts.iter().filter_map(|p| p.as_count()).peekable();
        match counts.peek() {
            None => CellValue::NotApplicable,
            Some(_) => CellValue::count(counts.fold(0, u64::saturating_add)),
        }
    }
}

/// Protects a base row for readers outside the national team; section 2.
pub fn protect(measures: &mut Measures) {
    for (measure, value) in measures.iter_mut() {
        if *measure != Measure::Editions {
            *value = protected(*value);
        }
    }
    if measures.get(&Measure::Completed) == Some(&CellValue::Suppressed)
        && let Some(minutes) = measures.get_mut(&Measure::MinutesDelivered)
    {
        *minutes = CellValue::Suppressed;
    }
}

fn protected(value: CellValue) -> CellValue {
    match value {
        CellValue::Number(n) if n.get() < PUBLISHED_MIN => CellValue::Suppressed,
        value => value,
    }
}

/// The published sum of protected parts and how many of them are in it; section 3.
pub fn total(parts: &[CellValue]) -> (CellValue, u32) {
    let published: Vec<u64> = parts.iter().filter_map(|p| p.as_count()).collect();
    let number = published.iter().copied().fold(0, u64::saturating_add);
    let value = if number > 0 {
        CellValue::count(number)
    } else {
        // A zero would deny the people that are hidden.
        [CellValue::Suppressed, CellValue::Missing, CellValue::Zero]
            .into_iter()
            .find(|state| parts.contains(state))
            .unwrap_or(CellValue::NotApplicable)
    };
    (value, published.len() as u32)
}

/// Every row of the consolidated status of one period: base rows, region totals, country rows, the
/// country total. `reports` holds the accepted report of the period of each region that has one.
pub fn consolidate(reports: &BTreeMap<RegionCode, Report>) -> Vec<ConsolidatedRow> {
    let mut rows = Vec::new();
    let mut totals = Vec::new();
    for (region, report) in reports {
        let base: Vec<ConsolidatedRow> = roll_up(report)
            .into_iter()
            .map(|((cluster, area), mut measures)| {
                protect(&mut measures);
                let coverage = measures
                    .iter()
                    .map(|(m, v)| (*m, u32::from(v.as_count().is_some())))
                    .collect();
                ConsolidatedRow {
                    region: Some(*region),
                    cluster,
                    area,
                    measures,
                    coverage,
                }
            })
            .collect();
        totals.push(region_total(*region, report, &base));
        rows.extend(base);
    }
    let mut country: BTreeMap<(Code, Code), Vec<&ConsolidatedRow>> = BTreeMap::new();
    for row in &rows {
        country
            .entry((row.cluster.clone(), row.area.clone()))
            .or_default()
            .push(row);
    }
    let country: Vec<ConsolidatedRow> = country
        .into_iter()
        .map(|((cluster, area), parts)| total_row(None, cluster, area, &parts))
        .collect();
    let parts: Vec<&ConsolidatedRow> = totals.iter().collect();
    let everything = total_row(None, Code::all(), Code::all(), &parts);
    rows.extend(totals);
    rows.extend(country);
    rows.push(everything);
    rows.sort_by_key(|row| {
        let last = |code: &Code| (code.is_all(), code.clone());
        let region = (row.region.is_none(), row.region);
        (region, last(&row.cluster), last(&row.area))
    });
    rows
}

fn region_total(region: RegionCode, report: &Report, base: &[ConsolidatedRow]) -> ConsolidatedRow {
    let parts: Vec<&ConsolidatedRow> = base.iter().collect();
    let mut row = total_row(Some(region), Code::all(), Code::all(), &parts);
    let hidden = base
        .iter()
        .any(|r| r.measures.get(&Measure::DistinctTrained) == Some(&CellValue::Suppressed));
    let people = report.distinct.get(&(Code::all(), Code::all())).copied();
    let people = if hidden {
        CellValue::Suppressed
    } else {
        protected(people.unwrap_or(CellValue::Missing))
    };
    row.measures.insert(Measure::DistinctTrained, people);
    row
}

fn total_row(
    region: Option<RegionCode>,
    cluster: Code,
    area: Code,
    parts: &[&ConsolidatedRow],
) -> ConsolidatedRow {
    let mut row = ConsolidatedRow {
        region,
        cluster,
        area,
        measures: BTreeMap::new(),
        coverage: BTreeMap::new(),
    };
    for measure in Measure::ALL {
        let values: Vec<CellValue> = parts
            .iter()
            .map(|p| p.measures.get(&measure).copied())
            .map(|value| value.unwrap_or(CellValue::Missing))
            .collect();
        let (value, coverage) = total(&values);
        row.measures.insert(measure, value);
        row.coverage.insert(measure, coverage);
    }
    row
}
