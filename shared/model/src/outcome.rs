//! Outcomes: what became of one learner in one edition. They stay in the region.
//!
//! One CSV form, UTF-8, commas, with exactly this header:
//! `learner,edition,profession,enrolled,started,completed,passed,ecm_credited`
//!
//! | column | what |
//! |---|---|
//! | `learner` | the region's pseudonymous identifier, 1 to 64 characters; never a name or fiscal code |
//! | `edition` | identifier of the edition |
//! | `profession` | code of the profession, or `UNSPECIFIED` |
//! | `enrolled`, `started`, `completed` | days, `2023-11-07`; empty: not yet |
//! | `passed`, `ecm_credited` | `yes`, `no`, or empty: not known or not applicable |

use crate::{
    code::{Code, Id},
    date::parse_day,
    edition::Edition,
    personal_data::{self, FoundKind},
    taxonomy::{CodeLists, Dimension},
};
use jiff::civil::Date;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
};

mod errors;

use errors::Errors;
pub use errors::{RowError, RowErrors};

/// The header, column by column.
pub const COLUMNS: [&str; 8] = [
    "learner",
    "edition",
    "profession",
    "enrolled",
    "started",
    "completed",
    "passed",
    "ecm_credited",
];
/// Longest file, in bytes.
pub const CSV_BYTES_MAX: usize = 32 * 1_024 * 1_024;
/// Most rows of a file.
pub const CSV_ROWS_MAX: usize = 200_000;
/// Longest identifier of a learner, in bytes.
pub const LEARNER_BYTES_MAX: usize = 64;
/// Most errors that are shown; the rest is counted.
pub const ERRORS_SHOWN_MAX: usize = 100;

/// What became of one learner in one edition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutcomeRow {
    /// The region's pseudonym of the learner.
    pub learner: String,
    /// The edition.
    pub edition: Id,
    /// Code of the profession, or `UNSPECIFIED`.
    pub profession: Code,
    /// When the learner was enrolled.
    pub enrolled: Option<Date>,
    /// When the learner began.
    pub started: Option<Date>,
    /// When the learner completed the course.
    pub completed: Option<Date>,
    /// Whether the test was passed.
    pub passed: Option<bool>,
    /// Whether ECM credits were given.
    pub ecm_credited: Option<bool>,
}

/// The outcomes in the CSV file `bytes`, or every row that is wrong in itself. The order of the
/// result is that of the file. [`check_rows`] holds them against editions and code lists.
pub fn parse_csv(bytes: &[u8], file: &str) -> Result<Vec<OutcomeRow>, RowErrors> {
    let mut errors = Errors::new(file);
    if bytes.len() > CSV_BYTES_MAX {
        let problem = format!("{} bytes, at most {CSV_BYTES_MAX} are read", bytes.len());
        errors.add(1, "", "", problem, "split the file");
        return errors.finish(Vec::new());
    }
    // Spreadsheets write a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut rows = Vec::new();
    let mut seen: HashMap<(String, Id), u64> = HashMap::new();
    let mut record = csv::ByteRecord::new();
    let mut header = true;
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => {
                errors.add(0, "", "", format!("not CSV: {e}"), "export the file again");
                break;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        if header {
            header = false;
            if record.iter().ne(COLUMNS.iter().map(|c| c.as_bytes())) {
                let problem = "the header is not the one of the form";
                let remedy = format!("write exactly `{}`, with commas", COLUMNS.join(","));
                errors.add(line, "", "", problem, &remedy);
                return errors.finish(rows);
            }
            continue;
        }
        if rows.len() >= CSV_ROWS_MAX {
            let problem = format!("more than {CSV_ROWS_MAX} rows");
            errors.add(line, "", "", problem, "split the file");
            break;
        }
        if let Some(row) = parse_row(&record, line, &mut errors) {
            let key = (row.learner.clone(), row.edition.clone());
            if let Some(first) = seen.insert(key, line) {
                let problem = format!(
                    "the learner is already in edition {} on line {first}",
                    row.edition
                );
                errors.add(line, "learner", &row.learner, problem, "keep one of the two rows");
            }
            rows.push(row);
        }
    }
    if header {
        let remedy = format!("write the header `{}` and the rows below", COLUMNS.join(","));
        errors.add(1, "", "", "the file is empty", &remedy);
    }
    errors.finish(rows)
}

/// Holds `rows`, in the order of their file, against the editions and code lists of the region.
pub fn check_rows(
    rows: &[OutcomeRow],
    editions: &BTreeMap<Id, Edition>,
    codes: &CodeLists,
    file: &str,
) -> Result<(), RowErrors> {
    let mut errors = Errors::new(file);
    for (index, row) in rows.iter().enumerate() {
        // No column can hold a line end, so rows and lines go together.
        let line = index as u64 + 2;
        if let Some((problem, remedy)) = codes.refusal(Dimension::Profession, &row.profession) {
            errors.add(line, "profession", row.profession.as_str(), problem, &remedy);
        }
        let Some(edition) = editions.get(&row.edition) else {
            let remedy = "add the edition first, or correct the identifier";
            errors.add(
                line,
                "edition",
                row.edition.as_str(),
                "there is no such edition",
                remedy,
            );
            continue;
        };
        if row.passed.is_some() && !edition.test {
            errors.add(
                line,
                "passed",
                yes_no(row.passed),
                "the edition has no test",
                "leave it empty",
            );
        }
        if row.ecm_credited.is_some() && !edition.ecm {
            errors.add(
                line,
                "ecm_credited",
                yes_no(row.ecm_credited),
                "the edition gives no ECM credits",
                "leave it empty",
            );
        }
        if row.ecm_credited == Some(true) && edition.test && row.passed != Some(true) {
            errors.add(
                line,
                "ecm_credited",
                "yes",
                "credited without a passed test",
                "correct `passed` or write no",
            );
        }
    }
    errors.finish(())
}

