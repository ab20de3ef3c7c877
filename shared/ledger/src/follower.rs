//! The follower's side: a batch is verified as a whole, or refused with the one reason that decides.
//!
//! Nothing is stored here: a refusal leaves the follower as it was, and the caller persists the fence.

use crate::{
    hash::{body_hash, leaf_hash},
    note::{LedgerVerifier, NoteError},
    tree::{Frontier, TREE_SIZE_MAX},
};
use raccordo_model::{
    checkpoint::SignedCheckpoint,
    digest::{BodyHash, LeafHash, TreeHash},
    entry::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BODY_BYTES_MAX, HEADER_BYTES_MAX},
};

/// One leaf as the owner offers it, with what the follower decided from its header.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// The encoded header, as it came.
    pub header_bytes: &'a [u8],
    /// The commitment to the body, as it came.
    pub body_hash: BodyHash,
    /// Salt and stored bytes, when they were sent.
    pub body: Option<(&'a [u8; 32], &'a [u8])>,
    /// Whether this follower may read the body.
    pub entitled: bool,
    /// Whether the owner says that the body was erased.
    pub erased: bool,
}

/// A verified batch, to be stored in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The tree with the batch.
    pub frontier: Frontier,
    /// The owner's checkpoint at its size.
    pub signed: SignedCheckpoint,
    /// The leaf hashes, in order.
    pub leaf_hashes: Vec<LeafHash>,
}

/// Which limit a batch breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchBound {
    /// Number of entries.
    #[error("{0} entries, 1 to {BATCH_ENTRIES_MAX} are read")]
    Entries(usize),
    /// Bytes of headers and bodies.
    #[error("{0} bytes of headers and bodies, at most {BATCH_BYTES_MAX} are read")]
    Bytes(usize),
    /// Bytes of one header.
    #[error("entry {index}: a header of {bytes} bytes, 1 to {HEADER_BYTES_MAX} are read")]
    Header {
        /// Index of the entry.
        index: u64,
        /// Bytes found.
        bytes: usize,
    },
    /// Bytes of one body.
    #[error("entry {index}: a body of {bytes} bytes, at most {BODY_BYTES_MAX} are read")]
    Body {
        /// Index of the entry.
        index: u64,
        /// Bytes found.
        bytes: usize,
    },
    /// The ledger would be larger than a ledger can be.
    #[error("a ledger of more than {TREE_SIZE_MAX} entries")]
    Ledger,
}

/// Why a batch was refused; one variant for each decision of a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// A gap (`found` is larger) or a repetition (`found` is smaller).
    #[error("the batch begins at entry {found}, {expected} was expected")]
    NotContiguous {
        /// Index of the next entry.
        expected: u64,
        /// Index that the batch begins at.
        found: u64,
    },
    /// Larger than the protocol allows.
    #[error("the batch breaks a limit: {0}")]
    Bounds(#[from] BatchBound),
    /// A body does not fit the commitment in its leaf.
    #[error("entry {index}: the body does not match its hash")]
    BodyMismatch {
        /// Index of the entry.
        index: u64,
    },
    /// We are entitled to the body, it was not erased, and it was not sent.
    #[error("entry {index}: the body that this node may read was not sent")]
    BodyWithheld {
        /// Index of the entry.
        index: u64,
    },
    /// A body was sent that we may not read, or that is said to be erased.
    #[error("entry {index}: a body was sent that this node may not read")]
    BodyNotEntitled {
        /// Index of the entry.
        index: u64,
    },
    /// The checkpoint is malformed, of another ledger, or not signed by its owner.
    #[error("the batch's checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// The checkpoint does not end where the batch ends.
    #[error("the batch ends at size {expected}, its checkpoint says {found}")]
    WrongSize {
        /// Size after the batch.
        expected: u64,
        /// Size that the checkpoint says.
        found: u64,
    },
    /// The owner signed another tree than the one sent.
    #[error("the entries up to size {size} give another root than the owner signed")]
    RootMismatch {
        /// Size of the tree.
        size: u64,
    },
}

