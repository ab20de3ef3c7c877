//! What an entry is. A kind reveals no outcome: `po.decision`, never `po.rejected`.

use std::{fmt, str::FromStr};

/// What a reader that does not know the kind must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criticality {
    /// Store it, pass it on, go on.
    Optional,
    /// Hold its subject until the node is upgraded.
    Critical,
}

/// A kind of entry: 3 to 40 lower-case letters, digits, underscores and dots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A kind that this program knows.
    Known(KnownKind),
    /// A kind of another version of the program.
    Unknown(String),
}

/// Not the name of a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of entry: 3 to 40 lower-case letters, digits, underscores and dots")]
pub struct NotAKind(pub String);

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, erasable: $erasable:literal;)*) => {
        /// The kinds that this program knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum KnownKind { $($(#[$doc])* $variant,)* }

        impl KnownKind {
            /// Every known kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether the body may be erased (it may hold free text of people).
            pub fn erasable(self) -> bool {
                match self { $(Self::$variant => $erasable,)* }
            }
        }
    };
}

kinds! {
    /// First entry of the Hub's ledger.
    FederationCreated = "federation.created", erasable: false;
    /// A region joined; names its keys.
    RegionEnrolled = "region.enrolled", erasable: false;
    /// A region's access ended.
    RegionRevoked = "region.revoked", erasable: false;
    /// First entry of a region's ledger.
    RegionOpened = "region.opened", erasable: false;
    /// A version of the code lists.
    CodeListsPublished = "code_lists.published", erasable: false;
    /// A version of a syllabus.
    SyllabusPublished = "syllabus.published", erasable: false;
    /// A version of a training kit.
    KitPublished = "kit.published", erasable: false;
    /// A kit version that must no longer be used.
    KitWithdrawn = "kit.withdrawn", erasable: false;
    /// A region submits a version of its PO.
    PoSubmitted = "po.submitted", erasable: true;
    /// The centre takes in a PO that was approved before the system existed.
    PoRecorded = "po.recorded", erasable: true;
    /// The centre's decision on a PO, by two people.
    PoDecision = "po.decision", erasable: true;
    /// A region shares a version of its PE.
    PeShared = "pe.shared", erasable: true;
    /// The centre's observations on a PE.
    PeObservation = "pe.observation", erasable: true;
    /// A region reports a month.
    ReportSubmitted = "report.submitted", erasable: true;
    /// The centre accepts or rejects a report.
    ReportVerdict = "report.verdict", erasable: true;
    /// How far kit versions have come at a Spoke.
    KitPhases = "kit.phases", erasable: false;
    /// What a region decides about a kit version.
    KitAdoption = "kit.adoption", erasable: true;
    /// An entry that could not be applied is skipped for good.
    EntryWaived = "entry.waived", erasable: true;
    /// A body of this ledger was erased.
    EntryErased = "entry.erased", erasable: false;
    /// The owner signs with another key from the next entry on.
    KeyRotated = "key.rotated", erasable: false;
    /// What nobody has any more, under the offline root key.
    LedgerSuccession = "ledger.succession", erasable: false;
}

impl Kind {
    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(kind) => kind.as_str(),
            Self::Unknown(name) => name,
        }
    }
}

impl From<KnownKind> for Kind {
    fn from(kind: KnownKind) -> Self {
        Self::Known(kind)
    }
}

impl FromStr for Kind {
    type Err = NotAKind;

    fn from_str(text: &str) -> Result<Self, NotAKind> {
        if let Some(known) = KnownKind::ALL.iter().find(|k| k.as_str() == text) {
            return Ok(Self::Known(*known));
        }
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.');
        if (3..=40).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self::Unknown(text.into()))
        } else {
            Err(NotAKind(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
