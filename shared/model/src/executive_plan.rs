//! The Executive Plan (Piano Esecutivo, PE): what a region does in one year. The centre analyses it
//! and does not approve it.

use crate::{
    code::{Code, Id},
    edition::PlanOrigin,
    finding::Finding,
    node::RegionCode,
    operational_plan::OperationalPlan,
    personal_data,
    taxonomy::{CodeLists, Dimension},
};
use jiff::civil::Date;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Most targets of an intervention.
pub const TARGETS_MAX: usize = 100;
/// Most interventions that one comes after.
pub const AFTER_MAX: usize = 100;
/// Most people that an intervention is for.
pub const AUDIENCE_MAX: u64 = 10_000_000;
/// Longest course, in minutes: 400 hours.
pub const MINUTES_MAX: u32 = 24_000;

/// A version of a region's Executive Plan of one year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecutivePlan {
    /// Whose.
    #[serde(serialize_with = "crate::node::region_as_text")]
    pub region: RegionCode,
    /// The year.
    pub year: i16,
    /// From 1; grows by one each time it is shared. A plan read from a document is version 1 until
    /// its Spoke numbers it.
    pub version: u32,
    /// The approved version of the Operational Plan that it is pinned to. A plan read from a document
    /// says 1 until its Spoke pins it.
    pub po_version: u32,
    /// What it carries out.
    pub interventions: Vec<Intervention>,
    /// Version of the code lists that its codes come from.
    pub code_lists: u32,
}

/// What an Executive Plan carries out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Intervention {
    /// Unique in the plan.
    pub id: Id,
    /// Title.
    pub title: String,
    /// Code of the level.
    pub level: Code,
    /// Code of the area.
    pub area: Code,
    /// Code of the objective.
    pub objective: Code,
    /// Codes of clusters or professions; empty: unknown.
    pub targets: Vec<Code>,
    /// How many people it is for; none: unknown.
    pub audience: Option<u64>,
    /// Who they are, in words.
    pub audience_note: String,
    /// Code of the instrument.
    pub instrument: Code,
    /// Minutes of a course; none: unknown.
    pub minutes: Option<u32>,
    /// First day, if it is known.
    pub start: Option<Date>,
    /// Last day, if it is known.
    pub end: Option<Date>,
    /// Whether ECM credits apply.
    pub ecm: bool,
    /// Where it comes from.
    pub origin: InterventionOrigin,
    /// Interventions of this plan that come before.
    pub after: Vec<Id>,
    /// Platform, in words.
    pub platform: String,
    /// Provider, in words.
    pub provider: String,
    /// Who drafts its content, in words.
    pub drafted_by: String,
    /// Who validates its content, in words.
    pub validated_by: String,
    /// Tutors, in words.
    pub tutors: String,
}

/// Where an intervention comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InterventionOrigin {
    /// An intervention of the pinned Operational Plan.
    FromPo(Id),
    /// Added by the Executive Plan, for this reason; reported apart.
    Additional(String),
}

impl InterventionOrigin {
    /// The same as a dimension of reports.
    pub fn plan_origin(&self) -> PlanOrigin {
        match self {
            Self::FromPo(_) => PlanOrigin::FromPo,
            Self::Additional(_) => PlanOrigin::Additional,
        }
    }
}

impl Intervention {
    /// The free texts, by field.
    fn texts(&self) -> [(&'static str, &str); 8] {
        let reason = match &self.origin {
            InterventionOrigin::FromPo(_) => "",
            InterventionOrigin::Additional(reason) => reason,
        };
        [
            ("title", &self.title),
            ("audience_note", &self.audience_note),
            ("platform", &self.platform),
            ("provider", &self.provider),
            ("drafted_by", &self.drafted_by),
            ("validated_by", &self.validated_by),
            ("tutors", &self.tutors),
            ("reason", reason),
        ]
    }
}

impl ExecutivePlan {
    /// The intervention with this identifier.
    pub fn intervention(&self, id: &Id) -> Option<&Intervention> {
        self.interventions.iter().find(|i| &i.id == id)
    }

