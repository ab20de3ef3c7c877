//! The owner's side: leaves become a larger tree and one signed checkpoint.
//!
//! Nothing is stored here. The caller signs inside the store's transaction and emits after commit; after an
//! unknown outcome it reads the head again.

use crate::{
    note::LedgerSigner,
    tree::{Frontier, TREE_SIZE_MAX},
};
use raccordo_model::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    digest::LeafHash,
    entry::BATCH_ENTRIES_MAX,
    node::Origin,
};

/// Where the owner's ledger ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnerHead {
    /// The tree so far.
    pub frontier: Frontier,
}

/// A prepared append, to be stored in one transaction or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The tree with the new leaves.
    pub frontier: Frontier,
    /// The checkpoint at its size.
    pub signed: SignedCheckpoint,
    /// Index of the first new entry.
    pub first_index: u64,
}

/// Why an append was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No entries.
    #[error("nothing to append: an append has 1 to {BATCH_ENTRIES_MAX} entries")]
    Empty,
    /// More than one transaction takes.
    #[error("{entries} entries in one append, at most {BATCH_ENTRIES_MAX}: append them in parts")]
    TooMany {
        /// Entries found.
        entries: usize,
    },
    /// The ledger is full.
    #[error("the ledger has {size} entries and takes no more")]
    Full {
        /// Entries of the ledger.
        size: u64,
    },
    /// The signer is of another ledger.
    #[error("the signer of `{signer}` cannot sign for `{origin}`")]
    WrongSigner {
        /// Ledger of the signer.
        signer: Origin,
        /// Ledger to append to.
        origin: Origin,
    },
}

/// Appends `leaves` to the tree of `frontier` and signs the checkpoint of the result.
///
/// # Errors
/// When there are no leaves or more than [`BATCH_ENTRIES_MAX`], or `signer` is of another ledger.
pub fn prepare(
    frontier: &Frontier,
    leaves: &[LeafHash],
    origin: &Origin,
    signer: &LedgerSigner,
) -> Result<Appended, AppendError> {
    if leaves.is_empty() {
        return Err(AppendError::Empty);
    }
    if leaves.len() > BATCH_ENTRIES_MAX {
        return Err(AppendError::TooMany {
            entries: leaves.len(),
        });
    }
    let first_index = frontier.size();
    if TREE_SIZE_MAX.saturating_sub(first_index) < leaves.len() as u64 {
        return Err(AppendError::Full { size: first_index });
    }
    if signer.origin() != origin {
        return Err(AppendError::WrongSigner {
            signer: signer.origin().clone(),
            origin: origin.clone(),
        });
    }
    let mut frontier = frontier.clone();
    frontier.extend(leaves.iter().copied());
    let checkpoint = Checkpoint {
        origin: origin.clone(),
        size: frontier.size(),
        root: frontier.root(),
    };
    Ok(Appended {
        signed: signer.sign_checkpoint(&checkpoint),
        frontier,
        first_index,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::LedgerVerifier;

    #[test]
    fn an_append_continues_the_tree_and_is_signed() {
        let origin: Origin = "raccordo/fse-prova/090".parse().unwrap();
        let signer = LedgerSigner::new(&origin, &[1; 32]);
        let leaves: Vec<_> = (0..5u8).map(|n| LeafHash([n; 32])).collect();
        let first = prepare(&Frontier::new(), &leaves[..2], &origin, &signer).unwrap();
        let second = prepare(&first.frontier, &leaves[2..], &origin, &signer).unwrap();
        assert_eq!(
            (first.first_index, second.first_index, second.frontier.size()),
            (0, 2, 5)
        );
        assert_eq!(second.frontier, leaves.iter().copied().collect());
        let verifier = LedgerVerifier::new(&origin, &signer.verifying_key()).unwrap();
        assert_eq!(verifier.open(&second.signed.note), Ok(second.signed.clone()));
        assert_eq!(second.signed.checkpoint.root, second.frontier.root());
    }

    #[test]
    fn an_append_out_of_bounds_is_refused() {
        let origin: Origin = "raccordo/fse-prova/090".parse().unwrap();
        let signer = LedgerSigner::new(&origin, &[1; 32]);
        let head = Frontier::new();
        let leaves = vec![LeafHash([0; 32]); BATCH_ENTRIES_MAX + 1];
        assert_eq!(prepare(&head, &[], &origin, &signer), Err(AppendError::Empty));
        assert_eq!(
            prepare(&head, &leaves, &origin, &signer),
            Err(AppendError::TooMany { entries: 257 })
        );
        assert!(prepare(&head, &leaves[1..], &origin, &signer).is_ok());
        let other: Origin = "raccordo/fse-prova/hub".parse().unwrap();
        let refused = prepare(&head, &leaves[1..], &other, &signer);
        assert!(matches!(refused, Err(AppendError::WrongSigner { .. })));
    }
}
