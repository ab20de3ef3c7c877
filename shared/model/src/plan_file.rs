//! The YAML form of a region's plans: either plan, or both, in one document.
//!
//! `unknown` may stand for `target`, `audience`, `minutes` and the dates: what a source does not
//! say is not invented. Absent codes are `UNSPECIFIED`.

use crate::{
    code::Code,
    date::{PartialDate, parse_day},
    document::{self, DocumentError, DocumentErrors, Fields, Node},
    executive_plan::{
        AFTER_MAX, AUDIENCE_MAX, ExecutivePlan, Intervention, InterventionOrigin, MINUTES_MAX, TARGETS_MAX,
    },
    finding::Finding,
    node::RegionCode,
    operational_plan::{
        BASES_MAX, INTERVENTIONS_MAX, NOTE_BYTES_MAX, OperationalPlan, PoIntervention, TITLE_BYTES_MAX,
    },
    region,
    syllabus::parsed_list,
    taxonomy::CodeLists,
};
use jiff::civil::Date;

/// A document with a region's plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFile {
    /// Whose plans.
    pub region: RegionCode,
    /// The Operational Plan, if the document holds one.
    pub operational_plan: Option<OperationalPlan>,
    /// When the Operational Plan was approved, if the document says so (`approved`): for a plan that
    /// was approved before the system existed.
    pub approved: Option<PartialDate>,
    /// The Executive Plan, if the document holds one.
    pub executive_plan: Option<ExecutivePlan>,
    /// Warnings of the Executive Plan's check: a planner may go on, with a recorded reason.
    pub warnings: Vec<Finding>,
}

impl PlanFile {
    /// The plans in the YAML `text`, checked against `codes`; `file` is how errors name it. The rule
    /// that an Executive Plan's interventions are in the Operational Plan is
    /// [`crate::executive_plan::check_against_po`]'s, with the version that it is pinned to.
    pub fn parse_yaml(text: &str, file: &str, codes: &CodeLists) -> Result<Self, DocumentErrors> {
        let root = document::parse(text, file)?;
        let lines = root.lines();
        let whole = root.clone();
        let mut fields = root.fields()?;
        let node = fields.required("region")?;
        let region: RegionCode = node.parsed()?;
        if region::region(region).is_none() {
            let problem = format!("there is no region {region}");
            return Err(node
                .error(problem, "`090` is Tuscany; see the list of regions")
                .into());
        }
        let (operational_plan, approved) = match fields.optional("operational_plan") {
            None => (None, None),
            Some(node) => {
                let (plan, approved) = operational_plan(node, region, codes)?;
                (Some(plan), approved)
            }
        };
        let executive_plan = fields
            .optional("executive_plan")
            .map(|node| executive_plan(node, region, codes))
            .transpose()?;
        fields.finish()?;
        if operational_plan.is_none() && executive_plan.is_none() {
            let remedy = "add `operational_plan` or `executive_plan`";
            return Err(whole.error("the document holds no plan", remedy).into());
        }
        let po = operational_plan.iter().flat_map(|plan| plan.check(codes));
        let pe = executive_plan.iter().flat_map(|plan| plan.check(codes));
        let (pe_errors, warnings): (Vec<_>, Vec<_>) = pe.partition(Finding::is_error);
        let errors: Vec<DocumentError> = po
            .map(|f| lines.locate("operational_plan", &f))
            .chain(pe_errors.iter().map(|f| lines.locate("executive_plan", f)))
            .collect();
        if !errors.is_empty() {
            return Err(DocumentErrors(errors));
        }
        Ok(Self {
            region,
            operational_plan,
            approved,
            executive_plan,
            warnings,
        })
    }
}

fn operational_plan(
    node: Node,
    region: RegionCode,
    codes: &CodeLists,
) -> Result<(OperationalPlan, Option<PartialDate>), DocumentErrors> {
    let mut fields = node.fields()?;
    let mut horizon = fields.required("horizon")?.fields()?;
    let (from_year, to_year) = (year(horizon.required("from")?)?, year(horizon.required("to")?)?);
    horizon.finish()?;
    let date = |node: Option<Node>| match node {
        Some(node) if !node.is_unknown() => node.parsed().map(Some),
        _ => Ok(None),
    };
    let proposed = date(fields.optional("proposed"))?;
    let approved = date(fields.optional("approved"))?;
    let basis = match fields.optional("basis") {
        None => Vec::new(),
        Some(node) => node
            .list(BASES_MAX)?
            .iter()
            .map(|n| n.text(TITLE_BYTES_MAX))
            .collect::<Result<_, _>>()?,
    };
    let interventions = fields
        .required("interventions")?
        .list(INTERVENTIONS_MAX)?
        .into_iter()
        .map(|node| {
            let mut fields = node.fields()?;
            let intervention = PoIntervention {
                id: fields.required("id")?.parsed()?,
                title: fields.required("title")?.text(TITLE_BYTES_MAX)?,
                level: code(fields.optional("level"))?,
            };
            fields.finish()?;
            Ok(intervention)
        })
        .collect::<Result<_, DocumentError>>()?;
    fields.finish()?;
    let plan = OperationalPlan {
        region,
        version: 1,
        from_year,
        to_year,
        proposed,
        basis,
        interventions,
        code_lists: codes.version(),
    };
    Ok((plan, approved))
}

