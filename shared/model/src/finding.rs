//! What a rule found in a plan or a report.

use serde::Serialize;
use std::fmt;

/// Whether a finding stops the act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The act is refused.
    Error,
    /// A person may go on, with a recorded reason.
    Warning,
}

/// One thing that a rule found: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Whether it stops the act.
    pub severity: Severity,
    /// Path of the field, as in `interventions[2].area`.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl Finding {
    /// A finding that stops the act.
    pub fn error(field: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            field: field.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// A finding that a person may override with a recorded reason.
    pub fn warning(field: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(field, problem, remedy)
        }
    }

    /// Whether it stops the act.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.field, self.problem, self.remedy)
    }
}
