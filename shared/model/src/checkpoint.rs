//! A ledger at one size, as its owner signed it (C2SP tlog-checkpoint).

use crate::{digest::TreeHash, node::Origin, timestamp::Timestamp};

/// What a checkpoint says: this ledger, at this size, has this root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger.
    pub origin: Origin,
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 root hash.
    pub root: TreeHash,
}

/// A checkpoint with the owner's signature, as it is stored and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The whole C2SP signed note, at most 2,048 bytes.
    pub note: String,
}

/// A follower's cosignature (C2SP tlog-cosignature v1) of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// The size that it confirms.
    pub size: u64,
    /// When it was made, to the second.
    pub at: Timestamp,
    /// The signature line, `— name base64`, without line end.
    pub line: String,
}
