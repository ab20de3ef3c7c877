//! The Operational Plan (Piano Operativo, PO): drafted here, submitted, decided on by the centre.
//!
//! What a version has come to is a function of the versions and the decisions ([`standings`]): it is
//! computed when it is read, so that the two ledgers' entries commute.

use super::{drafts, drop_draft, findings, parse, put_draft, without_errors, without_personal_data};
use crate::{
    adoption::scope,
    records::{self, instant, listing},
};
use raccordo_model::{
    entry::{Actor, EntryRef},
    kind::KnownKind,
    node::NodeId,
    operational_plan::{OperationalPlan, PoEvent, PoState, PoVerdict},
};
use raccordo_node::{Node, NodeError, journal::Draft, status::Refusal};
use raccordo_proto::{body::Act, wire};
use raccordo_store::{StoreError, Tx};

pub(crate) const VERSIONS: &str = "SELECT ledger, idx, version, interventions, approved, recorded_us
    FROM proj_po_version ORDER BY version, ledger, idx LIMIT 10000";
pub(crate) const DECISIONS: &str = "SELECT idx, submission_idx, verdict, reasons, recorded_us FROM proj_po_decision ORDER BY idx LIMIT 10000";

/// The statements of this room.
pub(crate) const STATEMENTS: &[&str] = &[VERSIONS, DECISIONS];

const KIND: &str = "po";

/// A version that left this region, or that the centre recorded as approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoVersion {
    /// Whose ledger holds it: ours, or the Hub's for a recorded one.
    pub ledger: NodeId,
    /// Where in it.
    pub index: u64,
    /// Its version.
    pub version: u32,
    /// How many interventions it has.
    pub interventions: u64,
    /// When it was approved before the system existed; empty otherwise.
    pub approved_before: String,
    /// When it was recorded.
    pub recorded_us: i64,
    /// What it has come to.
    pub state: PoState,
    /// Why, as the centre says.
    pub reasons: String,
    /// When the centre decided.
    pub decided_us: Option<i64>,
}

/// A decision of the centre on one of our submissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoDecision {
    /// Where our submission stands.
    pub submission: u64,
    /// The verdict.
    pub verdict: PoVerdict,
    /// Why.
    pub reasons: String,
    /// When it was recorded.
    pub recorded_us: i64,
}

/// What each version has come to, by the centre's decisions in their order: a version that a later
/// one replaced is superseded.
pub fn standings(mut versions: Vec<PoVersion>, decisions: &[PoDecision], me: NodeId) -> Vec<PoVersion> {
    versions.sort_by_key(|v| (v.version, v.ledger, v.index));
    for decision in decisions {
        let decided = versions
            .iter_mut()
            .find(|v| v.ledger == me && v.index == decision.submission);
        if let Some(version) = decided
            && let Some(state) = version.state.after(PoEvent::Decide(decision.verdict))
        {
            version.state = state;
            version.reasons = decision.reasons.clone();
            version.decided_us = Some(decision.recorded_us);
        }
    }
    let newest = versions
        .iter()
        .filter(|v| v.state == PoState::Approved)
        .map(|v| v.version)
        .max();
    for version in &mut versions {
        if newest.is_some_and(|newest| version.version < newest)
            && let Some(state) = version.state.after(PoEvent::LaterApproved)
        {
            version.state = state;
        }
    }
    versions
}

/// Every version of this region with its state, by version.
pub async fn versions(tx: &mut Tx, me: NodeId) -> Result<Vec<PoVersion>, StoreError> {
    let rows: Vec<(String, i64, i64, i64, String, i64)> = tx.query(VERSIONS).fetch_all().await?;
    let mut versions = Vec::new();
    for (ledger, index, version, interventions, approved_before, recorded_us) in rows {
        let ledger = records::stored("proj_po_version", "ledger", &ledger, &ledger)?;
        let state = if ledger == me {
            PoState::Submitted
        } else {
            PoState::Approved
        };
        versions.push(PoVersion {
            ledger,
            index: index as u64,
            version: version as u32,
            interventions: interventions as u64,
            approved_before,
            recorded_us,
            state,
            reasons: String::new(),
            decided_us: None,
        });
    }
    let rows: Vec<(i64, i64, String, String, i64)> = tx.query(DECISIONS).fetch_all().await?;
    let mut decisions = Vec::new();
    for (index, submission, verdict, reasons, recorded_us) in rows {
        let verdicts = [
            PoVerdict::Approved,
            PoVerdict::ChangesRequested,
            PoVerdict::Rejected,
        ];
        let verdict = verdicts
            .into_iter()
            .find(|v| PoState::from(*v).as_str() == verdict);
        let corrupt = StoreError::Corrupt {
            table: "proj_po_decision",
            column: "verdict",
            key: index.to_string(),
        };
        decisions.push(PoDecision {
            submission: submission as u64,
            verdict: verdict.ok_or(corrupt)?,
            reasons,
            recorded_us,
        });
    }
    Ok(standings(versions, &decisions, me))
}

