//! Operational Plans (POs): what regions submitted (`proj_po_submission`) and what the centre decided or
//! recorded (`proj_po`). Proposals of a first person are in [`super::proposal`].

use crate::{
    federation,
    listing::{Listing, Sheet, instant},
    receipt::missing,
};
use raccordo_model::{
    digest::LeafHash,
    entry::{Actor, Entry, EntryRef},
    node::{NodeId, RegionCode},
    operational_plan::{OperationalPlan, PoEvent, PoState, PoVerdict},
};
use raccordo_node::{NodeError, node, projection::ApplyError, status::Refusal};
use raccordo_proto::body::Act;
use raccordo_store::{StoreError, Tx, entries};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const INSERT_SUBMISSION: &str = "INSERT INTO proj_po_submission
    (region, version, idx, leaf, from_year, to_year, interventions, recorded_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
pub(crate) const LAST_SUBMISSION: &str =
    "SELECT COALESCE(MAX(version), 0) FROM proj_po_submission WHERE region = $1";
pub(crate) const LAST_RECORDED: &str = "SELECT COALESCE(MAX(version), 0) FROM proj_po WHERE region = $1";
pub(crate) const SUBMISSION: &str =
    "SELECT idx, leaf FROM proj_po_submission WHERE region = $1 AND version = $2";
pub(crate) const SUBMISSION_AT: &str =
    "SELECT version, leaf FROM proj_po_submission WHERE region = $1 AND idx = $2";
pub(crate) const SUBMISSIONS: &str = "SELECT region, version, from_year, to_year, interventions, recorded_us
    FROM proj_po_submission ORDER BY region, version LIMIT 10000";
pub(crate) const INSERT: &str = "INSERT INTO proj_po
    (region, version, state, reasons, plan_node, plan_idx, idx, actors, decided_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
pub(crate) const GET: &str = "SELECT state, reasons, plan_node, plan_idx, idx, actors, decided_us FROM proj_po WHERE region = $1 AND version = $2";
pub(crate) const LIST: &str = "SELECT region, version, state, reasons, idx, decided_us
    FROM proj_po ORDER BY region, version LIMIT 10000";
pub(crate) const LAST_APPROVED: &str = "SELECT COALESCE(MAX(version), 0) FROM proj_po
    WHERE region = $1 AND state IN ('approved', 'superseded')";
pub(crate) const SUPERSEDE: &str = "UPDATE proj_po SET state = 'superseded'
    WHERE region = $1 AND version < $2 AND state = 'approved'";

/// A decided or recorded version, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Where it stands.
    pub state: String,
    /// Why.
    pub reasons: String,
    /// The entry that holds the plan.
    pub plan: (NodeId, u64),
    /// The Hub's entry.
    pub index: u64,
    /// Accounts that decided, separated by spaces.
    pub actors: String,
    /// When.
    pub decided_us: i64,
}

/// What the rules of a decision look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Where the version stands.
    pub state: PoState,
    /// The submission; none for a version that was only recorded.
    pub submission: Option<EntryRef>,
}

/// The rule of a first person: there is a submitted version, and nobody decided about it.
pub fn may_decide(
    region: RegionCode,
    version: u32,
    standing: Option<Standing>,
    verdict: PoVerdict,
) -> Result<EntryRef, Refusal> {
    let remedy = "see `po list`";
    let not_there = || Refusal::not_found(format!("region {region} submitted no version {version}"), remedy);
    let standing = standing.ok_or_else(not_there)?;
    if standing.state.after(PoEvent::Decide(verdict)).is_none() {
        return Err(Refusal::precondition(
            format!(
                "version {version} of region {region} is {}: it is not decided about now",
                standing.state
            ),
            "only a submitted version is; a region answers to a decision with a new version",
        ));
    }
    standing.submission.ok_or_else(not_there)
}

