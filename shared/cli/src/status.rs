//! The consolidated status: for people a bar per region over the table of its numbers, for
//! programs every measure.
//!
//! # CSV
//! `period,region,cluster,area,measure,state,value,coverage,freshness,revision,ledger_size`, one
//! row per measure, sorted by region, cluster, area and measure as texts; `ALL` names a whole
//! dimension or the country. `state` is `number`, `zero`, `missing`, `suppressed` or
//! `not_applicable`; `value` is empty but for the first two. `period` is the one that the figures
//! are of. The Hub sends no figures of a `stale` region: an earlier month's would not be this one's;
//! from a Hub that does, they keep their own period. A region without any row gets one, `missing`,
//! for the distinct people trained.

use crate::{
    color::Paint,
    node::instant,
    output::{Cell, Column, Format, Table, note, print_data, printable, to_json},
};
use raccordo_proto::wire::{
    CellState, CellValue, ConsolidatedResponse, ConsolidatedRow, Freshness, Measure, RegionStatus,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

/// Names a whole dimension.
pub const ALL: &str = "ALL";

const BAR_WIDTH: usize = 30;

/// Columns of the CSV form.
const COLUMNS: &[(&str, &str)] = &[
    ("period", "Periodo"),
    ("region", "Regione"),
    ("cluster", "Cluster"),
    ("area", "Area"),
    ("measure", "Misura"),
    ("state", "Stato"),
    ("value", "Valore"),
    ("coverage", "Copertura"),
    ("freshness", "Attualità"),
    ("revision", "Revisione"),
    ("ledger_size", "Registro"),
];

/// Prints the status. What is not data, the size of the Hub's ledger and that a federation is a
/// test, goes to standard error.
pub fn print(answer: &ConsolidatedResponse, format: Format, paint: Paint) -> io::Result<()> {
    if let Some(banner) = banner(&answer.federation, answer.test) {
        note(&paint.yellow(&banner));
    }
    if format != Format::Table {
        note(&format!(
            "cifre al registro del centro di {} voci",
            answer.ledger_size
        ));
    }
    print_data(&render(answer, format, paint))
}

/// The status in `format`.
pub fn render(answer: &ConsolidatedResponse, format: Format, paint: Paint) -> String {
    match format {
        Format::Table => for_people(answer, paint),
        Format::Json => to_json(&document(answer)),
        Format::Csv => rows(answer).render(Format::Csv),
    }
}

/// What is said on every screen of a test federation.
pub fn banner(federation: &str, test: bool) -> Option<String> {
    test.then(|| {
        let name = printable(federation);
        format!("federazione di PROVA «{name}»: dati inventati, orologio di lavoro non reale")
    })
}

/// The stable name of a measure: `enrolled`, `distinct_trained`.
pub fn measure_name(measure: i32) -> String {
    match Measure::try_from(measure) {
        Ok(known) => {
            let name = known.as_str_name();
            name.strip_prefix("MEASURE_").unwrap_or(name).to_lowercase()
        }
        Err(_) => format!("measure_{measure}"),
    }
}

/// The Italian heading of a measure.
pub fn measure_heading(measure: i32) -> String {
    let heading = match Measure::try_from(measure) {
        Ok(Measure::Editions) => "Edizioni",
        Ok(Measure::MinutesDelivered) => "Minuti",
        Ok(Measure::Enrolled) => "Iscritti",
        Ok(Measure::Started) => "Avviati",
        Ok(Measure::Completed) => "Completati",
        Ok(Measure::Passed) => "Superati",
        Ok(Measure::EcmCredited) => "Con ECM",
        Ok(Measure::DistinctTrained) => "Formati",
        Ok(Measure::Unspecified) | Err(_) => return measure_name(measure),
    };
    heading.into()
}

/// A value of the wire; what this program does not know counts as not told.
pub fn cell(value: Option<&CellValue>) -> Cell {
    let Some(value) = value else {
        return Cell::Missing;
    };
    match value.state() {
        CellState::Number => Cell::count(value.number),
        CellState::Zero => Cell::Zero,
        CellState::Suppressed => Cell::Suppressed,
        CellState::NotApplicable => Cell::NotApplicable,
        CellState::Missing | CellState::Unspecified => Cell::Missing,
    }
}

/// The stable name of a freshness: `confirmed`, `stale`, `missing`.
pub fn freshness_name(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Confirmed => "confirmed",
        Freshness::Stale => "stale",
        Freshness::Missing | Freshness::Unspecified => "missing",
    }
}

