//! Monitoring reports and consolidated figures. A report has one encoding: cells and measures are
//! sorted and without repetition.

use crate::{
    error::{DecodeError, at_most, parse, required},
    plan::{from_one, note, plan_origin_from_wire, plan_origin_to_wire, year},
    wire,
};
use raccordo_model::{
    code::{Code, UNSPECIFIED},
    consolidate::ConsolidatedRow,
    measure::{CellValue, Measure},
    report::{CELLS_MAX, COUNT_MAX, DISTINCT_MAX, Dims, Measures, Report, ReportHead},
};
use std::collections::BTreeMap;

/// The only kind of report so far.
const KIND: &str = "training";
const REPORT: &str = "Report";

/// A report as it travels.
pub fn report_to_wire(report: &Report) -> wire::Report {
    let head = &report.head;
    wire::Report {
        region: head.region.to_string(),
        period: head.period.to_string(),
        kind: KIND.into(),
        revision: head.revision,
        pe_year: u32::from(head.pe_year.unsigned_abs()),
        pe_version: head.pe_version,
        code_lists: head.code_lists,
        cells: report
            .cells
            .iter()
            .map(|(dims, measures)| cell_to_wire(dims, measures))
            .collect(),
        distinct: report
            .distinct
            .iter()
            .map(|((cluster, area), value)| wire::DistinctCell {
                cluster: cluster.to_string(),
                area: area.to_string(),
                value: Some(cell_value_to_wire(*value)),
            })
            .collect(),
        reason: head.reason.clone(),
    }
}

/// The report that a message holds. Whether its figures can be is for
/// [`raccordo_model::report::check`].
pub fn report_from_wire(report: wire::Report) -> Result<Report, DecodeError> {
    if report.kind != KIND {
        let problem = format!("`{}` is not a kind of report, `{KIND}` is", report.kind);
        return Err(DecodeError::new(REPORT, "kind", problem));
    }
    at_most(REPORT, "cells", "cells", report.cells.len(), CELLS_MAX)?;
    at_most(REPORT, "distinct", "counts", report.distinct.len(), DISTINCT_MAX)?;
    let mut cells = BTreeMap::new();
    for (index, cell) in report.cells.iter().enumerate() {
        let field = format!("cells[{index}]");
        let within = |e: DecodeError| e.within(REPORT, &field);
        let dims = dims(cell).map_err(within)?;
        let measures = measures_from_wire(&cell.measures).map_err(within)?;
        in_order(&field, cells.last_key_value().map(|(k, _)| k), &dims)?;
        cells.insert(dims, measures);
    }
    let mut distinct = BTreeMap::new();
    for (index, cell) in report.distinct.into_iter().enumerate() {
        const MESSAGE: &str = "DistinctCell";
        let field = format!("distinct[{index}]");
        let parsed = (|| {
            let margin: (Code, Code) = (
                parse(MESSAGE, "cluster", &cell.cluster)?,
                parse(MESSAGE, "area", &cell.area)?,
            );
            let value = required(MESSAGE, "value", cell.value)?;
            Ok((margin, cell_value_from_wire(&value)?))
        })();
        let (margin, value) = parsed.map_err(|e: DecodeError| e.within(REPORT, &field))?;
        in_order(&field, distinct.last_key_value().map(|(k, _)| k), &margin)?;
        distinct.insert(margin, value);
    }
    Ok(Report {
        head: ReportHead {
            region: parse(REPORT, "region", &report.region)?,
            period: parse(REPORT, "period", &report.period)?,
            revision: from_one(REPORT, "revision", report.revision)?,
            pe_year: year(REPORT, "pe_year", report.pe_year)?,
            pe_version: from_one(REPORT, "pe_version", report.pe_version)?,
            code_lists: from_one(REPORT, "code_lists", report.code_lists)?,
            reason: note(REPORT, "reason", report.reason)?,
        },
        cells,
        distinct,
    })
}

fn in_order<K: Ord>(field: &str, before: Option<&K>, key: &K) -> Result<(), DecodeError> {
    if before.is_some_and(|before| before >= key) {
        let problem = "twice, or not in order of its dimensions";
        return Err(DecodeError::new(REPORT, field, problem));
    }
    Ok(())
}

