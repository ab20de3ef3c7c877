//! The Merkle tree of RFC 6962: a compact frontier to append to, and the two proofs.
//!
//! Proofs are made from all leaf hashes, in time linear in their number; they are verified, as RFC 9162
//! describes it (sections 2.1.3.2 and 2.1.4.2), in logarithmic time.

use crate::hash::{empty_root, node_hash};
use raccordo_model::digest::{LeafHash, TreeHash};

/// Largest number of entries of a ledger: what a database holds in a signed 64-bit column.
pub const TREE_SIZE_MAX: u64 = i64::MAX as u64;

/// Why bytes are not a frontier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// Shorter than the size that it begins with.
    #[error("a stored frontier of {bytes} bytes is too short: it begins with a size of 8 bytes")]
    Short {
        /// Bytes found.
        bytes: usize,
    },
    /// The size is out of range.
    #[error("a stored frontier says size {size}, more than a ledger can hold")]
    Size {
        /// Size found.
        size: u64,
    },
    /// The number of hashes does not fit the size.
    #[error("a stored frontier of size {size} has {bytes} bytes of hashes, {expected} expected")]
    Hashes {
        /// Size found.
        size: u64,
        /// Bytes of hashes found.
        bytes: usize,
        /// Bytes of hashes that the size asks for.
        expected: usize,
    },
}

/// The roots of the perfect subtrees that make up a tree, the largest (leftmost) first: all that is needed to
/// append and to compute the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// As many as `size` has one-bits.
    roots: Vec<TreeHash>,
}

impl Frontier {
    /// The frontier of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one leaf.
    pub fn push(&mut self, leaf: LeafHash) {
        let mut root = TreeHash(leaf.0);
        // Each trailing one-bit of the old size is a perfect subtree that the new leaf completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                root = node_hash(&left, &root);
            }
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// RFC 6962 root hash of the tree.
    pub fn root(&self) -> TreeHash {
        let folded = self
            .roots
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right));
        folded.unwrap_or_else(empty_root)
    }

    /// The stored form: size as 8 bytes, big endian, then the hashes, the largest subtree first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        self.roots
            .iter()
            .for_each(|root| bytes.extend_from_slice(root.as_bytes()));
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When the bytes are too short, or the number of hashes is not that of the size's one-bits.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrontierError> {
        let Some((size, hashes)) = bytes.split_first_chunk::<8>() else {
            return Err(FrontierError::Short { bytes: bytes.len() });
        };
        let size = u64::from_be_bytes(*size);
        if size > TREE_SIZE_MAX {
            return Err(FrontierError::Size { size });
        }
        let expected = 32 * size.count_ones() as usize;
        if hashes.len() != expected {
            return Err(FrontierError::Hashes {
                size,
                bytes: hashes.len(),
                expected,
            });
        }
        let roots = hashes.chunks_exact(32).filter_map(TreeHash::from_slice).collect();
        Ok(Self { size, roots })
    }
}

impl Extend<LeafHash> for Frontier {
    fn extend<I: IntoIterator<Item = LeafHash>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

impl FromIterator<LeafHash> for Frontier {
    fn from_iter<I: IntoIterator<Item = LeafHash>>(leaves: I) -> Self {
        let mut frontier = Self::new();
        frontier.extend(leaves);
        frontier
    }
}

/// Proof that the leaf at `index` is in the tree of `leaves`, deepest sibling first (RFC 6962, 2.1.1), or
/// `None` when there is no such leaf.
pub fn inclusion_proof(leaves: &[LeafHash], index: u64) -> Option<Vec<TreeHash>> {
    let index = usize::try_from(index)
        .ok()
        .filter(|index| *index < leaves.len())?;
    let mut proof = Vec::new();
    inclusion_path(leaves, index, &mut proof);
    Some(proof)
}

/// Proof that the tree of the first `old_size` leaves is a prefix of the tree of `leaves` (RFC 6962, 2.1.2),
/// or `None` when `old_size` is larger. Empty for size 0, of which every tree is a continuation.
pub fn consistency_proof(leaves: &[LeafHash], old_size: u64) -> Option<Vec<TreeHash>> {
    let old = usize::try_from(old_size)
        .ok()
        .filter(|old| *old <= leaves.len())?;
    let mut proof = Vec::new();
    if old > 0 {
        consistency_path(leaves, old, true, &mut proof);
    }
    Some(proof)
}

/// Whether `proof` shows that `leaf` is at `index` of the tree with `size` leaves and `root`.
#[must_use]
pub fn verify_inclusion(index: u64, size: u64, leaf: &LeafHash, proof: &[TreeHash], root: &TreeHash) -> bool {
    if index >= size {
        return false;
    }
    let mut path = Path {
        node: index,
        last: size - 1,
    };
    let mut hash = TreeHash(leaf.0);
    for sibling in proof {
        hash = match path.up() {
            None => return false,
            Some(Side::Left) => node_hash(sibling, &hash),
            Some(Side::Right) => node_hash(&hash, sibling),
        };
    }
    path.last == 0 && hash == *root
}

/// Whether `proof` shows that the tree of `old_size` and `old_root` is a prefix of that of `new_size` and
/// `new_root`.
#[must_use]
pub fn verify_consistency(
    old_size: u64,
    old_root: &TreeHash,
    new_size: u64,
    new_root: &TreeHash,
    proof: &[TreeHash],
) -> bool {
    if old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    // A perfect old tree is itself the first node of the path, and is left out of the proof.
    let (first, rest) = match proof.split_first() {
        _ if old_size.is_power_of_two() => (old_root, proof),
        Some(split) => split,
        None => return false,
    };
    let shift = (old_size - 1).trailing_ones();
    let mut path = Path {
        node: (old_size - 1) >> shift,
        last: (new_size - 1) >> shift,
    };
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        match path.up() {
            None => return false,
            Some(Side::Left) => {
                old = node_hash(sibling, &old);
                new = node_hash(sibling, &new);
            }
            Some(Side::Right) => new = node_hash(&new, sibling),
        }
    }
    path.last == 0 && old == *old_root && new == *new_root
}

