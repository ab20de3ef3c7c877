//! Outcomes of learners: imported by one CSV form, all or nothing, and kept in the region.
//!
//! The same file twice changes nothing. Later facts (a completion, a passed test) update a learner's
//! record; a fact that vanishes or changes is an error by row, unless the import is a stated correction.

use crate::{
    editions,
    plans::pe,
    records::{self, listing},
};
use raccordo_model::{
    code::{Code, Id},
    date::parse_day,
    edition::Edition,
    executive_plan::ExecutivePlan,
    outcome::{self, ERRORS_SHOWN_MAX, OutcomeRow, RowError, RowErrors},
    taxonomy::CodeLists,
};
use raccordo_node::{Node, NodeError};
use raccordo_proto::wire;
use raccordo_store::{StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const OF_YEAR: &str =
    "SELECT o.learner, o.edition, o.profession, o.enrolled, o.started, o.completed,
    o.passed, o.ecm_credited FROM local_outcome o JOIN local_edition e ON e.id = o.edition
    WHERE e.pe_year = $1 ORDER BY o.edition, o.learner";
pub(crate) const OF_EDITION: &str =
    "SELECT learner, edition, profession, enrolled, started, completed, passed,
    ecm_credited FROM local_outcome WHERE edition = $1 ORDER BY learner";
pub(crate) const PUT: &str =
    "INSERT INTO local_outcome (learner, edition, profession, enrolled, started, completed,
    passed, ecm_credited) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (learner, edition) DO UPDATE
    SET profession = excluded.profession, enrolled = excluded.enrolled, started = excluded.started,
    completed = excluded.completed, passed = excluded.passed, ecm_credited = excluded.ecm_credited";

/// The statements of this room.
pub(crate) const STATEMENTS: &[&str] = &[OF_YEAR, OF_EDITION, PUT];

type Row = (
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// What a row of a file means for the record that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It says what is recorded.
    None,
    /// It is new, or brings later facts.
    Write,
    /// It contradicts what is recorded.
    Contradiction {
        /// The column.
        column: &'static str,
        /// What stands in it, as recorded.
        recorded: String,
        /// What the file says.
        told: String,
    },
}

/// Holds a row against the record of the same learner in the same edition. A test that was failed
/// may be passed later, and credits given later; no other fact changes.
pub fn compare(recorded: Option<&OutcomeRow>, row: &OutcomeRow) -> Change {
    let Some(recorded) = recorded else {
        return Change::Write;
    };
    let contradiction = |column, recorded: String, told: String| Change::Contradiction {
        column,
        recorded,
        told,
    };
    if recorded.profession != row.profession {
        return contradiction(
            "profession",
            recorded.profession.to_string(),
            row.profession.to_string(),
        );
    }
    let days = [
        ("enrolled", recorded.enrolled, row.enrolled),
        ("started", recorded.started, row.started),
        ("completed", recorded.completed, row.completed),
    ];
    for (column, before, after) in days {
        if before.is_some() && before != after {
            let text =
                |day: Option<raccordo_model::date::Day>| day.map(|d| d.to_string()).unwrap_or_default();
            return contradiction(column, text(before), text(after));
        }
    }
    let flags = [
        ("passed", recorded.passed, row.passed),
        ("ecm_credited", recorded.ecm_credited, row.ecm_credited),
    ];
    for (column, before, after) in flags {
        if before.is_some() && before != after && (before, after) != (Some(false), Some(true)) {
            return contradiction(column, word(before), word(after));
        }
    }
    if recorded == row {
        Change::None
    } else {
        Change::Write
    }
}

fn word(flag: Option<bool>) -> String {
    flag.map(|yes| if yes { "yes" } else { "no" }.to_owned())
        .unwrap_or_default()
}

/// Whether a profession is one of an intervention's targets (clusters or professions). Unknown
/// targets admit any, and so does a profession that nobody stated.
pub fn is_target(targets: &[Code], profession: &Code, codes: &CodeLists) -> bool {
    targets.is_empty()
        || profession.is_unspecified()
        || targets
            .iter()
            .any(|t| t == profession || *t == codes.cluster_of(profession))
}

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// New rows, and rows with later facts.
    pub accepted: u64,
    /// Rows that were recorded already.
    pub unchanged: u64,
    /// Rows that are wrong; when there is any, nothing was changed.
    pub errors: Option<RowErrors>,
}

