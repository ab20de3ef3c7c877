//! The monthly report (Rilevazione): computed from local records, protected, checked, shown, signed.
//!
//! A second close with other figures is the next revision and needs a reason; with the same figures
//! nothing is appended. Counts are cumulative, so the correction of a month marks the later ones whose
//! figures it moved: they are to be sent again.

use crate::{
    adoption::scope,
    editions, outcomes,
    plans::pe,
    records::{self, instant, listing},
};
use raccordo_model::{
    edition::Edition,
    entry::{Actor, EntryRef},
    finding::Finding,
    measure::Measure,
    node::NodeId,
    outcome::OutcomeRow,
    period::{Period, day_in_rome},
    report::{self, Difference, Report, ReportHead},
    taxonomy::CodeLists,
};
use raccordo_node::{Node, NodeError, journal::Draft, status::Refusal};
use raccordo_proto::{body::Act, wire};
use raccordo_store::{StoreError, Tx, cosignatures};
use std::collections::BTreeMap;

pub(crate) const SENT: &str =
    "SELECT r.idx, r.period, r.revision, r.pe_year, r.cells, r.reason, r.recorded_us,
    v.accepted, v.reasons, v.recorded_us FROM proj_report r
    LEFT JOIN proj_report_verdict v ON v.submission_idx = r.idx
        AND v.idx = (SELECT MAX(w.idx) FROM proj_report_verdict w WHERE w.submission_idx = r.idx)
    ORDER BY r.period, r.revision, r.idx LIMIT 100000";

/// The statements of this room.
pub(crate) const STATEMENTS: &[&str] = &[SENT];

/// Longest reason of a correction, in bytes.
pub const REASON_BYTES_MAX: usize = 2_000;

/// A revision that was sent, as our ledger and the centre's verdict tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Where in our ledger.
    pub index: u64,
    /// The month.
    pub period: Period,
    /// From 1.
    pub revision: u32,
    /// The year of the plan.
    pub pe_year: i16,
    /// How many cells it has.
    pub cells: u64,
    /// Why it corrects an earlier one.
    pub reason: String,
    /// When it was recorded.
    pub recorded_us: i64,
    /// Whether the centre accepted it, why, and when; none: not decided.
    pub verdict: Option<(bool, String, i64)>,
}

/// Every revision that was sent, by period and revision.
pub async fn sent(tx: &mut Tx) -> Result<Vec<Sent>, StoreError> {
    type Row = (
        i64,
        String,
        i64,
        i64,
        i64,
        String,
        i64,
        Option<i64>,
        Option<String>,
        Option<i64>,
    );
    let rows: Vec<Row> = tx.query(SENT).fetch_all().await?;
    let parse =
        |(index, period, revision, pe_year, cells, reason, recorded_us, accepted, reasons, decided): Row| {
            Ok(Sent {
                index: index as u64,
                period: records::stored("proj_report", "period", &index.to_string(), &period)?,
                revision: revision as u32,
                pe_year: pe_year as i16,
                cells: cells as u64,
                reason,
                recorded_us,
                verdict: accepted
                    .map(|yes| (yes != 0, reasons.unwrap_or_default(), decided.unwrap_or_default())),
            })
        };
    rows.into_iter().map(parse).collect()
}

/// Periods whose latest revision is older than the correction of an earlier month of the same plan.
pub fn behind_a_correction(sent: &[Sent]) -> Vec<Period> {
    let mut latest: BTreeMap<Period, &Sent> = BTreeMap::new();
    for report in sent {
        latest.insert(report.period, report);
    }
    let corrected = |later: &Sent| {
        latest.values().any(|earlier| {
            earlier.period < later.period
                && earlier.pe_year == later.pe_year
                && earlier.revision > 1
                && earlier.index > later.index
        })
    };
    latest
        .values()
        .filter(|report| corrected(report))
        .map(|report| report.period)
        .collect()
}