    /// What breaks a rule that the plan can be held against alone. Errors: identifiers twice, codes
    /// that do not exist, dates in the wrong order or outside the year, an additional intervention
    /// without reason, a prerequisite that does not exist, a cycle of prerequisites. Warnings:
    /// specific training without or before the propaedeutic one for the same target.
    pub fn check(&self, codes: &CodeLists) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.interventions.is_empty() {
            findings.push(Finding::error(
                "interventions",
                "there is none",
                "add what the plan carries out",
            ));
        }
        let mut seen = BTreeSet::new();
        for (index, intervention) in self.interventions.iter().enumerate() {
            let field = format!("interventions[{index}]");
            if !seen.insert(&intervention.id) {
                findings.push(Finding::error(
                    format!("{field}.id"),
                    format!("`{}` is there twice", intervention.id),
                    "give each intervention its own identifier",
                ));
            }
            check_codes(intervention, &field, codes, &mut findings);
            self.check_dates(intervention, &field, &mut findings);
            if let InterventionOrigin::Additional(reason) = &intervention.origin
                && reason.trim().is_empty()
            {
                findings.push(Finding::error(
                    format!("{field}.reason"),
                    "an additional intervention has no reason",
                    "say why it is not in the Operational Plan",
                ));
            }
        }
        self.check_prerequisites(&mut findings);
        self.check_order(codes, &mut findings);
        findings
    }

    /// Free texts that look like personal data, as warnings: a person may go on on record.
    pub fn personal_data(&self) -> Vec<Finding> {
        personal_data::findings(self.interventions.iter().enumerate().flat_map(|(index, i)| {
            i.texts()
                .map(|(name, text)| (format!("interventions[{index}].{name}"), text))
        }))
    }

    fn check_dates(&self, intervention: &Intervention, field: &str, findings: &mut Vec<Finding>) {
        for (name, day) in [("start", intervention.start), ("end", intervention.end)] {
            if let Some(day) = day
                && day.year() != self.year
            {
                findings.push(Finding::error(
                    format!("{field}.{name}"),
                    format!("{day} is outside the plan's year {}", self.year),
                    "correct the date, or move the intervention to that year's plan",
                ));
            }
        }
        if let (Some(start), Some(end)) = (intervention.start, intervention.end)
            && start > end
        {
            findings.push(Finding::error(
                format!("{field}.end"),
                format!("ends on {end}, before it starts on {start}"),
                "correct the dates",
            ));
        }
    }

    fn check_prerequisites(&self, findings: &mut Vec<Finding>) {
        let after: BTreeMap<&Id, &[Id]> = self
            .interventions
            .iter()
            .map(|i| (&i.id, i.after.as_slice()))
            .collect();
        for (index, intervention) in self.interventions.iter().enumerate() {
            for (nth, before) in intervention.after.iter().enumerate() {
                if !after.contains_key(before) {
                    findings.push(Finding::error(
                        format!("interventions[{index}].after[{nth}]"),
                        format!("`{before}` is not an intervention of this plan"),
                        "correct the identifier or delete it",
                    ));
                }
            }
        }
        if let Some(cycle) = cycle(&after) {
            let position = |id: &Id| self.interventions.iter().position(|i| i.id == *id);
            let index = cycle.first().and_then(|id| position(id)).unwrap_or(0);
            let shown: Vec<&str> = cycle.iter().map(|id| id.as_str()).collect();
            findings.push(Finding::error(
                format!("interventions[{index}].after"),
                format!("the prerequisites go round in a circle: {}", shown.join(" → ")),
                "delete one of these prerequisites",
            ));
        }
    }

    /// Invariant 6: general and technical training come before specific training for a target.
    fn check_order(&self, codes: &CodeLists, findings: &mut Vec<Finding>) {
        let propaedeutic: Vec<&Intervention> = self
            .interventions
            .iter()
            .filter(|i| codes.is_propaedeutic(&i.area))
            .collect();
        for (index, intervention) in self.interventions.iter().enumerate() {
            let specific = codes
                .item(Dimension::Area, &intervention.area)
                .is_some_and(|area| !area.propaedeutic);
            if !specific || intervention.targets.is_empty() {
                continue;
            }
            let mut before = propaedeutic
                .iter()
                .filter(|p| overlap(p, intervention, codes))
                .peekable();
            if before.peek().is_none() {
                findings.push(Finding::warning(
                    format!("interventions[{index}].area"),
                    "no general or technical training for the same target is in this plan",
                    "add one, or go on with a recorded reason (it may have been done before)",
                ));
            }
            for late in before.filter(|p| p.start > intervention.start && intervention.start.is_some()) {
                findings.push(Finding::warning(
                    format!("interventions[{index}].start"),
                    format!(
                        "starts before `{}`, which is propaedeutic for the same target",
                        late.id
                    ),
                    "move one of them, or go on with a recorded reason",
                ));
            }
        }
    }
}

