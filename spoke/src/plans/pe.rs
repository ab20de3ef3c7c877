//! The Executive Plan (Piano Esecutivo, PE) of a year: drafted here, pinned to the approved
//! Operational Plan, shared. The centre observes; it does not approve.

use super::{drafts, drop_draft, findings, parse, po, put_draft, without_errors, without_personal_data};
use crate::{
    adoption::scope,
    records::{self, instant, listing},
};
use raccordo_model::{
    code::Code,
    entry::{Actor, EntryRef},
    executive_plan::{ExecutivePlan, InterventionOrigin, check_against_po},
    kind::KnownKind,
    node::NodeId,
};
use raccordo_node::{Node, NodeError, journal::Draft, status::Refusal};
use raccordo_proto::{body::Act, wire};
use raccordo_store::{StoreError, Tx};
use std::collections::BTreeSet;

pub(crate) const VERSIONS: &str = "SELECT idx, year, version, po_version, interventions, recorded_us
    FROM proj_pe_version ORDER BY year, version, idx LIMIT 10000";
pub(crate) const OBSERVATIONS: &str = "SELECT submission_idx, intervention, text, recorded_us
    FROM proj_pe_observation ORDER BY idx, place LIMIT 10000";

/// The statements of this room.
pub(crate) const STATEMENTS: &[&str] = &[VERSIONS, OBSERVATIONS];

const KIND: &str = "pe";

/// A version that was shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeVersion {
    /// Where in our ledger.
    pub index: u64,
    /// The plan's year.
    pub year: i16,
    /// Its version.
    pub version: u32,
    /// The version of the Operational Plan that it is pinned to.
    pub po_version: u32,
    /// How many interventions it has.
    pub interventions: u64,
    /// When it was shared.
    pub recorded_us: i64,
}

/// Every version that was shared, by year and version.
pub async fn versions(tx: &mut Tx) -> Result<Vec<PeVersion>, StoreError> {
    let rows: Vec<(i64, i64, i64, i64, i64, i64)> = tx.query(VERSIONS).fetch_all().await?;
    let version = |(index, year, version, po_version, interventions, recorded_us)| PeVersion {
        index: index as u64,
        year: year as i16,
        version: version as u32,
        po_version: po_version as u32,
        interventions: interventions as u64,
        recorded_us,
    };
    Ok(rows
        .into_iter()
        .map(|(a, b, c, d, e, f): (i64, i64, i64, i64, i64, i64)| version((a, b, c, d, e, f)))
        .collect())
}

/// The latest shared plan of a year, with where it stands.
pub async fn current(
    tx: &mut Tx,
    me: NodeId,
    year: i16,
) -> Result<Option<(ExecutivePlan, EntryRef)>, NodeError> {
    let latest = versions(tx).await?.into_iter().rfind(|v| v.year == year);
    let Some(latest) = latest else { return Ok(None) };
    Ok(records::act_at(tx, me, latest.index)
        .await?
        .and_then(|recorded| match recorded.act {
            Act::PeShared(plan) => Some((plan, recorded.entry)),
            _ => None,
        }))
}

fn next_version(versions: &[PeVersion], year: i16) -> u32 {
    versions
        .iter()
        .filter(|v| v.year == year)
        .map(|v| v.version)
        .max()
        .unwrap_or(0)
        + 1
}

/// Takes the Executive Plan of a YAML document as the draft of its year, in place of an earlier one.
pub async fn import(
    node: &Node,
    text: &str,
    file: &str,
) -> Result<wire::ImportExecutivePlanResponse, NodeError> {
    let mut tx = node.db.write().await?;
    let codes = records::code_lists(&mut tx).await?;
    let parsed = parse(node.me(), text, file, &codes)?;
    let mut plan = parsed.executive_plan.ok_or_else(|| {
        Refusal::invalid(
            format_args!("{file}: it holds no `executive_plan`"),
            "add one, or use `po import`",
        )
    })?;
    plan.version = next_version(&versions(&mut tx).await?, plan.year);
    let mut warnings = parsed.warnings;
    warnings.extend(plan.personal_data());
    let held = po::versions(&mut tx, node.me()).await?;
    if let Some(approved) = po::approved(&held) {
        plan.po_version = approved.version;
        // Told already now, refused only when it is shared: another version may be approved meanwhile.
        warnings.extend(check_against_po(&plan, &po::plan(&mut tx, approved).await?.0));
    }
    let answer = wire::ImportExecutivePlanResponse {
        year: u32::from(plan.year.unsigned_abs()),
        version: plan.version,
        interventions: plan.interventions.len() as u32,
        warnings: Some(findings(&warnings)),
    };
    let year = i64::from(plan.year);
    put_draft(
        &mut tx,
        KIND,
        year,
        file,
        &Act::PeShared(plan),
        node.clock.now().0,
    )
    .await?;
    tx.commit().await?;
    Ok(answer)
}