/// The region's report of a month as its records are now, protected and ready to be checked.
pub fn draft(head: ReportHead, codes: &CodeLists, editions: &[Edition], outcomes: &[OutcomeRow]) -> Report {
    let mut report = report::compute(head, codes, editions, outcomes);
    report::protect_small_groups(&mut report);
    report
}

/// Whether two reports tell the same figures; revision and reason are not figures.
pub fn same_figures(one: &Report, other: &Report) -> bool {
    one.cells == other.cells && one.distinct == other.distinct
}

/// A month may be closed when it is over.
pub fn judge_period(period: Period, now: raccordo_model::timestamp::Timestamp) -> Result<(), Refusal> {
    if now >= period.end() {
        return Ok(());
    }
    Err(Refusal::precondition(
        format_args!("{period} is not over: today is {} in Rome", day_in_rome(now)),
        format!("close it after {}", period.last_day()),
    ))
}

/// A month as it would be sent now, beside the last revision that was.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// As it would be sent.
    pub report: Report,
    /// What was sent last, and where it stands.
    pub previous: Option<(Report, EntryRef)>,
    /// What breaks a rule.
    pub findings: Vec<Finding>,
}

impl Prepared {
    /// Whether the last revision tells the same figures.
    pub fn is_unchanged(&self) -> bool {
        self.previous
            .as_ref()
            .is_some_and(|(previous, _)| same_figures(previous, &self.report))
    }
}

async fn report_at(tx: &mut Tx, me: NodeId, index: u64) -> Result<Option<(Report, EntryRef)>, NodeError> {
    Ok(records::act_at(tx, me, index)
        .await?
        .and_then(|recorded| match recorded.act {
            Act::ReportSubmitted(report) => Some((report, recorded.entry)),
            _ => None,
        }))
}

/// Computes a month from the local records. Refused without a shared plan of its year.
pub async fn prepare(tx: &mut Tx, me: NodeId, period: Period, reason: &str) -> Result<Prepared, NodeError> {
    let year = period.year();
    let region = me
        .region()
        .ok_or_else(|| Refusal::precondition("the Hub reports nothing", ""))?;
    let (plan, _) = pe::current(tx, me, year).await?.ok_or_else(|| {
        Refusal::precondition(
            format_args!("no Executive Plan of {year} was shared, and a report counts its editions"),
            "share one first (`pe import`, `pe share`)",
        )
    })?;
    let codes = records::code_lists(tx).await?;
    let held = editions::all(tx).await?;
    let editions: Vec<Edition> = held
        .into_values()
        .filter(|h| h.pe_year == year)
        .map(|h| h.edition)
        .collect();
    let outcomes = outcomes::of_year(tx, year).await?;
    let latest = sent(tx).await?.into_iter().rfind(|s| s.period == period);
    let previous = match &latest {
        Some(latest) => report_at(tx, me, latest.index).await?,
        None => None,
    };
    let revision = latest.map_or(1, |latest| latest.revision + 1);
    let head = ReportHead {
        region,
        period,
        revision,
        pe_year: year,
        pe_version: plan.version,
        code_lists: codes.version(),
        // The first revision corrects nothing.
        reason: if revision > 1 {
            reason.trim().to_owned()
        } else {
            String::new()
        },
    };
    let report = draft(head, &codes, &editions, &outcomes);
    let findings = report::check(&report, &codes);
    Ok(Prepared {
        report,
        previous,
        findings,
    })
}

