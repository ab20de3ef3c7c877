//! Editions: runs of the interventions of the shared Executive Plan. They stay in the region; a report
//! counts them. What an edition does not say of itself comes from its intervention.

mod form;

pub use form::{COLUMNS, CSV_BYTES_MAX, errors, parse, parse_csv};

use crate::{
    catalogue,
    plans::pe,
    records::{self, listing},
};
use raccordo_model::{
    code::{Code, Id},
    date::{Day, parse_day},
    edition::{Edition, PlanOrigin, Versioned},
    executive_plan::{ExecutivePlan, Intervention, MINUTES_MAX},
    period::day_in_rome,
    taxonomy::{CodeLists, Dimension},
};
use raccordo_node::{Node, NodeError, status::Refusal};
use raccordo_proto::wire;
use raccordo_store::{StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const INSERT: &str =
    "INSERT INTO local_edition (id, intervention, pe_year, area, objective, instrument,
    level, origin, package, kit, minutes, starts, ends, ecm, test, state)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
pub(crate) const LIST: &str =
    "SELECT id, intervention, pe_year, area, objective, instrument, level, origin, package,
    kit, minutes, starts, ends, ecm, test, state FROM local_edition ORDER BY id LIMIT 100000";
pub(crate) const RECORDED: &str = "UPDATE local_edition SET state = 'outcome_recorded' WHERE id = $1";

/// The statements of this room.
pub(crate) const STATEMENTS: &[&str] = &[INSERT, LIST, RECORDED];

/// Most editions of a region.
pub const EDITIONS_MAX: usize = 100_000;

/// What stands for no kit and no package.
const NONE: &str = "UNSPECIFIED";

/// What a person says of a new edition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEdition {
    /// Unique in the region.
    pub id: Id,
    /// The intervention of the Executive Plan of the start's year.
    pub intervention: Id,
    /// First day.
    pub start: Day,
    /// Last day.
    pub end: Day,
    /// The kit version that it uses.
    pub kit: Option<Versioned>,
    /// Whether it ends with a test.
    pub test: bool,
    /// Where the intervention does not say.
    pub minutes: Option<u32>,
    /// Where the intervention does not say.
    pub objective: Option<Code>,
}

/// An edition and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The edition.
    pub edition: Edition,
    /// The year of the plan that it belongs to.
    pub pe_year: i16,
    /// `scheduled`, or `outcome_recorded` once learners' outcomes are here.
    pub state: String,
}

impl Held {
    /// What people see on a day: `scheduled`, `running`, `ended`, `outcome_recorded`.
    pub fn state_on(&self, today: Day) -> &'static str {
        match () {
            () if today < self.edition.start => "scheduled",
            () if today <= self.edition.end => "running",
            () if self.state == "outcome_recorded" => "outcome_recorded",
            () => "ended",
        }
    }
}