/// One row per measure, as in the CSV form.
pub fn rows(answer: &ConsolidatedResponse) -> Table {
    let regions: BTreeMap<_, _> = answer.regions.iter().map(|r| (r.region.as_str(), r)).collect();
    let absent = absent_rows(answer);
    let mut keyed = Vec::new();
    let told = answer.rows.iter().map(|row| (row, true));
    for (row, is_told) in told.chain(absent.iter().map(|row| (row, false))) {
        let status = regions.get(row.region.as_str()).copied();
        let figures_of = match status {
            Some(s) if is_told && s.freshness() == Freshness::Stale => &s.period,
            _ => &answer.period,
        };
        for (i, measure) in row.measures.iter().enumerate() {
            let name = measure_name(measure.measure);
            let value = cell(measure.value.as_ref());
            let cells = vec![
                Cell::text(figures_of),
                Cell::text(&row.region),
                Cell::text(&row.cluster),
                Cell::text(&row.area),
                Cell::text(&name),
                Cell::text(state_name(&value)),
                if matches!(value, Cell::Number(_) | Cell::Zero) {
                    value
                } else {
                    Cell::Empty
                },
                row.coverage
                    .get(i)
                    .map_or(Cell::Empty, |n| Cell::count(u64::from(*n))),
                status.map_or(Cell::Empty, |s| Cell::text(freshness_name(s.freshness()))),
                status.map_or(Cell::Empty, revision),
                Cell::count(answer.ledger_size),
            ];
            let key = (row.region.as_str(), row.cluster.as_str(), row.area.as_str(), name);
            keyed.push((key, cells));
        }
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    let mut table = Table::of(COLUMNS);
    for (_, cells) in keyed {
        table.push(cells);
    }
    table
}

/// A row for every region that the answer lists and has no figure of.
fn absent_rows(answer: &ConsolidatedResponse) -> Vec<ConsolidatedRow> {
    let present: BTreeSet<_> = answer
        .rows
        .iter()
        .filter(|row| !row.measures.is_empty())
        .map(|row| row.region.as_str())
        .collect();
    let absent = answer
        .regions
        .iter()
        .filter(|r| !present.contains(r.region.as_str()));
    absent
        .map(|status| ConsolidatedRow {
            region: status.region.clone(),
            cluster: ALL.into(),
            area: ALL.into(),
            measures: vec![raccordo_proto::wire::MeasureValue {
                measure: Measure::DistinctTrained.into(),
                value: None,
            }],
            coverage: Vec::new(),
        })
        .collect()
}

fn revision(status: &RegionStatus) -> Cell {
    match status.freshness() {
        Freshness::Confirmed | Freshness::Stale => Cell::count(u64::from(status.revision)),
        Freshness::Missing | Freshness::Unspecified => Cell::Empty,
    }
}

fn state_name(cell: &Cell) -> &'static str {
    match cell {
        Cell::Number(_) => "number",
        Cell::Zero => "zero",
        Cell::Suppressed => "suppressed",
        Cell::NotApplicable => "not_applicable",
        _ => "missing",
    }
}

/// The JSON form.
#[derive(Debug, Serialize)]
struct Document<'a> {
    federation: &'a str,
    test: bool,
    period: &'a str,
    ledger_size: u64,
    checkpoint: &'a str,
    as_of: Cell,
    regions_reporting: u32,
    regions_total: u32,
    regions: Vec<RegionDocument<'a>>,
    rows: Vec<RowDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct RegionDocument<'a> {
    region: &'a str,
    name: &'a str,
    freshness: &'static str,
    period: Option<&'a str>,
    revision: Cell,
    index: Option<u64>,
    age_days: Option<u32>,
    on_time: Option<bool>,
}

#[derive(Debug, Serialize)]
struct RowDocument<'a> {
    region: &'a str,
    cluster: &'a str,
    area: &'a str,
    measures: BTreeMap<String, Cell>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    coverage: BTreeMap<String, u32>,
}

