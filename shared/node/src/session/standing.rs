//! What two nodes' claims about the two ledgers mean, judged at the handshake.
//!
//! Each node knows its own ledger best, and holds a signed checkpoint of the other's. So a node
//! that was rewound, re-created or cloned contradicts a signature, and is caught before anything
//! is sent.

use raccordo_model::{checkpoint::SignedCheckpoint, digest::TreeHash};

/// What is known about one ledger when two nodes meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Entries that this node holds.
    pub held: u64,
    /// Our root at the size that the peer names, where a checkpoint was kept there.
    pub root_at_claim: Option<TreeHash>,
    /// What the peer says it holds.
    pub claimed: u64,
    /// The owner-signed checkpoint that shows it, already verified; `None` at size 0.
    pub shown: Option<SignedCheckpoint>,
}

/// A contradiction. Who must stop is in the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// The peer names a size and shows no checkpoint of it.
    #[error("the peer claims {claimed} entries and shows no signed checkpoint of them")]
    Unproved {
        /// The size that was named.
        claimed: u64,
    },
    /// The owner signed more than it holds: its disk went back in time.
    #[error("the ledger's owner holds {held} entries, but {signed} are signed and held elsewhere")]
    Rewound {
        /// What the owner holds.
        held: u64,
        /// What it signed.
        signed: u64,
    },
    /// The owner signed two trees of one size: it was cloned or lies.
    #[error("the owner signed two different trees of {size} entries")]
    Forked {
        /// The size.
        size: u64,
    },
}

/// Judges the peer's claim about *our* ledger; returns where to send from.
pub fn judge_own(claim: &Claim) -> Result<u64, Breach> {
    let Some(shown) = proved(claim)? else { return Ok(0) };
    if claim.claimed > claim.held {
        return Err(Breach::Rewound {
            held: claim.held,
            signed: claim.claimed,
        });
    }
    if claim.root_at_claim != Some(shown.checkpoint.root) {
        return Err(Breach::Forked { size: claim.claimed });
    }
    Ok(claim.claimed)
}

/// Judges the peer's claim about *its own* ledger, of which we hold a part.
pub fn judge_followed(claim: &Claim) -> Result<(), Breach> {
    if claim.claimed < claim.held {
        return Err(Breach::Rewound {
            held: claim.claimed,
            signed: claim.held,
        });
    }
    let Some(shown) = proved(claim)? else {
        return Ok(());
    };
    if claim.claimed == claim.held && claim.root_at_claim != Some(shown.checkpoint.root) {
        return Err(Breach::Forked { size: claim.claimed });
    }
    Ok(())
}

fn proved(claim: &Claim) -> Result<Option<&SignedCheckpoint>, Breach> {
    match &claim.shown {
        None if claim.claimed == 0 => Ok(None),
        Some(shown) if shown.checkpoint.size == claim.claimed => Ok(Some(shown)),
        _ => Err(Breach::Unproved {
            claimed: claim.claimed,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_model::checkpoint::Checkpoint;

    fn claim(held: u64, root_at_claim: u8, claimed: u64, shown_root: u8) -> Claim {
        let origin = "raccordo/prova/hub".parse().unwrap();
        let checkpoint = Checkpoint {
            origin,
            size: claimed,
            root: TreeHash([shown_root; 32]),
        };
        Claim {
            held,
            root_at_claim: Some(TreeHash([root_at_claim; 32])),
            claimed,
            shown: (claimed > 0).then_some(SignedCheckpoint {
                checkpoint,
                note: String::new(),
            }),
        }
    }

    #[test]
    fn a_follower_that_is_behind_is_sent_the_rest() {
        assert_eq!(judge_own(&claim(9, 1, 4, 1)), Ok(4));
        assert_eq!(judge_own(&claim(9, 0, 0, 0)), Ok(0));
        assert_eq!(judge_followed(&claim(4, 0, 9, 1)), Ok(()));
    }

    #[test]
    fn a_rewound_owner_is_caught_from_both_sides() {
        assert_eq!(
            judge_own(&claim(4, 0, 9, 1)),
            Err(Breach::Rewound { held: 4, signed: 9 })
        );
        assert_eq!(
            judge_followed(&claim(9, 0, 4, 1)),
            Err(Breach::Rewound { held: 4, signed: 9 })
        );
        assert_eq!(
            judge_followed(&claim(9, 0, 0, 0)),
            Err(Breach::Rewound { held: 0, signed: 9 })
        );
    }

    #[test]
    fn two_trees_of_one_size_are_a_fork() {
        assert_eq!(judge_own(&claim(9, 1, 4, 2)), Err(Breach::Forked { size: 4 }));
        assert_eq!(
            judge_followed(&claim(4, 1, 4, 2)),
            Err(Breach::Forked { size: 4 })
        );
    }

    #[test]
    fn a_size_without_its_checkpoint_proves_nothing() {
        let mut bare = claim(9, 1, 4, 1);
        bare.shown = None;
        assert_eq!(judge_own(&bare), Err(Breach::Unproved { claimed: 4 }));
    }
}
