//! YAML documents that people write: parsed once into located values, so that every error names
//! file, line, field and remedy.
//!
//! Bounds: 1 MiB of text, 32 levels, 100,000 nodes, 100 aliases that replay at most 10,000 events
//! (so that an alias bomb is refused), one document. Unknown fields are errors: a misspelt field
//! would otherwise be data that is silently lost.

use crate::finding::Finding;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, fmt, rc::Rc, str::FromStr};

/// Longest document, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1_024 * 1_024;
/// Longest single text of a document, in bytes.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// What is wrong with a document, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// Name of the file, as the caller gave it.
    pub file: String,
    /// Line, from 1, where it is known.
    pub line: Option<u64>,
    /// Path of the field, such as `executive_plan.interventions[2].area`; empty for the whole.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}; {}", self.problem, self.remedy)
    }
}

impl std::error::Error for DocumentError {}

/// Everything that is wrong with a document, one line each; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentErrors(pub Vec<DocumentError>);

impl fmt::Display for DocumentErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DocumentErrors {}

impl From<DocumentError> for DocumentErrors {
    fn from(error: DocumentError) -> Self {
        Self(vec![error])
    }
}

/// A value of a document and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    file: Rc<str>,
    path: String,
    line: u64,
    raw: Raw,
}

/// The fields of a mapping, taken one by one; [`Fields::finish`] refuses those that nobody took.
#[derive(Debug)]
pub struct Fields {
    place: Node,
    left: BTreeMap<String, Node>,
}

#[derive(Debug, Clone)]
enum Raw {
    Null,
    Bool(bool),
    Int(i128),
    Float,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(String, Spanned<Raw>)>),
}

/// The document in `text`; `file` is how errors name it.
pub fn parse(text: &str, file: &str) -> Result<Node, DocumentError> {
    let whole = |line, problem: String, remedy: &str| DocumentError {
        file: file.into(),
        line,
        field: String::new(),
        problem,
        remedy: remedy.into(),
    };
    if text.len() > DOCUMENT_BYTES_MAX {
        let problem = format!("{} bytes, at most {DOCUMENT_BYTES_MAX} are read", text.len());
        return Err(whole(None, problem, "split the document"));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_nodes: 100_000,
            max_events: 300_000,
            max_aliases: 100,
            max_anchors: 100,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
            max_alias_expansions_per_anchor: 100,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        strict_booleans: true,
    };
    let root: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options).map_err(|e| {
        let line = e.location().map(|l| l.line()).filter(|l| *l > 0);
        let problem = e.without_snippet().to_string();
        let first = problem.lines().next().unwrap_or("not YAML").to_owned();
        whole(line, first, "correct the YAML at this line")
    })?;
    Ok(Node {
        file: file.into(),
        path: String::new(),
        line: root.referenced.line(),
        raw: root.value,
    })
}

impl Node {
    /// An error at this place.
    pub fn error(&self, problem: impl fmt::Display, remedy: impl Into<String>) -> DocumentError {
        DocumentError {
            file: self.file.to_string(),
            line: (self.line > 0).then_some(self.line),
            field: self.path.clone(),
            problem: problem.to_string(),
            remedy: remedy.into(),
        }
    }

    /// Whether this is the word `unknown`, written where a source is silent.
    pub fn is_unknown(&self) -> bool {
        matches!(&self.raw, Raw::Text(text) if text == "unknown")
    }

    /// A text of 1 to `most` bytes in one line.
    pub fn text(&self, most: usize) -> Result<String, DocumentError> {
        let text = match &self.raw {
            Raw::Text(text) => text.trim(),
            Raw::Int(_) | Raw::Float | Raw::Bool(_) => {
                return Err(self.error("a text is needed here", "write it in quotes"));
            }
            _ => return Err(self.error("a text is needed here", "write one")),
        };
        if text.is_empty() || text.len() > most {
            let problem = format!("{} bytes, 1 to {most} are allowed", text.len());
            return Err(self.error(problem, "write a text of that length"));
        }
        if text.chars().any(char::is_control) {
            return Err(self.error("holds a control character", "write it in one line"));
        }
        Ok(text.to_owned())
    }

