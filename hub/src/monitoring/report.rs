//! Monitoring reports: what regions sent (`proj_report`) and the centre's verdicts (`proj_verdict`).

use super::cube;
use crate::{
    catalogue::code_lists,
    listing::{Listing, Sheet, instant},
    plans::{pe, po::read_act, text_of_people},
    projector::content_of,
    receipt::{Receipt, missing, subject},
};
use raccordo_model::{
    digest::LeafHash,
    entry::{Actor, Entry, EntryRef},
    finding::Finding,
    node::{NodeId, RegionCode},
    period::Period,
    report::{Report, check},
    scope::Scope,
    timestamp::Timestamp,
};
use raccordo_node::{Node, NodeError, journal::Draft, projection::ApplyError, status::Refusal};
use raccordo_proto::body::Act;
use raccordo_store::{StoreError, Tx, cosignatures};

pub(crate) const INSERT: &str =
    "INSERT INTO proj_report (region, period, revision, idx, leaf, content, pe_year,
    pe_version, cells, reason, recorded_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
pub(crate) const GET: &str =
    "SELECT idx, leaf, content FROM proj_report WHERE region = $1 AND period = $2 AND revision = $3";
pub(crate) const LAST: &str =
    "SELECT COALESCE(MAX(revision), 0) FROM proj_report WHERE region = $1 AND period = $2";
pub(crate) const AT: &str = "SELECT period, revision, leaf FROM proj_report WHERE region = $1 AND idx = $2";
pub(crate) const LIST: &str =
    "SELECT r.region, r.period, r.revision, r.idx, r.cells, r.reason, r.recorded_us,
    v.state, v.reasons, v.idx, v.decided_us FROM proj_report r LEFT JOIN proj_verdict v
    ON v.region = r.region AND v.period = r.period AND v.revision = r.revision
    ORDER BY r.region, r.period, r.revision LIMIT 20000";
pub(crate) const VERDICT: &str =
    "SELECT state, reasons, idx FROM proj_verdict WHERE region = $1 AND period = $2 AND revision = $3";
pub(crate) const CURRENT: &str = "SELECT revision, idx FROM proj_verdict
    WHERE region = $1 AND period = $2 AND state = 'accepted'";
pub(crate) const INSERT_VERDICT: &str = "INSERT INTO proj_verdict (region, period, revision, state, reasons,
    report_idx, idx, decided_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
pub(crate) const SUPERSEDE: &str = "UPDATE proj_verdict SET state = 'superseded'
    WHERE region = $1 AND period = $2 AND state = 'accepted'";

/// A report in the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its revision.
    pub revision: u32,
    /// Its entry.
    pub entry: EntryRef,
}

/// What the centre says of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its figures count from now on.
    Accept,
    /// It is sent back, for these reasons.
    Reject(String),
}

impl Verdict {
    fn state(&self) -> &'static str {
        match self {
            Self::Accept => "accepted",
            Self::Reject(_) => "rejected",
        }
    }
}

/// What the rule of a verdict looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The revision that is judged.
    pub revision: u32,
    /// The verdict on it, with its reasons and entry, if there is one.
    pub judged: Option<(String, String, u64)>,
    /// The revision that counts now, and the entry that accepted it.
    pub current: Option<(u32, u64)>,
    /// The instant at which the period is over.
    pub period_end: Timestamp,
    /// Whether the Executive Plan that it names was shared.
    pub plan_shared: bool,
    /// What [`check`] found wrong.
    pub errors: Vec<String>,
}

