//! What is wrong with the rows of a file.

use super::ERRORS_SHOWN_MAX;
use serde::Serialize;
use std::fmt;

/// What is wrong with a row, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// Line of the file, from 1; the header is line 1.
    pub line: u64,
    /// The column; empty for the whole row.
    pub column: String,
    /// What stands there, at most 40 characters.
    pub value: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// Every bad row of a file; at most 100 are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowErrors {
    /// Name of the file, as the caller gave it.
    pub file: String,
    /// The first errors, by line.
    pub shown: Vec<RowError>,
    /// How many there are in all.
    pub total: usize,
}

impl fmt::Display for RowErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, e) in self.shown.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{}: ", self.file, e.line)?;
            if !e.column.is_empty() {
                write!(f, "{} `{}`: ", e.column, e.value)?;
            }
            write!(f, "{}; {}", e.problem, e.remedy)?;
        }
        if self.total > self.shown.len() {
            let more = self.total - self.shown.len();
            write!(f, "\n{}: {more} further errors are not shown", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for RowErrors {}

/// Collects errors, keeping the first.
pub(super) struct Errors(pub(super) RowErrors);

impl Errors {
    pub(super) fn new(file: &str) -> Self {
        Self(RowErrors {
            file: file.into(),
            shown: Vec::new(),
            total: 0,
        })
    }

    pub(super) fn add(
        &mut self,
        line: u64,
        column: &str,
        value: &str,
        problem: impl fmt::Display,
        remedy: &str,
    ) {
        self.0.total += 1;
        if self.0.shown.len() < ERRORS_SHOWN_MAX {
            self.0.shown.push(RowError {
                line,
                column: column.into(),
                value: value.chars().take(40).collect(),
                problem: problem.to_string(),
                remedy: remedy.into(),
            });
        }
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, RowErrors> {
        if self.0.total == 0 { Ok(value) } else { Err(self.0) }
    }
}