/// Takes in a CSV file, all or nothing. With `correct`, facts that contradict the record replace it.
pub async fn import(node: &Node, bytes: Vec<u8>, file: &str, correct: bool) -> Result<Imported, NodeError> {
    let name = file.to_owned();
    // Up to 32 MiB of text: not on a thread that serves calls.
    let parsed = tokio::task::spawn_blocking(move || outcome::parse_csv(&bytes, &name)).await;
    let rows = match parsed {
        Ok(Ok(rows)) => rows,
        Ok(Err(errors)) => {
            return Ok(Imported {
                errors: Some(errors),
                ..Imported::default()
            });
        }
        Err(error) => return Err(raccordo_node::status::Refusal::internal(&error).into()),
    };
    let mut tx = node.db.write().await?;
    let codes = records::code_lists(&mut tx).await?;
    let held = editions::all(&mut tx).await?;
    let known: BTreeMap<Id, Edition> = held
        .iter()
        .map(|(id, h)| (id.clone(), h.edition.clone()))
        .collect();
    if let Err(errors) = outcome::check_rows(&rows, &known, &codes, file) {
        return Ok(Imported {
            errors: Some(errors),
            ..Imported::default()
        });
    }
    let mut plans: BTreeMap<i16, ExecutivePlan> = BTreeMap::new();
    let mut recorded: BTreeMap<(String, Id), OutcomeRow> = BTreeMap::new();
    for id in rows.iter().map(|r| &r.edition).collect::<BTreeSet<_>>() {
        let stored: Vec<Row> = tx.query(OF_EDITION).bind(id.to_string()).fetch_all().await?;
        for row in stored {
            let row = parse(row)?;
            recorded.insert((row.learner.clone(), row.edition.clone()), row);
        }
        if let Some(held) = held.get(id)
            && !plans.contains_key(&held.pe_year)
            && let Some((plan, _)) = pe::current(&mut tx, node.me(), held.pe_year).await?
        {
            plans.insert(held.pe_year, plan);
        }
    }
    let mut errors = RowErrors {
        file: file.to_owned(),
        shown: Vec::new(),
        total: 0,
    };
    let mut writes = Vec::new();
    let mut unchanged = 0;
    for (place, row) in rows.into_iter().enumerate() {
        let line = place as u64 + 2;
        let targets = held.get(&row.edition).and_then(|h| {
            let plan = plans.get(&h.pe_year)?;
            plan.intervention(&h.edition.intervention)
                .map(|i| i.targets.as_slice())
        });
        if !is_target(targets.unwrap_or_default(), &row.profession, &codes) {
            let problem = format!("not a target of the intervention of edition {}", row.edition);
            let remedy = "correct the profession, or share a plan whose intervention is for it";
            refuse(
                &mut errors,
                line,
                "profession",
                row.profession.as_str(),
                problem,
                remedy,
            );
        }
        let key = (row.learner.clone(), row.edition.clone());
        match compare(recorded.get(&key), &row) {
            Change::None => unchanged += 1,
            Change::Contradiction {
                column,
                recorded,
                told,
            } if !correct => {
                let problem = format!("`{recorded}` is recorded");
                let remedy =
                    "keep the recorded fact, or import the file as a correction with --correction REASON";
                refuse(&mut errors, line, column, &told, problem, remedy);
            }
            Change::Write | Change::Contradiction { .. } => writes.push(row),
        }
    }
    if errors.total > 0 {
        return Ok(Imported {
            errors: Some(errors),
            ..Imported::default()
        });
    }
    // Sorted by key: neighbours are written together.
    writes.sort_by(|a, b| (&a.learner, &a.edition).cmp(&(&b.learner, &b.edition)));
    let touched: BTreeSet<Id> = writes.iter().map(|r| r.edition.clone()).collect();
    let accepted = writes.len() as u64;
    for row in writes {
        put(&mut tx, row).await?;
    }
    for id in touched {
        tx.query(editions::RECORDED)
            .bind(id.to_string())
            .execute()
            .await?;
    }
    tx.commit().await?;
    Ok(Imported {
        accepted,
        unchanged,
        errors: None,
    })
}

fn refuse(errors: &mut RowErrors, line: u64, column: &str, value: &str, problem: String, remedy: &str) {
    errors.total += 1;
    if errors.shown.len() < ERRORS_SHOWN_MAX {
        errors.shown.push(RowError {
            line,
            column: column.into(),
            value: value.chars().take(40).collect(),
            problem,
            remedy: remedy.into(),
        });
    }
}

async fn put(tx: &mut Tx, row: OutcomeRow) -> Result<(), StoreError> {
    let day = |day: Option<raccordo_model::date::Day>| day.map(|d| d.to_string());
    let flag = |flag: Option<bool>| flag.map(|yes| if yes { "yes" } else { "no" }.to_owned());
    tx.query(PUT)
        .bind(row.learner)
        .bind(row.edition.to_string())
        .bind(row.profession.to_string())
        .bind(day(row.enrolled))
        .bind(day(row.started))
        .bind(day(row.completed))
        .bind(flag(row.passed))
        .bind(flag(row.ecm_credited))
        .execute()
        .await
        .map(drop)
}