/// The version that is approved now, if there is one.
pub fn approved(versions: &[PoVersion]) -> Option<&PoVersion> {
    versions.iter().rev().find(|v| v.state == PoState::Approved)
}

/// The plan itself, from the ledger that holds it.
pub async fn plan(tx: &mut Tx, version: &PoVersion) -> Result<(OperationalPlan, EntryRef), NodeError> {
    let recorded = records::act_at(tx, version.ledger, version.index).await?;
    match recorded.map(|r| (r.act, r.entry)) {
        Some((Act::PoSubmitted(plan) | Act::PoRecorded { plan, .. }, entry)) => Ok((plan, entry)),
        _ => Err(Refusal::not_found(
            format_args!(
                "the body of version {} was erased or is not here",
                version.version
            ),
            "see `sync status`",
        )
        .into()),
    }
}

fn next_version(versions: &[PoVersion]) -> u32 {
    versions.iter().map(|v| v.version).max().unwrap_or(0) + 1
}

/// Takes the Operational Plan of a YAML document as the draft, in place of an earlier one.
pub async fn import(
    node: &Node,
    text: &str,
    file: &str,
) -> Result<wire::ImportOperationalPlanResponse, NodeError> {
    let mut tx = node.db.write().await?;
    let codes = records::code_lists(&mut tx).await?;
    let parsed = parse(node.me(), text, file, &codes)?;
    let mut plan = parsed.operational_plan.ok_or_else(|| {
        Refusal::invalid(
            format_args!("{file}: it holds no `operational_plan`"),
            "add one, or use `pe import`",
        )
    })?;
    plan.version = next_version(&versions(&mut tx, node.me()).await?);
    let (version, interventions) = (plan.version, plan.interventions.len() as u32);
    let warnings = findings(&plan.personal_data());
    put_draft(
        &mut tx,
        KIND,
        0,
        file,
        &Act::PoSubmitted(plan),
        node.clock.now().0,
    )
    .await?;
    tx.commit().await?;
    Ok(wire::ImportOperationalPlanResponse {
        version,
        interventions,
        warnings: Some(warnings),
    })
}

/// Submits the draft as the next version. The draft is used up; without one, the latest submission
/// is answered again.
pub async fn submit(
    node: &Node,
    actor: Actor,
    personal_data_reason: &str,
) -> Result<wire::Receipt, NodeError> {
    let mut act = node.act().await?;
    let held = versions(act.tx(), node.me()).await?;
    let subject = records::subject(format_args!("po/{}", node.me()))?;
    let draft = drafts(act.tx(), KIND, KnownKind::PoSubmitted).await?.pop();
    let latest = held.iter().rev().find(|v| v.ledger == node.me());
    let plan = match draft.map(|d| d.act) {
        Some(Act::PoSubmitted(plan)) => Some(plan),
        _ => None,
    };
    let Some(mut plan) = plan else {
        let Some(latest) = latest.filter(|v| v.state == PoState::Submitted) else {
            return Err(Refusal::precondition(
                "there is no draft of the Operational Plan",
                "import one with `po import`",
            )
            .into());
        };
        let (_, entry) = self::plan(act.tx(), latest).await?;
        let text = format!("Piano Operativo presentato, versione {}", latest.version);
        let size = act.commit().await?.size;
        return Ok(records::receipt(&entry, size, &subject, text, true));
    };
    plan.version = next_version(&held);
    let codes = records::code_lists(act.tx()).await?;
    plan.code_lists = codes.version();
    without_errors(&plan.check(&codes), "correct the plan and import it again")?;
    without_personal_data(&plan.personal_data(), personal_data_reason)?;
    if let Some(same) = latest.filter(|v| v.state == PoState::Submitted) {
        let (sent, entry) = self::plan(act.tx(), same).await?;
        if (OperationalPlan {
            version: plan.version,
            ..sent
        }) == plan
        {
            drop_draft(act.tx(), KIND, 0).await?;
            let text = format!("Piano Operativo presentato, versione {}", same.version);
            let size = act.commit().await?.size;
            return Ok(records::receipt(&entry, size, &subject, text, true));
        }
    }
    let text = format!("Piano Operativo presentato, versione {}", plan.version);
    let supersedes = latest.map(|v| v.index);
    let mut draft = Draft::new(
        Act::PoSubmitted(plan),
        subject.clone(),
        scope(node.me()),
        vec![actor],
    );
    draft.supersedes = supersedes;
    let entry = act.append(draft).await?;
    drop_draft(act.tx(), KIND, 0).await?;
    let size = act.commit().await?.size;
    Ok(records::receipt(&entry, size, &subject, text, false))
}

