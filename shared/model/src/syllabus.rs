//! Syllabi: what a course teaches, in units.

use crate::{
    code::{Code, Id},
    document::{self, DocumentErrors, Node},
    edition::Versioned,
    finding::Finding,
    taxonomy::{CodeLists, Dimension},
    text::Text,
};
use serde::Serialize;
use std::collections::BTreeSet;

/// Most syllabi of one document.
pub const SYLLABI_MAX: usize = 100;
/// Most units of a syllabus.
pub const UNITS_MAX: usize = 200;
/// Longest unit, in minutes: 40 hours.
pub const UNIT_MINUTES_MAX: u32 = 2_400;

/// A published version of a syllabus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Syllabus {
    /// The syllabus and its version.
    pub syllabus: Versioned,
    /// Its title.
    pub title: Text,
    /// Code of the level.
    pub level: Code,
    /// Code of the area.
    pub area: Code,
    /// Codes of clusters or professions that it is for.
    pub targets: Vec<Code>,
    /// Syllabi that come before.
    pub requires: Vec<Id>,
    /// Whether ECM credits apply.
    pub ecm_accredited: bool,
    /// The units, in teaching order.
    pub units: Vec<SyllabusUnit>,
}

/// One unit of a syllabus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyllabusUnit {
    /// Unique in the syllabus.
    pub id: Id,
    /// Length in minutes.
    pub minutes: u32,
    /// Code of the objective.
    pub objective: Code,
    /// Its title.
    pub title: Text,
}

impl Syllabus {
    /// The syllabi in the YAML `text`, a list; every one is checked against `codes`.
    pub fn parse_yaml(text: &str, file: &str, codes: &CodeLists) -> Result<Vec<Self>, DocumentErrors> {
        let root = document::parse(text, file)?;
        let lines = root.lines();
        let mut syllabi = Vec::new();
        let mut errors = Vec::new();
        for (index, node) in root.list(SYLLABI_MAX)?.into_iter().enumerate() {
            let syllabus = from_document(node)?;
            let prefix = format!("[{index}]");
            let findings = syllabus.check(codes);
            errors.extend(findings.iter().map(|f| lines.locate(&prefix, f)));
            syllabi.push(syllabus);
        }
        if errors.is_empty() {
            Ok(syllabi)
        } else {
            Err(DocumentErrors(errors))
        }
    }

    /// Length of all units together, in minutes.
    pub fn minutes(&self) -> u32 {
        self.units.iter().map(|u| u.minutes).sum()
    }

    /// What breaks a rule: codes that do not exist, units twice, a syllabus that requires itself.
    pub fn check(&self, codes: &CodeLists) -> Vec<Finding> {
        let mut findings = Vec::new();
        codes.check_into(Dimension::Level, &self.level, "level", &mut findings);
        codes.check_into(Dimension::Area, &self.area, "area", &mut findings);
        for (index, target) in self.targets.iter().enumerate() {
            let field = format!("targets[{index}]");
            codes.check_into(Dimension::Target, target, &field, &mut findings);
        }
        if self.requires.contains(&self.syllabus.id) {
            findings.push(Finding::error(
                "requires",
                "the syllabus requires itself",
                "delete it there",
            ));
        }
        if self.units.is_empty() {
            findings.push(Finding::error("units", "there is none", "add the units"));
        }
        let mut seen = BTreeSet::new();
        for (index, unit) in self.units.iter().enumerate() {
            let field = format!("units[{index}].objective");
            codes.check_into(Dimension::Objective, &unit.objective, &field, &mut findings);
            if !seen.insert(&unit.id) {
                findings.push(Finding::error(
                    format!("units[{index}].id"),
                    format!("`{}` is there twice", unit.id),
                    "give each unit its own identifier",
                ));
            }
        }
        findings
    }
}

fn from_document(node: Node) -> Result<Syllabus, DocumentErrors> {
    let mut fields = node.fields()?;
    let syllabus = Syllabus {
        syllabus: Versioned {
            id: fields.required("id")?.parsed()?,
            version: fields.required("version")?.parsed()?,
        },
        title: Text::from_document(fields.required("title")?)?,
        level: fields.required("level")?.parsed()?,
        area: fields.required("area")?.parsed()?,
        targets: parsed_list(fields.optional("targets"), 50)?,
        requires: parsed_list(fields.optional("requires"), 20)?,
        ecm_accredited: match fields.optional("ecm") {
            None => false,
            Some(node) => {
                let mut ecm = node.fields()?;
                let accredited = ecm.required("accredited")?.boolean()?;
                // Credits are configuration of the centre; the document may say so.
                if let Some(credits) = ecm.optional("credits")
                    && credits.text(20).ok().as_deref() != Some("configurable")
                {
                    let remedy = "write `configurable`: credits are set where the course is accredited";
                    return Err(credits.error("credits are not part of a syllabus", remedy).into());
                }
                ecm.finish()?;
                accredited
            }
        },
        units: fields
            .required("units")?
            .list(UNITS_MAX)?
            .into_iter()
            .map(unit)
            .collect::<Result<_, _>>()?,
    };
    fields.finish()?;
    Ok(syllabus)
}

fn unit(node: Node) -> Result<SyllabusUnit, DocumentErrors> {
    let mut fields = node.fields()?;
    let unit = SyllabusUnit {
        id: fields.required("id")?.parsed()?,
        minutes: fields.required("minutes")?.number(1, UNIT_MINUTES_MAX.into())? as u32,
        objective: fields.required("objective")?.parsed()?,
        title: Text::from_document(fields.required("title")?)?,
    };
    fields.finish()?;
    Ok(unit)
}

/// The values of a list that may be absent.
pub(crate) fn parsed_list<T>(node: Option<Node>, most: usize) -> Result<Vec<T>, DocumentErrors>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let items = node.map_or(Ok(Vec::new()), |n| n.list(most))?;
    Ok(items.iter().map(Node::parsed).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYLLABI: &str = include_str!("../data/syllabi.yaml");

    #[test]
    fn the_sample_syllabi_are_taken_in() {
        let syllabi = Syllabus::parse_yaml(SYLLABI, "syllabi.yaml", CodeLists::builtin()).unwrap();
        assert_eq!(syllabi.len(), 2);
        assert_eq!((syllabi[0].minutes(), syllabi[1].minutes()), (240, 360));
        assert!(syllabi[0].ecm_accredited && !syllabi[1].ecm_accredited);
    }

    #[test]
    fn every_wrong_code_is_named_by_line() {
        let wrong = SYLLABI
            .replace("[C1, C2, C3]", "[C1, C4]")
            .replace("POLICY", "POLITICS");
        let errors = Syllabus::parse_yaml(&wrong, "s.yaml", CodeLists::builtin()).unwrap_err();
        let text = errors.to_string();
        assert!(
            text.contains("s.yaml:8: [0].targets[1]: ") && text.contains("reserved"),
            "{text}"
        );
        assert!(
            text.contains("[1].units[0].objective: ") && text.contains("POLITICS"),
            "{text}"
        );
    }
}
