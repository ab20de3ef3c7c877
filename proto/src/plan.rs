//! Operational and Executive Plans. Conversion checks shape and bounds; whether codes exist and
//! rules hold is for the plans' own `check`, which needs the code lists.

use crate::{
    catalogue::list,
    error::{self, DecodeError, at_most, parse},
    wire,
};
use raccordo_model::{
    code::{Code, Id},
    date::{PartialDate, parse_day},
    edition::PlanOrigin,
    executive_plan::{
        AFTER_MAX, AUDIENCE_MAX, ExecutivePlan, Intervention, InterventionOrigin, MINUTES_MAX, TARGETS_MAX,
    },
    operational_plan::{
        BASES_MAX, INTERVENTIONS_MAX, NOTE_BYTES_MAX, OperationalPlan, PoIntervention, TITLE_BYTES_MAX,
    },
};

/// A day as the model holds it.
type Day = raccordo_model::date::Day;

/// An Operational Plan as it travels.
pub fn operational_plan_to_wire(plan: &OperationalPlan) -> wire::OperationalPlan {
    wire::OperationalPlan {
        region: plan.region.to_string(),
        version: plan.version,
        from_year: u32::from(plan.from_year.unsigned_abs()),
        to_year: u32::from(plan.to_year.unsigned_abs()),
        proposed: plan.proposed.map_or(String::new(), |d| d.to_string()),
        basis: plan.basis.clone(),
        interventions: plan
            .interventions
            .iter()
            .map(|intervention| wire::PoIntervention {
                id: intervention.id.to_string(),
                title: intervention.title.clone(),
                level: intervention.level.to_string(),
            })
            .collect(),
        code_lists: plan.code_lists,
    }
}

/// The Operational Plan that a message holds.
pub fn operational_plan_from_wire(plan: wire::OperationalPlan) -> Result<OperationalPlan, DecodeError> {
    const MESSAGE: &str = "OperationalPlan";
    at_most(MESSAGE, "basis", "bases", plan.basis.len(), BASES_MAX)?;
    at_most(
        MESSAGE,
        "interventions",
        "interventions",
        plan.interventions.len(),
        INTERVENTIONS_MAX,
    )?;
    Ok(OperationalPlan {
        region: parse(MESSAGE, "region", &plan.region)?,
        version: from_one(MESSAGE, "version", plan.version)?,
        from_year: year(MESSAGE, "from_year", plan.from_year)?,
        to_year: year(MESSAGE, "to_year", plan.to_year)?,
        proposed: partial_date(MESSAGE, "proposed", &plan.proposed)?,
        basis: plan
            .basis
            .into_iter()
            .map(|text| error::text(MESSAGE, "basis", text, TITLE_BYTES_MAX))
            .collect::<Result<_, _>>()?,
        interventions: plan
            .interventions
            .into_iter()
            .enumerate()
            .map(|(index, i)| {
                po_intervention(i).map_err(|e| e.within(MESSAGE, format!("interventions[{index}]")))
            })
            .collect::<Result<_, _>>()?,
        code_lists: from_one(MESSAGE, "code_lists", plan.code_lists)?,
    })
}

fn po_intervention(intervention: wire::PoIntervention) -> Result<PoIntervention, DecodeError> {
    const MESSAGE: &str = "PoIntervention";
    Ok(PoIntervention {
        id: parse(MESSAGE, "id", &intervention.id)?,
        title: title(MESSAGE, intervention.title)?,
        level: parse(MESSAGE, "level", &intervention.level)?,
    })
}

/// An Executive Plan as it travels.
pub fn executive_plan_to_wire(plan: &ExecutivePlan) -> wire::ExecutivePlan {
    wire::ExecutivePlan {
        region: plan.region.to_string(),
        year: u32::from(plan.year.unsigned_abs()),
        version: plan.version,
        po_version: plan.po_version,
        interventions: plan.interventions.iter().map(intervention_to_wire).collect(),
        code_lists: plan.code_lists,
    }
}

/// The Executive Plan that a message holds.
pub fn executive_plan_from_wire(plan: wire::ExecutivePlan) -> Result<ExecutivePlan, DecodeError> {
    const MESSAGE: &str = "ExecutivePlan";
    at_most(
        MESSAGE,
        "interventions",
        "interventions",
        plan.interventions.len(),
        INTERVENTIONS_MAX,
    )?;
    Ok(ExecutivePlan {
        region: parse(MESSAGE, "region", &plan.region)?,
        year: year(MESSAGE, "year", plan.year)?,
        version: from_one(MESSAGE, "version", plan.version)?,
        po_version: from_one(MESSAGE, "po_version", plan.po_version)?,
        interventions: plan
            .interventions
            .into_iter()
            .enumerate()
            .map(|(index, i)| {
                intervention_from_wire(i).map_err(|e| e.within(MESSAGE, format!("interventions[{index}]")))
            })
            .collect::<Result<_, _>>()?,
        code_lists: from_one(MESSAGE, "code_lists", plan.code_lists)?,
    })
}

