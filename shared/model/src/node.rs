//! Who is who: the federation, its nodes, their ledgers' names.

use std::{fmt, str::FromStr};

/// Why a name of a node, region or federation was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not three digits.
    #[error("`{0}` is not a region: write the ministry's three-digit code, for example 090")]
    Region(String),
    /// Neither `hub` nor a region.
    #[error("`{0}` is not a node: write `hub` or a region's three-digit code")]
    Node(String),
    /// Not a federation name.
    #[error("`{0}` is not a federation name: 3 to 40 lower-case letters, digits and hyphens")]
    Federation(String),
    /// Not the origin of a ledger.
    #[error("`{0}` is not the origin of a ledger: `raccordo/<federation>/<node>`")]
    Origin(String),
}

/// The ministry's three-digit code of a region or autonomous province.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionCode([u8; 3]);

impl RegionCode {
    /// The three digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("000")
    }
}

/// For `#[serde(serialize_with)]`: the three digits.
pub(crate) fn region_as_text<S: serde::Serializer>(
    code: &RegionCode,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

impl FromStr for RegionCode {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits: [u8; 3] = text
            .as_bytes()
            .try_into()
            .map_err(|_| NameError::Region(text.into()))?;
        if digits.iter().all(u8::is_ascii_digit) {
            Ok(Self(digits))
        } else {
            Err(NameError::Region(text.into()))
        }
    }
}

impl fmt::Display for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A node of the federation; it owns exactly one ledger, so it names that too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeId {
    /// The centre.
    Hub,
    /// A region's Spoke.
    Region(RegionCode),
}

impl NodeId {
    /// The region, unless this is the Hub.
    pub fn region(self) -> Option<RegionCode> {
        match self {
            Self::Hub => None,
            Self::Region(code) => Some(code),
        }
    }
}

impl FromStr for NodeId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "hub" => Ok(Self::Hub),
            code => code
                .parse()
                .map(Self::Region)
                .map_err(|_| NameError::Node(text.into())),
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub => f.pad("hub"),
            Self::Region(code) => fmt::Display::fmt(code, f),
        }
    }
}

/// Name of a federation: 3 to 40 lower-case letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Federation(String);

impl Federation {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of `node`'s first ledger in this federation.
    pub fn origin(&self, node: NodeId) -> Origin {
        Origin(format!("raccordo/{}/{node}", self.0))
    }
}

impl FromStr for Federation {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (3..=40).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Federation(text.into()))
        }
    }
}

impl fmt::Display for Federation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The name of one ledger, first line of its checkpoints (C2SP tlog-checkpoint): printable ASCII
/// without spaces or plus signs, at most 100 bytes. A ledger that replaces a lost one has another
/// origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_graphic() && b != b'+';
        if text.starts_with("raccordo/") && text.len() <= 100 && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Origin(text.into()))
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_or_say_how_to_write_them() {
        assert_eq!("hub".parse(), Ok(NodeId::Hub));
        assert_eq!("090".parse::<NodeId>().unwrap().to_string(), "090");
        let error = "Toscana".parse::<RegionCode>().unwrap_err().to_string();
        assert!(error.contains("three-digit"), "{error}");
        assert!("A b".parse::<Federation>().is_err());
        let federation: Federation = "fse-prova".parse().unwrap();
        let origin = federation.origin(NodeId::Hub);
        assert_eq!(origin.as_str().parse(), Ok(origin));
    }
}