/// The rule of two people: different accounts, and between them every institution that must decide.
pub fn two_people(first: &Actor, second: &Actor, required: &[String]) -> Result<(), Refusal> {
    if first.account == second.account {
        return Err(Refusal::forbidden(
            "the same person proposed this: a decision takes two different people",
            "let another approver confirm it; another token of the same account does not help",
        ));
    }
    let given = BTreeSet::from([&first.institution, &second.institution]);
    let lacking: Vec<&str> = required
        .iter()
        .filter(|code| !given.contains(code))
        .map(String::as_str)
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Refusal::forbidden(
        format!(
            "the two people are of {} and {}: {} must decide too",
            first.institution,
            second.institution,
            lacking.join(" and ")
        ),
        "let an approver of that institution propose or confirm it",
    ))
}

/// Where a version stands; none if there is no such version.
pub async fn standing(tx: &mut Tx, region: RegionCode, version: u32) -> Result<Option<Standing>, StoreError> {
    let submission = submission(tx, region, version).await?;
    let decided = get(tx, region, version).await?;
    let state = match (&submission, decided) {
        (None, None) => return Ok(None),
        (_, Some(decided)) => state_of(&decided.state, region)?,
        (Some(_), None) if last_approved(tx, region).await? > version => PoState::Superseded,
        (Some(_), None) => PoState::Submitted,
    };
    Ok(Some(Standing { state, submission }))
}

/// The version that a plan recorded now gets.
pub async fn next_version(tx: &mut Tx, region: RegionCode) -> Result<u32, StoreError> {
    Ok(last_submission(tx, region)
        .await?
        .max(last_recorded(tx, region).await?)
        .saturating_add(1))
}

/// A decided or recorded version.
pub async fn get(tx: &mut Tx, region: RegionCode, version: u32) -> Result<Option<Decided>, StoreError> {
    type Row = (String, String, String, i64, i64, String, i64);
    let query = tx.query(GET).bind(region.to_string()).bind(i64::from(version));
    let row: Option<Row> = query.fetch_optional().await?;
    let Some((state, reasons, node, plan_idx, idx, actors, decided_us)) = row else {
        return Ok(None);
    };
    let node = node.parse().map_err(|_| corrupt("plan_node", region))?;
    Ok(Some(Decided {
        state,
        reasons,
        plan: (node, plan_idx as u64),
        index: idx as u64,
        actors,
        decided_us,
    }))
}

/// The approved plan of this version, also when a later one superseded it; none if it never was approved.
pub async fn approved_plan(
    tx: &mut Tx,
    region: RegionCode,
    version: u32,
) -> Result<Option<OperationalPlan>, NodeError> {
    match get(tx, region, version).await? {
        Some(decided) if matches!(decided.state.as_str(), "approved" | "superseded") => {
            let (node, index) = decided.plan;
            Ok(Some(read_plan(tx, node, index).await?))
        }
        _ => Ok(None),
    }
}

/// Every version with its state.
pub async fn list(tx: &mut Tx) -> Result<Listing, StoreError> {
    type Submitted = (String, i64, i64, i64, i64, i64);
    type Stored = (String, i64, String, String, i64, i64);
    let submitted: Vec<Submitted> = tx.query(SUBMISSIONS).fetch_all().await?;
    let decided: Vec<Stored> = tx.query(LIST).fetch_all().await?;
    let mut approved: BTreeMap<String, i64> = BTreeMap::new();
    for (region, version, state, ..) in &decided {
        if state == "approved" {
            approved.insert(region.clone(), *version);
        }
    }
    let mut rows: BTreeMap<(String, i64), Vec<String>> = BTreeMap::new();
    for (region, version, from, to, interventions, at) in submitted {
        let superseded = approved.get(&region).is_some_and(|last| *last > version);
        let state = if superseded {
            PoState::Superseded
        } else {
            PoState::Submitted
        };
        let row = vec![
            region.clone(),
            version.to_string(),
            state.to_string(),
            format!("{from}-{to}"),
            interventions.to_string(),
            instant(Some(at)),
            String::new(),
            String::new(),
            String::new(),
        ];
        rows.insert((region, version), row);
    }
    for (region, version, state, reasons, index, at) in decided {
        let row = rows.entry((region.clone(), version)).or_insert_with(|| {
            let mut row = vec![String::new(); 9];
            (row[0], row[1]) = (region.clone(), version.to_string());
            row
        });
        (row[2], row[6], row[7], row[8]) = (state, instant(Some(at)), index.to_string(), reasons);
    }
    let mut listing = Listing::new(&[
        "region",
        "version",
        "state",
        "horizon",
        "interventions",
        "submitted_at",
        "decided_at",
        "decision",
        "reasons",
    ]);
    rows.into_values().for_each(|row| listing.push(row));
    Ok(listing)
}