    /// A text that is a `T`.
    pub fn parsed<T>(&self) -> Result<T, DocumentError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.text(TEXT_BYTES_MAX)?
            .parse()
            .map_err(|e| self.error(e, "correct it"))
    }

    /// A whole number from `least` to `most`.
    pub fn number(&self, least: u64, most: u64) -> Result<u64, DocumentError> {
        match self.raw {
            Raw::Int(n) if (i128::from(least)..=i128::from(most)).contains(&n) => Ok(n as u64),
            _ => Err(self.error(
                "not a number that is allowed here",
                format!("write a whole number from {least} to {most}"),
            )),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Result<bool, DocumentError> {
        match self.raw {
            Raw::Bool(value) => Ok(value),
            _ => Err(self.error("neither true nor false", "write true or false")),
        }
    }

    /// A list of at most `most` values.
    pub fn list(self, most: usize) -> Result<Vec<Node>, DocumentError> {
        let Raw::List(items) = &self.raw else {
            return Err(self.error("a list is needed here", "write [a, b] or lines with `- `"));
        };
        if items.len() > most {
            let problem = format!("{} values, at most {most} are allowed", items.len());
            return Err(self.error(problem, "shorten the list"));
        }
        let (file, path) = (&self.file, &self.path);
        Ok(items
            .iter()
            .enumerate()
            .map(|(index, item)| Node {
                file: file.clone(),
                path: format!("{path}[{index}]"),
                line: item.referenced.line(),
                raw: item.value.clone(),
            })
            .collect())
    }

    /// A mapping.
    pub fn fields(mut self) -> Result<Fields, DocumentError> {
        let Raw::Map(entries) = std::mem::replace(&mut self.raw, Raw::Null) else {
            return Err(self.error("fields are needed here", "write `name: value` lines"));
        };
        let left = entries
            .into_iter()
            .map(|(name, value)| {
                let path = if self.path.is_empty() {
                    name.clone()
                } else {
                    format!("{}.{name}", self.path)
                };
                let node = Node {
                    file: self.file.clone(),
                    path,
                    line: value.referenced.line(),
                    raw: value.value,
                };
                (name, node)
            })
            .collect();
        Ok(Fields { place: self, left })
    }

    /// The lines of this node and of all below it, by path.
    pub fn lines(&self) -> Lines {
        let mut lines = BTreeMap::new();
        collect(&self.raw, &self.path, self.line, &mut lines);
        Lines {
            file: self.file.to_string(),
            lines,
        }
    }
}

fn collect(raw: &Raw, path: &str, line: u64, lines: &mut BTreeMap<String, u64>) {
    lines.insert(path.to_owned(), line);
    match raw {
        Raw::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                collect(&item.value, &path, item.referenced.line(), lines);
            }
        }
        Raw::Map(entries) => {
            for (name, value) in entries {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                collect(&value.value, &path, value.referenced.line(), lines);
            }
        }
        _ => {}
    }
}

impl Fields {
    /// The field `name`, which must be there and not empty.
    pub fn required(&mut self, name: &str) -> Result<Node, DocumentError> {
        self.optional(name).ok_or_else(|| {
            let mut error = self.place.error("missing", "add the field");
            error.field = match error.field.as_str() {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            error
        })
    }

    /// The field `name`; none if it is absent or empty.
    pub fn optional(&mut self, name: &str) -> Option<Node> {
        self.left
            .remove(name)
            .filter(|node| !matches!(node.raw, Raw::Null))
    }

    /// A text field that may be absent.
    pub fn optional_text(&mut self, name: &str, most: usize) -> Result<String, DocumentError> {
        self.optional(name)
            .map_or(Ok(String::new()), |node| node.text(most))
    }

    /// Refuses the fields that were not taken.
    pub fn finish(self) -> Result<(), DocumentError> {
        match self.left.into_values().next() {
            None => Ok(()),
            Some(node) => Err(node.error(
                "no such field",
                "correct its name or delete it; the manual lists the fields",
            )),
        }
    }
}

/// Where the fields of a document stand, so that a rule that speaks of fields can name lines.
#[derive(Debug, Clone)]
pub struct Lines {
    file: String,
    lines: BTreeMap<String, u64>,
}

impl Lines {
    /// `finding` as an error of the document; its field stands below `prefix`.
    pub fn locate(&self, prefix: &str, finding: &Finding) -> DocumentError {
        let field = match (prefix, finding.field.as_str()) {
            ("", field) => field.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, field) => format!("{prefix}.{field}"),
        };
        // A field that is absent has no line: its parent's serves.
        let mut path = field.as_str();
        let line = loop {
            if let Some(line) = self.lines.get(path) {
                break Some(*line);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => break self.lines.get("").copied(),
            }
        };
        DocumentError {
            file: self.file.clone(),
            line: line.filter(|l| *l > 0),
            field,
            problem: finding.problem.clone(),
            remedy: finding.remedy.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Int(value.into()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Float)
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry::<String, Spanned<Raw>>()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_file_line_field_and_remedy() {
        let root = parse("a: 1\nb:\n  - c: x\n    d: 090\n", "p.yaml").unwrap();
        let lines = root.lines();
        let mut fields = root.fields().unwrap();
        assert_eq!(fields.required("a").unwrap().number(1, 9), Ok(1));
        let b = fields.required("b").unwrap().list(9).unwrap().remove(0);
        let mut b = b.fields().unwrap();
        let error = b.required("d").unwrap().text(9).unwrap_err().to_string();
        assert!(
            error.starts_with("p.yaml:4: b[0].d: ") && error.contains("quotes"),
            "{error}"
        );
        let error = b.required("z").unwrap_err().to_string();
        assert!(error.contains("b[0].z: missing"), "{error}");
        let error = b.finish().unwrap_err().to_string();
        assert!(error.starts_with("p.yaml:3: b[0].c: no such field"), "{error}");
        let error = lines.locate("b[0]", &Finding::error("zz", "is bad", "do better"));
        assert_eq!((error.line, error.field.as_str()), (Some(3), "b[0].zz"));
    }

    #[test]
    fn hostile_documents_are_refused_with_a_line() {
        let error = parse("a: 1\na: 2\n", "p.yaml").unwrap_err();
        assert_eq!(error.line, Some(2), "{error}");
        assert!(parse("a: [1, 2\nb: ]x", "p.yaml").is_err());
        assert!(parse(&"[".repeat(200), "p.yaml").is_err());
        assert!(parse(&" ".repeat(DOCUMENT_BYTES_MAX + 1), "p.yaml").is_err());
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for n in 1..9 {
            let list = vec![format!("*a{}", n - 1); 9].join(",");
            bomb.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        assert!(parse(&bomb, "p.yaml").is_err());
    }
}
