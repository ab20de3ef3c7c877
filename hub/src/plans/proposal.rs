//! What a first person proposed about a PO: `local_proposal`, in no ledger, until a second person
//! confirms it by the entry that names both.

use super::{
    po::{self, may_decide, two_people},
    text_of_people,
};
use crate::{
    catalogue::code_lists,
    federation,
    listing::{Listing, instant},
    receipt::{Receipt, subject},
};
use raccordo_model::{
    date::PartialDate,
    entry::{Actor, EntryRef, Subject},
    kind::KnownKind,
    node::RegionCode,
    operational_plan::PoVerdict,
    plan_file::PlanFile,
    scope::Scope,
};
use raccordo_node::{Node, NodeError, journal::Draft, status::Refusal};
use raccordo_proto::body::Act;
use raccordo_store::{StoreError, Tx};

pub(crate) const PUT: &str = "INSERT INTO local_proposal (region, version, act, verdict, reasons, submission_idx,
    submission_leaf, body, account, institution, proposed_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (region, version) DO UPDATE SET act = excluded.act, verdict = excluded.verdict,
    reasons = excluded.reasons, submission_idx = excluded.submission_idx, submission_leaf = excluded.submission_leaf,
    body = excluded.body, account = excluded.account, institution = excluded.institution,
    proposed_us = excluded.proposed_us";
pub(crate) const GET: &str =
    "SELECT act, body, account, institution FROM local_proposal WHERE region = $1 AND version = $2";
pub(crate) const DELETE: &str = "DELETE FROM local_proposal WHERE region = $1 AND version = $2";
pub(crate) const LIST: &str =
    "SELECT region, version, act, verdict, reasons, account, institution, proposed_us, body
    FROM local_proposal ORDER BY region, version LIMIT 10000";

const DECISION: &str = "decision";
const RECORD: &str = "record";

/// What was proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Proposal {
    /// What would be appended.
    act: Act,
    /// By whom.
    first: Actor,
}

/// A decision to be proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whose plan.
    pub region: RegionCode,
    /// Which version.
    pub version: u32,
    /// The verdict.
    pub verdict: PoVerdict,
    /// Why; may be empty with an approval only.
    pub reasons: String,
}

/// Proposes a decision, as the first person. While it waits, only its author replaces it by another.
pub async fn decide(node: &Node, actor: Actor, decision: Decision) -> Result<Receipt, NodeError> {
    let Decision {
        region,
        version,
        verdict,
        reasons,
    } = decision;
    let reasons = text_of_people("reasons", &reasons, verdict != PoVerdict::Approved)?;
    let mut tx = node.db.read().await?;
    let standing = po::standing(&mut tx, region, version).await?;
    drop(tx);
    let submission = may_decide(region, version, standing, verdict)?;
    let proposed = Proposal {
        act: Act::PoDecision {
            submission,
            verdict,
            reasons: reasons.clone(),
        },
        first: actor,
    };
    keep(
        node,
        region,
        version,
        proposed,
        verdict_it(verdict),
        reasons,
        Some(submission),
    )
    .await
}

/// Proposes to take in a plan that was approved before the system existed, as the first person.
pub async fn record(
    node: &Node,
    actor: Actor,
    (text, file): (&str, &str),
    approved: &str,
    act_number: &str,
    document: &str,
) -> Result<Receipt, NodeError> {
    let mut tx = node.db.read().await?;
    let codes = code_lists::latest(&mut tx).await?;
    let found = PlanFile::parse_yaml(text, file, &codes)
        .map_err(|e| Refusal::invalid(e, "correct the document where it is named"))?;
    let region = found.region;
    let mut plan = found.operational_plan.ok_or_else(|| {
        Refusal::invalid(
            format!("{file}: operational_plan: missing"),
            "add the section with the plan",
        )
    })?;
    if let Some(finding) = plan.personal_data().first() {
        return Err(Refusal::invalid(format!("{file}: {finding}"), "delete it from the document").into());
    }
    let approved: PartialDate = approved
        .parse()
        .map_err(|e| Refusal::invalid(e, "write the date of the approval as far as it is known"))?;
    let act_number = text_of_people("act", act_number, true)?;
    let document = text_of_people("document", document, true)?;
    plan.version = po::next_version(&mut tx, region).await?;
    let version = plan.version;
    let proposed = Proposal {
        act: Act::PoRecorded {
            plan,
            approved,
            act_number,
            document,
        },
        first: actor,
    };
    drop(tx);
    keep(
        node,
        region,
        version,
        proposed,
        "registrazione",
        String::new(),
        None,
    )
    .await
}