/// Closes a month: checks, signs and appends its report.
pub async fn close(
    node: &Node,
    actor: Actor,
    period: Period,
    reason: &str,
) -> Result<wire::Receipt, NodeError> {
    if reason.len() > REASON_BYTES_MAX {
        return Err(Refusal::too_large(
            format_args!(
                "the reason has {} bytes, at most {REASON_BYTES_MAX} are taken",
                reason.len()
            ),
            "shorten it",
        )
        .into());
    }
    let mut act = node.act().await?;
    judge_period(period, act.now())?;
    let subject = records::subject(format_args!("report/{}/{period}", node.me()))?;
    let prepared = prepare(act.tx(), node.me(), period, reason).await?;
    if let (true, Some((previous, entry))) = (prepared.is_unchanged(), &prepared.previous) {
        let text = format!(
            "Rilevazione {period}, revisione {}: dati invariati",
            previous.head.revision
        );
        let (entry, size) = (*entry, act.commit().await?.size);
        return Ok(records::receipt(&entry, size, &subject, text, true));
    }
    let Prepared {
        report,
        previous,
        findings,
    } = prepared;
    if report.head.revision > 1 && report.head.reason.is_empty() {
        return Err(Refusal::precondition(
            format_args!(
                "{period} was closed before, and its figures have changed: revision {}",
                report.head.revision
            ),
            "say what is corrected with --reason; `report preview` shows the differences",
        )
        .into());
    }
    let personal = raccordo_model::personal_data::findings(
        [("reason".to_owned(), report.head.reason.as_str())].into_iter(),
    );
    let errors: Vec<&Finding> = findings
        .iter()
        .filter(|f| f.is_error())
        .chain(&personal)
        .collect();
    if !errors.is_empty() {
        let remedy = "correct the records (`outcome import`) or the reason, and see `report preview`";
        return Err(Refusal::precondition(records::problems(&errors), remedy).into());
    }
    let text = format!(
        "Rilevazione {period} chiusa, revisione {}: {} celle",
        report.head.revision,
        report.cells.len()
    );
    let mut draft = Draft::new(
        Act::ReportSubmitted(report),
        subject.clone(),
        scope(node.me()),
        vec![actor],
    );
    draft.supersedes = previous.map(|(_, entry)| entry.index);
    draft.depends_on = vec![records::subject(format_args!(
        "pe/{}/{}",
        node.me(),
        period.year()
    ))?];
    let entry = act.append(draft).await?;
    let size = act.commit().await?.size;
    Ok(records::receipt(&entry, size, &subject, text, false))
}

/// A month as it would be sent now, for people who look before they send.
pub async fn preview(
    tx: &mut Tx,
    me: NodeId,
    period: Period,
) -> Result<wire::PreviewReportResponse, NodeError> {
    let prepared = prepare(tx, me, period, "").await?;
    let differences = match &prepared.previous {
        Some((previous, _)) => report::differences(previous, &prepared.report),
        None => Vec::new(),
    };
    // A reason is asked for when it is closed.
    let findings: Vec<Finding> = prepared
        .findings
        .iter()
        .filter(|f| f.field != "reason")
        .cloned()
        .collect();
    Ok(wire::PreviewReportResponse {
        revision: prepared.report.head.revision,
        unchanged: prepared.is_unchanged(),
        cells: Some(cells(&prepared.report)),
        distinct: Some(distinct(&prepared.report)),
        findings: Some(crate::plans::findings(&findings)),
        differences: Some(changes(&differences)),
    })
}

fn cells(report: &Report) -> wire::Listing {
    let dims = [
        "cluster",
        "profession",
        "area",
        "objective",
        "instrument",
        "level",
        "origin",
        "package",
        "kit",
    ];
    let columns: Vec<&str> = dims
        .into_iter()
        .chain(Measure::ADDITIVE.iter().map(|m| m.as_str()))
        .collect();
    let rows = report.cells.iter().map(|(dims, measures)| {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "UNSPECIFIED".into());
        let mut row = vec![
            dims.cluster.to_string(),
            dims.profession.to_string(),
            dims.area.to_string(),
            dims.objective.to_string(),
            dims.instrument.to_string(),
            dims.level.to_string(),
            dims.origin.to_string(),
            or_none(dims.package.as_ref().map(ToString::to_string)),
            or_none(dims.kit.as_ref().map(ToString::to_string)),
        ];
        row.extend(
            Measure::ADDITIVE
                .iter()
                .map(|m| measures.get(m).copied().map(value).unwrap_or_default()),
        );
        row
    });
    listing(&columns, rows)
}