/// One version, whole; version 0 is the latest.
pub async fn show(tx: &mut Tx, region: RegionCode, version: u32) -> Result<Sheet, NodeError> {
    let version = match version {
        0 => last_submission(tx, region)
            .await?
            .max(last_recorded(tx, region).await?),
        version => version,
    };
    let standing = standing(tx, region, version).await?.ok_or_else(|| {
        Refusal::not_found(
            format!("region {region} has no version {version} of its plan"),
            "see `po list`",
        )
    })?;
    let decided = get(tx, region, version).await?;
    let (node, index) = match (&decided, &standing.submission) {
        (Some(decided), _) => decided.plan,
        (None, Some(submission)) => (submission.node, submission.index),
        (None, None) => return Err(missing(NodeId::Region(region), 0)),
    };
    let plan = read_plan(tx, node, index).await?;
    let facts = Listing::facts([
        ("region", region.to_string()),
        ("version", version.to_string()),
        ("state", standing.state.to_string()),
        ("horizon", format!("{}-{}", plan.from_year, plan.to_year)),
        ("basis", plan.basis.join("; ")),
        ("submission", format!("{node}/{index}")),
        ("decided_at", instant(decided.as_ref().map(|d| d.decided_us))),
        (
            "decision",
            decided
                .as_ref()
                .map_or(String::new(), |d| format!("hub/{}", d.index)),
        ),
        ("reasons", decided.map_or(String::new(), |d| d.reasons)),
    ]);
    let mut rows = Listing::new(&["id", "title", "level"]);
    for intervention in plan.interventions {
        rows.push(vec![
            intervention.id.to_string(),
            intervention.title,
            intervention.level.to_string(),
        ]);
    }
    Ok(Sheet { facts, rows })
}

/// Applies `po.submitted`: versions grow by one. A version that the centre recorded counts, whether or not
/// the region knew of it when it wrote.
pub async fn apply_submitted(tx: &mut Tx, entry: &Entry, plan: &OperationalPlan) -> Result<(), ApplyError> {
    let last = last_submission(tx, plan.region).await?;
    let most = last.max(last_recorded(tx, plan.region).await?).saturating_add(1);
    if plan.version <= last || plan.version > most {
        return Err(ApplyError::refused(
            format!(
                "version {} of the plan does not follow version {last}",
                plan.version
            ),
            format!("submit the plan as version {most}"),
        ));
    }
    tx.query(INSERT_SUBMISSION)
        .bind(plan.region.to_string())
        .bind(i64::from(plan.version))
        .bind(entry.index as i64)
        .bind(entry.leaf_hash.0.to_vec())
        .bind(i64::from(plan.from_year))
        .bind(i64::from(plan.to_year))
        .bind(plan.interventions.len() as i64)
        .bind(entry.header.recorded_at.0)
        .execute()
        .await?;
    Ok(())
}

/// Applies `po.decision`.
pub async fn apply_decision(
    tx: &mut Tx,
    entry: &Entry,
    submission: &EntryRef,
    verdict: PoVerdict,
    reasons: &str,
) -> Result<(), ApplyError> {
    let refused =
        |text: String| ApplyError::refused(text, "the centre decides again on the right submission");
    let region = submission
        .node
        .region()
        .ok_or_else(|| refused("the decision names no region's entry".into()))?;
    let query = tx
        .query(SUBMISSION_AT)
        .bind(region.to_string())
        .bind(submission.index as i64);
    let row: Option<(i64, Vec<u8>)> = query.fetch_optional().await?;
    let Some((version, _)) = row.filter(|(_, leaf)| leaf.as_slice() == submission.leaf_hash.0) else {
        return Err(refused(format!(
            "{submission} is no submitted plan that is held here"
        )));
    };
    let version = version as u32;
    let standing = standing(tx, region, version).await?;
    may_decide(region, version, standing, verdict).map_err(|r| refused(r.text))?;
    let plan = (submission.node, submission.index);
    store(tx, entry, region, version, PoState::from(verdict), reasons, plan).await
}

