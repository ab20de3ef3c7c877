//! Code lists: what may be written in each dimension, and what people see for it.

use crate::{
    code::{Code, UNSPECIFIED},
    document::{self, DocumentErrors, Node},
    finding::Finding,
    text::{LABEL_BYTES_MAX, Text},
};
use std::{collections::BTreeMap, sync::OnceLock};

/// Longest YAML of a version of the code lists, in bytes.
pub const CODE_LISTS_BYTES_MAX: usize = 512 * 1_024;
/// Most codes of one list.
const CODES_MAX: usize = 500;

/// A dimension that has a code list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Groups of professions.
    Cluster,
    /// Professions; each belongs to a cluster.
    Profession,
    /// A cluster or a profession: whom an intervention is for.
    Target,
    /// Staff or trainers.
    Level,
    /// Areas of training.
    Area,
    /// Objectives of the guidelines.
    Objective,
    /// Instruments of training.
    Instrument,
    /// What sequence and timing must respect.
    Constraint,
    /// How a package is put together.
    PackageCriterion,
    /// Coordination meetings.
    Meeting,
}

impl Dimension {
    /// Its name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Profession => "profession",
            Self::Target => "cluster or profession",
            Self::Level => "level",
            Self::Area => "area",
            Self::Objective => "objective",
            Self::Instrument => "instrument",
            Self::Constraint => "constraint",
            Self::PackageCriterion => "package criterion",
            Self::Meeting => "meeting",
        }
    }
}

/// One code and its properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What people see.
    pub label: Text,
    /// The cluster of a profession; the macro-category of an instrument.
    pub parent: Option<Code>,
    /// Area that comes before the specific one for the same target.
    pub propaedeutic: bool,
    /// Announced and not defined: never used.
    pub reserved: bool,
}

/// A version of all code lists. Every dimension also has `UNSPECIFIED`.
#[derive(Debug, Clone)]
pub struct CodeLists {
    version: u32,
    yaml: String,
    lists: BTreeMap<(Dimension, Code), Item>,
}

impl PartialEq for CodeLists {
    fn eq(&self, other: &Self) -> bool {
        // The document decides: everything else is parsed from it.
        self.yaml == other.yaml
    }
}

impl Eq for CodeLists {}

impl CodeLists {
    /// The code lists in the YAML `text`, at most 512 KiB; `file` is how errors name it.
    pub fn parse_yaml(text: &str, file: &str) -> Result<Self, DocumentErrors> {
        let root = document::parse(text, file)?;
        if text.len() > CODE_LISTS_BYTES_MAX {
            let problem = format!("{} bytes, at most {CODE_LISTS_BYTES_MAX}", text.len());
            return Err(root.error(problem, "shorten the document").into());
        }
        let mut fields = root.fields()?;
        let mut lists = Self {
            version: fields.required("version")?.number(1, u32::MAX.into())? as u32,
            yaml: text.to_owned(),
            lists: BTreeMap::new(),
        };
        let nested = [
            ("clusters", "professions", Dimension::Profession),
            ("instruments", "items", Dimension::Instrument),
        ];
        for (name, below, dimension) in nested {
            for node in fields.required(name)?.list(CODES_MAX)? {
                lists.add_group(node, below, dimension)?;
            }
        }
        let flat = [
            ("levels", Dimension::Level),
            ("areas", Dimension::Area),
            ("objectives", Dimension::Objective),
            ("constraints", Dimension::Constraint),
            ("package_criteria", Dimension::PackageCriterion),
            ("meetings", Dimension::Meeting),
        ];
        for (name, dimension) in flat {
            for node in fields.required(name)?.list(CODES_MAX)? {
                let (code, item) = item(node.clone(), None)?;
                lists.add(&node, dimension, code, item)?;
            }
        }
        fields.finish()?;
        Ok(lists)
    }