/// Holds an Executive Plan against the version of the Operational Plan that it is pinned to: same
/// region, its year within the horizon, the pinned version, and every `from_po` intervention there.
pub fn check_against_po(plan: &ExecutivePlan, po: &OperationalPlan) -> Vec<Finding> {
    let mut findings = Vec::new();
    if plan.region != po.region {
        findings.push(Finding::error(
            "region",
            format!(
                "the plan is of region {}, the Operational Plan of {}",
                plan.region, po.region
            ),
            "pin the Operational Plan of the same region",
        ));
    }
    if plan.po_version != po.version {
        findings.push(Finding::error(
            "po_version",
            format!(
                "the plan is pinned to version {}, not {}",
                plan.po_version, po.version
            ),
            "pin an approved version",
        ));
    }
    if !(po.from_year..=po.to_year).contains(&plan.year) {
        findings.push(Finding::error(
            "year",
            format!(
                "{} is outside the horizon {}–{}",
                plan.year, po.from_year, po.to_year
            ),
            "correct the year, or extend the Operational Plan first",
        ));
    }
    let known: BTreeSet<&Id> = po.interventions.iter().map(|i| &i.id).collect();
    for (index, intervention) in plan.interventions.iter().enumerate() {
        if let InterventionOrigin::FromPo(id) = &intervention.origin
            && !known.contains(id)
        {
            findings.push(Finding::error(
                format!("interventions[{index}].po_intervention"),
                format!("`{id}` is not in version {} of the Operational Plan", po.version),
                "correct it, or make the intervention `additional` with a reason",
            ));
        }
    }
    findings
}

fn check_codes(intervention: &Intervention, field: &str, codes: &CodeLists, findings: &mut Vec<Finding>) {
    let one = [
        (Dimension::Level, &intervention.level, "level"),
        (Dimension::Area, &intervention.area, "area"),
        (Dimension::Objective, &intervention.objective, "objective"),
        (Dimension::Instrument, &intervention.instrument, "instrument"),
    ];
    for (dimension, code, name) in one {
        codes.check_into(dimension, code, &format!("{field}.{name}"), findings);
    }
    for (index, target) in intervention.targets.iter().enumerate() {
        let field = format!("{field}.target[{index}]");
        codes.check_into(Dimension::Target, target, &field, findings);
    }
}

/// Whether two interventions share a target: the same code, or a profession and its cluster.
fn overlap(one: &Intervention, other: &Intervention, codes: &CodeLists) -> bool {
    let covers = |a: &Code, b: &Code| a == b || &codes.cluster_of(b) == a;
    one.targets
        .iter()
        .any(|a| other.targets.iter().any(|b| covers(a, b) || covers(b, a)))
}

/// A cycle in the graph, its first member repeated at the end. Depth-first, without recursion.
fn cycle<'a>(after: &BTreeMap<&'a Id, &'a [Id]>) -> Option<Vec<&'a Id>> {
    let mut done: BTreeSet<&Id> = BTreeSet::new();
    for start in after.keys().copied() {
        // The path from `start`, with how many prerequisites of each member were already followed.
        let mut path: Vec<(&Id, usize)> = vec![(start, 0)];
        let mut on_path = BTreeSet::from([start]);
        while let Some((id, followed)) = path.last_mut() {
            let id = *id;
            let next = after.get(id).and_then(|list| list.get(*followed));
            *followed += 1;
            match next {
                None => {
                    done.insert(id);
                    on_path.remove(id);
                    path.pop();
                }
                Some(next) => {
                    if on_path.contains(next) {
                        let on_cycle = path.iter().map(|(id, _)| *id).skip_while(|id| *id != next);
                        return Some(on_cycle.chain([next]).collect());
                    }
                    if !done.contains(next) {
                        on_path.insert(next);
                        path.push((next, 0));
                    }
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_cycle_is_found_exactly_where_there_is_one(
            edges in prop::collection::vec((0..7usize, 0..7usize), 0..12),
        ) {
            let ids: Vec<Id> = (0..7).map(|n| format!("I{n}").parse().unwrap()).collect();
            let mut lists = vec![Vec::new(); 7];
            for (from, to) in &edges {
                lists[*from].push(ids[*to].clone());
            }
            let graph: BTreeMap<&Id, &[Id]> =
                ids.iter().zip(&lists).map(|(id, list)| (id, list.as_slice())).collect();
            // Naive: who is reached from `from` in any number of steps.
            let mut reached: BTreeSet<(usize, usize)> = edges.iter().copied().collect();
            loop {
                let more: Vec<(usize, usize)> = reached
                    .iter()
                    .flat_map(|(a, b)| edges.iter().filter(move |(c, _)| c == b).map(move |(_, d)| (*a, *d)))
                    .filter(|pair| !reached.contains(pair))
                    .collect();
                if more.is_empty() {
                    break;
                }
                reached.extend(more);
            }
            let circular = reached.iter().any(|(a, b)| a == b);
            let found = cycle(&graph);
            prop_assert_eq!(found.is_some(), circular);
            if let Some(found) = found {
                prop_assert_eq!(found.first(), found.last());
                for pair in found.windows(2) {
                    prop_assert!(graph[pair[0]].contains(pair[1]), "{found:?}");
                }
            }
        }
    }
}