/// Applies `po.recorded`.
pub async fn apply_recorded(tx: &mut Tx, entry: &Entry, plan: &OperationalPlan) -> Result<(), ApplyError> {
    if standing(tx, plan.region, plan.version).await?.is_some() {
        return Err(ApplyError::refused(
            format!(
                "there is a version {} of region {} already",
                plan.version, plan.region
            ),
            "record the plan under the next version",
        ));
    }
    store(
        tx,
        entry,
        plan.region,
        plan.version,
        PoState::Approved,
        "",
        (NodeId::Hub, entry.index),
    )
    .await
}

async fn store(
    tx: &mut Tx,
    entry: &Entry,
    region: RegionCode,
    version: u32,
    state: PoState,
    reasons: &str,
    plan: (NodeId, u64),
) -> Result<(), ApplyError> {
    let required = federation::rules(tx).await?.institutions;
    match entry.header.actors.as_slice() {
        [first, second, ..] => {
            two_people(first, second, &required).map_err(|r| ApplyError::refused(r.text, r.remedy))?;
        }
        _ => {
            return Err(ApplyError::refused(
                "one person decided alone",
                "two different people decide together",
            ));
        }
    }
    if state == PoState::Approved {
        // A version that was sent back or refused stays that: `superseded` says that it was approved once,
        // and `approved_plan` relies on it.
        tx.query(SUPERSEDE)
            .bind(region.to_string())
            .bind(i64::from(version))
            .execute()
            .await?;
    }
    let actors: Vec<String> = entry
        .header
        .actors
        .iter()
        .map(|a| a.account.to_string())
        .collect();
    tx.query(INSERT)
        .bind(region.to_string())
        .bind(i64::from(version))
        .bind(state.as_str().to_owned())
        .bind(reasons.to_owned())
        .bind(plan.0.to_string())
        .bind(plan.1 as i64)
        .bind(entry.index as i64)
        .bind(actors.join(" "))
        .bind(entry.header.recorded_at.0)
        .execute()
        .await?;
    Ok(())
}

/// The plan that an entry holds.
async fn read_plan(tx: &mut Tx, ledger: NodeId, index: u64) -> Result<OperationalPlan, NodeError> {
    match read_act(tx, ledger, index).await? {
        Some(Act::PoSubmitted(plan) | Act::PoRecorded { plan, .. }) => Ok(plan),
        _ => Err(missing(ledger, index)),
    }
}

/// What an entry of a ledger says; none where its body was erased.
pub async fn read_act(tx: &mut Tx, ledger: NodeId, index: u64) -> Result<Option<Act>, NodeError> {
    let stored = entries::get(tx, ledger, index)
        .await?
        .ok_or_else(|| missing(ledger, index))?;
    let entry = node::parse(stored)?;
    let unreadable = |why: String| NodeError::Unreadable {
        node: ledger,
        index,
        why,
    };
    let raccordo_model::kind::Kind::Known(kind) = entry.header.kind else {
        return Err(unreadable("its kind is not known".into()));
    };
    let Some(body) = &entry.body else { return Ok(None) };
    raccordo_proto::entry::unpack_body(&entry.header, &body.stored)
        .and_then(|bytes| Act::decode(kind, &bytes))
        .map(Some)
        .map_err(|e| unreadable(e.to_string()))
}

