//! The handshake's decisions: session epochs, and how a node's own ledger compares with what its peer holds.
//!
//! Every session advances a stored epoch. The Hub stores the epoch that it issues before it sends Welcome; the
//! Spoke stores it before it answers Ready. Wherever one of the two dies in between, the Spoke presents either
//! the current or the just-issued epoch; anything else is a clone or a rewound disk.

use crate::hash::empty_root;
use raccordo_model::{checkpoint::SignedCheckpoint, digest::TreeHash};

/// What the Hub has stored about a Spoke's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EpochState {
    /// The last epoch that the Spoke is known to have stored; 0 before the first session.
    pub current: u64,
    /// The last epoch that was issued; equal to `current` when the Spoke has confirmed it.
    pub issued: u64,
}

/// The epoch is neither the current nor the just-issued one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("epoch {presented} is neither {current} nor {issued}: a copied or rewound disk", current = state.current, issued = state.issued)]
pub struct EpochRefused {
    /// What was presented.
    pub presented: u64,
    /// What was expected.
    pub state: EpochState,
}

/// Takes the epoch of a Hello and issues the next one: store the result, then send its `issued` in Welcome.
///
/// # Errors
/// When `presented` is neither the current nor the just-issued epoch: fence the Spoke.
pub fn present(state: EpochState, presented: u64) -> Result<EpochState, EpochRefused> {
    let refused = EpochRefused { presented, state };
    if presented != state.current && presented != state.issued {
        return Err(refused);
    }
    let issued = state.current.max(state.issued).checked_add(1).ok_or(refused)?;
    Ok(EpochState {
        current: presented,
        issued,
    })
}

/// Takes the epoch of a Ready: the Spoke has stored it.
///
/// # Errors
/// When `epoch` is not the one issued last: another session began since, or the Spoke made it up.
pub fn confirm(state: EpochState, epoch: u64) -> Result<EpochState, EpochRefused> {
    if epoch == state.issued {
        Ok(EpochState {
            current: epoch,
            issued: epoch,
        })
    } else {
        Err(EpochRefused {
            presented: epoch,
            state,
        })
    }
}

/// How a node's own ledger stands against what its peer holds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The peer has everything.
    Level,
    /// The peer has less: send from its size.
    Behind {
        /// First entry that the peer lacks.
        from: u64,
    },
    /// The peer holds a validly signed larger size of our own ledger: we were rewound.
    Rewound {
        /// The peer's size.
        theirs: u64,
    },
    /// The peer holds another tree of this size, signed by our own key.
    Forked {
        /// The size.
        size: u64,
    },
}

/// Compares our own ledger with the checkpoint `peer` that the peer holds of it, whose signature the caller
/// has verified. `own_root_at` is the root of our tree at the peer's size; `None` when we have no checkpoint
/// there. An owner signs only the checkpoints that it stores, so a signed one of a size up to ours that we do
/// not have is a fork too.
pub fn compare_own(
    own_size: u64,
    own_root_at: Option<TreeHash>,
    peer: Option<&SignedCheckpoint>,
) -> Standing {
    let (size, root) = peer.map_or((0, empty_root()), |peer| {
        (peer.checkpoint.size, peer.checkpoint.root)
    });
    let own_root = if size == 0 {
        Some(empty_root())
    } else {
        own_root_at
    };
    if size > own_size {
        Standing::Rewound { theirs: size }
    } else if own_root != Some(root) {
        Standing::Forked { size }
    } else if size < own_size {
        Standing::Behind { from: size }
    } else {
        Standing::Level
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_model::checkpoint::Checkpoint;

    #[test]
    fn wherever_a_session_breaks_the_next_one_is_accepted() {
        let first = present(EpochState::default(), 0).unwrap();
        assert_eq!(
            first,
            EpochState {
                current: 0,
                issued: 1
            }
        );
        // Welcome was lost: 0 again. Welcome was stored, Ready was lost: 1.
        assert_eq!(
            present(first, 0),
            Ok(EpochState {
                current: 0,
                issued: 2
            })
        );
        assert_eq!(
            present(first, 1),
            Ok(EpochState {
                current: 1,
                issued: 2
            })
        );
        assert_eq!(
            confirm(first, 1),
            Ok(EpochState {
                current: 1,
                issued: 1
            })
        );
    }

    #[test]
    fn a_clone_is_refused_once_the_other_copy_has_moved_on() {
        let state = EpochState {
            current: 4,
            issued: 4,
        };
        let moved = confirm(present(state, 4).unwrap(), 5).unwrap();
        let refused = present(moved, 4).unwrap_err();
        assert_eq!(
            refused,
            EpochRefused {
                presented: 4,
                state: moved
            }
        );
        assert!(present(moved, 6).is_err(), "an epoch never issued");
        assert!(
            confirm(present(moved, 5).unwrap(), 5).is_err(),
            "Ready of an earlier session"
        );
        assert!(
            present(
                EpochState {
                    current: u64::MAX,
                    issued: u64::MAX
                },
                u64::MAX
            )
            .is_err()
        );
    }

    #[test]
    fn a_peer_is_level_behind_ahead_or_elsewhere() {
        let root = TreeHash([1; 32]);
        let peer = |size, root| SignedCheckpoint {
            checkpoint: Checkpoint {
                origin: "raccordo/fse-prova/090".parse().unwrap(),
                size,
                root,
            },
            note: String::new(),
        };
        assert_eq!(compare_own(0, None, None), Standing::Level);
        assert_eq!(compare_own(3, None, None), Standing::Behind { from: 0 });
        assert_eq!(
            compare_own(3, None, Some(&peer(0, empty_root()))),
            Standing::Behind { from: 0 }
        );
        assert_eq!(compare_own(3, Some(root), Some(&peer(3, root))), Standing::Level);
        assert_eq!(
            compare_own(5, Some(root), Some(&peer(3, root))),
            Standing::Behind { from: 3 }
        );
        assert_eq!(
            compare_own(2, None, Some(&peer(3, root))),
            Standing::Rewound { theirs: 3 }
        );
        assert_eq!(
            compare_own(3, Some(root), Some(&peer(3, TreeHash([2; 32])))),
            Standing::Forked { size: 3 }
        );
        assert_eq!(
            compare_own(5, None, Some(&peer(3, root))),
            Standing::Forked { size: 3 }
        );
    }
}
