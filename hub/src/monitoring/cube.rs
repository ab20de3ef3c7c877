//! The cube: figures of accepted reports (`proj_cell`), and their roll-up by cluster and area
//! (`proj_rollup`), so that a national question costs the size of its answer. Both move in the
//! transaction that accepts a revision; nothing is protected yet.

use raccordo_model::{
    code::Code,
    consolidate::roll_up,
    edition::PlanOrigin,
    measure::{CellValue, Measure},
    node::RegionCode,
    period::Period,
    report::{Dims, Measures, Report, ReportHead},
};
use raccordo_store::{StoreError, Tx};
use std::collections::BTreeMap;

pub(crate) const INSERT: &str = "INSERT INTO proj_cell (region, period, cluster, profession, area, objective,
    instrument, level, origin, package, kit, measure, state, value)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
pub(crate) const CLEAR: &str = "DELETE FROM proj_cell WHERE region = $1 AND period = $2";
pub(crate) const INSERT_ROLLUP: &str =
    "INSERT INTO proj_rollup (period, region, cluster, area, measure, state, value)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
pub(crate) const CLEAR_ROLLUP: &str = "DELETE FROM proj_rollup WHERE period = $1 AND region = $2";
pub(crate) const ROLLUP: &str = "SELECT region, cluster, area, measure, state, value FROM proj_rollup
    WHERE period = $1 ORDER BY region, cluster, area, measure";

/// Puts the figures of an accepted report in the place of its predecessor's.
pub async fn replace(tx: &mut Tx, report: &Report) -> Result<(), StoreError> {
    let (region, period) = (report.head.region.to_string(), report.head.period.to_string());
    tx.query(CLEAR)
        .bind(region.clone())
        .bind(period.clone())
        .execute()
        .await?;
    tx.query(CLEAR_ROLLUP)
        .bind(period.clone())
        .bind(region.clone())
        .execute()
        .await?;
    for (dims, measures) in &report.cells {
        for (measure, value) in measures {
            insert(tx, &region, &period, dims, *measure, *value).await?;
        }
    }
    let mut rows = roll_up(report);
    let everything = report
        .distinct
        .get(&(Code::all(), Code::all()))
        .copied()
        .unwrap_or(CellValue::Missing);
    // The one margin that no sum gives.
    rows.insert(
        (Code::all(), Code::all()),
        Measures::from([(Measure::DistinctTrained, everything)]),
    );
    for ((cluster, area), measures) in rows {
        for (measure, value) in measures {
            tx.query(INSERT_ROLLUP)
                .bind(period.clone())
                .bind(region.clone())
                .bind(cluster.to_string())
                .bind(area.to_string())
                .bind(measure.as_str().to_owned())
                .bind(value.state().to_owned())
                .bind(value.as_count().unwrap_or(0) as i64)
                .execute()
                .await?;
        }
    }
    Ok(())
}

async fn insert(
    tx: &mut Tx,
    region: &str,
    period: &str,
    dims: &Dims,
    measure: Measure,
    value: CellValue,
) -> Result<(), StoreError> {
    let or_unspecified = |text: Option<String>| text.unwrap_or_else(|| Code::unspecified().to_string());
    tx.query(INSERT)
        .bind(region.to_owned())
        .bind(period.to_owned())
        .bind(dims.cluster.to_string())
        .bind(dims.profession.to_string())
        .bind(dims.area.to_string())
        .bind(dims.objective.to_string())
        .bind(dims.instrument.to_string())
        .bind(dims.level.to_string())
        .bind(dims.origin.as_str().to_owned())
        .bind(or_unspecified(dims.package.as_ref().map(ToString::to_string)))
        .bind(or_unspecified(dims.kit.as_ref().map(ToString::to_string)))
        .bind(measure.as_str().to_owned())
        .bind(value.state().to_owned())
        .bind(value.as_count().unwrap_or(0) as i64)
        .execute()
        .await
        .map(drop)
}

/// The rolled-up reports of a period, by region: one cell per cluster and area that `keep` lets through.
/// Consolidating them gives what consolidating the whole reports would: the roll-up of a roll-up is itself.
/// The count of people of the whole region is left out unless everything is kept.
pub async fn rolled_up(
    tx: &mut Tx,
    period: Period,
    keep: impl Fn(&Code, &Code) -> bool,
) -> Result<BTreeMap<RegionCode, Report>, StoreError> {
    type Row = (String, String, String, String, String, i64);
    let rows: Vec<Row> = tx.query(ROLLUP).bind(period.to_string()).fetch_all().await?;
    let mut reports: BTreeMap<RegionCode, Report> = BTreeMap::new();
    for (region, cluster, area, measure, state, number) in rows {
        let corrupt = |column| StoreError::Corrupt {
            table: "proj_rollup",
            column,
            key: format!("{period} {region}"),
        };
        let code: RegionCode = region.parse().map_err(|_| corrupt("region"))?;
        let cluster: Code = cluster.parse().map_err(|_| corrupt("cluster"))?;
        let area: Code = area.parse().map_err(|_| corrupt("area"))?;
        let measure = Measure::ALL
            .into_iter()
            .find(|m| m.as_str() == measure)
            .ok_or_else(|| corrupt("measure"))?;
        let value = value_of(&state, number).ok_or_else(|| corrupt("state"))?;
        let report = reports.entry(code).or_insert_with(|| empty(code, period));
        if !keep(&cluster, &area) {
            continue;
        }
        if measure == Measure::DistinctTrained {
            report.distinct.insert((cluster, area), value);
        } else {
            report
                .cells
                .entry(dims(cluster, area))
                .or_default()
                .insert(measure, value);
        }
    }
    Ok(reports)
}

fn value_of(state: &str, number: i64) -> Option<CellValue> {
    match state {
        "number" => Some(CellValue::count(u64::try_from(number).ok().filter(|n| *n > 0)?)),
        "zero" => Some(CellValue::Zero),
        "missing" => Some(CellValue::Missing),
        "suppressed" => Some(CellValue::Suppressed),
        "not_applicable" => Some(CellValue::NotApplicable),
        _ => None,
    }
}

fn empty(region: RegionCode, period: Period) -> Report {
    let head = ReportHead {
        region,
        period,
        revision: 0,
        pe_year: period.year(),
        pe_version: 0,
        code_lists: 0,
        reason: String::new(),
    };
    Report {
        head,
        cells: BTreeMap::new(),
        distinct: BTreeMap::new(),
    }
}

fn dims(cluster: Code, area: Code) -> Dims {
    let unspecified = Code::unspecified;
    Dims {
        cluster,
        profession: unspecified(),
        area,
        objective: unspecified(),
        instrument: unspecified(),
        level: unspecified(),
        origin: PlanOrigin::FromPo,
        package: None,
        kit: None,
    }
}