fn yes_no(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    }
}

/// The row, or errors; cells are read one by one so that each bad one is told.
fn parse_row(record: &csv::ByteRecord, line: u64, errors: &mut Errors) -> Option<OutcomeRow> {
    let before = errors.0.total;
    if record.len() != COLUMNS.len() {
        let problem = format!("{} columns, {} are needed", record.len(), COLUMNS.len());
        errors.add(
            line,
            "",
            "",
            problem,
            "write every column, empty where nothing is known",
        );
        return None;
    }
    let cells: Vec<String> = record
        .iter()
        .map(|cell| String::from_utf8_lossy(cell).trim().to_owned())
        .collect();
    if cells.iter().any(|cell| cell.contains('\u{fffd}')) {
        errors.add(line, "", "", "not UTF-8", "export the file as UTF-8");
        return None;
    }
    let learner = learner(&cells[0], line, errors);
    let edition = parsed::<Id>(&cells, 1, line, errors);
    let profession = parsed::<Code>(&cells, 2, line, errors);
    let enrolled = day(&cells, 3, line, errors);
    let started = day(&cells, 4, line, errors);
    let completed = day(&cells, 5, line, errors);
    let passed = flag(&cells, 6, line, errors);
    let ecm_credited = flag(&cells, 7, line, errors);
    if errors.0.total > before {
        return None;
    }
    let row = OutcomeRow {
        learner: learner?,
        edition: edition?,
        profession: profession?,
        enrolled,
        started,
        completed,
        passed,
        ecm_credited,
    };
    check_row(&row, &cells, line, errors);
    (errors.0.total == before).then_some(row)
}

/// What a row says about itself must hold together, whatever the edition.
fn check_row(row: &OutcomeRow, cells: &[String], line: u64, errors: &mut Errors) {
    let steps = [(3, row.enrolled), (4, row.started), (5, row.completed)];
    for pair in steps.windows(2) {
        let ((earlier, first), (later, second)) = (pair[0], pair[1]);
        let Some(second) = second else { continue };
        match first {
            None => {
                let problem = format!("given although `{}` is empty", COLUMNS[earlier]);
                errors.add(
                    line,
                    COLUMNS[later],
                    &cells[later],
                    problem,
                    "fill in the earlier day",
                );
            }
            Some(first) if first > second => {
                let problem = format!("before `{}` ({first})", COLUMNS[earlier]);
                errors.add(
                    line,
                    COLUMNS[later],
                    &cells[later],
                    problem,
                    "correct one of the days",
                );
            }
            Some(_) => {}
        }
    }
    for (column, value) in [(6, row.passed), (7, row.ecm_credited)] {
        if value.is_some() && row.completed.is_none() {
            let problem = "given although `completed` is empty";
            errors.add(
                line,
                COLUMNS[column],
                &cells[column],
                problem,
                "fill in `completed` or leave it empty",
            );
        }
    }
    if row.ecm_credited == Some(true) && row.passed == Some(false) {
        errors.add(
            line,
            "ecm_credited",
            "yes",
            "credited although the test was not passed",
            "correct one of the two",
        );
    }
}

fn learner(cell: &str, line: u64, errors: &mut Errors) -> Option<String> {
    if !(1..=LEARNER_BYTES_MAX).contains(&cell.len()) || cell.chars().any(|c| c.is_control()) {
        let problem = format!("not an identifier of 1 to {LEARNER_BYTES_MAX} bytes");
        errors.add(line, "learner", cell, problem, "write the region's pseudonym");
        return None;
    }
    let personal = personal_data::scan(cell)
        .into_iter()
        .find(|found| found.kind != FoundKind::Telephone);
    if let Some(found) = personal {
        let problem = format!("looks like {}", found.kind);
        // The value is not repeated: errors are shown and logged.
        errors.add(
            line,
            "learner",
            "…",
            problem,
            "write the region's pseudonym, never personal data",
        );
        return None;
    }
    Some(cell.to_owned())
}

fn parsed<T>(cells: &[String], column: usize, line: u64, errors: &mut Errors) -> Option<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    match cells[column].parse() {
        Ok(value) => Some(value),
        Err(e) => {
            let e: T::Err = e;
            errors.add(line, COLUMNS[column], &cells[column], e, "correct it");
            None
        }
    }
}

fn day(cells: &[String], column: usize, line: u64, errors: &mut Errors) -> Option<Date> {
    let cell = &cells[column];
    if cell.is_empty() {
        return None;
    }
    match parse_day(cell) {
        Ok(day) => Some(day),
        Err(_) => {
            let remedy = "write it as 2023-11-07, or leave it empty";
            errors.add(line, COLUMNS[column], cell, "not a date", remedy);
            None
        }
    }
}

fn flag(cells: &[String], column: usize, line: u64, errors: &mut Errors) -> Option<bool> {
    match cells[column].as_str() {
        "" => None,
        "yes" => Some(true),
        "no" => Some(false),
        other => {
            let remedy = "write yes or no, or leave it empty";
            errors.add(line, COLUMNS[column], other, "neither yes nor no", remedy);
            None
        }
    }
}

#[cfg(test)]
mod tests;
