//! Random numbers: the operating system's, and seeded ones for tests and simulations.

use sha2::{Digest, Sha256};
use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
};

/// Gives random bytes.
pub trait Random: Send + Sync + Debug {
    /// Fills `into`.
    fn fill(&self, into: &mut [u8]);
}

/// `N` random bytes.
pub fn bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// A number below `bound`, or 0 when `bound` is 0. For jitter: the bias of the remainder does not matter.
pub fn below(random: &dyn Random, bound: u64) -> u64 {
    u64::from_le_bytes(bytes(random)).checked_rem(bound).unwrap_or(0)
}

/// The operating system's generator: for keys, salts, tokens.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, into: &mut [u8]) {
        // Without random numbers no key, salt or token may be made: there is nothing to go on with.
        #[allow(clippy::expect_used)]
        getrandom::fill(into).expect("the operating system gives random numbers");
    }
}

/// A generator that gives the same bytes for the same seed: SHA-256 over seed and counter. Never for secrets.
#[derive(Debug)]
pub struct SeededRandom {
    seed: u64,
    block: AtomicU64,
}

impl SeededRandom {
    /// The generator of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            block: AtomicU64::new(0),
        }
    }
}

impl Random for SeededRandom {
    fn fill(&self, into: &mut [u8]) {
        for part in into.chunks_mut(32) {
            let block = self.block.fetch_add(1, Ordering::SeqCst);
            let hash = Sha256::new()
                .chain_update(self.seed.to_le_bytes())
                .chain_update(block.to_le_bytes());
            part.copy_from_slice(&hash.finalize()[..part.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_repeat_and_differ() {
        let (a, b, c) = (SeededRandom::new(1), SeededRandom::new(1), SeededRandom::new(2));
        let first: [u8; 40] = bytes(&a);
        assert_eq!(first, bytes::<40>(&b));
        assert_ne!(first, bytes::<40>(&a));
        assert_ne!(first, bytes::<40>(&c));
        assert_ne!(bytes::<32>(&OsRandom), bytes::<32>(&OsRandom));
        assert_eq!(below(&a, 0), 0);
        assert!((0..50).all(|_| below(&a, 3) < 3));
    }
}