    /// Version 1, compiled in.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<CodeLists> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            let text = include_str!("../data/taxonomy.yaml");
            // Compiled in and parsed by the tests: this cannot fail at run time.
            Self::parse_yaml(text, "taxonomy.yaml").unwrap_or_else(|errors| panic!("{errors}"))
        })
    }

    /// The version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The document as it was published.
    pub fn yaml(&self) -> &str {
        &self.yaml
    }

    /// The code's properties; none for `UNSPECIFIED` and for codes that do not exist.
    pub fn item(&self, dimension: Dimension, code: &Code) -> Option<&Item> {
        let find = |dimension| self.lists.get(&(dimension, code.clone()));
        match dimension {
            Dimension::Target => find(Dimension::Cluster).or_else(|| find(Dimension::Profession)),
            dimension => find(dimension),
        }
    }

    /// The codes of a dimension, in order, without `UNSPECIFIED`.
    pub fn codes(&self, dimension: Dimension) -> impl Iterator<Item = (&Code, &Item)> {
        self.lists
            .iter()
            .filter(move |((of, _), _)| {
                *of == dimension
                    || dimension == Dimension::Target
                        && matches!(of, Dimension::Cluster | Dimension::Profession)
            })
            .map(|((_, code), item)| (code, item))
    }

    /// What people see for a code, in `it`, `en` or `de`; the code itself where it does not exist.
    pub fn label<'a>(&'a self, dimension: Dimension, code: &'a Code, language: &str) -> &'a str {
        match self.item(dimension, code) {
            Some(item) => item.label.in_language(language),
            None if code.is_unspecified() => match language {
                "en" => "Not specified",
                "de" => "Nicht angegeben",
                _ => "Non specificato",
            },
            None => code.as_str(),
        }
    }

    /// The cluster of a cluster or profession; `UNSPECIFIED` for any other code.
    pub fn cluster_of(&self, target: &Code) -> Code {
        if self.item(Dimension::Cluster, target).is_some() {
            return target.clone();
        }
        self.item(Dimension::Profession, target)
            .and_then(|item| item.parent.clone())
            .unwrap_or_else(Code::unspecified)
    }

    /// Whether the area comes before the specific one for the same target.
    pub fn is_propaedeutic(&self, area: &Code) -> bool {
        self.item(Dimension::Area, area)
            .is_some_and(|item| item.propaedeutic)
    }

    /// Why `code` may not be used in `dimension`; none if it may.
    pub fn refusal(&self, dimension: Dimension, code: &Code) -> Option<(String, String)> {
        let name = dimension.as_str();
        if code.as_str() == UNSPECIFIED {
            return None;
        }
        match self.item(dimension, code) {
            Some(item) if item.reserved => Some((
                format!("the {name} `{code}` is reserved and not defined yet"),
                format!("use another {name}, or {UNSPECIFIED}"),
            )),
            Some(_) => None,
            None => {
                let known: Vec<&str> = self
                    .codes(dimension)
                    .filter(|(_, item)| !item.reserved)
                    .map(|(code, _)| code.as_str())
                    .take(40)
                    .collect();
                Some((
                    format!(
                        "`{code}` is no {name} of the code lists, version {}",
                        self.version
                    ),
                    format!("write {UNSPECIFIED} or one of {}", known.join(", ")),
                ))
            }
        }
    }

    /// Adds a finding to `findings` if `code` may not be used in `dimension`.
    pub fn check_into(&self, dimension: Dimension, code: &Code, field: &str, findings: &mut Vec<Finding>) {
        if let Some((problem, remedy)) = self.refusal(dimension, code) {
            findings.push(Finding::error(field, problem, remedy));
        }
    }

    fn add_group(&mut self, node: Node, below: &str, dimension: Dimension) -> Result<(), DocumentErrors> {
        let mut fields = node.clone().fields()?;
        let members = fields.required(below)?.list(CODES_MAX)?;
        let (code, group) = item(node.clone(), Some(below))?;
        for member in members {
            let (member_code, mut member_item) = item(member.clone(), None)?;
            if !member_code.as_str().starts_with(&format!("{code}.")) {
                let remedy = format!("begin its code with `{code}.`");
                return Err(member.error("the code does not tell its group", remedy).into());
            }
            member_item.parent = Some(code.clone());
            self.add(&member, dimension, member_code, member_item)?;
        }
        if dimension == Dimension::Profession {
            self.add(&node, Dimension::Cluster, code, group)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        node: &Node,
        dimension: Dimension,
        code: Code,
        item: Item,
    ) -> Result<(), DocumentErrors> {
        if code.is_unspecified() || code.is_all() {
            let problem = format!("`{code}` has a meaning of its own");
            return Err(node.error(problem, "choose another code").into());
        }
        match self.lists.insert((dimension, code.clone()), item) {
            None => Ok(()),
            Some(_) => {
                let problem = format!("the {} `{code}` is there twice", dimension.as_str());
                Err(node.error(problem, "a code is never used again").into())
            }
        }
    }
}

