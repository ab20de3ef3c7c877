//! Properties of reports and of the consolidated status, each against a second, naive count.

#![allow(clippy::unwrap_used)] // a test: what is not as it should be stops it

use proptest::{prelude::*, sample::select};
use raccordo_model::{
    code::{Code, Id},
    consolidate::{consolidate, roll_up},
    date::parse_day,
    edition::{Edition, PlanOrigin},
    measure::{CellValue, Measure},
    node::RegionCode,
    outcome::OutcomeRow,
    report::{Dims, Measures, Report, ReportHead, check, compute, differences, protect_small_groups},
    taxonomy::CodeLists,
};
use std::collections::{BTreeMap, BTreeSet};

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

fn head(region: &str) -> ReportHead {
    ReportHead {
        region: region.parse().unwrap(),
        period: "2023-11".parse().unwrap(),
        revision: 1,
        pe_year: 2023,
        pe_version: 1,
        code_lists: 1,
        reason: String::new(),
    }
}

prop_compose! {
    fn edition()(
        area in select(vec!["GENERAL", "SPECIFIC"]),
        objective in select(vec!["POLICY", "UNSPECIFIED"]),
        package in select(vec![None, Some("P1")]),
        kit in select(vec![None, Some("K@1.0.0")]),
        additional in any::<bool>(),
        minutes in select(vec![30u32, 240]),
        start in select(vec!["2023-10-02", "2023-11-30", "2023-12-01"]),
        ecm in any::<bool>(),
        test in any::<bool>(),
    ) -> Edition {
        Edition {
            id: "E".parse().unwrap(),
            intervention: "I".parse().unwrap(),
            kit: kit.map(|k| k.parse().unwrap()),
            syllabus: None,
            instrument: code("TRADITIONAL.RES"),
            area: code(area),
            objective: code(objective),
            level: code("STAFF"),
            origin: if additional { PlanOrigin::Additional } else { PlanOrigin::FromPo },
            package: package.map(|p| p.parse().unwrap()),
            minutes,
            start: parse_day(start).unwrap(),
            end: parse_day("2023-12-31").unwrap(),
            ecm,
            test,
        }
    }
}

prop_compose! {
    /// A row that `parse_csv` and `check_rows` would take in for edition number `edition`.
    fn outcome()(
        learner in 0..30u8,
        edition in 0..4usize,
        profession in select(vec!["C1.01", "C1.02", "C2.06", "UNSPECIFIED"]),
        progress in 0..4usize,
        late in 0..4usize,
        passed in any::<bool>(),
        ecm in any::<bool>(),
    ) -> (u8, usize, &'static str, [Option<&'static str>; 3], bool, bool) {
        // Days from `late` on fall after the period.
        let days = ["2023-11-02", "2023-11-30", "2023-11-30"];
        let after = ["2023-12-01", "2023-12-02", "2023-12-03"];
        let mut found = [None; 3];
        for step in 0..progress {
            found[step] = Some(if step >= late { after[step] } else { days[step] });
        }
        (learner, edition, profession, found, passed, ecm)
    }
}

fn world() -> impl Strategy<Value = (Vec<Edition>, Vec<OutcomeRow>)> {
    let editions = prop::collection::vec(edition(), 4);
    let outcomes = prop::collection::vec(outcome(), 0..120);
    (editions, outcomes).prop_map(|(mut editions, outcomes)| {
        for (index, edition) in editions.iter_mut().enumerate() {
            edition.id = format!("E{index}").parse().unwrap();
        }
        let mut seen = BTreeSet::new();
        let rows = outcomes
            .into_iter()
            .filter(|o| seen.insert((o.0, o.1)))
            .map(|(learner, edition, profession, days, passed, ecm)| {
                let edition = &editions[edition];
                let day = |n: usize| days[n].map(|d| parse_day(d).unwrap());
                let done = days[2].is_some();
                let passed = (done && edition.test).then_some(passed);
                let credit = ecm && passed != Some(false);
                OutcomeRow {
                    learner: format!("L{learner}"),
                    edition: edition.id.clone(),
                    profession: code(profession),
                    enrolled: day(0),
                    started: day(1),
                    completed: day(2),
                    passed,
                    ecm_credited: (done && edition.ecm).then_some(credit),
                }
            })
            .collect();
        (editions, rows)
    })
}

