//! Codes of code lists, and identifiers of things that people name.

use serde::Serialize;
use std::{fmt, str::FromStr};

/// What a source does not say: a code of every dimension.
pub const UNSPECIFIED: &str = "UNSPECIFIED";
/// A whole dimension, in margins and totals.
pub const ALL: &str = "ALL";

/// Not a code, or not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotACode {
    /// Not the shape of a code.
    #[error(
        "`{0}` is not a code: 1 to 40 upper-case letters, digits, underscores and dots, as in the code lists"
    )]
    Code(String),
    /// Not the shape of an identifier.
    #[error("`{0}` is not an identifier: 1 to 60 letters, digits, dots, underscores and hyphens")]
    Id(String),
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $error:path, $most:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotACode;

            fn from_str(text: &str) -> Result<Self, NotACode> {
                let allowed: fn(u8) -> bool = $allowed;
                if (1..=$most).contains(&text.len()) && text.bytes().all(allowed) {
                    Ok(Self(text.into()))
                } else {
                    Err($error(text.chars().take(80).collect()))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name! {
    /// A code of a code list, such as `C1.02` or `GENERAL`; whether it exists is for
    /// [`crate::taxonomy::CodeLists`] to say.
    Code, NotACode::Code, 40,
    |b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.')
}
name! {
    /// The identifier of a plan's intervention, a kit, a syllabus, an edition, a package.
    Id, NotACode::Id, 60,
    |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')
}

impl Code {
    /// The code for what a source does not say.
    pub fn unspecified() -> Self {
        Self(UNSPECIFIED.into())
    }

    /// The code for a whole dimension.
    pub fn all() -> Self {
        Self(ALL.into())
    }

    /// Whether this is [`UNSPECIFIED`].
    pub fn is_unspecified(&self) -> bool {
        self.0 == UNSPECIFIED
    }

    /// Whether this is [`ALL`].
    pub fn is_all(&self) -> bool {
        self.0 == ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_upper_case_and_bounded() {
        assert!("TRADITIONAL.RES".parse::<Code>().is_ok());
        assert!("general".parse::<Code>().is_err());
        assert!("".parse::<Code>().is_err());
        assert!("A".repeat(41).parse::<Code>().is_err());
        assert!("TOS-2023-01".parse::<Id>().is_ok());
        assert!("a b".parse::<Id>().is_err());
    }
}