fn document(answer: &ConsolidatedResponse) -> Document<'_> {
    Document {
        federation: &answer.federation,
        test: answer.test,
        period: &answer.period,
        ledger_size: answer.ledger_size,
        checkpoint: &answer.checkpoint,
        as_of: instant(answer.as_of_us),
        regions_reporting: answer.regions_reporting,
        regions_total: answer.regions_total,
        regions: sorted_regions(answer).into_iter().map(region_document).collect(),
        rows: sorted_rows(answer).into_iter().map(row_document).collect(),
    }
}

fn region_document(status: &RegionStatus) -> RegionDocument<'_> {
    let told = !matches!(status.freshness(), Freshness::Missing | Freshness::Unspecified);
    RegionDocument {
        region: &status.region,
        name: &status.name,
        freshness: freshness_name(status.freshness()),
        period: told.then_some(&status.period),
        revision: revision(status),
        index: told.then_some(status.index),
        age_days: told.then_some(status.age_days),
        on_time: told.then_some(status.on_time),
    }
}

fn row_document(row: &ConsolidatedRow) -> RowDocument<'_> {
    let named = |i: usize| row.measures.get(i).map(|m| measure_name(m.measure));
    RowDocument {
        region: &row.region,
        cluster: &row.cluster,
        area: &row.area,
        measures: row
            .measures
            .iter()
            .map(|m| (measure_name(m.measure), cell(m.value.as_ref())))
            .collect(),
        coverage: row
            .coverage
            .iter()
            .enumerate()
            .filter_map(|(i, n)| named(i).map(|name| (name, *n)))
            .collect(),
    }
}

fn sorted_regions(answer: &ConsolidatedResponse) -> Vec<&RegionStatus> {
    let mut regions: Vec<_> = answer.regions.iter().collect();
    regions.sort_by(|a, b| a.region.cmp(&b.region));
    regions
}

fn sorted_rows(answer: &ConsolidatedResponse) -> Vec<&ConsolidatedRow> {
    let mut rows: Vec<_> = answer.rows.iter().collect();
    rows.sort_by_key(|r| (&r.region, &r.cluster, &r.area));
    rows
}

fn for_people(answer: &ConsolidatedResponse, paint: Paint) -> String {
    let title = format!(
        "Stato consolidato · federazione {}",
        printable(&answer.federation)
    );
    let mut text = format!("{}\n{}\n", paint.bold(&title), header(answer));
    text.push_str(&format!(
        "\n{}\n",
        paint.bold("Persone formate, contate una volta sola")
    ));
    text.push_str(&bars(answer, paint));
    let one_region = answer.regions.len() == 1;
    let title = if one_region {
        "Dettaglio della regione"
    } else {
        "Totali delle regioni e dettaglio nazionale (tutto il resto con --region o -o csv)"
    };
    text.push_str(&format!("\n{}\n", paint.bold(title)));
    let shown =
        |row: &ConsolidatedRow| one_region || row.region == ALL || (row.cluster == ALL && row.area == ALL);
    text.push_str(&pivot(answer, shown).render(Format::Table));
    text
}

fn header(answer: &ConsolidatedResponse) -> String {
    let period = match answer.period.as_str() {
        "" => "nessuno".into(),
        period => printable(period),
    };
    let mut text = format!(
        "periodo {period} · registro del centro: {} voci · copertura: {} di {}",
        answer.ledger_size, answer.regions_reporting, answer.regions_total
    );
    if answer.as_of_us != 0 {
        text.push_str(&format!(" · al {}", instant(answer.as_of_us).for_people()));
    }
    text
}

fn bars(answer: &ConsolidatedResponse, paint: Paint) -> String {
    let figures: BTreeMap<_, _> = answer
        .rows
        .iter()
        .filter(|r| r.cluster == ALL && r.area == ALL)
        .filter_map(|r| Some((r.region.as_str(), distinct_trained(r)?)))
        .collect();
    let regions = sorted_regions(answer);
    let largest = regions
        .iter()
        .filter_map(|r| number(figures.get(r.region.as_str())?))
        .max();
    let names = regions.iter().map(|r| printable(&r.name).chars().count());
    let width = names.max().unwrap_or(0).max("Italia".len());
    let line = |code: &str, name: &str, bar: &str, figure: &Cell, told: &str| {
        let pad = BAR_WIDTH.saturating_sub(bar_width(bar));
        let figure = figure.for_people();
        let text = format!("{code:<3} {name:<width$} {bar}{:pad$} {figure:>8}  {told}", "");
        format!("{}\n", text.trim_end())
    };
    let mut text = String::new();
    for status in regions {
        let figure = figures.get(status.region.as_str()).unwrap_or(&Cell::Missing);
        let stale = status.freshness() == Freshness::Stale;
        let bar = bar(number(figure).unwrap_or(0), largest.unwrap_or(0), stale);
        let bar = match status.freshness() {
            Freshness::Confirmed => paint.green(&bar),
            _ => paint.yellow(&bar),
        };
        let told = told(status, paint);
        text.push_str(&line(
            &printable(&status.region),
            &printable(&status.name),
            &bar,
            figure,
            &told,
        ));
    }
    if let Some(figure) = figures.get(ALL) {
        let told = format!("{} regioni su {}", answer.regions_reporting, answer.regions_total);
        text.push_str(&line("", "Italia", "", figure, &told));
    }
    text
}

