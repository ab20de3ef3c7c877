//! Training kits: what a version is made of besides its files.

use crate::{
    code::Id,
    document::{self, DocumentErrors},
    edition::Versioned,
    text::Text,
    version::Version,
};
use serde::Serialize;

/// What describes a kit version, in the `kit.yaml` of the folder that holds its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KitDescriptor {
    /// The kit and its version.
    pub kit: Versioned,
    /// Its title.
    pub title: Text,
    /// The syllabus version that it teaches.
    pub syllabus: Versioned,
}

/// A published kit version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kit {
    /// What describes it.
    pub descriptor: KitDescriptor,
    /// The manifest of its files.
    pub manifest: crate::digest::ManifestDigest,
    /// Number of files.
    pub files: u64,
    /// Length of all files together, in bytes.
    pub bytes: u64,
}

/// How far a kit version has come at a Spoke. Phases come in this order; what was skipped is implied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KitPhase {
    /// The entry was applied.
    Applied,
    /// Every byte is here, verified.
    ContentComplete,
    /// Installed and served to the region's people.
    Serving,
    /// Replaced or withdrawn.
    NoLongerServed,
}

impl KitPhase {
    /// Stable name: `applied`, `content_complete`, `serving`, `no_longer_served`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::ContentComplete => "content_complete",
            Self::Serving => "serving",
            Self::NoLongerServed => "no_longer_served",
        }
    }

    /// What people see, Italian.
    pub fn label_it(self) -> &'static str {
        match self {
            Self::Applied => "Ricevuto",
            Self::ContentComplete => "Contenuto completo",
            Self::Serving => "In uso",
            Self::NoLongerServed => "Non più in uso",
        }
    }
}

/// What a region decides about a kit version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KitAdoption {
    /// Seen.
    Acknowledged,
    /// Used as it is.
    Adopted,
    /// Used with changes of the region's own.
    Localised,
    /// Not used, for a stated reason.
    NotApplicable,
}

impl KitAdoption {
    /// Stable name: `acknowledged`, `adopted`, `localised`, `not_applicable`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Adopted => "adopted",
            Self::Localised => "localised",
            Self::NotApplicable => "not_applicable",
        }
    }

    /// What people see, Italian.
    pub fn label_it(self) -> &'static str {
        match self {
            Self::Acknowledged => "Preso in carico",
            Self::Adopted => "Adottato",
            Self::Localised => "Adattato",
            Self::NotApplicable => "Non applicabile",
        }
    }
}

impl KitDescriptor {
    /// The descriptor in the YAML `text`; `file` is how errors name it.
    pub fn parse_yaml(text: &str, file: &str) -> Result<Self, DocumentErrors> {
        let mut fields = document::parse(text, file)?.fields()?;
        let id: Id = fields.required("id")?.parsed()?;
        let version: Version = fields.required("version")?.parsed()?;
        let descriptor = Self {
            kit: Versioned { id, version },
            title: Text::from_document(fields.required("title")?)?,
            syllabus: Versioned {
                id: fields.required("syllabus")?.parsed()?,
                version: fields.required("syllabus_version")?.parsed()?,
            },
        };
        fields.finish()?;
        Ok(descriptor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIT: &str = "id: KIT-FSE-GEN\nversion: \"1.0.0\"\ntitle: { it: Kit generale }\n\
        syllabus: SYL-FSE-GEN\nsyllabus_version: 1.0.0\n";

    #[test]
    fn a_descriptor_is_parsed_or_refused_by_line() {
        let kit = KitDescriptor::parse_yaml(KIT, "kit.yaml").unwrap();
        assert_eq!(kit.kit.to_string(), "KIT-FSE-GEN@1.0.0");
        let wrong = KIT.replace("\"1.0.0\"", "\"1.0\"");
        let error = KitDescriptor::parse_yaml(&wrong, "kit.yaml")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("kit.yaml:2: version: "), "{error}");
    }
}
