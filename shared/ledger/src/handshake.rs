//! The handshake's decision about epochs.
//!
//! Every session advances a stored epoch. The Hub stores the epoch that it issues before it sends Welcome; the
//! Spoke stores it before it answers Ready. Wherever one of the two dies in between, the Spoke presents either
//! the current or the just-issued epoch; anything else is a clone or a rewound disk.

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