fn intervention_to_wire(intervention: &Intervention) -> wire::Intervention {
    let i = intervention.clone();
    let day = |day: Option<Day>| day.map_or(String::new(), |d| d.to_string());
    let origin = plan_origin_to_wire(i.origin.plan_origin()).into();
    let (po_intervention, reason) = match i.origin {
        InterventionOrigin::FromPo(id) => (id.to_string(), String::new()),
        InterventionOrigin::Additional(reason) => (String::new(), reason),
    };
    wire::Intervention {
        id: i.id.to_string(),
        title: i.title,
        level: i.level.to_string(),
        area: i.area.to_string(),
        objective: i.objective.to_string(),
        targets: i.targets.iter().map(ToString::to_string).collect(),
        audience: i.audience,
        audience_note: i.audience_note,
        instrument: i.instrument.to_string(),
        minutes: i.minutes,
        start: day(i.start),
        end: day(i.end),
        ecm: i.ecm,
        origin,
        po_intervention,
        reason,
        after: i.after.iter().map(ToString::to_string).collect(),
        platform: i.platform,
        provider: i.provider,
        drafted_by: i.drafted_by,
        validated_by: i.validated_by,
        tutors: i.tutors,
    }
}

fn intervention_from_wire(i: wire::Intervention) -> Result<Intervention, DecodeError> {
    const MESSAGE: &str = "Intervention";
    at_most(MESSAGE, "targets", "targets", i.targets.len(), TARGETS_MAX)?;
    at_most(MESSAGE, "after", "interventions", i.after.len(), AFTER_MAX)?;
    if i.audience.is_some_and(|n| !(1..=AUDIENCE_MAX).contains(&n)) {
        let problem = format!("1 to {AUDIENCE_MAX} people, or absent: unknown");
        return Err(DecodeError::new(MESSAGE, "audience", problem));
    }
    if i.minutes.is_some_and(|n| !(1..=MINUTES_MAX).contains(&n)) {
        let problem = format!("1 to {MINUTES_MAX} minutes, or absent: unknown");
        return Err(DecodeError::new(MESSAGE, "minutes", problem));
    }
    let origin = match plan_origin_from_wire(MESSAGE, i.origin)? {
        PlanOrigin::FromPo if !i.reason.is_empty() => {
            let problem = "given although the intervention is from the Operational Plan";
            return Err(DecodeError::new(MESSAGE, "reason", problem));
        }
        PlanOrigin::FromPo => {
            InterventionOrigin::FromPo(parse(MESSAGE, "po_intervention", &i.po_intervention)?)
        }
        PlanOrigin::Additional if !i.po_intervention.is_empty() => {
            let problem = "given although the intervention is additional";
            return Err(DecodeError::new(MESSAGE, "po_intervention", problem));
        }
        PlanOrigin::Additional => InterventionOrigin::Additional(note(MESSAGE, "reason", i.reason)?),
    };
    let short = |field, text| error::text(MESSAGE, field, text, TITLE_BYTES_MAX);
    Ok(Intervention {
        id: parse(MESSAGE, "id", &i.id)?,
        title: title(MESSAGE, i.title)?,
        level: parse(MESSAGE, "level", &i.level)?,
        area: parse(MESSAGE, "area", &i.area)?,
        objective: parse(MESSAGE, "objective", &i.objective)?,
        targets: list::<Code>(MESSAGE, "targets", &i.targets)?,
        audience: i.audience,
        audience_note: note(MESSAGE, "audience_note", i.audience_note)?,
        instrument: parse(MESSAGE, "instrument", &i.instrument)?,
        minutes: i.minutes,
        start: day(MESSAGE, "start", &i.start)?,
        end: day(MESSAGE, "end", &i.end)?,
        ecm: i.ecm,
        origin,
        after: list::<Id>(MESSAGE, "after", &i.after)?,
        platform: short("platform", i.platform)?,
        provider: short("provider", i.provider)?,
        drafted_by: short("drafted_by", i.drafted_by)?,
        validated_by: short("validated_by", i.validated_by)?,
        tutors: short("tutors", i.tutors)?,
    })
}

/// The origin as it travels.
pub fn plan_origin_to_wire(origin: PlanOrigin) -> wire::InterventionOrigin {
    match origin {
        PlanOrigin::FromPo => wire::InterventionOrigin::FromPo,
        PlanOrigin::Additional => wire::InterventionOrigin::Additional,
    }
}

