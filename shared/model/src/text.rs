//! Texts in up to three languages.

use crate::document::{DocumentError, Node};
use serde::Serialize;

/// Longest text of a title or label, in bytes.
pub const LABEL_BYTES_MAX: usize = 500;

/// A text in up to three languages; Italian is the reference and is always there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Text {
    /// Italian.
    pub it: String,
    /// English; empty when there is none.
    pub en: String,
    /// German; empty when there is none.
    pub de: String,
}

impl Text {
    /// The text in `it`, `en` or `de`; Italian where that language is missing.
    pub fn in_language(&self, language: &str) -> &str {
        match language {
            "en" if !self.en.is_empty() => &self.en,
            "de" if !self.de.is_empty() => &self.de,
            _ => &self.it,
        }
    }

    /// The text in a document: `{ it: …, en: …, de: … }`.
    pub fn from_document(node: Node) -> Result<Self, DocumentError> {
        let mut fields = node.fields()?;
        let text = Self {
            it: fields.required("it")?.text(LABEL_BYTES_MAX)?,
            en: fields.optional_text("en", LABEL_BYTES_MAX)?,
            de: fields.optional_text("de", LABEL_BYTES_MAX)?,
        };
        fields.finish()?;
        Ok(text)
    }
}
