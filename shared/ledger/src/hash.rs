//! The hashes of the ledger: body commitment, leaf, inner node (RFC 6962, section 2.1, with SHA-256).

use raccordo_model::digest::{BodyHash, LeafHash, TreeHash};
use sha2::{Digest, Sha256};

/// Commitment to a body: SHA-256(salt ‖ stored bytes). The salt has a fixed length, so that the boundary
/// between the two cannot be moved.
pub fn body_hash(salt: &[u8; 32], stored: &[u8]) -> BodyHash {
    BodyHash(sha256(&[salt, stored]))
}

/// RFC 6962 leaf hash of an entry: SHA-256(0x00 ‖ header ‖ body hash). The body hash has a fixed length, so
/// that the boundary between header and body hash cannot be moved.
pub fn leaf_hash(header_bytes: &[u8], body_hash: &BodyHash) -> LeafHash {
    LeafHash(sha256(&[&[0x00], header_bytes, body_hash.as_bytes()]))
}

/// RFC 6962 hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &TreeHash, right: &TreeHash) -> TreeHash {
    TreeHash(sha256(&[&[0x01], left.as_bytes(), right.as_bytes()]))
}

/// Root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> TreeHash {
    TreeHash(sha256(&[]))
}

/// SHA-256 of the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_tree_has_the_root_of_rfc_6962() {
        let known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(empty_root().to_string(), known);
    }

    #[test]
    fn a_leaf_is_not_an_inner_node() {
        let (left, right) = (TreeHash([1; 32]), TreeHash([2; 32]));
        let as_leaf = leaf_hash(left.as_bytes(), &BodyHash(right.0));
        assert_ne!(as_leaf.0, node_hash(&left, &right).0);
    }
}