async fn submission(tx: &mut Tx, region: RegionCode, version: u32) -> Result<Option<EntryRef>, StoreError> {
    let query = tx
        .query(SUBMISSION)
        .bind(region.to_string())
        .bind(i64::from(version));
    let row: Option<(i64, Vec<u8>)> = query.fetch_optional().await?;
    let Some((index, leaf)) = row else { return Ok(None) };
    let leaf_hash = LeafHash::from_slice(&leaf).ok_or_else(|| corrupt("leaf", region))?;
    Ok(Some(EntryRef {
        node: NodeId::Region(region),
        index: index as u64,
        leaf_hash,
    }))
}

async fn last_submission(tx: &mut Tx, region: RegionCode) -> Result<u32, StoreError> {
    let (version,): (i64,) = tx
        .query(LAST_SUBMISSION)
        .bind(region.to_string())
        .fetch_one()
        .await?;
    Ok(version as u32)
}

async fn last_recorded(tx: &mut Tx, region: RegionCode) -> Result<u32, StoreError> {
    let (version,): (i64,) = tx
        .query(LAST_RECORDED)
        .bind(region.to_string())
        .fetch_one()
        .await?;
    Ok(version as u32)
}

async fn last_approved(tx: &mut Tx, region: RegionCode) -> Result<u32, StoreError> {
    let (version,): (i64,) = tx
        .query(LAST_APPROVED)
        .bind(region.to_string())
        .fetch_one()
        .await?;
    Ok(version as u32)
}

fn state_of(text: &str, region: RegionCode) -> Result<PoState, StoreError> {
    let states = [
        PoState::Approved,
        PoState::ChangesRequested,
        PoState::Rejected,
        PoState::Superseded,
    ];
    states
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| corrupt("state", region))
}

fn corrupt(column: &'static str, region: RegionCode) -> StoreError {
    StoreError::Corrupt {
        table: "proj_po",
        column,
        key: region.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_model::entry::AccountId;
    use raccordo_node::status::RefusalKind;

    fn person(account: u8, institution: &str) -> Actor {
        Actor {
            account: AccountId([account; 16]),
            institution: institution.into(),
        }
    }

    #[test]
    fn a_decision_takes_two_people_of_the_institutions_that_must_decide() {
        let required = ["MDS".to_owned(), "DTD".to_owned()];
        assert_eq!(
            two_people(&person(1, "MDS"), &person(2, "DTD"), &required),
            Ok(())
        );
        assert_eq!(
            two_people(&person(2, "DTD"), &person(1, "MDS"), &required),
            Ok(())
        );
        let same = two_people(&person(1, "MDS"), &person(1, "DTD"), &required).unwrap_err();
        assert!(
            same.kind == RefusalKind::Forbidden && same.text.contains("same person"),
            "{same}"
        );
        let alone = two_people(&person(1, "MDS"), &person(2, "MDS"), &required).unwrap_err();
        assert!(alone.text.contains("DTD must decide"), "{alone}");
        // A federation with one deciding institution still needs two people.
        assert_eq!(
            two_people(&person(1, "MDS"), &person(2, "MDS"), &required[..1]),
            Ok(())
        );
        assert!(two_people(&person(1, "MDS"), &person(1, "MDS"), &[]).is_err());
    }

    #[test]
    fn only_a_submitted_version_is_decided_about() {
        let region = "090".parse().unwrap();
        let submission = EntryRef {
            node: NodeId::Region(region),
            index: 4,
            leaf_hash: LeafHash([1; 32]),
        };
        let standing = |state| {
            Some(Standing {
                state,
                submission: Some(submission),
            })
        };
        let decide = |standing| may_decide(region, 2, standing, PoVerdict::Approved);
        assert_eq!(decide(standing(PoState::Submitted)), Ok(submission));
        for state in [
            PoState::Approved,
            PoState::Rejected,
            PoState::ChangesRequested,
            PoState::Superseded,
        ] {
            assert_eq!(
                decide(standing(state)).unwrap_err().kind,
                RefusalKind::Precondition,
                "{state}"
            );
        }
        assert_eq!(decide(None).unwrap_err().kind, RefusalKind::NotFound);
    }
}