/// Shares the draft of a year (0: the latest), pinned to the Operational Plan that is approved now.
pub async fn share(
    node: &Node,
    actor: Actor,
    year: u32,
    personal_data_reason: &str,
) -> Result<wire::Receipt, NodeError> {
    let mut act = node.act().await?;
    let mut kept = drafts(act.tx(), KIND, KnownKind::PeShared).await?;
    kept.retain(|d| year == 0 || d.year == i64::from(year));
    let Some(Act::PeShared(mut plan)) = kept.pop().map(|d| d.act) else {
        return repeat(act, node.me(), year).await;
    };
    let subject = subject(node.me(), plan.year)?;
    let held = po::versions(act.tx(), node.me()).await?;
    let approved = po::approved(&held).ok_or_else(|| {
        Refusal::precondition(
            "no version of the Operational Plan is approved, and an Executive Plan pins one",
            "submit the Operational Plan (`po submit`) and wait for the centre's decision; see `po list`",
        )
    })?;
    let (approved_plan, approved_entry) = po::plan(act.tx(), approved).await?;
    let shared = versions(act.tx()).await?;
    plan.po_version = approved.version;
    plan.version = next_version(&shared, plan.year);
    let codes = records::code_lists(act.tx()).await?;
    plan.code_lists = codes.version();
    let mut found = plan.check(&codes);
    found.extend(check_against_po(&plan, &approved_plan));
    without_errors(&found, "correct the plan and import it again with `pe import`")?;
    without_personal_data(&plan.personal_data(), personal_data_reason)?;
    let draft_year = i64::from(plan.year);
    if let Some((sent, entry)) = current(act.tx(), node.me(), plan.year).await?
        && (ExecutivePlan {
            version: plan.version,
            ..sent.clone()
        }) == plan
    {
        drop_draft(act.tx(), KIND, draft_year).await?;
        let text = shared_text(&sent);
        let size = act.commit().await?.size;
        return Ok(records::receipt(&entry, size, &subject, text, true));
    }
    let text = shared_text(&plan);
    let supersedes = shared.iter().rfind(|v| v.year == plan.year).map(|v| v.index);
    let mut draft = Draft::new(
        Act::PeShared(plan),
        subject.clone(),
        scope(node.me()),
        vec![actor],
    );
    draft.supersedes = supersedes;
    if approved_entry.node == node.me() {
        draft.depends_on = vec![records::subject(format_args!("po/{}", node.me()))?];
    }
    let entry = act.append(draft).await?;
    drop_draft(act.tx(), KIND, draft_year).await?;
    let size = act.commit().await?.size;
    Ok(records::receipt(&entry, size, &subject, text, false))
}

/// Without a draft: the latest that was shared is answered again.
async fn repeat(
    mut act: raccordo_node::journal::Acting<'_>,
    me: NodeId,
    year: u32,
) -> Result<wire::Receipt, NodeError> {
    let latest = versions(act.tx())
        .await?
        .into_iter()
        .rfind(|v| year == 0 || u32::from(v.year.unsigned_abs()) == year);
    if let Some(latest) = latest
        && let Some((plan, entry)) = current(act.tx(), me, latest.year).await?
    {
        let size = act.commit().await?.size;
        return Ok(records::receipt(
            &entry,
            size,
            &subject(me, plan.year)?,
            shared_text(&plan),
            true,
        ));
    }
    Err(Refusal::precondition(
        "there is no draft of an Executive Plan",
        "import one with `pe import`",
    )
    .into())
}

fn subject(me: NodeId, year: i16) -> Result<raccordo_model::entry::Subject, NodeError> {
    records::subject(format_args!("pe/{me}/{year}"))
}

fn shared_text(plan: &ExecutivePlan) -> String {
    let additional = plan
        .interventions
        .iter()
        .filter(|i| matches!(i.origin, InterventionOrigin::Additional(_)))
        .count();
    format!(
        "Piano Esecutivo {} condiviso, versione {} sul PO versione {}: {} interventi, di cui {additional} aggiuntivi",
        plan.year,
        plan.version,
        plan.po_version,
        plan.interventions.len()
    )
}

const COLUMNS: [&str; 8] = [
    "year",
    "version",
    "state",
    "po_version",
    "interventions",
    "entry",
    "submitted_at",
    "observations",
];