fn cell_to_wire(dims: &Dims, measures: &Measures) -> wire::ReportCell {
    let or_unspecified = |text: Option<String>| text.unwrap_or_else(|| UNSPECIFIED.into());
    wire::ReportCell {
        cluster: dims.cluster.to_string(),
        profession: dims.profession.to_string(),
        area: dims.area.to_string(),
        objective: dims.objective.to_string(),
        instrument: dims.instrument.to_string(),
        level: dims.level.to_string(),
        origin: plan_origin_to_wire(dims.origin).into(),
        kit: or_unspecified(dims.kit.as_ref().map(ToString::to_string)),
        measures: measures_to_wire(measures),
        package: or_unspecified(dims.package.as_ref().map(ToString::to_string)),
    }
}

fn dims(cell: &wire::ReportCell) -> Result<Dims, DecodeError> {
    const MESSAGE: &str = "ReportCell";
    Ok(Dims {
        cluster: parse(MESSAGE, "cluster", &cell.cluster)?,
        profession: parse(MESSAGE, "profession", &cell.profession)?,
        area: parse(MESSAGE, "area", &cell.area)?,
        objective: parse(MESSAGE, "objective", &cell.objective)?,
        instrument: parse(MESSAGE, "instrument", &cell.instrument)?,
        level: parse(MESSAGE, "level", &cell.level)?,
        origin: plan_origin_from_wire(MESSAGE, cell.origin)?,
        package: match cell.package.as_str() {
            UNSPECIFIED => None,
            package => Some(parse(MESSAGE, "package", package)?),
        },
        kit: match cell.kit.as_str() {
            UNSPECIFIED => None,
            kit => Some(parse(MESSAGE, "kit", kit)?),
        },
    })
}

/// Figures as they travel, in the order of [`Measure`].
pub fn measures_to_wire(measures: &Measures) -> Vec<wire::MeasureValue> {
    measures
        .iter()
        .map(|(measure, value)| wire::MeasureValue {
            measure: measure_to_wire(*measure).into(),
            value: Some(cell_value_to_wire(*value)),
        })
        .collect()
}

/// The figures that a message holds, each measure at most once and in order.
pub fn measures_from_wire(measures: &[wire::MeasureValue]) -> Result<Measures, DecodeError> {
    const MESSAGE: &str = "MeasureValue";
    let mut found = Measures::new();
    for value in measures {
        let measure = wire::Measure::try_from(value.measure)
            .ok()
            .and_then(measure_from_wire)
            .ok_or_else(|| DecodeError::new(MESSAGE, "measure", "unspecified or unknown"))?;
        if found.last_key_value().is_some_and(|(m, _)| *m >= measure) {
            let problem = format!("{measure} is there twice or out of order");
            return Err(DecodeError::new(MESSAGE, "measure", problem));
        }
        let value = required(MESSAGE, "value", value.value.as_ref())?;
        found.insert(measure, cell_value_from_wire(value)?);
    }
    Ok(found)
}

/// A measure as it travels.
pub fn measure_to_wire(measure: Measure) -> wire::Measure {
    match measure {
        Measure::Editions => wire::Measure::Editions,
        Measure::MinutesDelivered => wire::Measure::MinutesDelivered,
        Measure::Enrolled => wire::Measure::Enrolled,
        Measure::Started => wire::Measure::Started,
        Measure::Completed => wire::Measure::Completed,
        Measure::Passed => wire::Measure::Passed,
        Measure::EcmCredited => wire::Measure::EcmCredited,
        Measure::DistinctTrained => wire::Measure::DistinctTrained,
    }
}

/// The measure that a message names; none if it is unspecified.
pub fn measure_from_wire(measure: wire::Measure) -> Option<Measure> {
    Measure::ALL.into_iter().find(|m| measure_to_wire(*m) == measure)
}

