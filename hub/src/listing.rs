//! Rows for people and programs.

use raccordo_model::timestamp::Timestamp;
use raccordo_proto::wire;

/// Rows under columns with stable names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Listing {
    /// No rows yet.
    pub fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Facts about one thing: columns `field` and `value`.
    pub fn facts(facts: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let rows = facts
            .into_iter()
            .map(|(field, value)| vec![field.to_owned(), value])
            .collect();
        Self {
            columns: vec!["field", "value"],
            rows,
        }
    }

    /// Adds a row: one cell per column, in their order.
    pub fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// The rows.
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }
}

impl From<Listing> for wire::Listing {
    fn from(listing: Listing) -> Self {
        Self {
            columns: listing.columns.into_iter().map(str::to_owned).collect(),
            rows: listing
                .rows
                .into_iter()
                .map(|cells| wire::ListingRow { cells })
                .collect(),
        }
    }
}

/// One thing: facts and parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// What is known of it.
    pub facts: Listing,
    /// Its parts.
    pub rows: Listing,
}

impl From<Sheet> for wire::Sheet {
    fn from(sheet: Sheet) -> Self {
        Self {
            facts: Some(sheet.facts.into()),
            rows: Some(sheet.rows.into()),
        }
    }
}

/// An instant as a cell; empty for none.
pub fn instant(us: Option<i64>) -> String {
    us.map_or(String::new(), |us| Timestamp(us).to_string())
}
