//! The consolidated status: from accepted reports only, computed once for every reader, protected for
//! all alike (one rule, one figure). A token that is limited to areas or clusters gets totals of those.

use crate::{federation, monitoring::cube};
use raccordo_model::{
    code::Code,
    consolidate::{ConsolidatedRow, consolidate},
    node::{NodeId, RegionCode},
    period::Period,
    region,
    timestamp::Timestamp,
};
use raccordo_node::{NodeError, status::Refusal};
use raccordo_store::{StoreError, Tx, cosignatures, heads};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const LATEST_ACCEPTED: &str = "SELECT MAX(period) FROM proj_verdict WHERE state = 'accepted'";
pub(crate) const LATEST_REPORTED: &str = "SELECT MAX(period) FROM proj_report";
pub(crate) const ACCEPTED: &str = "SELECT region, period, revision, report_idx FROM proj_verdict
    WHERE state = 'accepted' AND period <= $1 ORDER BY region, period";

const DAY_US: i64 = 86_400_000_000;

/// Whether a region's figures are those that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Of the period that was asked for.
    Confirmed,
    /// Of an earlier one; not in the totals.
    Stale,
    /// None at all.
    Missing,
}

/// How a region stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionStatus {
    /// The region.
    pub region: RegionCode,
    /// Its name.
    pub name: String,
    /// Whether there are figures.
    pub freshness: Freshness,
    /// What they come from: period, revision, index in the region's ledger.
    pub source: Option<(Period, u32, u64)>,
    /// Days since the end of that period.
    pub age_days: u32,
    /// Whether the Hub cosigned the report before the end of its due day.
    pub on_time: bool,
}

/// What a reader asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The month; none: the latest that any region reported.
    pub period: Option<Period>,
    /// One region; none: all.
    pub region: Option<RegionCode>,
    /// Areas that the reader may see; empty: all.
    pub areas: BTreeSet<String>,
    /// Clusters that the reader may see; empty: all.
    pub clusters: BTreeSet<String>,
}

/// The answer, and what it is a function of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The month.
    pub period: Period,
    /// The Hub's ledger size.
    pub ledger_size: u64,
    /// Its signed checkpoint.
    pub checkpoint: String,
    /// Regions with an accepted report of the period, of how many.
    pub regions_reporting: (u32, u32),
    /// How each region stands.
    pub regions: Vec<RegionStatus>,
    /// The figures.
    pub rows: Vec<ConsolidatedRow>,
}

/// Answers a question at `now`, the business time.
pub async fn answer(tx: &mut Tx, question: &Question, now: Timestamp) -> Result<Answer, NodeError> {
    let head = heads::get(tx, NodeId::Hub)
        .await?
        .ok_or(StoreError::Moved("the ledger's head"))?;
    let period = match question.period {
        Some(period) => period,
        None => latest(tx, now).await?,
    };
    let allowed = |codes: &BTreeSet<String>, code: &Code| codes.is_empty() || codes.contains(code.as_str());
    let keep =
        |cluster: &Code, area: &Code| allowed(&question.clusters, cluster) && allowed(&question.areas, area);
    let mut rows = consolidate(&cube::rolled_up(tx, period, keep).await?);
    let mut regions = regions(tx, period, now).await?;
    let reporting = regions
        .iter()
        .filter(|r| r.freshness == Freshness::Confirmed)
        .count() as u32;
    let total = regions.len() as u32;
    if let Some(code) = question.region {
        if region::region(code).is_none() {
            return Err(Refusal::not_found(format!("there is no region {code}"), "`090` is Tuscany").into());
        }
        rows.retain(|row| row.region == Some(code));
        regions.retain(|status| status.region == code);
    }
    let regions_reporting = (reporting, total);
    Ok(Answer {
        period,
        ledger_size: head.size,
        checkpoint: head.note,
        regions_reporting,
        regions,
        rows,
    })
}

/// The latest month with an accepted report, else with any; else the last one that is over.
async fn latest(tx: &mut Tx, now: Timestamp) -> Result<Period, NodeError> {
    for sql in [LATEST_ACCEPTED, LATEST_REPORTED] {
        let (period,): (Option<String>,) = tx.query(sql).fetch_one().await?;
        if let Some(text) = period {
            let corrupt = || StoreError::Corrupt {
                table: "proj_report",
                column: "period",
                key: text.clone(),
            };
            return Ok(text.parse().map_err(|_| corrupt())?);
        }
    }
    let month = Period::at(now).ok_or_else(|| {
        Refusal::precondition(
            "nothing was reported, and the clock shows no month",
            "set the clock of the machine",
        )
    })?;
    let (year, before) = if month.month() == 1 {
        (month.year() - 1, 12)
    } else {
        (month.year(), month.month() - 1)
    };
    Ok(Period::new(year, before).unwrap_or(month))
}

async fn regions(tx: &mut Tx, asked: Period, now: Timestamp) -> Result<Vec<RegionStatus>, StoreError> {
    let accepted: Vec<(String, String, i64, i64)> =
        tx.query(ACCEPTED).bind(asked.to_string()).fetch_all().await?;
    // In order of period: the last one of a region stays.
    let latest: BTreeMap<String, (String, i64, i64)> = accepted
        .into_iter()
        .map(|(region, period, revision, index)| (region, (period, revision, index)))
        .collect();
    let due_days = federation::rules(tx).await?.report_due_days;
    let mut statuses = Vec::new();
    for region in region::regions() {
        let mut status = RegionStatus {
            region: region.code,
            name: region.name.clone(),
            freshness: Freshness::Missing,
            source: None,
            age_days: 0,
            on_time: false,
        };
        if let Some((text, revision, index)) = latest.get(region.code.as_str()) {
            let corrupt = || StoreError::Corrupt {
                table: "proj_verdict",
                column: "period",
                key: text.clone(),
            };
            let period: Period = text.parse().map_err(|_| corrupt())?;
            let ledger = NodeId::Region(region.code);
            let received = cosignatures::covering(tx, ledger, NodeId::Hub, *index as u64).await?;
            status.freshness = if period == asked {
                Freshness::Confirmed
            } else {
                Freshness::Stale
            };
            status.source = Some((period, *revision as u32, *index as u64));
            status.age_days = age_days(period, now);
            status.on_time = received.is_some_and(|cosignature| cosignature.at <= period.due_date(due_days));
        }
        statuses.push(status);
    }
    Ok(statuses)
}

/// Whole days since the end of a period; 0 before it.
pub fn age_days(period: Period, now: Timestamp) -> u32 {
    let days = now.0.saturating_sub(period.end().0).max(0) / DAY_US;
    u32::try_from(days).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_counts_whole_days_from_the_end_of_the_period() {
        let period: Period = "2023-11".parse().unwrap();
        let end = period.end();
        assert_eq!(age_days(period, Timestamp(end.0 - 1)), 0);
        assert_eq!(age_days(period, Timestamp(end.0 + DAY_US - 1)), 0);
        assert_eq!(age_days(period, Timestamp(end.0 + 20 * DAY_US)), 20);
    }
}