fn executive_plan(
    node: Node,
    region: RegionCode,
    codes: &CodeLists,
) -> Result<ExecutivePlan, DocumentErrors> {
    let mut fields = node.fields()?;
    let plan = ExecutivePlan {
        region,
        year: year(fields.required("year")?)?,
        version: 1,
        po_version: match fields.optional("po_version") {
            None => 1,
            Some(node) => node.number(1, u32::MAX.into())? as u32,
        },
        interventions: fields
            .required("interventions")?
            .list(INTERVENTIONS_MAX)?
            .into_iter()
            .map(intervention)
            .collect::<Result<_, _>>()?,
        code_lists: codes.version(),
    };
    fields.finish()?;
    Ok(plan)
}

fn intervention(node: Node) -> Result<Intervention, DocumentErrors> {
    let mut fields = node.fields()?;
    let (drafted_by, validated_by) = match fields.optional("content") {
        None => Default::default(),
        Some(node) => {
            let mut content = node.fields()?;
            let texts = (
                content.optional_text("drafted_by", TITLE_BYTES_MAX)?,
                content.optional_text("validated_by", TITLE_BYTES_MAX)?,
            );
            content.finish()?;
            texts
        }
    };
    let intervention = Intervention {
        id: fields.required("id")?.parsed()?,
        title: fields.required("title")?.text(TITLE_BYTES_MAX)?,
        level: code(fields.optional("level"))?,
        area: code(fields.optional("area"))?,
        objective: code(fields.optional("objective"))?,
        targets: parsed_list(known(fields.required("target")?), TARGETS_MAX)?,
        audience: number(&mut fields, "audience", AUDIENCE_MAX)?,
        audience_note: fields.optional_text("audience_note", NOTE_BYTES_MAX)?,
        instrument: code(fields.optional("instrument"))?,
        minutes: number(&mut fields, "minutes", MINUTES_MAX.into())?.map(|n| n as u32),
        start: day(&mut fields, "start")?,
        end: day(&mut fields, "end")?,
        ecm: fields.optional("ecm").map_or(Ok(false), |n| n.boolean())?,
        origin: origin(&mut fields)?,
        after: parsed_list(fields.optional("after"), AFTER_MAX)?,
        platform: fields.optional_text("platform", TITLE_BYTES_MAX)?,
        provider: fields.optional_text("provider", TITLE_BYTES_MAX)?,
        drafted_by,
        validated_by,
        tutors: fields.optional_text("tutors", TITLE_BYTES_MAX)?,
    };
    fields.finish()?;
    Ok(intervention)
}

fn origin(fields: &mut Fields) -> Result<InterventionOrigin, DocumentError> {
    let node = fields.required("origin")?;
    match node.text(20)?.as_str() {
        "from_po" => Ok(InterventionOrigin::FromPo(
            fields.required("po_intervention")?.parsed()?,
        )),
        "additional" => Ok(InterventionOrigin::Additional(
            fields.required("reason")?.text(NOTE_BYTES_MAX)?,
        )),
        other => Err(node.error(
            format!("`{other}` is not an origin"),
            "write from_po with po_intervention, or additional with a reason",
        )),
    }
}

fn known(node: Node) -> Option<Node> {
    (!node.is_unknown()).then_some(node)
}

fn code(node: Option<Node>) -> Result<Code, DocumentError> {
    node.and_then(known)
        .map_or(Ok(Code::unspecified()), |n| n.parsed())
}

fn number(fields: &mut Fields, name: &str, most: u64) -> Result<Option<u64>, DocumentError> {
    fields
        .optional(name)
        .and_then(known)
        .map(|n| n.number(1, most))
        .transpose()
}

fn day(fields: &mut Fields, name: &str) -> Result<Option<Date>, DocumentError> {
    let Some(node) = fields.optional(name).and_then(known) else {
        return Ok(None);
    };
    let text = node.text(40)?;
    parse_day(&text)
        .map(Some)
        .map_err(|e| node.error(e, "correct the date"))
}