/// A field of a new edition that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field.
    pub field: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl Fault {
    fn new(field: &'static str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

/// The edition that a person means, by the shared plan of its year and the kit versions that may be
/// used; or every rule that it breaks.
pub fn decide(
    new: &NewEdition,
    plan: Option<&ExecutivePlan>,
    kits: &BTreeMap<Versioned, Option<String>>,
    codes: &CodeLists,
) -> Result<Edition, Vec<Fault>> {
    let year = new.start.year();
    let mut faults = Vec::new();
    if new.end < new.start {
        faults.push(Fault::new(
            "end",
            format!("{} is before the start {}", new.end, new.start),
            "correct one of the days",
        ));
    } else if new.end.year() != year {
        faults.push(Fault::new(
            "end",
            format!("{} is outside the year {year} of the Executive Plan", new.end),
            "split the edition at the end of the year",
        ));
    }
    check_kit(new, kits, &mut faults);
    let Some(plan) = plan else {
        let remedy = "share the plan of that year first (`pe import`, `pe share`), or correct the day";
        faults.push(Fault::new(
            "start",
            format!("no Executive Plan of {year} was shared"),
            remedy,
        ));
        return Err(faults);
    };
    let Some(intervention) = plan.intervention(&new.intervention) else {
        faults.push(Fault::new(
            "intervention",
            format!(
                "`{}` is not in the Executive Plan {year}, version {}",
                new.intervention, plan.version
            ),
            "see `pe show`, or share a plan that has it",
        ));
        return Err(faults);
    };
    let minutes = minutes(new, intervention, &mut faults);
    let objective = objective(new, intervention, codes, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Edition {
        id: new.id.clone(),
        intervention: new.intervention.clone(),
        kit: new.kit.clone(),
        syllabus: None,
        instrument: intervention.instrument.clone(),
        area: intervention.area.clone(),
        objective,
        level: intervention.level.clone(),
        origin: intervention.origin.plan_origin(),
        package: None,
        minutes,
        start: new.start,
        end: new.end,
        ecm: intervention.ecm,
        test: new.test,
    })
}

fn check_kit(new: &NewEdition, kits: &BTreeMap<Versioned, Option<String>>, faults: &mut Vec<Fault>) {
    let Some(kit) = &new.kit else { return };
    match kits.get(kit) {
        None => faults.push(Fault::new(
            "kit",
            format!("there is no kit version {kit} here"),
            "see `catalogue list`",
        )),
        Some(Some(why)) => faults.push(Fault::new(
            "kit",
            format!("the centre withdrew {kit}: {why}"),
            "use a version that is not withdrawn; see `catalogue list`",
        )),
        Some(None) => {}
    }
}

fn minutes(new: &NewEdition, intervention: &Intervention, faults: &mut Vec<Fault>) -> u32 {
    match (intervention.minutes, new.minutes) {
        (Some(planned), Some(given)) if planned != given => {
            faults.push(Fault::new(
                "minutes",
                format!("{given}, but the plan says {planned}"),
                "leave them out, or share a corrected plan",
            ));
            planned
        }
        (Some(planned), _) => planned,
        (None, Some(given)) if (1..=MINUTES_MAX).contains(&given) => given,
        (None, Some(given)) => {
            faults.push(Fault::new(
                "minutes",
                format!("{given} minutes"),
                format!("write 1 to {MINUTES_MAX}"),
            ));
            given
        }
        (None, None) => {
            let problem = format!("the plan does not say how long `{}` takes", intervention.id);
            faults.push(Fault::new(
                "minutes",
                problem,
                "give the minutes of this edition (--minutes, column `minutes`)",
            ));
            0
        }
    }
}

fn objective(
    new: &NewEdition,
    intervention: &Intervention,
    codes: &CodeLists,
    faults: &mut Vec<Fault>,
) -> Code {
    let Some(given) = &new.objective else {
        return intervention.objective.clone();
    };
    if !intervention.objective.is_unspecified() && *given != intervention.objective {
        faults.push(Fault::new(
            "objective",
            format!("{given}, but the plan says {}", intervention.objective),
            "leave it out, or share a corrected plan",
        ));
    } else if let Some((problem, remedy)) = codes.refusal(Dimension::Objective, given) {
        faults.push(Fault::new("objective", problem, remedy));
    }
    given.clone()
}

/// Every edition, by identifier.
pub async fn all(tx: &mut Tx) -> Result<BTreeMap<Id, Held>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        id: String,
        intervention: String,
        pe_year: i64,
        area: String,
        objective: String,
        instrument: String,
        level: String,
        origin: String,
        package: String,
        kit: String,
        minutes: i64,
        starts: String,
        ends: String,
        ecm: i64,
        test: i64,
        state: String,
    }
    let rows: Vec<Row> = tx.query(LIST).fetch_all().await?;
    let mut editions = BTreeMap::new();
    for row in rows {
        let key = row.id.as_str();
        let corrupt = |column| StoreError::Corrupt {
            table: "local_edition",
            column,
            key: key.into(),
        };
        let code = |column, text: &str| records::stored::<Code>("local_edition", column, key, text);
        let day = |column, text: &str| parse_day(text).map_err(|_| corrupt(column));
        let id: Id = records::stored("local_edition", "id", key, key)?;
        let edition = Edition {
            id: id.clone(),
            intervention: records::stored("local_edition", "intervention", key, &row.intervention)?,
            kit: match row.kit.as_str() {
                NONE => None,
                text => Some(records::stored("local_edition", "kit", key, text)?),
            },
            syllabus: None,
            instrument: code("instrument", &row.instrument)?,
            area: code("area", &row.area)?,
            objective: code("objective", &row.objective)?,
            level: code("level", &row.level)?,
            origin: [PlanOrigin::FromPo, PlanOrigin::Additional]
                .into_iter()
                .find(|o| o.as_str() == row.origin)
                .ok_or_else(|| corrupt("origin"))?,
            package: match row.package.as_str() {
                NONE => None,
                text => Some(records::stored("local_edition", "package", key, text)?),
            },
            minutes: u32::try_from(row.minutes).map_err(|_| corrupt("minutes"))?,
            start: day("starts", &row.starts)?,
            end: day("ends", &row.ends)?,
            ecm: row.ecm != 0,
            test: row.test != 0,
        };
        let pe_year = i16::try_from(row.pe_year).map_err(|_| corrupt("pe_year"))?;
        editions.insert(
            id,
            Held {
                edition,
                pe_year,
                state: row.state,
            },
        );
    }
    Ok(editions)
}