/// The origin in the field `origin` of `message`.
pub(crate) fn plan_origin_from_wire(message: &'static str, origin: i32) -> Result<PlanOrigin, DecodeError> {
    match wire::InterventionOrigin::try_from(origin) {
        Ok(wire::InterventionOrigin::FromPo) => Ok(PlanOrigin::FromPo),
        Ok(wire::InterventionOrigin::Additional) => Ok(PlanOrigin::Additional),
        _ => Err(DecodeError::new(message, "origin", "unspecified or unknown")),
    }
}

/// A year of 2000 to 2100.
pub(crate) fn year(message: &'static str, field: &str, year: u32) -> Result<i16, DecodeError> {
    match i16::try_from(year) {
        Ok(year) if (2000..=2100).contains(&year) => Ok(year),
        _ => Err(DecodeError::new(message, field, "not a year of 2000 to 2100")),
    }
}

/// A number that counts from one.
pub(crate) fn from_one(message: &'static str, field: &str, n: u32) -> Result<u32, DecodeError> {
    if n == 0 {
        return Err(DecodeError::new(message, field, "0; it counts from 1"));
    }
    Ok(n)
}

/// A date that may be absent.
pub(crate) fn partial_date(
    message: &'static str,
    field: &str,
    text: &str,
) -> Result<Option<PartialDate>, DecodeError> {
    match text {
        "" => Ok(None),
        text => parse(message, field, text).map(Some),
    }
}

/// A note or reason of bounded length.
pub(crate) fn note(message: &'static str, field: &str, text: String) -> Result<String, DecodeError> {
    error::text(message, field, text, NOTE_BYTES_MAX)
}

fn title(message: &'static str, text: String) -> Result<String, DecodeError> {
    if text.trim().is_empty() {
        return Err(DecodeError::new(message, "title", "empty"));
    }
    error::text(message, "title", text, TITLE_BYTES_MAX)
}

fn day(message: &'static str, field: &str, text: &str) -> Result<Option<Day>, DecodeError> {
    match text {
        "" => Ok(None),
        text => parse_day(text)
            .map(Some)
            .map_err(|e| DecodeError::new(message, field, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_model::{plan_file::PlanFile, taxonomy::CodeLists};

    fn toscana() -> (OperationalPlan, ExecutivePlan) {
        let text = include_str!("../../shared/model/data/toscana-2023.yaml");
        let file = PlanFile::parse_yaml(text, "toscana.yaml", CodeLists::builtin()).unwrap();
        (file.operational_plan.unwrap(), file.executive_plan.unwrap())
    }

    #[test]
    fn the_real_plans_survive_the_wire() {
        let (po, mut pe) = toscana();
        pe.interventions[1].origin = InterventionOrigin::Additional("richiesta tardiva".into());
        assert_eq!(operational_plan_from_wire(operational_plan_to_wire(&po)), Ok(po));
        assert_eq!(executive_plan_from_wire(executive_plan_to_wire(&pe)), Ok(pe));
    }

    #[test]
    fn what_cannot_be_is_refused_by_field() {
        let wire = executive_plan_to_wire(&toscana().1);
        let refused = |change: fn(&mut wire::ExecutivePlan)| {
            let mut wire = wire.clone();
            change(&mut wire);
            executive_plan_from_wire(wire).unwrap_err().to_string()
        };
        for (text, field) in [
            (refused(|w| w.region = "Toscana".into()), "ExecutivePlan.region: "),
            (refused(|w| w.year = 70_000), "ExecutivePlan.year: "),
            (refused(|w| w.po_version = 0), "ExecutivePlan.po_version: "),
            (
                refused(|w| w.interventions[2].origin = 0),
                "ExecutivePlan.interventions[2].origin: ",
            ),
            (
                refused(|w| w.interventions[0].audience = Some(0)),
                "ExecutivePlan.interventions[0].audience: ",
            ),
            (
                refused(|w| w.interventions[1].start = "7.11.2023".into()),
                "ExecutivePlan.interventions[1].start: ",
            ),
            (
                refused(|w| w.interventions[1].title.clear()),
                "ExecutivePlan.interventions[1].title: ",
            ),
            (
                refused(|w| w.interventions[1].title = "x".repeat(301)),
                "ExecutivePlan.interventions[1].title: ",
            ),
            (
                refused(|w| w.interventions[3].targets[1] = "c1".into()),
                "ExecutivePlan.interventions[3].targets[1]: ",
            ),
        ] {
            assert!(text.starts_with(field), "{field} {text}");
        }
    }
}