fn distinct(report: &Report) -> wire::Listing {
    let rows = report
        .distinct
        .iter()
        .map(|((cluster, area), people)| vec![cluster.to_string(), area.to_string(), value(*people)]);
    listing(&["cluster", "area", "people"], rows)
}

fn changes(differences: &[Difference]) -> wire::Listing {
    let rows = differences.iter().take(1_000).map(|d| {
        vec![
            d.cell.clone(),
            d.measure.to_string(),
            value(d.before),
            value(d.after),
        ]
    });
    listing(&["cell", "measure", "before", "after"], rows)
}

/// A figure in a row: the count, or the name of its state.
fn value(value: raccordo_model::measure::CellValue) -> String {
    value
        .as_count()
        .map_or_else(|| value.state().to_owned(), |n| n.to_string())
}

/// Every revision: sent, confirmed (the Hub's cosignature covers it), accepted or rejected; and
/// whether the month is to be sent again (`resend`).
pub async fn list(tx: &mut Tx, me: NodeId) -> Result<wire::Listing, NodeError> {
    let sent = sent(tx).await?;
    let due_days = records::report_due_days(tx).await?;
    let mut resend = Vec::new();
    for period in behind_a_correction(&sent) {
        // Marked only where the correction moved this month's figures too.
        if !prepare(tx, me, period, "").await?.is_unchanged() {
            resend.push(period);
        }
    }
    let mut rows = Vec::new();
    for (place, report) in sent.iter().enumerate() {
        let confirmed = cosignatures::covering(tx, me, NodeId::Hub, report.index).await?;
        let current = sent
            .get(place + 1)
            .is_none_or(|next| next.period != report.period);
        let state = match (&report.verdict, &confirmed) {
            (Some((true, ..)), _) => "accepted",
            (Some((false, ..)), _) => "rejected",
            (None, Some(_)) => "confirmed",
            (None, None) => "sent",
        };
        let due = report.period.due_date(due_days);
        let on_time = confirmed
            .as_ref()
            .map(|c| (c.at <= due).to_string())
            .unwrap_or_default();
        let to_send = if current && resend.contains(&report.period) {
            "da rinviare"
        } else {
            ""
        };
        rows.push(vec![
            report.period.to_string(),
            report.revision.to_string(),
            current.to_string(),
            state.to_owned(),
            to_send.to_owned(),
            report.cells.to_string(),
            format!("{me}/{}", report.index),
            instant(Some(report.recorded_us)),
            instant(confirmed.map(|c| c.at.0)),
            on_time,
            instant(report.verdict.as_ref().map(|v| v.2)),
            report.verdict.as_ref().map(|v| v.1.clone()).unwrap_or_default(),
            report.reason.clone(),
        ]);
    }
    let columns = [
        "period",
        "revision",
        "current",
        "state",
        "resend",
        "cells",
        "entry",
        "submitted_at",
        "confirmed_at",
        "on_time",
        "decided_at",
        "reasons",
        "reason",
    ];
    Ok(listing(&columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use raccordo_model::{code::Code, edition::PlanOrigin, measure::CellValue, timestamp::Timestamp};
    use std::collections::BTreeSet;

    fn sent(index: u64, period: &str, revision: u32) -> Sent {
        Sent {
            index,
            period: period.parse().unwrap(),
            revision,
            pe_year: 2023,
            cells: 1,
            reason: String::new(),
            recorded_us: 0,
            verdict: None,
        }
    }

    #[test]
    fn a_correction_marks_the_later_months_until_they_are_sent_again() {
        let mut all = vec![
            sent(1, "2023-09", 1),
            sent(2, "2023-10", 1),
            sent(3, "2023-11", 1),
        ];
        assert!(behind_a_correction(&all).is_empty());
        all.insert(2, sent(4, "2023-10", 2));
        assert_eq!(behind_a_correction(&all), ["2023-11".parse().unwrap()]);
        all.push(sent(5, "2023-11", 2));
        assert!(behind_a_correction(&all).is_empty());
    }

    #[test]
    fn a_month_closes_after_its_end_in_rome() {
        let period = "2023-11".parse().unwrap();
        let at = |text| Timestamp::parse(text).unwrap();
        assert!(judge_period(period, at("2023-11-30T22:59:59Z")).is_err());
        assert!(judge_period(period, at("2023-11-30T23:00:00Z")).is_ok());
    }

    fn code(text: &str) -> Code {
        text.parse().unwrap()
    }

    fn edition(number: usize, area: &str, test: bool) -> Edition {
        Edition {
            id: format!("E{number}").parse().unwrap(),
            intervention: "I".parse().unwrap(),
            kit: None,
            syllabus: None,
            instrument: code("ONLINE.ELEARNING"),
            area: code(area),
            objective: Code::unspecified(),
            level: code("STAFF"),
            origin: PlanOrigin::FromPo,
            package: None,
            minutes: 60,
            start: "2023-10-02".parse().unwrap(),
            end: "2023-12-20".parse().unwrap(),
            ecm: false,
            test,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_report_counts_what_a_plain_count_gives(
            picks in proptest::collection::btree_map((0..20u8, 0..4usize), (0..3usize, 1..3i8, any::<bool>(), any::<bool>()), 0..60)
        ) {
            let editions: Vec<_> = (0..4).map(|n| edition(n, ["GENERAL", "SPECIFIC"][n % 2], n > 1)).collect();
            let professions = ["C1.01", "C2.06", "C3.02"];
            // Who completed, completed in October or November; the report is October's.
            let outcomes: Vec<OutcomeRow> = picks.iter().map(|((learner, edition), (profession, month, completed, passed))| OutcomeRow {
                learner: format!("L{learner}"),
                edition: editions[*edition].id.clone(),
                profession: code(professions[*profession]),
                enrolled: Some("2023-10-02".parse().unwrap()),
                started: Some("2023-10-03".parse().unwrap()),
                completed: completed.then(|| jiff::civil::date(2023, 9 + *month, 9)),
                passed: (*completed && *edition > 1).then_some(*passed),
                ecm_credited: None,
            }).collect();
            let head = ReportHead {
                region: "090".parse().unwrap(), period: "2023-10".parse().unwrap(), revision: 1, pe_year: 2023,
                pe_version: 1, code_lists: 1, reason: String::new(),
            };
            let report = draft(head, CodeLists::builtin(), &editions, &outcomes);
            prop_assert!(report::check(&report, CodeLists::builtin()).is_empty());
            let sum = |measure| report.cells.values().filter_map(|m| m[&measure].as_count()).sum::<u64>();
            let done: Vec<_> = outcomes.iter().filter(|o| o.completed.is_some_and(|d| d.month() == 10)).collect();
            prop_assert_eq!(sum(Measure::Enrolled), outcomes.len() as u64);
            prop_assert_eq!(sum(Measure::Completed), done.len() as u64);
            prop_assert_eq!(sum(Measure::MinutesDelivered), 60 * done.len() as u64);
            let people: BTreeSet<_> = done.iter().map(|o| &o.learner).collect();
            prop_assert_eq!(report.distinct[&(Code::all(), Code::all())], CellValue::count(people.len() as u64));
            for measures in report.cells.values() {
                let small = (1..5).contains(&measures[&Measure::Completed].as_count().unwrap());
                prop_assert!(!small || measures[&Measure::Passed].as_count().is_none());
            }
        }
    }
}