/// What is wrong with a document, by line.
pub type LineFaults = Vec<(u64, Fault)>;

/// What a document of new editions came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// New ones.
    pub accepted: u32,
    /// Those that were there already.
    pub unchanged: u32,
    /// Faults by line; when there is any, nothing was changed.
    pub errors: LineFaults,
}

/// Adds editions (each with the line that it comes from), all or none. The same again changes nothing.
pub async fn add(node: &Node, new: Vec<(u64, NewEdition)>) -> Result<Imported, NodeError> {
    let mut tx = node.db.write().await?;
    let codes = records::code_lists(&mut tx).await?;
    let kits: BTreeMap<Versioned, Option<String>> = catalogue::kits(&mut tx)
        .await?
        .into_values()
        .map(|k| (k.kit, k.withdrawn))
        .collect();
    let held = all(&mut tx).await?;
    let years: BTreeSet<i16> = new.iter().map(|(_, n)| n.start.year()).collect();
    let mut plans = BTreeMap::new();
    for year in years {
        if let Some((plan, _)) = pe::current(&mut tx, node.me(), year).await? {
            plans.insert(year, plan);
        }
    }
    let mut outcome = Imported::default();
    let mut fresh: BTreeMap<Id, Edition> = BTreeMap::new();
    for (line, new) in new {
        // An edition that is recorded keeps the kit that was withdrawn since.
        let recorded = held.get(&new.id).map(|h| &h.edition);
        let mut usable = kits.clone();
        if let Some(kit) = recorded.and_then(|e| e.kit.clone()) {
            usable.insert(kit, None);
        }
        match (
            decide(&new, plans.get(&new.start.year()), &usable, &codes),
            recorded,
        ) {
            (Ok(edition), Some(recorded)) if edition == *recorded => outcome.unchanged += 1,
            (Ok(_), Some(_)) => {
                let problem = format!("edition `{}` is recorded with other content", new.id);
                outcome.errors.push((
                    line,
                    Fault::new("id", problem, "give the new edition its own identifier"),
                ));
            }
            (Ok(edition), None) => {
                if fresh.insert(new.id.clone(), edition).is_some() {
                    let problem = format!("edition `{}` is in the document twice", new.id);
                    outcome
                        .errors
                        .push((line, Fault::new("id", problem, "keep one of the rows")));
                }
            }
            (Err(faults), _) => outcome.errors.extend(faults.into_iter().map(|f| (line, f))),
        }
    }
    if held.len() + fresh.len() > EDITIONS_MAX {
        let text = format_args!("the region would have more than {EDITIONS_MAX} editions");
        return Err(Refusal::too_large(text, "ask the makers of this program").into());
    }
    if !outcome.errors.is_empty() {
        return Ok(Imported {
            accepted: 0,
            unchanged: 0,
            ..outcome
        });
    }
    outcome.accepted = fresh.len() as u32;
    for edition in fresh.into_values() {
        insert(&mut tx, &edition).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}

async fn insert(tx: &mut Tx, edition: &Edition) -> Result<(), StoreError> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.into());
    tx.query(INSERT)
        .bind(edition.id.to_string())
        .bind(edition.intervention.to_string())
        .bind(i64::from(edition.start.year()))
        .bind(edition.area.to_string())
        .bind(edition.objective.to_string())
        .bind(edition.instrument.to_string())
        .bind(edition.level.to_string())
        .bind(edition.origin.to_string())
        .bind(or_none(edition.package.as_ref().map(ToString::to_string)))
        .bind(or_none(edition.kit.as_ref().map(ToString::to_string)))
        .bind(i64::from(edition.minutes))
        .bind(edition.start.to_string())
        .bind(edition.end.to_string())
        .bind(i64::from(edition.ecm))
        .bind(i64::from(edition.test))
        .bind("scheduled".to_owned())
        .execute()
        .await
        .map(drop)
}

