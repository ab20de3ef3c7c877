//! The tree against three others: published vectors, `tlog_tiles`, and the definition of RFC 6962 written down.

use proptest::prelude::*;
use raccordo_ledger::{
    hash::{empty_root, leaf_hash, node_hash},
    tree::{Frontier, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion},
};
use raccordo_model::digest::{BodyHash, LeafHash, TreeHash};
use sha2::{Digest, Sha256};
use tlog_tiles::tlog::{self, Hash, HashReader};

/// Inputs and roots of the reference tree of Certificate Transparency (merkle_tree_test.cc).
const REFERENCE: [(&str, &str); 8] = [
    (
        "",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    ),
    (
        "00",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    ),
    (
        "10",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    ),
    (
        "2021",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (
        "3031",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    ),
    (
        "40414243",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    ),
    (
        "5051525354555657",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    ),
    (
        "606162636465666768696a6b6c6d6e6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ),
];

#[test]
fn the_roots_are_those_of_certificate_transparency() {
    let mut frontier = Frontier::new();
    for (input, root) in REFERENCE {
        let input = hex::decode(input).unwrap();
        frontier.push(LeafHash(
            Sha256::new()
                .chain_update([0])
                .chain_update(input)
                .finalize()
                .into(),
        ));
        assert_eq!(frontier.root().to_string(), root, "size {}", frontier.size());
    }
}

/// What `tlog_tiles` stores, in memory.
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        Ok(indexes.iter().map(|index| self.0[*index as usize]).collect())
    }
}

#[test]
fn roots_and_proofs_are_those_of_tlog_tiles() {
    let (mut stored, mut frontier, mut leaves) = (Stored(Vec::new()), Frontier::new(), Vec::new());
    let bytes = |proof: Vec<Hash>| proof.into_iter().map(|hash| TreeHash(hash.0)).collect::<Vec<_>>();
    for n in 0..70u64 {
        let (header, body) = (format!("header {n}"), BodyHash([n as u8; 32]));
        let record = [header.as_bytes(), body.as_bytes()].concat();
        let new = tlog::stored_hashes(n, &record, &stored).unwrap();
        stored.0.extend(new);
        leaves.push(leaf_hash(header.as_bytes(), &body));
        frontier.push(leaves[n as usize]);
        let size = n + 1;
        assert_eq!(frontier.root().0, tlog::tree_hash(size, &stored).unwrap().0);
        for old in 1..=size {
            let index = old - 1;
            let theirs = bytes(tlog::prove_record(size, index, &stored).unwrap());
            assert_eq!(inclusion_proof(&leaves, index), Some(theirs), "{index} of {size}");
            let theirs = bytes(tlog::prove_tree(size, old, &stored).unwrap());
            assert_eq!(consistency_proof(&leaves, old), Some(theirs), "{old} to {size}");
        }
    }
}

/// MTH of RFC 6962, section 2.1, word for word.
fn naive_root(leaves: &[LeafHash]) -> TreeHash {
    match leaves {
        [] => empty_root(),
        [leaf] => TreeHash(leaf.0),
        _ => {
            let mut split = 1;
            while split * 2 < leaves.len() {
                split *= 2;
            }
            node_hash(&naive_root(&leaves[..split]), &naive_root(&leaves[split..]))
        }
    }
}

/// Every proof that differs a little: one bit, one hash less, one more, two exchanged.
fn altered(proof: &[TreeHash], at: usize) -> Vec<Vec<TreeHash>> {
    let mut all = vec![[proof, &[TreeHash([9; 32])]].concat()];
    if let Some(at) = at.checked_rem(proof.len()) {
        let mut flipped = proof.to_vec();
        flipped[at].0[at % 32] ^= 1;
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        all.extend([flipped, shorter]);
        if at > 0 {
            let mut exchanged = proof.to_vec();
            exchanged.swap(0, at);
            all.push(exchanged);
        }
    }
    all
}

fn leaves() -> impl Strategy<Value = Vec<LeafHash>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(LeafHash), 1..130)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_frontier_has_the_root_of_the_definition(leaves in leaves(), at in any::<prop::sample::Index>()) {
        let at = at.index(leaves.len());
        let half: Frontier = leaves[..at].iter().copied().collect();
        prop_assert_eq!(half.root(), naive_root(&leaves[..at]));
        // What was stored and read again goes on as if it had never stopped.
        let mut whole = Frontier::from_bytes(&half.to_bytes()).unwrap();
        whole.extend(leaves[at..].iter().copied());
        prop_assert_eq!(whole.root(), naive_root(&leaves));
        prop_assert_eq!(whole.size(), leaves.len() as u64);
    }

    #[test]
    fn inclusion_is_proved_and_nothing_else(leaves in leaves(), at in any::<prop::sample::Index>(), noise in any::<usize>()) {
        let (index, size) = (at.index(leaves.len()), leaves.len() as u64);
        let (leaf, root) = (leaves[index], naive_root(&leaves));
        let proof = inclusion_proof(&leaves, index as u64).unwrap();
        let index = index as u64;
        prop_assert!(verify_inclusion(index, size, &leaf, &proof, &root));
        for altered in altered(&proof, noise) {
            prop_assert!(!verify_inclusion(index, size, &leaf, &altered, &root));
        }
        prop_assert!(!verify_inclusion(index, size, &LeafHash([0; 32]), &proof, &root));
        prop_assert!(!verify_inclusion(index, size, &leaf, &proof, &TreeHash([0; 32])));
        for other in (0..size).filter(|other| *other != index) {
            prop_assert!(!verify_inclusion(other, size, &leaf, &proof, &root));
        }
    }

    #[test]
    fn consistency_is_proved_and_nothing_else(leaves in leaves(), at in any::<prop::sample::Index>(), noise in any::<usize>()) {
        let (old, new) = (at.index(leaves.len() + 1), leaves.len() as u64);
        let (old_root, new_root) = (naive_root(&leaves[..old]), naive_root(&leaves));
        let old = old as u64;
        let proof = consistency_proof(&leaves, old).unwrap();
        prop_assert!(verify_consistency(old, &old_root, new, &new_root, &proof));
        for altered in altered(&proof, noise) {
            prop_assert!(!verify_consistency(old, &old_root, new, &new_root, &altered));
        }
        prop_assert!(!verify_consistency(old, &TreeHash([0; 32]), new, &new_root, &proof));
        if old > 0 {
            prop_assert!(!verify_consistency(old, &old_root, new, &TreeHash([0; 32]), &proof));
        }
    }

    #[test]
    fn a_rewritten_history_is_not_consistent(leaves in leaves(), at in any::<prop::sample::Index>()) {
        let at = at.index(leaves.len());
        let mut rewritten = leaves.clone();
        rewritten[at].0[0] ^= 1;
        let (old, new) = (at as u64 + 1, leaves.len() as u64);
        let proof = consistency_proof(&rewritten, old).unwrap();
        let old_root = naive_root(&leaves[..=at]);
        prop_assert!(!verify_consistency(old, &old_root, new, &naive_root(&rewritten), &proof));
    }
}
