//! The one map from refusals to gRPC status.
//!
//! A [`Refusal`] says what was wrong and what to do about it. As a status its text is the message
//! and its remedy travels in the metadata [`REMEDY`]. What went wrong inside never leaves: it is
//! logged here and the caller reads that the node failed.

use raccordo_proto::DecodeError;
use raccordo_store::StoreError;
use std::fmt;
use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};

/// Metadata of a refusal: what to do about it, UTF-8.
pub const REMEDY: &str = "raccordo-remedy-bin";

/// Most bytes of a text or a remedy.
pub const TEXT_MAX: usize = 1_024;

/// What kind of refusal it is: one per decision of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The input is wrong; the same again is refused again.
    InvalidInput,
    /// What was named is not here.
    NotFound,
    /// It is already here, with other content.
    Conflict,
    /// It is not its time: the state must change first.
    Precondition,
    /// The caller is known and may not.
    Forbidden,
    /// The caller is not known.
    Unauthenticated,
    /// Over a documented bound.
    TooLarge,
    /// Try again later.
    Unavailable,
    /// The node failed; its log says why.
    Internal,
}

impl RefusalKind {
    /// The gRPC code.
    pub fn code(self) -> Code {
        match self {
            Self::InvalidInput => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::Conflict => Code::AlreadyExists,
            Self::Precondition => Code::FailedPrecondition,
            Self::Forbidden => Code::PermissionDenied,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::TooLarge => Code::ResourceExhausted,
            Self::Unavailable => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }
}

/// A call that was not carried out: nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// What a program decides by.
    pub kind: RefusalKind,
    /// What was wrong and where, for people; at most [`TEXT_MAX`] bytes.
    pub text: String,
    /// What to do about it, for people; at most [`TEXT_MAX`] bytes; may be empty.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.remedy.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.remedy)
        }
    }
}

impl Refusal {
    /// A refusal; texts over the bound are cut.
    pub fn new(kind: RefusalKind, text: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self {
            kind,
            text: cut(text.to_string()),
            remedy: cut(remedy.to_string()),
        }
    }

    /// The input is wrong.
    pub fn invalid(text: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(RefusalKind::InvalidInput, text, remedy)
    }

    /// What was named is not here.
    pub fn not_found(text: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(RefusalKind::NotFound, text, remedy)
    }

    /// It is already here, with other content.
    pub fn conflict(text: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(RefusalKind::Conflict, text, remedy)
    }

    /// The state must change first.
    pub fn precondition(text: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(RefusalKind::Precondition, text, remedy)
    }

    /// The caller may not.
    pub fn forbidden(text: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(RefusalKind::Forbidden, text, remedy)
    }

    /// The caller is not known.
    pub fn unauthenticated(text: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(RefusalKind::Unauthenticated, text, remedy)
    }

    /// Over a documented bound.
    pub fn too_large(text: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(RefusalKind::TooLarge, text, remedy)
    }

    /// Try again later.
    pub fn unavailable(text: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(RefusalKind::Unavailable, text, remedy)
    }

    /// The node failed: `cause` goes to the log and not to the caller.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = cause, "a call failed inside the node");
        Self::new(
            RefusalKind::Internal,
            "the node failed to do this",
            "its operator finds why in its log",
        )
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Moved(what) => Self::unavailable(
                format_args!("{what} was being changed by another call"),
                "try again",
            ),
            other => Self::internal(&other),
        }
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::invalid(error, "correct the field that is named")
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut metadata = MetadataMap::new();
        if !refusal.remedy.is_empty() {
            metadata.insert_bin(REMEDY, MetadataValue::from_bytes(refusal.remedy.as_bytes()));
        }
        Status::with_metadata(refusal.kind.code(), refusal.text, metadata)
    }
}

/// A refusal as a status, for places that build one by its parts.
pub fn refusal(kind: RefusalKind, text: impl fmt::Display, remedy: impl fmt::Display) -> Status {
    Refusal::new(kind, text, remedy).into()
}

/// The remedy that came with a status; empty when there is none.
pub fn remedy_of(status: &Status) -> String {
    let bytes = status
        .metadata()
        .get_bin(REMEDY)
        .and_then(|v| v.to_bytes().ok())
        .unwrap_or_default();
    cut(String::from_utf8_lossy(&bytes).into_owned())
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_the_remedy_travels() {
        let long = "è".repeat(TEXT_MAX);
        let status: Status = Refusal::invalid(&long, "scrivere è più breve").into();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().len() <= TEXT_MAX && status.message().ends_with('è'));
        assert_eq!(remedy_of(&status), "scrivere è più breve");
    }

    #[test]
    fn internals_do_not_leave() {
        let status: Status = Refusal::from(StoreError::Address("postgres://user:secret@host".into())).into();
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("secret") && !remedy_of(&status).contains("secret"));
    }
}
