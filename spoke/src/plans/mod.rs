//! The region's plans: drafts are local, what was submitted or shared is in the own ledger, what the
//! centre said about it in the Hub's.

pub mod pe;
pub mod po;

use crate::records;
use raccordo_model::{
    finding::Finding,
    node::{NodeId, RegionCode},
    plan_file::PlanFile,
    taxonomy::CodeLists,
};
use raccordo_node::{NodeError, status::Refusal};
use raccordo_proto::{body::Act, wire};
use raccordo_store::{Tx, migration::Migration};

pub(crate) const PUT_DRAFT: &str = "INSERT INTO local_plan_draft (kind, year, file, body, imported_us)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, year) DO UPDATE
    SET file = excluded.file, body = excluded.body, imported_us = excluded.imported_us";
pub(crate) const GET_DRAFT: &str =
    "SELECT year, file, body FROM local_plan_draft WHERE kind = $1 ORDER BY year LIMIT 200";
pub(crate) const DROP_DRAFT: &str = "DELETE FROM local_plan_draft WHERE kind = $1 AND year = $2";

/// The statements of this room.
pub(crate) const STATEMENTS: &[&str] = &[PUT_DRAFT, GET_DRAFT, DROP_DRAFT];

/// The tables of what stays in the region.
pub const LOCAL: &[Migration] = &[Migration {
    component: "spoke_local",
    version: 1,
    sqlite: include_str!("../../migrations/sqlite/local_0001.sql"),
    postgres: include_str!("../../migrations/postgres/local_0001.sql"),
}];

/// A draft as kept.
#[derive(Debug, Clone)]
pub(crate) struct StoredDraft {
    /// Of an Executive Plan; 0 for the Operational Plan.
    pub(crate) year: i64,
    pub(crate) file: String,
    pub(crate) act: Act,
}

pub(crate) async fn put_draft(
    tx: &mut Tx,
    kind: &str,
    year: i64,
    file: &str,
    act: &Act,
    now_us: i64,
) -> Result<(), NodeError> {
    let query = tx
        .query(PUT_DRAFT)
        .bind(kind.to_owned())
        .bind(year)
        .bind(file.to_owned());
    query.bind(act.encode()).bind(now_us).execute().await?;
    Ok(())
}

pub(crate) async fn drop_draft(tx: &mut Tx, kind: &str, year: i64) -> Result<(), NodeError> {
    tx.query(DROP_DRAFT)
        .bind(kind.to_owned())
        .bind(year)
        .execute()
        .await?;
    Ok(())
}

pub(crate) async fn drafts(
    tx: &mut Tx,
    kind: &str,
    known: raccordo_model::kind::KnownKind,
) -> Result<Vec<StoredDraft>, NodeError> {
    let rows: Vec<(i64, String, Vec<u8>)> = tx.query(GET_DRAFT).bind(kind.to_owned()).fetch_all().await?;
    rows.into_iter()
        .map(|(year, file, body)| {
            let act = Act::decode(known, &body).map_err(|_| raccordo_store::StoreError::Corrupt {
                table: "local_plan_draft",
                column: "body",
                key: format!("{kind} {year}"),
            })?;
            Ok(StoredDraft { year, file, act })
        })
        .collect()
}

/// The document, if it is this region's; every problem names file, line, field and remedy.
pub(crate) fn parse(me: NodeId, text: &str, file: &str, codes: &CodeLists) -> Result<PlanFile, Refusal> {
    let file: String = file.chars().filter(|c| !c.is_control()).take(200).collect();
    let name = if file.is_empty() {
        "document"
    } else {
        file.as_str()
    };
    let parsed = PlanFile::parse_yaml(text, name, codes).map_err(|errors| {
        Refusal::invalid(
            records::problems(&errors.0),
            "correct the document and import it again",
        )
    })?;
    match me.region() {
        Some(region) if region != parsed.region => Err(other_region(name, parsed.region, region)),
        _ => Ok(parsed),
    }
}

fn other_region(file: &str, found: RegionCode, ours: RegionCode) -> Refusal {
    Refusal::invalid(
        format_args!("{file}: region: the document is of region {found}, this is the Spoke of {ours}"),
        "import the document of this region",
    )
}

/// Refuses texts that look like personal data, unless a person says why they are none.
pub(crate) fn without_personal_data(found: &[Finding], reason: &str) -> Result<(), Refusal> {
    if found.is_empty() || !reason.trim().is_empty() {
        return Ok(());
    }
    Err(Refusal::precondition(
        records::problems(found),
        "delete them and import the plan again, or say on record why they are none with --personal-data-reason",
    ))
}

/// The errors among findings, as one refusal.
pub(crate) fn without_errors(findings: &[Finding], remedy: &str) -> Result<(), Refusal> {
    let errors: Vec<&Finding> = findings.iter().filter(|f| f.is_error()).collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Refusal::precondition(records::problems(&errors), remedy))
}

/// Findings as rows.
pub(crate) fn findings(findings: &[Finding]) -> wire::Listing {
    let rows = findings.iter().map(|f| {
        let severity = if f.is_error() { "error" } else { "warning" };
        vec![
            severity.to_owned(),
            f.field.clone(),
            f.problem.clone(),
            f.remedy.clone(),
        ]
    });
    records::listing(&["severity", "field", "problem", "remedy"], rows)
}
