//! The ledger entry: header for every follower, body for entitled readers.

use crate::{
    digest::{BodyHash, LeafHash, ManifestDigest},
    kind::{Criticality, Kind},
    node::{NodeId, Origin},
    scope::Scope,
    timestamp::Timestamp,
};
use std::{fmt, str::FromStr};

/// Largest encoded header, in bytes.
pub const HEADER_BYTES_MAX: usize = 4_096;
/// Largest body as stored, in bytes.
pub const BODY_BYTES_MAX: usize = 512 * 1_024;
/// Largest body unpacked, in bytes.
pub const BODY_UNPACKED_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// Most entries of one append transaction or batch.
pub const BATCH_ENTRIES_MAX: usize = 256;
/// Most bytes (headers and bodies) of one append transaction or batch.
pub const BATCH_BYTES_MAX: usize = 768 * 1_024;
/// Most actors of an entry.
pub const ACTORS_MAX: usize = 4;
/// Most subjects that an entry depends on.
pub const DEPENDS_ON_MAX: usize = 16;
/// Most followed ledgers that an entry names as seen.
pub const SEEN_MAX: usize = 32;
/// Most manifests that a header names.
pub const CONTENT_MAX: usize = 8;
/// The reader version of this program; an entry may ask for a later one.
pub const READER_VERSION: u32 = 1;

/// What an entry is about, `type/identifier`: 3 to 120 printable ASCII bytes without spaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

impl Subject {
    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a subject: 3 to 120 printable ASCII characters without spaces")]
pub struct NotASubject(pub String);

impl FromStr for Subject {
    type Err = NotASubject;

    fn from_str(text: &str) -> Result<Self, NotASubject> {
        if (3..=120).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(NotASubject(text.chars().take(150).collect()))
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A person's account: 16 random bytes, never a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub [u8; 16]);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for AccountId {
    type Err = NotAnAccount;

    fn from_str(text: &str) -> Result<Self, NotAnAccount> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotAnAccount(text.into()))?;
        Ok(Self(bytes))
    }
}

/// Not an account identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an account: write its 32 hexadecimal digits, as `account list` shows them")]
pub struct NotAnAccount(pub String);

/// Who acted, and for which institution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Actor {
    /// The account.
    pub account: AccountId,
    /// Code of its institution, 2 to 20 upper-case letters and digits.
    pub institution: String,
}

/// How the stored bytes of a body are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEncoding {
    /// As they are.
    Identity,
    /// One zstd frame.
    Zstd,
}

/// The public part of an entry; `EntryHeader` of the wire explains each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The ledger that holds the entry.
    pub ledger: Origin,
    /// What it is.
    pub kind: Kind,
    /// What it is about.
    pub subject: Subject,
    /// Subjects that must be sound before it is applied.
    pub depends_on: Vec<Subject>,
    /// Sizes of followed ledgers that were applied when it was written.
    pub seen: Vec<(NodeId, u64)>,
    /// Who may read the body.
    pub scope: Scope,
    /// Who acted.
    pub actors: Vec<Actor>,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The entry of this ledger that it replaces.
    pub supersedes: Option<u64>,
    /// The lowest reader version that understands it.
    pub minimum_reader: u32,
    /// What a reader that does not know the kind must do.
    pub criticality: Criticality,
    /// The instant before which it has no effect.
    pub not_before: Option<Timestamp>,
    /// Manifests of public content.
    pub content: Vec<ManifestDigest>,
    /// How the body is packed.
    pub body_encoding: BodyEncoding,
}

/// The restricted part of an entry, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Random, so that the hash of a guessable body reveals nothing.
    pub salt: [u8; 32],
    /// The bytes that the hash covers.
    pub stored: Vec<u8>,
}

/// One entry at its place in a ledger. The bytes are kept as they came; nothing is encoded again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose ledger.
    pub node: NodeId,
    /// Where in it, from 0.
    pub index: u64,
    /// The encoded header, as hashed.
    pub header_bytes: Vec<u8>,
    /// The header, parsed.
    pub header: Header,
    /// Commitment to the body.
    pub body_hash: BodyHash,
    /// The body, if this node is entitled to it and it was not erased.
    pub body: Option<Body>,
    /// RFC 6962 leaf hash.
    pub leaf_hash: LeafHash,
}

impl Entry {
    /// The name of this entry for good.
    pub fn reference(&self) -> EntryRef {
        EntryRef {
            node: self.node,
            index: self.index,
            leaf_hash: self.leaf_hash,
        }
    }
}

/// Names one entry of one ledger for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryRef {
    /// Whose ledger.
    pub node: NodeId,
    /// Where in it.
    pub index: u64,
    /// What is there.
    pub leaf_hash: LeafHash,
}

impl fmt::Display for EntryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.index)
    }
}