/// The outcomes of the editions of a plan's year, by edition and learner.
pub async fn of_year(tx: &mut Tx, year: i16) -> Result<Vec<OutcomeRow>, StoreError> {
    let rows: Vec<Row> = tx.query(OF_YEAR).bind(i64::from(year)).fetch_all().await?;
    rows.into_iter().map(parse).collect()
}

fn parse(
    (learner, edition, profession, enrolled, started, completed, passed, credited): Row,
) -> Result<OutcomeRow, StoreError> {
    let corrupt = |column| StoreError::Corrupt {
        table: "local_outcome",
        column,
        key: format!("a learner of edition {edition}"),
    };
    let day = |column, text: Option<String>| {
        text.map(|t| parse_day(&t))
            .transpose()
            .map_err(|_| corrupt(column))
    };
    let flag = |column, text: Option<String>| match text.as_deref() {
        None => Ok(None),
        Some("yes") => Ok(Some(true)),
        Some("no") => Ok(Some(false)),
        Some(_) => Err(corrupt(column)),
    };
    Ok(OutcomeRow {
        learner,
        profession: profession.parse().map_err(|_| corrupt("profession"))?,
        enrolled: day("enrolled", enrolled)?,
        started: day("started", started)?,
        completed: day("completed", completed)?,
        passed: flag("passed", passed)?,
        ecm_credited: flag("ecm_credited", credited)?,
        edition: edition.parse().map_err(|_| corrupt("edition"))?,
    })
}

/// The answer to an import.
pub fn answer(imported: &Imported) -> wire::ImportOutcomesResponse {
    let file = imported
        .errors
        .as_ref()
        .map(|e| e.file.as_str())
        .unwrap_or_default();
    let shown = imported
        .errors
        .as_ref()
        .map(|e| e.shown.as_slice())
        .unwrap_or_default();
    let rows = shown.iter().map(|e| {
        let [value, problem, remedy] = [e.value.clone(), e.problem.clone(), e.remedy.clone()];
        vec![
            file.to_owned(),
            e.line.to_string(),
            e.column.clone(),
            value,
            problem,
            remedy,
        ]
    });
    wire::ImportOutcomesResponse {
        accepted: imported.accepted,
        unchanged: imported.unchanged,
        errors: Some(listing(
            &["file", "row", "field", "value", "error", "remedy"],
            rows,
        )),
        errors_total: imported.errors.as_ref().map_or(0, |e| e.total as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: &str) -> OutcomeRow {
        let text = format!("{}\n{line}\n", outcome::COLUMNS.join(","));
        outcome::parse_csv(text.as_bytes(), "t.csv").unwrap().remove(0)
    }

    #[test]
    fn later_facts_are_written_and_vanishing_ones_refused() {
        let enrolled = row("L1,E1,C1.01,2023-11-07,,,,");
        let completed = row("L1,E1,C1.01,2023-11-07,2023-11-07,2023-11-09,no,");
        let retaken = row("L1,E1,C1.01,2023-11-07,2023-11-07,2023-11-09,yes,yes");
        assert_eq!(compare(None, &enrolled), Change::Write);
        assert_eq!(compare(Some(&enrolled), &enrolled), Change::None);
        assert_eq!(compare(Some(&enrolled), &completed), Change::Write);
        assert_eq!(compare(Some(&completed), &retaken), Change::Write);
        let column = |change| match change {
            Change::Contradiction { column, .. } => column,
            _ => "",
        };
        assert_eq!(column(compare(Some(&completed), &enrolled)), "started");
        assert_eq!(column(compare(Some(&retaken), &completed)), "passed");
        let moved = row("L1,E1,C1.01,2023-11-08,,,,");
        assert_eq!(column(compare(Some(&enrolled), &moved)), "enrolled");
        let other = row("L1,E1,C1.02,2023-11-07,,,,");
        assert_eq!(column(compare(Some(&enrolled), &other)), "profession");
    }

    #[test]
    fn targets_are_clusters_or_professions() {
        let codes = CodeLists::builtin();
        let code = |text: &str| text.parse::<Code>().unwrap();
        let targets = [code("C1"), code("C2.06")];
        for (profession, admitted) in [
            ("C1.02", true),
            ("C2.06", true),
            ("C2.07", false),
            ("C3.01", false),
            ("UNSPECIFIED", true),
        ] {
            assert_eq!(
                is_target(&targets, &code(profession), codes),
                admitted,
                "{profession}"
            );
        }
        assert!(is_target(&[], &code("C3.01"), codes));
    }
}