/// The naive count of one measure over the rows that `of` picks.
fn naive(
    measure: Measure,
    editions: &[Edition],
    rows: &[OutcomeRow],
    of: impl Fn(&Edition, &OutcomeRow) -> bool,
) -> CellValue {
    let end = parse_day("2023-11-30").unwrap();
    let by = |day: Option<raccordo_model::date::Day>| day.is_some_and(|d| d <= end);
    let all: Vec<(&Edition, &OutcomeRow)> = rows
        .iter()
        .map(|row| (editions.iter().find(|e| e.id == row.edition).unwrap(), row))
        .filter(|(edition, row)| by(row.enrolled) && of(edition, row))
        .collect();
    let count = |f: &dyn Fn(&Edition, &OutcomeRow) -> bool| {
        CellValue::count(all.iter().filter(|(e, r)| f(e, r)).count() as u64)
    };
    match measure {
        Measure::Enrolled => count(&|_, _| true),
        Measure::Started => count(&|_, r| by(r.started)),
        Measure::Completed => count(&|_, r| by(r.completed)),
        Measure::Passed if !all.iter().any(|(e, _)| e.test) => CellValue::NotApplicable,
        Measure::Passed => count(&|e, r| {
            by(r.completed) && (r.passed == Some(true) || !e.test && r.ecm_credited == Some(true))
        }),
        Measure::EcmCredited if !all.iter().any(|(e, _)| e.ecm) => CellValue::NotApplicable,
        Measure::EcmCredited => count(&|_, r| by(r.completed) && r.ecm_credited == Some(true)),
        Measure::MinutesDelivered => CellValue::count(
            all.iter()
                .filter(|(_, r)| by(r.completed))
                .map(|(e, _)| u64::from(e.minutes))
                .sum(),
        ),
        Measure::Editions => {
            let found: BTreeSet<&Id> = all
                .iter()
                .filter(|(e, _)| e.start <= end)
                .map(|(e, _)| &e.id)
                .collect();
            CellValue::count(found.len() as u64)
        }
        Measure::DistinctTrained => {
            let people: BTreeSet<&str> = all
                .iter()
                .filter(|(_, r)| by(r.completed))
                .map(|(_, r)| r.learner.as_str())
                .collect();
            CellValue::count(people.len() as u64)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compute_equals_a_direct_count((editions, rows) in world()) {
        let codes = CodeLists::builtin();
        let report = compute(head("090"), codes, &editions, &rows);
        for (dims, measures) in &report.cells {
            let of = |e: &Edition, r: &OutcomeRow| {
                r.profession == dims.profession
                    && e.area == dims.area
                    && e.objective == dims.objective
                    && e.origin == dims.origin
                    && e.package == dims.package
                    && e.kit == dims.kit
            };
            for measure in Measure::ADDITIVE {
                // An edition is counted once per cluster, for its lowest profession.
                let lowest = |e: &Edition, r: &OutcomeRow| {
                    of(e, r)
                        && !rows.iter().any(|other| {
                            other.edition == r.edition
                                && other.enrolled.is_some_and(|d| d <= head("090").period.last_day())
                                && codes.cluster_of(&other.profession) == dims.cluster
                                && other.profession < r.profession
                        })
                };
                let count = if measure == Measure::Editions {
                    naive(measure, &editions, &rows, lowest)
                } else {
                    naive(measure, &editions, &rows, of)
                };
                prop_assert_eq!(measures[&measure], count);
            }
        }
        let enrolled: u64 = report.cells.values().filter_map(|m| m[&Measure::Enrolled].as_count()).sum();
        let all = naive(Measure::Enrolled, &editions, &rows, |_, _| true);
        prop_assert_eq!(Some(enrolled), all.as_count());
        for ((cluster, area), measures) in roll_up(&report) {
            let of = |e: &Edition, r: &OutcomeRow| codes.cluster_of(&r.profession) == cluster && e.area == area;
            for measure in [Measure::Editions, Measure::DistinctTrained] {
                prop_assert_eq!(measures[&measure], naive(measure, &editions, &rows, of));
            }
        }
        let people = naive(Measure::DistinctTrained, &editions, &rows, |_, _| true);
        prop_assert_eq!(report.distinct[&(Code::all(), Code::all())], people);
    }

    #[test]
    fn a_computed_report_passes_its_check_and_hides_small_groups((editions, rows) in world()) {
        let codes = CodeLists::builtin();
        let mut report = compute(head("090"), codes, &editions, &rows);
        let open = report.clone();
        protect_small_groups(&mut report);
        prop_assert_eq!(check(&report, codes), vec![]);
        for (dims, measures) in &report.cells {
            let completed = measures[&Measure::Completed].as_count().unwrap();
            for measure in [Measure::Passed, Measure::EcmCredited] {
                let (value, was) = (measures[&measure], open.cells[dims][&measure]);
                let hidden = (1..5).contains(&completed) && was != CellValue::NotApplicable;
                prop_assert_eq!(value, if hidden { CellValue::Suppressed } else { was });
            }
        }
        let again = { let mut again = report.clone(); protect_small_groups(&mut again); again };
        prop_assert_eq!(&again, &report);
        // What differs is what was hidden, and what was hidden is caught if it is not.
        let hidden = differences(&open, &report);
        prop_assert_eq!(hidden.is_empty(), open == report);
        prop_assert_eq!(check(&open, codes).is_empty(), hidden.is_empty());
    }
}

/// Figures of a base row: completed, people, enrolled beyond completed.
type Base = (usize, usize, usize, u64, u64, u64);

fn bases() -> impl Strategy<Value = Vec<Base>> {
    let small = prop_oneof![3 => 0..4u64, 1 => 4..40u64];
    let row = (0..3usize, 0..2usize, 0..2usize, small, 0..3u64, 0..4u64);
    prop::collection::vec(row, 0..10)
}

/// Reports with one cell per row; `completed` as `change` gives it.
fn reports(bases: &[Base], change: fn(u64) -> u64) -> BTreeMap<RegionCode, Report> {
    let mut reports = BTreeMap::new();
    for (region, cluster, area, completed, fewer, more) in bases {
        let region = ["010", "090", "140"][*region];
        let report = reports.entry(region.parse().unwrap()).or_insert_with(|| Report {
            head: head(region),
            cells: BTreeMap::new(),
            distinct: BTreeMap::new(),
        });
        let (cluster, area) = (["C1", "C2"][*cluster], ["GENERAL", "SPECIFIC"][*area]);
        let dims = Dims {
            cluster: code(cluster),
            profession: code(&format!("{cluster}.01")),
            area: code(area),
            objective: Code::unspecified(),
            instrument: Code::unspecified(),
            level: code("STAFF"),
            origin: PlanOrigin::FromPo,
            package: None,
            kit: None,
        };
        let people = change(if *completed == 0 {
            0
        } else {
            (completed - fewer.min(&(completed - 1))).max(1)
        });
        // Below three everything of the row is hidden together.
        let enrolled = completed + more;
        let completed = change(*completed).max(people);
        let enrolled = if enrolled < 3 { completed } else { enrolled };
        let measures: Measures = [
            (Measure::Editions, 3),
            (Measure::MinutesDelivered, completed * 30),
            (Measure::Enrolled, enrolled),
            (Measure::Started, completed),
            (Measure::Completed, completed),
        ]
        .into_iter()
        .map(|(m, n)| (m, CellValue::count(n)))
        .chain([
            (Measure::Passed, CellValue::Suppressed),
            (Measure::EcmCredited, CellValue::NotApplicable),
        ])
        .collect();
        report.cells.insert(dims, measures);
        report
            .distinct
            .insert((code(cluster), code(area)), CellValue::count(people));
    }
    for report in reports.values_mut() {
        let people = report.distinct.values().filter_map(|v| v.as_count()).sum();
        let all = (Code::all(), Code::all());
        report.distinct.insert(all, CellValue::count(people));
    }
    reports
}

/// One and two change places: a reader must not be able to tell which it was.
fn swap(n: u64) -> u64 {
    match n {
        1 => 2,
        2 => 1,
        n => n,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_published_figure_is_one_or_two(bases in bases()) {
        for row in consolidate(&reports(&bases, |n| n)) {
            for (measure, value) in row.measures {
                prop_assert!(!matches!(value.as_count(), Some(1 | 2)), "{measure} {value:?}");
            }
        }
    }

    #[test]
    fn a_suppressed_figure_changes_nothing_that_is_published(bases in bases()) {
        prop_assert_eq!(consolidate(&reports(&bases, |n| n)), consolidate(&reports(&bases, swap)));
    }

    #[test]
    fn totals_are_sums_of_what_is_published(bases in bases()) {
        let rows = consolidate(&reports(&bases, |n| n));
        let base: Vec<_> = rows.iter().filter(|r| r.region.is_some() && !r.cluster.is_all()).collect();
        for row in rows.iter().filter(|r| r.region.is_none() || r.cluster.is_all()) {
            for measure in Measure::ADDITIVE {
                let parts: Vec<CellValue> = base
                    .iter()
                    .filter(|b| row.region.is_none() || b.region == row.region)
                    .filter(|b| row.cluster.is_all() || b.cluster == row.cluster)
                    .filter(|b| row.area.is_all() || b.area == row.area)
                    .map(|b| b.measures[&measure])
                    .collect();
                let sum: u64 = parts.iter().filter_map(|p| p.as_count()).sum();
                prop_assert_eq!(row.measures[&measure].as_count().unwrap_or(0), sum);
                if row.measures[&measure] == CellValue::Zero {
                    prop_assert!(!parts.contains(&CellValue::Suppressed));
                }
                if row.region.is_some() || !row.cluster.is_all() {
                    let published = parts.iter().filter(|p| p.as_count().is_some()).count();
                    prop_assert_eq!(row.coverage[&measure], published as u32);
                }
            }
        }
    }
}

#[test]
fn broken_counts_are_found() {
    let codes = CodeLists::builtin();
    let good = reports(&[(1, 0, 0, 10, 0, 4)], |n| n)
        .remove(&"090".parse().unwrap())
        .unwrap();
    let problems = |change: fn(&mut Measures)| {
        let mut report = good.clone();
        change(report.cells.values_mut().next().unwrap());
        let findings = check(&report, codes);
        findings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let set = |m: &mut Measures, measure, n| {
        m.insert(measure, CellValue::count(n));
    };
    assert_eq!(problems(|_| ()), "");
    assert!(
        problems(|m| {
            m.insert(Measure::Started, CellValue::count(15));
        })
        .contains("started is 15, more than enrolled (14)")
    );
    assert!(
        problems(|m| {
            m.insert(Measure::Passed, CellValue::count(11));
        })
        .contains("passed is 11, more than completed (10)")
    );
    // What is not applicable is left out of the chain.
    assert_eq!(
        problems(|m| {
            m.insert(Measure::Passed, CellValue::NotApplicable);
        }),
        ""
    );
    assert!(
        problems(|m| {
            m.remove(&Measure::Editions);
        })
        .contains("exactly those of a cell")
    );
    assert!(
        problems(|m| {
            m.insert(Measure::Completed, CellValue::count(4));
            m.insert(Measure::Passed, CellValue::Zero);
        })
        .contains("below 5")
    );
    let mut report = good.clone();
    set(report.cells.values_mut().next().unwrap(), Measure::Completed, 3);
    assert!(
        !check(&report, codes).is_empty(),
        "10 people cannot have 3 completions"
    );
    report = good.clone();
    report.head.pe_year = 2024;
    assert_eq!(check(&report, codes).len(), 1);
}