/// Every version that was shared, and the drafts.
pub async fn list(tx: &mut Tx, me: NodeId) -> Result<wire::Listing, NodeError> {
    let shared = versions(tx).await?;
    let observed = observed(tx).await?;
    let mut rows: Vec<Vec<String>> = shared.iter().map(|v| row(v, me, &shared, &observed)).collect();
    for draft in drafts(tx, KIND, KnownKind::PeShared).await? {
        if let Act::PeShared(plan) = &draft.act {
            rows.push(draft_row(plan, &shared));
        }
    }
    Ok(listing(&COLUMNS, rows))
}

type ObservationRow = (i64, String, String, i64);

async fn observed(tx: &mut Tx) -> Result<Vec<ObservationRow>, StoreError> {
    tx.query(OBSERVATIONS).fetch_all().await
}

fn draft_row(plan: &ExecutivePlan, shared: &[PeVersion]) -> Vec<String> {
    let version = next_version(shared, plan.year);
    let mut cells = vec![
        plan.year.to_string(),
        version.to_string(),
        "draft".to_owned(),
        String::new(),
    ];
    cells.extend([
        plan.interventions.len().to_string(),
        String::new(),
        String::new(),
        "0".into(),
    ]);
    cells
}

/// A version is shared until the centre observed on it (analysed) or a later one took its place.
fn row(version: &PeVersion, me: NodeId, all: &[PeVersion], observed: &[ObservationRow]) -> Vec<String> {
    let count = observed
        .iter()
        .filter(|(submission, ..)| *submission as u64 == version.index)
        .count();
    let state = match () {
        () if all
            .iter()
            .any(|v| v.year == version.year && v.version > version.version) =>
        {
            "superseded"
        }
        () if count > 0 => "analysed",
        () => "shared",
    };
    vec![
        version.year.to_string(),
        version.version.to_string(),
        state.to_owned(),
        version.po_version.to_string(),
        version.interventions.to_string(),
        format!("{me}/{}", version.index),
        instant(Some(version.recorded_us)),
        count.to_string(),
    ]
}

/// One version of a year (0: the latest, else the draft) with interventions and observations.
pub async fn show(
    tx: &mut Tx,
    me: NodeId,
    year: u32,
    version: u32,
) -> Result<wire::ShowOwnExecutivePlanResponse, NodeError> {
    let shared = versions(tx).await?;
    let of_year: BTreeSet<u64> = shared
        .iter()
        .filter(|v| u32::from(v.year.unsigned_abs()) == year)
        .map(|v| v.index)
        .collect();
    let found = shared
        .iter()
        .rfind(|v| of_year.contains(&v.index) && (version == 0 || v.version == version));
    let observed = observed(tx).await?;
    let (plan, head) = match found {
        Some(found) => match records::act_at(tx, me, found.index).await?.map(|r| r.act) {
            Some(Act::PeShared(plan)) => (plan, row(found, me, &shared, &observed)),
            _ => return Err(nothing(year).into()),
        },
        None => {
            let mut kept = drafts(tx, KIND, KnownKind::PeShared).await?;
            kept.retain(|d| d.year == i64::from(year) && version == 0);
            let Some(Act::PeShared(plan)) = kept.pop().map(|d| d.act) else {
                return Err(nothing(year).into());
            };
            let head = draft_row(&plan, &shared);
            (plan, head)
        }
    };
    let interventions = plan.interventions.iter().map(|i| {
        vec![
            i.id.to_string(),
            i.title.clone(),
            i.level.to_string(),
            i.area.to_string(),
            i.objective.to_string(),
            i.targets.iter().map(Code::as_str).collect::<Vec<_>>().join(" "),
            i.instrument.to_string(),
            i.minutes.map(|m| m.to_string()).unwrap_or_default(),
            i.start.map(|d| d.to_string()).unwrap_or_default(),
            i.end.map(|d| d.to_string()).unwrap_or_default(),
            i.ecm.to_string(),
            i.origin.plan_origin().to_string(),
        ]
    });
    let columns = [
        "id",
        "title",
        "level",
        "area",
        "objective",
        "targets",
        "instrument",
        "minutes",
        "start",
        "end",
        "ecm",
        "origin",
    ];
    let interventions = listing(&columns, interventions);
    let on_year = observed
        .iter()
        .filter(|(submission, ..)| of_year.contains(&(*submission as u64)));
    let observations = on_year.map(|(submission, intervention, text, at)| {
        vec![
            format!("{me}/{submission}"),
            intervention.clone(),
            text.clone(),
            instant(Some(*at)),
        ]
    });
    Ok(wire::ShowOwnExecutivePlanResponse {
        plan: Some(listing(&COLUMNS, [head])),
        interventions: Some(interventions),
        observations: Some(listing(
            &["submission", "intervention", "text", "recorded_at"],
            observations,
        )),
    })
}

fn nothing(year: u32) -> Refusal {
    Refusal::not_found(
        format_args!("there is no such version of an Executive Plan of {year}"),
        "see `pe list`",
    )
}