/// The rule of a verdict: `Ok(Some(index))` if it was given before.
pub fn decide(standing: &Standing, verdict: &Verdict, now: Timestamp) -> Result<Option<u64>, Refusal> {
    let revision = standing.revision;
    if let Some((state, reasons, index)) = &standing.judged {
        let same = match verdict {
            Verdict::Accept => matches!(state.as_str(), "accepted" | "superseded"),
            Verdict::Reject(given) => state == "rejected" && given == reasons,
        };
        return if same {
            Ok(Some(*index))
        } else {
            Err(Refusal::conflict(
                format!("revision {revision} was judged before: {state} (entry hub/{index})"),
                "a verdict is not changed; the region corrects its report by a new revision",
            ))
        };
    }
    if let Some((current, _)) = standing.current.filter(|(current, _)| *current > revision) {
        return Err(Refusal::precondition(
            format!("revision {current} counts already, and {revision} is older"),
            "judge the latest revision",
        ));
    }
    if *verdict != Verdict::Accept {
        return Ok(None);
    }
    if standing.period_end > now {
        return Err(Refusal::precondition(
            format!("the period is not over before {}", standing.period_end),
            "accept the report after that, or reject it with the reason",
        ));
    }
    if !standing.plan_shared {
        return Err(Refusal::precondition(
            "the Executive Plan that the report names was not shared",
            "reject the report with that reason",
        ));
    }
    if let Some(first) = standing.errors.first() {
        let more = standing.errors.len() - 1;
        let more = if more > 0 {
            format!(" (and {more} more)")
        } else {
            String::new()
        };
        return Err(Refusal::precondition(
            format!("the report breaks a rule: {first}{more}"),
            "reject the report with that reason; the region sends a new revision",
        ));
    }
    Ok(None)
}

/// Gives a verdict; revision 0 is the latest.
pub async fn judge(
    node: &Node,
    actor: Actor,
    region: RegionCode,
    period: Period,
    revision: u32,
    verdict: Verdict,
) -> Result<Receipt, NodeError> {
    let verdict = match verdict {
        Verdict::Accept => Verdict::Accept,
        Verdict::Reject(reasons) => Verdict::Reject(text_of_people("reasons", &reasons, true)?),
    };
    let about = subject(format!("report/{region}/{period}"))?;
    let mut act = node.act().await?;
    let received = find(act.tx(), region, period, revision).await?;
    let revision = received.revision;
    let standing = standing(act.tx(), region, period, &received).await?;
    if let Some(index) = decide(&standing, &verdict, act.now())? {
        let text = format!(
            "Rilevazione {period} della regione {region}, revisione {revision}: esito già registrato."
        );
        return Receipt::repeated(act.tx(), index, &about, text).await;
    }
    let (accepted, reasons, done) = match verdict {
        Verdict::Accept => (true, String::new(), "accettata"),
        Verdict::Reject(reasons) => (false, reasons, "respinta"),
    };
    let body = Act::ReportVerdict {
        submission: received.entry,
        accepted,
        reasons,
    };
    let mut draft = Draft::new(body, about.clone(), Scope::region(region), vec![actor]);
    draft.supersedes = standing.current.map(|(_, index)| index).filter(|_| accepted);
    let entry = act.append(draft).await?;
    let committed = act.commit().await?;
    let text = format!("Rilevazione {period} della regione {region}, revisione {revision}: {done}.");
    Ok(Receipt::done(entry, &committed, &about, text))
}

async fn standing(
    tx: &mut Tx,
    region: RegionCode,
    period: Period,
    received: &Received,
) -> Result<Standing, NodeError> {
    let report = read(tx, region, received.entry.index).await?;
    let head = &report.head;
    let key = tx
        .query(VERDICT)
        .bind(region.to_string())
        .bind(period.to_string());
    let judged: Option<(String, String, i64)> =
        key.bind(i64::from(received.revision)).fetch_optional().await?;
    let errors = match code_lists::get(tx, head.code_lists).await? {
        None => vec![format!("code_lists: version {} does not exist", head.code_lists)],
        Some(codes) => {
            let findings = check(&report, &codes).into_iter();
            findings
                .filter(Finding::is_error)
                .map(|f| f.to_string())
                .collect()
        }
    };
    Ok(Standing {
        revision: received.revision,
        judged: judged.map(|(state, reasons, index)| (state, reasons, index as u64)),
        current: current(tx, region, period).await?,
        period_end: period.end(),
        plan_shared: pe::is_shared(tx, region, head.pe_year, head.pe_version).await?,
        errors,
    })
}