/// One item, its members (in the field `below`) left aside.
fn item(node: Node, below: Option<&str>) -> Result<(Code, Item), DocumentErrors> {
    let mut fields = node.fields()?;
    let code = fields.required("code")?.parsed()?;
    let item = Item {
        label: Text {
            it: fields.required("it")?.text(LABEL_BYTES_MAX)?,
            en: fields.optional_text("en", LABEL_BYTES_MAX)?,
            de: fields.optional_text("de", LABEL_BYTES_MAX)?,
        },
        parent: None,
        propaedeutic: flag(fields.optional("propaedeutic"))?,
        reserved: flag(fields.optional("reserved"))?,
    };
    fields.optional_text("aim", LABEL_BYTES_MAX)?;
    if let Some(below) = below {
        fields.optional(below);
    }
    fields.finish()?;
    Ok((code, item))
}

fn flag(node: Option<Node>) -> Result<bool, DocumentErrors> {
    Ok(node.map_or(Ok(false), |n| n.boolean())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        text.parse().unwrap()
    }

    #[test]
    fn the_builtin_lists_know_their_codes() {
        let codes = CodeLists::builtin();
        assert_eq!(codes.codes(Dimension::Profession).count(), 26);
        assert_eq!(codes.codes(Dimension::Instrument).count(), 9);
        assert_eq!(codes.cluster_of(&code("C2.10")), code("C2"));
        assert_eq!(codes.cluster_of(&code("C3")), code("C3"));
        assert!(codes.cluster_of(&code("X")).is_unspecified());
        assert!(codes.is_propaedeutic(&code("TECHNICAL")));
        assert!(!codes.is_propaedeutic(&code("SPECIFIC")));
        assert_eq!(
            codes.label(Dimension::Area, &Code::unspecified(), "it"),
            "Non specificato"
        );
    }

    #[test]
    fn a_reserved_code_is_refused_and_unspecified_is_not() {
        let codes = CodeLists::builtin();
        for dimension in [Dimension::Cluster, Dimension::Area, Dimension::Instrument] {
            assert_eq!(codes.refusal(dimension, &Code::unspecified()), None);
        }
        let (problem, _) = codes.refusal(Dimension::Target, &code("C4")).unwrap();
        assert!(problem.contains("reserved"), "{problem}");
        let (_, remedy) = codes.refusal(Dimension::Area, &code("BASIC")).unwrap();
        assert!(remedy.contains("GENERAL, SPECIFIC, TECHNICAL"), "{remedy}");
    }

    #[test]
    fn a_code_is_never_used_twice() {
        let text = CodeLists::builtin().yaml().replace("code: C1.02", "code: C1.01");
        let error = CodeLists::parse_yaml(&text, "t.yaml").unwrap_err().to_string();
        assert!(error.contains("t.yaml:17:") && error.contains("twice"), "{error}");
    }
}