/// A figure as it travels.
pub fn cell_value_to_wire(value: CellValue) -> wire::CellValue {
    let state = match value {
        CellValue::Number(_) => wire::CellState::Number,
        CellValue::Zero => wire::CellState::Zero,
        CellValue::Missing => wire::CellState::Missing,
        CellValue::Suppressed => wire::CellState::Suppressed,
        CellValue::NotApplicable => wire::CellState::NotApplicable,
    };
    wire::CellValue {
        state: state.into(),
        number: value.as_count().unwrap_or(0),
    }
}

/// The figure that a message holds: a number above zero with `CELL_STATE_NUMBER` and nowhere else.
pub fn cell_value_from_wire(value: &wire::CellValue) -> Result<CellValue, DecodeError> {
    const MESSAGE: &str = "CellValue";
    let state = wire::CellState::try_from(value.state).unwrap_or_default();
    if state != wire::CellState::Number && value.number != 0 {
        return Err(DecodeError::new(
            MESSAGE,
            "number",
            "given with a state that has none",
        ));
    }
    match state {
        wire::CellState::Number if !(1..=COUNT_MAX).contains(&value.number) => {
            let problem = format!("{}, 1 to {COUNT_MAX} are allowed", value.number);
            Err(DecodeError::new(MESSAGE, "number", problem))
        }
        wire::CellState::Number => Ok(CellValue::count(value.number)),
        wire::CellState::Zero => Ok(CellValue::Zero),
        wire::CellState::Missing => Ok(CellValue::Missing),
        wire::CellState::Suppressed => Ok(CellValue::Suppressed),
        wire::CellState::NotApplicable => Ok(CellValue::NotApplicable),
        wire::CellState::Unspecified => Err(DecodeError::new(MESSAGE, "state", "unspecified or unknown")),
    }
}

/// A row of the consolidated status as it travels.
pub fn consolidated_row_to_wire(row: &ConsolidatedRow) -> wire::ConsolidatedRow {
    wire::ConsolidatedRow {
        region: row.region.map_or("ALL".into(), |code| code.to_string()),
        cluster: row.cluster.to_string(),
        area: row.area.to_string(),
        measures: measures_to_wire(&row.measures),
        coverage: row
            .measures
            .keys()
            .map(|measure| row.coverage.get(measure).copied().unwrap_or(0))
            .collect(),
    }
}