const COLUMNS: [&str; 9] = [
    "version",
    "state",
    "interventions",
    "entry",
    "submitted_at",
    "decided_at",
    "reasons",
    "approved",
    "file",
];

/// Every version, and the draft.
pub async fn list(tx: &mut Tx, me: NodeId) -> Result<wire::Listing, NodeError> {
    let held = versions(tx, me).await?;
    let mut rows: Vec<Vec<String>> = held.iter().map(row).collect();
    for draft in drafts(tx, KIND, KnownKind::PoSubmitted).await? {
        if let Act::PoSubmitted(plan) = &draft.act {
            let mut cells = vec![
                next_version(&held).to_string(),
                PoState::Draft.as_str().to_owned(),
            ];
            cells.push(plan.interventions.len().to_string());
            cells.extend([
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                draft.file,
            ]);
            rows.push(cells);
        }
    }
    Ok(listing(&COLUMNS, rows))
}

/// One version (0: the draft if there is one, else the latest) with its interventions.
pub async fn show(
    tx: &mut Tx,
    me: NodeId,
    version: u32,
) -> Result<wire::ShowOwnOperationalPlanResponse, NodeError> {
    let held = versions(tx, me).await?;
    let found = match version {
        0 => held.last(),
        wanted => held.iter().rev().find(|v| v.version == wanted),
    };
    let (plan, head) = match found {
        Some(found) => (self::plan(tx, found).await?.0, row(found)),
        None => match drafts(tx, KIND, KnownKind::PoSubmitted).await?.pop() {
            Some(draft) if version == 0 || version == next_version(&held) => {
                let Act::PoSubmitted(plan) = draft.act else {
                    return Err(nothing().into());
                };
                let mut cells = vec![
                    next_version(&held).to_string(),
                    PoState::Draft.as_str().to_owned(),
                ];
                cells.push(plan.interventions.len().to_string());
                cells.extend([
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new(),
                    draft.file,
                ]);
                (plan, cells)
            }
            _ => return Err(nothing().into()),
        },
    };
    let interventions = plan
        .interventions
        .iter()
        .map(|i| vec![i.id.to_string(), i.title.clone(), i.level.to_string()]);
    Ok(wire::ShowOwnOperationalPlanResponse {
        plan: Some(listing(&COLUMNS, [head])),
        interventions: Some(listing(&["id", "title", "level"], interventions)),
    })
}

fn nothing() -> Refusal {
    Refusal::not_found(
        "there is no such version of the Operational Plan",
        "see `po list`",
    )
}

fn row(version: &PoVersion) -> Vec<String> {
    vec![
        version.version.to_string(),
        version.state.as_str().to_owned(),
        version.interventions.to_string(),
        format!("{}/{}", version.ledger, version.index),
        instant(Some(version.recorded_us)),
        instant(version.decided_us),
        version.reasons.clone(),
        version.approved_before.clone(),
        String::new(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(index: u64, version: u32) -> PoVersion {
        PoVersion {
            ledger: "090".parse().unwrap(),
            index,
            version,
            interventions: 1,
            approved_before: String::new(),
            recorded_us: 0,
            state: PoState::Submitted,
            reasons: String::new(),
            decided_us: None,
        }
    }

    fn decision(submission: u64, verdict: PoVerdict) -> PoDecision {
        PoDecision {
            submission,
            verdict,
            reasons: "perché sì".into(),
            recorded_us: 7,
        }
    }

    #[test]
    fn the_latest_approval_supersedes_the_earlier_and_refusals_stay() {
        let me = "090".parse().unwrap();
        let held = vec![version(1, 1), version(4, 2), version(6, 3), version(9, 4)];
        let decisions = [
            decision(1, PoVerdict::Approved),
            decision(4, PoVerdict::Rejected),
            decision(6, PoVerdict::Approved),
        ];
        let stood = standings(held.clone(), &decisions, me);
        let states: Vec<_> = stood.iter().map(|v| v.state).collect();
        use PoState::*;
        assert_eq!(states, [Superseded, Rejected, Approved, Submitted]);
        assert_eq!(approved(&stood).map(|v| v.version), Some(3));
        assert_eq!(approved(&standings(held, &[], me)), None);
    }

    #[test]
    fn a_second_decision_and_one_on_another_ledger_change_nothing() {
        let me = "090".parse().unwrap();
        let decisions = [
            decision(1, PoVerdict::Rejected),
            decision(1, PoVerdict::Approved),
            decision(5, PoVerdict::Approved),
        ];
        assert_eq!(
            standings(vec![version(1, 1)], &decisions, me)[0].state,
            PoState::Rejected
        );
    }
}