async fn keep(
    node: &Node,
    region: RegionCode,
    version: u32,
    proposed: Proposal,
    verdict: &str,
    reasons: String,
    submission: Option<EntryRef>,
) -> Result<Receipt, NodeError> {
    let about = about(region)?;
    let mut tx = node.db.write().await?;
    let text = |what: &str| {
        format!(
            "{what}: {verdict} della versione {version} del PO della regione {region}; serve la conferma di una seconda persona."
        )
    };
    if let Some(kept) = get(&mut tx, region, version).await?
        && may_replace(&kept, &proposed, region, version)? == Placing::Repeated
    {
        return Receipt::kept(&mut tx, &about, text("Già proposto"), true).await;
    }
    let (idx, leaf) = submission.map_or((-1, Vec::new()), |s| (s.index as i64, s.leaf_hash.0.to_vec()));
    tx.query(PUT)
        .bind(region.to_string())
        .bind(i64::from(version))
        .bind(if submission.is_some() { DECISION } else { RECORD }.to_owned())
        .bind(verdict.to_owned())
        .bind(reasons)
        .bind(idx)
        .bind(leaf)
        .bind(proposed.act.encode())
        .bind(proposed.first.account.to_string())
        .bind(proposed.first.institution.clone())
        .bind(node.clock.now().0)
        .execute()
        .await?;
    let receipt = Receipt::kept(&mut tx, &about, text("Proposto"), false).await?;
    tx.commit().await?;
    Ok(receipt)
}

/// How a proposal takes the place of one that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placing {
    /// It is the same one.
    Repeated,
    /// It replaces it.
    Replaces,
}

/// The rule of a proposal about a version that another proposal waits for: what a person proposed, nobody
/// else changes under the eyes of the one who confirms.
fn may_replace(
    kept: &Proposal,
    proposed: &Proposal,
    region: RegionCode,
    version: u32,
) -> Result<Placing, Refusal> {
    let same = kept.act == proposed.act;
    if kept.first.account == proposed.first.account {
        return Ok(if same {
            Placing::Repeated
        } else {
            Placing::Replaces
        });
    }
    if same {
        return Err(Refusal::precondition(
            "another person proposed exactly this already",
            format!("confirm it with `po confirm {region} {version}`"),
        ));
    }
    // The region submitted a version of this number meanwhile: the record can be confirmed no more, and would
    // stand in the way of every decision.
    if matches!(
        (&kept.act, &proposed.act),
        (Act::PoRecorded { .. }, Act::PoDecision { .. })
    ) {
        return Ok(Placing::Replaces);
    }
    Err(Refusal::conflict(
        format!("another person's proposal about version {version} of region {region} waits already"),
        format!(
            "see `po proposals`; confirm it with `po confirm {region} {version}`, or let its author replace it"
        ),
    ))
}

/// Confirms what another person proposed, and appends the entry that names both.
pub async fn confirm(
    node: &Node,
    second: Actor,
    region: RegionCode,
    version: u32,
) -> Result<Receipt, NodeError> {
    let about = about(region)?;
    let mut act = node.act().await?;
    let Some(proposal) = get(act.tx(), region, version).await? else {
        return already_confirmed(act.tx(), &second, region, version, &about).await;
    };
    let required = federation::rules(act.tx()).await?.institutions;
    two_people(&proposal.first, &second, &required)?;
    let text = match &proposal.act {
        Act::PoDecision { verdict, .. } => {
            format!(
                "Versione {version} del PO della regione {region}: {}.",
                verdict_it(*verdict)
            )
        }
        _ => format!("PO della regione {region} registrato come approvato, versione {version}."),
    };
    // What was proposed may have been overtaken: the projection holds the act against the state of now.
    let draft = Draft::new(
        proposal.act,
        about.clone(),
        Scope::region(region),
        vec![proposal.first, second],
    );
    let entry = act.append(draft).await?;
    act.tx()
        .query(DELETE)
        .bind(region.to_string())
        .bind(i64::from(version))
        .execute()
        .await?;
    let committed = act.commit().await?;
    Ok(Receipt::done(entry, &committed, &about, text))
}