/// The row of the consolidated status that a message holds.
pub fn consolidated_row_from_wire(row: &wire::ConsolidatedRow) -> Result<ConsolidatedRow, DecodeError> {
    const MESSAGE: &str = "ConsolidatedRow";
    let measures = measures_from_wire(&row.measures).map_err(|e| e.within(MESSAGE, "measures"))?;
    if row.coverage.len() != measures.len() {
        let problem = "not as many as there are measures";
        return Err(DecodeError::new(MESSAGE, "coverage", problem));
    }
    Ok(ConsolidatedRow {
        region: match row.region.as_str() {
            "ALL" => None,
            code => Some(parse(MESSAGE, "region", code)?),
        },
        cluster: parse(MESSAGE, "cluster", &row.cluster)?,
        area: parse(MESSAGE, "area", &row.area)?,
        coverage: measures
            .keys()
            .copied()
            .zip(row.coverage.iter().copied())
            .collect(),
        measures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::select};
    use raccordo_model::{consolidate::consolidate, edition::PlanOrigin};

    fn value() -> impl Strategy<Value = CellValue> {
        prop_oneof![
            (1..1_000_000_000u64).prop_map(CellValue::count),
            Just(CellValue::Zero),
            Just(CellValue::Missing),
            Just(CellValue::Suppressed),
            Just(CellValue::NotApplicable),
        ]
    }

    prop_compose! {
        fn cell()(
            cluster in select(vec!["C1", "C2", "UNSPECIFIED"]),
            area in select(vec!["GENERAL", "SPECIFIC"]),
            additional in any::<bool>(),
            package in select(vec![None, Some("P1")]),
            kit in select(vec![None, Some("K@1.0.0"), Some("K@1.10.0")]),
            values in prop::collection::vec(value(), 7),
        ) -> (Dims, Measures) {
            let dims = Dims {
                cluster: cluster.parse().unwrap(),
                profession: Code::unspecified(),
                area: area.parse().unwrap(),
                objective: Code::unspecified(),
                instrument: Code::unspecified(),
                level: Code::unspecified(),
                origin: if additional { PlanOrigin::Additional } else { PlanOrigin::FromPo },
                package: package.map(|p| p.parse().unwrap()),
                kit: kit.map(|k| k.parse().unwrap()),
            };
            (dims, Measure::ADDITIVE.into_iter().zip(values).collect())
        }
    }

    fn report() -> impl Strategy<Value = Report> {
        let distinct = (select(vec!["ALL", "C1"]), select(vec!["ALL", "GENERAL"]), value());
        (
            prop::collection::vec(cell(), 0..12),
            prop::collection::vec(distinct, 0..4),
        )
            .prop_map(|(cells, distinct)| Report {
                head: ReportHead {
                    region: "090".parse().unwrap(),
                    period: "2023-11".parse().unwrap(),
                    revision: 2,
                    pe_year: 2023,
                    pe_version: 1,
                    code_lists: 1,
                    reason: "due iscritti in più".into(),
                },
                cells: cells.into_iter().collect(),
                distinct: distinct
                    .into_iter()
                    .map(|(c, a, v)| ((c.parse().unwrap(), a.parse().unwrap()), v))
                    .collect(),
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn reports_and_rows_survive_the_wire(report in report()) {
            let parsed = report_from_wire(report_to_wire(&report));
            prop_assert_eq!(parsed.as_ref(), Ok(&report));
            for row in consolidate(&BTreeMap::from([(report.head.region, report)])) {
                let wire = consolidated_row_to_wire(&row);
                prop_assert_eq!(consolidated_row_from_wire(&wire), Ok(row));
            }
        }
    }

    fn sample() -> wire::Report {
        let cell = wire::ReportCell {
            cluster: "C1".into(),
            profession: "C1.01".into(),
            area: "GENERAL".into(),
            objective: UNSPECIFIED.into(),
            instrument: "TRADITIONAL.RES".into(),
            level: "STAFF".into(),
            origin: 1,
            kit: UNSPECIFIED.into(),
            package: UNSPECIFIED.into(),
            measures: vec![wire::MeasureValue {
                measure: wire::Measure::Enrolled.into(),
                value: Some(wire::CellValue { state: 1, number: 7 }),
            }],
        };
        wire::Report {
            region: "090".into(),
            period: "2023-11".into(),
            kind: KIND.into(),
            revision: 1,
            pe_year: 2023,
            pe_version: 1,
            code_lists: 1,
            cells: vec![cell],
            distinct: Vec::new(),
            reason: String::new(),
        }
    }

    #[test]
    fn what_is_not_a_report_is_refused_by_field() {
        report_from_wire(sample()).unwrap();
        let refused = |change: fn(&mut wire::Report)| {
            let mut report = sample();
            change(&mut report);
            report_from_wire(report).unwrap_err().to_string()
        };
        for (text, field) in [
            (refused(|r| r.kind.clear()), "kind"),
            (refused(|r| r.period = "2023".into()), "period"),
            (refused(|r| r.revision = 0), "revision"),
            (refused(|r| r.cells.push(r.cells[0].clone())), "cells[1]"),
            (refused(|r| r.cells[0].origin = 0), "cells[0].origin"),
            (refused(|r| r.cells[0].kit = "K".into()), "cells[0].kit"),
            (
                refused(|r| r.cells[0].measures[0].measure = 0),
                "cells[0].measure",
            ),
            (refused(|r| r.cells[0].measures[0].value = None), "cells[0].value"),
            (
                refused(|r| r.cells[0].measures[0].value.as_mut().unwrap().state = 2),
                "cells[0].number",
            ),
            (
                refused(|r| r.cells[0].measures[0].value.as_mut().unwrap().number = 0),
                "cells[0].number",
            ),
            (
                refused(|r| r.cells[0].measures[0].value.as_mut().unwrap().state = 0),
                "cells[0].number",
            ),
        ] {
            assert!(text.starts_with(&format!("Report.{field}: ")), "{field} {text}");
        }
    }
}