/// Every report with its verdict; only those without one if `pending`.
pub async fn list(tx: &mut Tx, pending: bool) -> Result<Listing, StoreError> {
    type Row = (
        String,
        String,
        i64,
        i64,
        i64,
        String,
        i64,
        Option<String>,
        Option<String>,
        Option<i64>,
        Option<i64>,
    );
    let rows: Vec<Row> = tx.query(LIST).fetch_all().await?;
    let mut listing = Listing::new(&[
        "region",
        "period",
        "revision",
        "state",
        "cells",
        "reason",
        "submission",
        "submitted_at",
        "confirmed_at",
        "decision",
        "decided_at",
        "reasons",
    ]);
    for (region, period, revision, index, cells, reason, at, state, reasons, verdict, decided) in rows {
        if pending && state.is_some() {
            continue;
        }
        let confirmed = match region.parse() {
            Ok(code) => cosignatures::covering(tx, NodeId::Region(code), NodeId::Hub, index as u64).await?,
            Err(_) => None,
        };
        listing.push(vec![
            region.clone(),
            period,
            revision.to_string(),
            state.unwrap_or_else(|| "received".into()),
            cells.to_string(),
            reason,
            format!("{region}/{index}"),
            instant(Some(at)),
            instant(confirmed.map(|c| c.at.0)),
            verdict.map_or(String::new(), |index| format!("hub/{index}")),
            instant(decided),
            reasons.unwrap_or_default(),
        ]);
    }
    Ok(listing)
}

/// A report, whole; revision 0 is the latest.
pub async fn show(
    tx: &mut Tx,
    region: RegionCode,
    period: Period,
    revision: u32,
) -> Result<Sheet, NodeError> {
    let received = find(tx, region, period, revision).await?;
    let report = read(tx, region, received.entry.index).await?;
    let standing = standing(tx, region, period, &received).await?;
    let (state, reasons, decision) = match standing.judged {
        Some((state, reasons, index)) => (state, reasons, format!("hub/{index}")),
        None => ("received".into(), String::new(), String::new()),
    };
    let mut facts = vec![
        ("region", region.to_string()),
        ("period", period.to_string()),
        ("revision", received.revision.to_string()),
        ("state", state),
        ("reasons", reasons),
        ("decision", decision),
        ("submission", received.entry.to_string()),
        ("leaf_hash", received.entry.leaf_hash.to_string()),
        ("year", report.head.pe_year.to_string()),
        ("pe_version", report.head.pe_version.to_string()),
        ("reason", report.head.reason.clone()),
    ];
    facts.extend(standing.errors.into_iter().map(|error| ("error", error)));
    let mut rows = Listing::new(&[
        "cluster",
        "profession",
        "area",
        "objective",
        "instrument",
        "level",
        "origin",
        "package",
        "kit",
        "measure",
        "state",
        "value",
    ]);
    for (dims, measures) in &report.cells {
        for (measure, value) in measures {
            rows.push(vec![
                dims.cluster.to_string(),
                dims.profession.to_string(),
                dims.area.to_string(),
                dims.objective.to_string(),
                dims.instrument.to_string(),
                dims.level.to_string(),
                dims.origin.to_string(),
                dims.package.as_ref().map_or(String::new(), ToString::to_string),
                dims.kit.as_ref().map_or(String::new(), ToString::to_string),
                measure.to_string(),
                value.state().into(),
                value.as_count().map_or(String::new(), |n| n.to_string()),
            ]);
        }
    }
    Ok(Sheet {
        facts: Listing::facts(facts),
        rows,
    })
}