fn distinct_trained(row: &ConsolidatedRow) -> Option<Cell> {
    let distinct = i32::from(Measure::DistinctTrained);
    let found = row.measures.iter().find(|m| m.measure == distinct)?;
    Some(cell(found.value.as_ref()))
}

fn number(cell: &Cell) -> Option<u64> {
    match cell {
        Cell::Number(number) => Some(*number),
        _ => None,
    }
}

/// Signs in a bar, its colours left out.
fn bar_width(bar: &str) -> usize {
    bar.chars()
        .filter(|c| ('\u{2580}'..='\u{259f}').contains(c))
        .count()
}

/// A bar in eighths of a sign; whatever is not zero is seen. What is stale is shaded.
fn bar(value: u64, largest: u64, stale: bool) -> String {
    if value == 0 || largest == 0 {
        return String::new();
    }
    let full = BAR_WIDTH as u128 * 8;
    let eighths = (u128::from(value) * full).div_ceil(u128::from(largest)).min(full) as usize;
    if stale {
        return "░".repeat(eighths.div_ceil(8));
    }
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{}{rest}", "█".repeat(eighths / 8))
}

/// How fresh a region's figures are, in words.
fn told(status: &RegionStatus, paint: Paint) -> String {
    match status.freshness() {
        Freshness::Confirmed => {
            let late = if status.on_time {
                String::new()
            } else {
                paint.yellow(", oltre il termine")
            };
            format!("confermato, rev. {}{late}", status.revision)
        }
        Freshness::Stale => paint.yellow(&format!(
            "fermo a {} ({} giorni), fuori dai totali",
            printable(&status.period),
            status.age_days
        )),
        Freshness::Missing | Freshness::Unspecified => paint.red("mancante: mai trasmesso"),
    }
}

/// One line per region, cluster and area; a column per measure.
fn pivot(answer: &ConsolidatedResponse, shown: impl Fn(&ConsolidatedRow) -> bool) -> Table {
    let rows: Vec<_> = sorted_rows(answer).into_iter().filter(|r| shown(r)).collect();
    let measures: BTreeSet<i32> = rows
        .iter()
        .flat_map(|r| r.measures.iter().map(|m| m.measure))
        .collect();
    let keys = [("region", "Regione"), ("cluster", "Cluster"), ("area", "Area")];
    let mut columns: Vec<_> = keys.iter().map(|(n, h)| Column::new(*n, *h)).collect();
    columns.extend(
        measures
            .iter()
            .map(|m| Column::new(measure_name(*m), measure_heading(*m))),
    );
    columns.push(Column::new("coverage", "Copertura"));
    let mut table = Table::new(columns);
    for row in rows {
        let mut cells = vec![whole(&row.region), whole(&row.cluster), whole(&row.area)];
        for measure in &measures {
            let found = row.measures.iter().find(|m| m.measure == *measure);
            cells.push(found.map_or(Cell::Empty, |m| cell(m.value.as_ref())));
        }
        let span = row.coverage.iter().min().zip(row.coverage.iter().max());
        cells.push(match span {
            Some((low, high)) if low == high => Cell::text(low.to_string()),
            Some((low, high)) => Cell::text(format!("{low}-{high}")),
            None => Cell::Empty,
        });
        table.push(cells);
    }
    table
}

fn whole(code: &str) -> Cell {
    match code {
        ALL => Cell::text("tutte"),
        code => Cell::text(code),
    }
}

#[cfg(test)]
mod tests;