async fn already_confirmed(
    tx: &mut Tx,
    person: &Actor,
    region: RegionCode,
    version: u32,
    about: &Subject,
) -> Result<Receipt, NodeError> {
    let decided = po::get(tx, region, version).await?;
    match decided.filter(|d| {
        d.actors
            .split(' ')
            .any(|account| account == person.account.to_string())
    }) {
        Some(decided) => {
            let text = format!("Versione {version} del PO della regione {region}: già decisa.");
            Receipt::repeated(tx, decided.index, about, text).await
        }
        None => Err(Refusal::not_found(
            format!("nobody proposed anything about version {version} of region {region}"),
            "see `po proposals`; a first person proposes with `po decide` or `po record-approved`",
        )
        .into()),
    }
}

/// Every proposal that waits for a second person, with what that person must know to confirm it.
pub async fn list(tx: &mut Tx) -> Result<Listing, StoreError> {
    type Row = (String, i64, String, String, String, String, String, i64, Vec<u8>);
    let rows: Vec<Row> = tx.query(LIST).fetch_all().await?;
    let mut listing = Listing::new(&[
        "region",
        "version",
        "kind",
        "verdict",
        "reasons",
        "account",
        "institution",
        "recorded_at",
        "approved",
        "act_number",
        "document",
        "interventions",
    ]);
    for (region, version, act, verdict, reasons, account, institution, at, body) in rows {
        let [approved, act_number, document, interventions] = match decode(&act, &body) {
            Some(Act::PoRecorded {
                plan,
                approved,
                act_number,
                document,
            }) => [
                approved.to_string(),
                act_number,
                document,
                plan.interventions.len().to_string(),
            ],
            Some(_) => Default::default(),
            None => return Err(corrupt("body", &region, version)),
        };
        let version = version.to_string();
        listing.push(vec![
            region,
            version,
            act,
            verdict,
            reasons,
            account,
            institution,
            instant(Some(at)),
            approved,
            act_number,
            document,
            interventions,
        ]);
    }
    Ok(listing)
}

async fn get(tx: &mut Tx, region: RegionCode, version: u32) -> Result<Option<Proposal>, StoreError> {
    type Row = (String, Vec<u8>, String, String);
    let query = tx.query(GET).bind(region.to_string()).bind(i64::from(version));
    let row: Option<Row> = query.fetch_optional().await?;
    let Some((act, body, account, institution)) = row else {
        return Ok(None);
    };
    let corrupt = |column| corrupt(column, region.as_str(), version.into());
    Ok(Some(Proposal {
        act: decode(&act, &body).ok_or_else(|| corrupt("body"))?,
        first: Actor {
            account: account.parse().map_err(|_| corrupt("account"))?,
            institution,
        },
    }))
}

/// What would be appended, as stored; none if it cannot be read.
fn decode(act: &str, body: &[u8]) -> Option<Act> {
    let kind = if act == DECISION {
        KnownKind::PoDecision
    } else {
        KnownKind::PoRecorded
    };
    Act::decode(kind, body).ok()
}

fn corrupt(column: &'static str, region: &str, version: i64) -> StoreError {
    StoreError::Corrupt {
        table: "local_proposal",
        column,
        key: format!("{region}/{version}"),
    }
}

fn about(region: RegionCode) -> Result<Subject, Refusal> {
    subject(format!("po/{region}"))
}

fn verdict_it(verdict: PoVerdict) -> &'static str {
    match verdict {
        PoVerdict::Approved => "approvazione",
        PoVerdict::ChangesRequested => "richiesta di modifiche",
        PoVerdict::Rejected => "rifiuto",
    }
}