/// Applies `report.submitted`: revisions grow by one; the same revision again changes nothing.
pub async fn apply_submitted(
    tx: &mut Tx,
    entry: &Entry,
    act: &Act,
    report: &Report,
) -> Result<(), ApplyError> {
    let head = &report.head;
    let content = content_of(act);
    let key = tx
        .query(GET)
        .bind(head.region.to_string())
        .bind(head.period.to_string());
    let known: Option<(i64, Vec<u8>, Vec<u8>)> = key.bind(i64::from(head.revision)).fetch_optional().await?;
    if let Some((index, _, kept)) = known {
        return if kept == content {
            Ok(())
        } else {
            Err(ApplyError::refused(
                format!(
                    "revision {} of {} came before with other figures (entry {index})",
                    head.revision, head.period
                ),
                "send the changed figures as the next revision, with the reason",
            ))
        };
    }
    let next = last(tx, head.region, head.period).await?.saturating_add(1);
    if head.revision != next {
        return Err(ApplyError::refused(
            format!(
                "revision {} of {} does not follow revision {}",
                head.revision,
                head.period,
                next - 1
            ),
            format!("send the report as revision {next}"),
        ));
    }
    tx.query(INSERT)
        .bind(head.region.to_string())
        .bind(head.period.to_string())
        .bind(i64::from(head.revision))
        .bind(entry.index as i64)
        .bind(entry.leaf_hash.0.to_vec())
        .bind(content)
        .bind(i64::from(head.pe_year))
        .bind(i64::from(head.pe_version))
        .bind(report.cells.len() as i64)
        .bind(head.reason.clone())
        .bind(entry.header.recorded_at.0)
        .execute()
        .await?;
    Ok(())
}

/// Applies `report.verdict`. An accepted report's figures take the place of its predecessor's, copied from
/// the region's entry that the verdict names.
pub async fn apply_verdict(
    tx: &mut Tx,
    entry: &Entry,
    submission: &EntryRef,
    accepted: bool,
    reasons: &str,
) -> Result<(), ApplyError> {
    let refused = |text: String| ApplyError::refused(text, "the centre judges the right report");
    let not_held = || refused(format!("{submission} is no report that is held here"));
    let region = submission.node.region().ok_or_else(not_held)?;
    let query = tx
        .query(AT)
        .bind(region.to_string())
        .bind(submission.index as i64);
    let row: Option<(String, i64, Vec<u8>)> = query.fetch_optional().await?;
    let (period, revision, _) = row
        .filter(|row| row.2.as_slice() == submission.leaf_hash.0)
        .ok_or_else(not_held)?;
    if accepted {
        let report = read(tx, region, submission.index).await.map_err(pe::unreadable)?;
        tx.query(SUPERSEDE)
            .bind(region.to_string())
            .bind(period.clone())
            .execute()
            .await?;
        cube::replace(tx, &report).await?;
    }
    let state = if accepted {
        Verdict::Accept.state()
    } else {
        "rejected"
    };
    tx.query(INSERT_VERDICT)
        .bind(region.to_string())
        .bind(period)
        .bind(revision)
        .bind(state.to_owned())
        .bind(reasons.to_owned())
        .bind(submission.index as i64)
        .bind(entry.index as i64)
        .bind(entry.header.recorded_at.0)
        .execute()
        .await?;
    Ok(())
}

async fn find(tx: &mut Tx, region: RegionCode, period: Period, revision: u32) -> Result<Received, NodeError> {
    let revision = match revision {
        0 => last(tx, region, period).await?,
        revision => revision,
    };
    let key = tx
        .query(GET)
        .bind(region.to_string())
        .bind(period.to_string())
        .bind(i64::from(revision));
    let row: Option<(i64, Vec<u8>, Vec<u8>)> = key.fetch_optional().await?;
    let Some((index, leaf, _)) = row else {
        let what = if revision == 0 {
            "report".into()
        } else {
            format!("revision {revision}")
        };
        let text = format!("region {region} sent no {what} of {period}");
        return Err(Refusal::not_found(text, "see `report list`").into());
    };
    let corrupt = || StoreError::Corrupt {
        table: "proj_report",
        column: "leaf",
        key: format!("{region} {period}"),
    };
    let leaf_hash = LeafHash::from_slice(&leaf).ok_or_else(corrupt)?;
    Ok(Received {
        revision,
        entry: EntryRef {
            node: NodeId::Region(region),
            index: index as u64,
            leaf_hash,
        },
    })
}