/// On which side of the path the next sibling stands.
enum Side {
    Left,
    Right,
}

/// A node on the way from a leaf to the root: its number in its level, and the number of the level's last.
struct Path {
    node: u64,
    last: u64,
}

impl Path {
    /// Climbs to the next level with a sibling; `None` at the root.
    fn up(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            // The last node of a level may have no sibling there: it is the same node one level up.
            while self.node & 1 == 0 && self.node != 0 {
                self.shift();
            }
            Side::Left
        } else {
            Side::Right
        };
        self.shift();
        Some(side)
    }

    fn shift(&mut self) {
        self.node >>= 1;
        self.last >>= 1;
    }
}

/// Leaves of the left subtree of a tree of `size` leaves, at least 2: the largest power of two below `size`.
fn split(size: usize) -> usize {
    1 << (size - 1).ilog2()
}

fn root_of(leaves: &[LeafHash]) -> TreeHash {
    leaves.iter().copied().collect::<Frontier>().root()
}

/// PATH(m, D) of RFC 6962; as deep as the tree is high.
fn inclusion_path(leaves: &[LeafHash], index: usize, proof: &mut Vec<TreeHash>) {
    if leaves.len() < 2 {
        return;
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    if index < left.len() {
        inclusion_path(left, index, proof);
        proof.push(root_of(right));
    } else {
        inclusion_path(right, index - left.len(), proof);
        proof.push(root_of(left));
    }
}

/// SUBPROOF(m, D, b) of RFC 6962; `known` says that the verifier has the root of this subtree.
fn consistency_path(leaves: &[LeafHash], old: usize, known: bool, proof: &mut Vec<TreeHash>) {
    if old == leaves.len() {
        if !known {
            proof.push(root_of(leaves));
        }
        return;
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    if old <= left.len() {
        consistency_path(left, old, known, proof);
        proof.push(root_of(right));
    } else {
        consistency_path(right, old - left.len(), false, proof);
        proof.push(root_of(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontier_is_read_as_it_was_written_and_nothing_else() {
        let frontier: Frontier = (0..11u8).map(|n| LeafHash([n; 32])).collect();
        let bytes = frontier.to_bytes();
        assert_eq!(bytes.len(), 8 + 3 * 32);
        assert_eq!(Frontier::from_bytes(&bytes), Ok(frontier));
        assert_eq!(
            Frontier::from_bytes(&bytes[..7]),
            Err(FrontierError::Short { bytes: 7 })
        );
        let short = Frontier::from_bytes(&bytes[..bytes.len() - 1]);
        assert!(matches!(short, Err(FrontierError::Hashes { expected: 96, .. })));
        assert!(matches!(
            Frontier::from_bytes(&[0xff; 8]),
            Err(FrontierError::Size { .. })
        ));
        assert_eq!(Frontier::from_bytes(&[0; 8]), Ok(Frontier::new()));
    }

    #[test]
    fn what_is_not_in_the_tree_has_no_proof() {
        let leaves = [LeafHash([1; 32]), LeafHash([2; 32])];
        assert_eq!(inclusion_proof(&leaves, 2), None);
        assert_eq!(inclusion_proof(&[], 0), None);
        assert_eq!(consistency_proof(&leaves, 3), None);
        let root = leaves.iter().copied().collect::<Frontier>().root();
        assert!(!verify_inclusion(2, 2, &leaves[0], &[], &root));
        assert!(!verify_consistency(3, &root, 2, &root, &[]));
        assert!(!verify_consistency(0, &root, 2, &root, &[]));
    }
}