/// Verifies a batch that begins at entry `first` and ends at `checkpoint_note`, against the follower's own
/// `frontier`. The steps are those of PROTOCOL.md.
///
/// # Errors
/// The first step that fails.
pub fn verify_batch(
    frontier: &Frontier,
    verifier: &LedgerVerifier,
    first: u64,
    leaves: &[Offered<'_>],
    checkpoint_note: &str,
) -> Result<Verified, FollowError> {
    // 1. Contiguity: the batch begins where our tree ends.
    if first != frontier.size() {
        return Err(FollowError::NotContiguous {
            expected: frontier.size(),
            found: first,
        });
    }
    // 2. Bounds, before anything is hashed. The note's own bound is part of step 6.
    check_bounds(first, leaves)?;
    // 3. Bodies against their hashes.
    for (index, leaf) in (first..).zip(leaves) {
        if leaf
            .body
            .is_some_and(|(salt, stored)| body_hash(salt, stored) != leaf.body_hash)
        {
            return Err(FollowError::BodyMismatch { index });
        }
    }
    // 4. Entitlement: exactly the bodies that we may read and that still exist.
    for (index, leaf) in (first..).zip(leaves) {
        match (leaf.entitled && !leaf.erased, leaf.body) {
            (true, None) => return Err(FollowError::BodyWithheld { index }),
            (false, Some(_)) => return Err(FollowError::BodyNotEntitled { index }),
            (true, Some(_)) | (false, None) => {}
        }
    }
    // 5. The tree: our frontier with the batch's leaves.
    let leaf_hashes: Vec<_> = leaves
        .iter()
        .map(|leaf| leaf_hash(leaf.header_bytes, &leaf.body_hash))
        .collect();
    let mut frontier = frontier.clone();
    frontier.extend(leaf_hashes.iter().copied());
    // 6. The checkpoint: the owner's signature, and the size.
    let signed = verifier.open(checkpoint_note)?;
    let (expected, found) = (frontier.size(), signed.checkpoint.size);
    if expected != found {
        return Err(FollowError::WrongSize { expected, found });
    }
    // 7. The root that we computed is the one that was signed.
    if frontier.root() != signed.checkpoint.root {
        return Err(FollowError::RootMismatch { size: expected });
    }
    Ok(Verified {
        frontier,
        signed,
        leaf_hashes,
    })
}

fn check_bounds(first: u64, leaves: &[Offered<'_>]) -> Result<(), BatchBound> {
    let sizes = leaves.iter().map(|leaf| {
        (
            leaf.header_bytes.len(),
            leaf.body.map_or(0, |(_, stored)| stored.len()),
        )
    });
    check_sizes(first, sizes)
}

/// Whether a batch that begins at entry `first`, of leaves of these bytes (header, body), is within the
/// protocol's bounds. A receiver asks before it parses anything.
///
/// # Errors
/// The first bound that it breaks.
pub fn check_sizes(
    first: u64,
    leaves: impl ExactSizeIterator<Item = (usize, usize)>,
) -> Result<(), BatchBound> {
    let entries = leaves.len();
    if entries == 0 || entries > BATCH_ENTRIES_MAX {
        return Err(BatchBound::Entries(entries));
    }
    if TREE_SIZE_MAX.saturating_sub(first) < entries as u64 {
        return Err(BatchBound::Ledger);
    }
    let mut total = 0;
    for (index, (header, body)) in (first..).zip(leaves) {
        if header == 0 || header > HEADER_BYTES_MAX {
            return Err(BatchBound::Header { index, bytes: header });
        }
        if body > BODY_BYTES_MAX {
            return Err(BatchBound::Body { index, bytes: body });
        }
        total += header + body;
    }
    if total > BATCH_BYTES_MAX {
        Err(BatchBound::Bytes(total))
    } else {
        Ok(())
    }
}

/// Cosigning would contradict an earlier cosignature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Equivocation {
    /// Another tree of a size that we cosigned.
    #[error("size {size} was cosigned with root {cosigned}, now root {offered} is offered")]
    TwoTrees {
        /// The size.
        size: u64,
        /// Root that we cosigned.
        cosigned: TreeHash,
        /// Root that is offered.
        offered: TreeHash,
    },
    /// A smaller size than we cosigned.
    #[error("size {cosigned} was cosigned, now the smaller size {offered} is offered")]
    Smaller {
        /// Size that we cosigned.
        cosigned: u64,
        /// Size that is offered.
        offered: u64,
    },
}

/// Whether this node may cosign `signed` after `last`, the size and root that it last cosigned of the same
/// ledger: never two trees of one size, never a smaller size than before. That a larger tree continues the
/// smaller one is what [`verify_batch`] established.
///
/// # Errors
/// When it may not.
pub fn may_cosign(last: Option<(u64, TreeHash)>, signed: &SignedCheckpoint) -> Result<(), Equivocation> {
    let (size, offered) = (signed.checkpoint.size, signed.checkpoint.root);
    match last {
        Some((cosigned, _)) if size < cosigned => Err(Equivocation::Smaller {
            cosigned,
            offered: size,
        }),
        Some((last, cosigned)) if size == last && offered != cosigned => Err(Equivocation::TwoTrees {
            size,
            cosigned,
            offered,
        }),
        _ => Ok(()),
    }
}
