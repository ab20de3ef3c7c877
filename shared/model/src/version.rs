//! Versions of published things.

use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A semantic version, `major.minor.patch`, compared number by number. No pre-releases: what is
/// published is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Changes that a teacher must prepare for.
    pub major: u32,
    /// Additions.
    pub minor: u32,
    /// Corrections.
    pub patch: u32,
}

/// Not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version: write three numbers, for example 1.0.2")]
pub struct NotAVersion(pub String);

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let wrong = || NotAVersion(text.chars().take(40).collect());
        let number = |part: Option<&str>| {
            let part = part.filter(|p| p.bytes().all(|b| b.is_ascii_digit()))?;
            // One spelling per version: no leading zeros.
            (part == "0" || !part.starts_with('0')).then_some(())?;
            part.parse::<u32>().ok()
        };
        let mut parts = text.split('.');
        let version = Self {
            major: number(parts.next()).ok_or_else(wrong)?,
            minor: number(parts.next()).ok_or_else(wrong)?,
            patch: number(parts.next()).ok_or_else(wrong)?,
        };
        parts.next().is_none().then_some(version).ok_or_else(wrong)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}", self.major, self.minor, self.patch))
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_number_and_have_one_spelling() {
        let v = |t: &str| t.parse::<Version>();
        assert!(v("1.10.0").unwrap() > v("1.9.9").unwrap());
        for wrong in ["1.0", "1.0.0.0", "01.0.0", "1.0.x", "+1.0.0", "", "1..0"] {
            assert!(v(wrong).is_err(), "{wrong}");
        }
    }
}