fn year(node: Node) -> Result<i16, DocumentError> {
    Ok(node.number(2_000, 2_100)? as i16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executive_plan::check_against_po;

    const TOSCANA: &str = include_str!("../data/toscana-2023.yaml");

    fn parse(text: &str) -> Result<PlanFile, DocumentErrors> {
        PlanFile::parse_yaml(text, "toscana.yaml", CodeLists::builtin())
    }

    fn refused(from: &str, to: &str) -> String {
        assert!(TOSCANA.contains(from), "{from}");
        parse(&TOSCANA.replacen(from, to, 1)).unwrap_err().to_string()
    }

    #[test]
    fn the_real_plan_is_taken_in_whole() {
        let file = parse(TOSCANA).unwrap();
        let (po, pe) = (file.operational_plan.unwrap(), file.executive_plan.unwrap());
        assert_eq!(file.region.as_str(), "090");
        assert_eq!(file.approved.unwrap().to_string(), "2023-03");
        assert_eq!(po.interventions.len(), 3);
        assert_eq!(check_against_po(&pe, &po), []);
        assert_eq!(file.warnings, []);
        let fad = &pe.interventions[2];
        assert_eq!((fad.audience, fad.minutes, fad.ecm), (None, Some(240), true));
        assert_eq!(fad.validated_by, "Comitato Scientifico");
        assert!(pe.interventions[0].targets.is_empty());
        assert_eq!(pe.interventions[3].after[0].as_str(), "TOS-2023-03");
        assert!(po.personal_data().is_empty() && pe.personal_data().is_empty());
    }

    #[test]
    fn each_broken_rule_is_named_with_line_field_and_remedy() {
        for (from, to, field, problem) in [
            (
                "area: SPECIFIC",
                "area: SPECIAL",
                "interventions[3].area",
                "`SPECIAL` is no area",
            ),
            (
                "id: TOS-2023-02",
                "id: TOS-2023-01",
                "interventions[1].id",
                "twice",
            ),
            (
                "after: [TOS-2023-03]",
                "after: [TOS-2023-04]",
                "interventions[3].after",
                "TOS-2023-04 → TOS-2023-04",
            ),
            (
                "after: [TOS-2023-03]",
                "after: [TOS-2023-09]",
                "interventions[3].after[0]",
                "not an intervention",
            ),
            (
                "end: \"2023-11-07\"",
                "end: \"2023-11-06\"",
                "interventions[1].end",
                "before it starts",
            ),
            (
                "start: \"2023-11-07\"",
                "start: \"2022-11-07\"",
                "interventions[1].start",
                "outside",
            ),
            (
                "[C1.01, C1.02]",
                "[C1.01, C4]",
                "interventions[3].target[1]",
                "reserved",
            ),
            (
                "instrument: TRADITIONAL.FSC",
                "istrument: X",
                "interventions[3].istrument",
                "no such field",
            ),
        ] {
            let text = refused(from, to);
            let line = TOSCANA[..TOSCANA.find(from).unwrap()].lines().count();
            let place = format!("toscana.yaml:{line}: executive_plan.{field}: ");
            assert!(text.contains(&place) && text.contains(problem), "{place}\n{text}");
        }
    }

    #[test]
    fn an_origin_needs_its_proof() {
        let text = refused("origin: from_po          # [p]", "origin: additional");
        assert!(text.contains("interventions[0].reason: missing"), "{text}");
        let text = refused("region: \"090\"", "region: 090");
        assert!(
            text.contains("toscana.yaml:4: region: ") && text.contains("quotes"),
            "{text}"
        );
        assert!(refused("region: \"090\"", "region: \"999\"").contains("no region 999"));
    }

    #[test]
    fn a_plan_is_held_against_the_pinned_version() {
        let file = parse(TOSCANA).unwrap();
        let (mut po, pe) = (file.operational_plan.unwrap(), file.executive_plan.unwrap());
        po.interventions.remove(2);
        let findings = check_against_po(&pe, &po);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].field, "interventions[3].po_intervention");
        po.version = 2;
        po.region = "140".parse().unwrap();
        po.to_year = 2022;
        assert_eq!(check_against_po(&pe, &po).len(), 4);
    }

    #[test]
    fn specific_training_first_is_a_warning() {
        let text = TOSCANA.replace("      minutes: unknown\n", "      start: \"2023-01-09\"\n");
        let warnings = parse(&text).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].problem.contains("propaedeutic") && !warnings[0].is_error());
    }
    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            failure_persistence: None,
            cases: 64,
            ..Default::default()
        })]

        #[test]
        fn a_damaged_document_is_a_plan_or_errors_with_a_remedy(
            at in 0..TOSCANA.len(),
            cut in 0..20usize,
            put in "[\\[\\]{}:&*!|>'\"a-z0-9 \n\t-]{0,6}",
        ) {
            let mut text: Vec<u8> = TOSCANA.bytes().collect();
            let end = (at + cut).min(text.len());
            text.splice(at..end, put.bytes());
            if let Err(errors) = parse(&String::from_utf8_lossy(&text)) {
                proptest::prop_assert!(!errors.0.is_empty());
                proptest::prop_assert!(errors.0.iter().all(|e| !e.problem.is_empty() && !e.remedy.is_empty()));
            }
        }
    }
}