/// Editions of a year (0: all), by identifier.
pub async fn list(tx: &mut Tx, node: &Node, year: u32) -> Result<wire::Listing, NodeError> {
    let today = day_in_rome(node.clock.now());
    let held = all(tx).await?;
    let kits = catalogue::kits(tx).await?;
    // A withdrawal flags the editions that use the version; it deletes nothing.
    let withdrawn = |kit: &Versioned| kits.get(kit).is_some_and(|k| k.withdrawn.is_some());
    let rows = held
        .values()
        .filter(|h| year == 0 || u32::from(h.pe_year.unsigned_abs()) == year)
        .map(|h| {
            let e = &h.edition;
            vec![
                e.id.to_string(),
                e.intervention.to_string(),
                e.start.to_string(),
                e.end.to_string(),
                h.state_on(today).to_owned(),
                e.area.to_string(),
                e.instrument.to_string(),
                e.level.to_string(),
                e.origin.to_string(),
                e.kit.as_ref().map(ToString::to_string).unwrap_or_default(),
                e.minutes.to_string(),
                e.ecm.to_string(),
                e.test.to_string(),
                e.kit.as_ref().is_some_and(withdrawn).to_string(),
            ]
        });
    let columns = [
        "id",
        "intervention",
        "start",
        "end",
        "state",
        "area",
        "instrument",
        "level",
        "origin",
        "kit",
        "minutes",
        "ecm",
        "test",
        "withdrawn",
    ];
    Ok(listing(&columns, rows))
}

/// Kit versions that editions use which have not ended on `today`: their bytes stay.
pub fn kits_in_use(held: &BTreeMap<Id, Held>, today: Day) -> BTreeSet<Versioned> {
    held.values()
        .filter(|h| h.edition.end >= today)
        .filter_map(|h| h.edition.kit.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::toscana;

    fn new(intervention: &str, start: &str, end: &str) -> NewEdition {
        parse(&["E1", intervention, start, end, ""], 0, "").unwrap()
    }

    fn faults(new: &NewEdition, kits: &BTreeMap<Versioned, Option<String>>) -> Vec<&'static str> {
        let plan = toscana().executive_plan.unwrap();
        let decided = decide(new, Some(&plan), kits, CodeLists::builtin());
        decided.err().into_iter().flatten().map(|f| f.field).collect()
    }

    #[test]
    fn an_edition_takes_its_dimensions_from_the_intervention() {
        let plan = toscana().executive_plan.unwrap();
        let new = new("TOS-2023-03", "2023-11-08", "2023-12-20");
        let edition = decide(&new, Some(&plan), &BTreeMap::new(), CodeLists::builtin()).unwrap();
        assert_eq!(
            (edition.area.as_str(), edition.minutes, edition.ecm),
            ("GENERAL", 240, true)
        );
        assert_eq!(edition.instrument.as_str(), "ONLINE.ELEARNING");
        assert_eq!(edition.origin, PlanOrigin::FromPo);
    }

    #[test]
    fn each_rule_names_its_field() {
        let none = BTreeMap::new();
        assert_eq!(
            faults(&new("TOS-2023-99", "2023-11-08", ""), &none),
            ["intervention"]
        );
        assert_eq!(
            faults(&new("TOS-2023-03", "2023-11-08", "2023-11-07"), &none),
            ["end"]
        );
        assert_eq!(
            faults(&new("TOS-2023-03", "2023-11-08", "2024-01-07"), &none),
            ["end"]
        );
        // The source does not say how long the specific training takes.
        assert_eq!(faults(&new("TOS-2023-04", "2023-11-08", ""), &none), ["minutes"]);
        let timed = NewEdition {
            minutes: Some(60),
            ..new("TOS-2023-04", "2023-11-08", "")
        };
        assert!(faults(&timed, &none).is_empty());
        let timed = NewEdition {
            minutes: Some(60),
            ..new("TOS-2023-03", "2023-11-08", "")
        };
        assert_eq!(faults(&timed, &none), ["minutes"]);
        let kit: Versioned = "KIT-A@1.0.0".parse().unwrap();
        let with = NewEdition {
            kit: Some(kit.clone()),
            ..new("TOS-2023-03", "2023-11-08", "")
        };
        assert_eq!(faults(&with, &none), ["kit"]);
        assert!(faults(&with, &BTreeMap::from([(kit.clone(), None)])).is_empty());
        assert_eq!(
            faults(&with, &BTreeMap::from([(kit, Some("errore".into()))])),
            ["kit"]
        );
        assert!(decide(&with, None, &none, CodeLists::builtin()).is_err());
    }
}
