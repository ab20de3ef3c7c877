//! Protecting a report before it is signed, checking it on both sides, comparing two.

use super::{Dims, GROUP_MIN, Measures, Report};
use crate::{
    code::Code,
    finding::Finding,
    measure::{CellValue, Measure},
    taxonomy::{CodeLists, Dimension},
};
use serde::Serialize;
use std::collections::BTreeSet;

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