async fn read(tx: &mut Tx, region: RegionCode, index: u64) -> Result<Report, NodeError> {
    match read_act(tx, NodeId::Region(region), index).await? {
        Some(Act::ReportSubmitted(report)) => Ok(report),
        _ => Err(missing(NodeId::Region(region), index)),
    }
}

async fn last(tx: &mut Tx, region: RegionCode, period: Period) -> Result<u32, StoreError> {
    let (revision,): (i64,) = tx
        .query(LAST)
        .bind(region.to_string())
        .bind(period.to_string())
        .fetch_one()
        .await?;
    Ok(revision as u32)
}

async fn current(tx: &mut Tx, region: RegionCode, period: Period) -> Result<Option<(u32, u64)>, StoreError> {
    let query = tx
        .query(CURRENT)
        .bind(region.to_string())
        .bind(period.to_string());
    let row: Option<(i64, i64)> = query.fetch_optional().await?;
    Ok(row.map(|(revision, index)| (revision as u32, index as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_node::status::RefusalKind;

    const NOW: Timestamp = Timestamp(1_000);

    fn sound() -> Standing {
        Standing {
            revision: 2,
            judged: None,
            current: Some((1, 40)),
            period_end: Timestamp(999),
            plan_shared: true,
            errors: vec![],
        }
    }

    fn accept(standing: Standing) -> Result<Option<u64>, RefusalKind> {
        decide(&standing, &Verdict::Accept, NOW).map_err(|refusal| refusal.kind)
    }

    #[test]
    fn only_a_sound_report_of_a_period_that_is_over_is_accepted() {
        assert_eq!(accept(sound()), Ok(None));
        let refused = Err(RefusalKind::Precondition);
        assert_eq!(
            accept(Standing {
                period_end: Timestamp(1_001),
                ..sound()
            }),
            refused
        );
        assert_eq!(
            accept(Standing {
                plan_shared: false,
                ..sound()
            }),
            refused
        );
        assert_eq!(
            accept(Standing {
                errors: vec!["cells: wrong".into()],
                ..sound()
            }),
            refused
        );
        assert_eq!(
            accept(Standing {
                current: Some((3, 41)),
                ..sound()
            }),
            refused
        );
        // A report that breaks a rule can be rejected all the same.
        let broken = Standing {
            errors: vec!["cells: wrong".into()],
            plan_shared: false,
            ..sound()
        };
        assert_eq!(
            decide(&broken, &Verdict::Reject("conteggi".into()), NOW),
            Ok(None)
        );
    }

    #[test]
    fn a_verdict_is_given_once() {
        let judged = |state: &str, reasons: &str| Standing {
            judged: Some((state.into(), reasons.into(), 41)),
            ..sound()
        };
        assert_eq!(accept(judged("accepted", "")), Ok(Some(41)));
        assert_eq!(accept(judged("superseded", "")), Ok(Some(41)));
        assert_eq!(accept(judged("rejected", "conteggi")), Err(RefusalKind::Conflict));
        let reject =
            |standing: Standing, reasons: &str| decide(&standing, &Verdict::Reject(reasons.into()), NOW);
        assert_eq!(reject(judged("rejected", "conteggi"), "conteggi"), Ok(Some(41)));
        assert!(reject(judged("rejected", "conteggi"), "altro").is_err());
        assert!(reject(judged("accepted", ""), "conteggi").is_err());
    }
}
