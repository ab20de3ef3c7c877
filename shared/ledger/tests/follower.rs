//! A follower against an honest owner, and against every way in which a batch can be wrong.

use proptest::prelude::*;
use raccordo_ledger::{
    follower::{BatchBound, Equivocation, FollowError, Offered, may_cosign, verify_batch},
    hash::{body_hash, leaf_hash},
    note::{LedgerSigner, LedgerVerifier, NoteError},
    owner::prepare,
    tree::Frontier,
};
use raccordo_model::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    digest::{BodyHash, LeafHash, TreeHash},
    node::Origin,
};

const SALT: [u8; 32] = [3; 32];

fn origin() -> Origin {
    "raccordo/fse-prova/090".parse().expect("an origin")
}

fn signer() -> LedgerSigner {
    LedgerSigner::new(&origin(), &[1; 32])
}

fn verifier() -> LedgerVerifier {
    LedgerVerifier::new(&origin(), &signer().verifying_key()).expect("a key")
}

/// An entry whose body this follower may read.
fn readable<'a>(header: &'a [u8], body: &'a [u8]) -> Offered<'a> {
    let body_hash = body_hash(&SALT, body);
    Offered {
        header_bytes: header,
        body_hash,
        body: Some((&SALT, body)),
        entitled: true,
        erased: false,
    }
}

fn hashes(leaves: &[Offered<'_>]) -> Vec<LeafHash> {
    leaves
        .iter()
        .map(|leaf| leaf_hash(leaf.header_bytes, &leaf.body_hash))
        .collect()
}

/// The owner's note after `leaves` upon the empty tree.
fn note(leaves: &[Offered<'_>]) -> String {
    prepare(&Frontier::new(), &hashes(leaves), &origin(), &signer())
        .expect("an append")
        .signed
        .note
}

fn follow(leaves: &[Offered<'_>], note: &str) -> Result<u64, FollowError> {
    verify_batch(&Frontier::new(), &verifier(), 0, leaves, note).map(|verified| verified.frontier.size())
}

#[test]
fn batches_of_an_honest_owner_follow_one_another() {
    let leaves = [readable(b"a", b"1"), readable(b"b", b"2"), readable(b"c", b"3")];
    let first = prepare(&Frontier::new(), &hashes(&leaves[..1]), &origin(), &signer()).unwrap();
    let second = prepare(&first.frontier, &hashes(&leaves[1..]), &origin(), &signer()).unwrap();
    let held = verify_batch(&Frontier::new(), &verifier(), 0, &leaves[..1], &first.signed.note).unwrap();
    let held = verify_batch(&held.frontier, &verifier(), 1, &leaves[1..], &second.signed.note).unwrap();
    assert_eq!((held.frontier, held.signed), (second.frontier, second.signed));
    assert_eq!(held.leaf_hashes, hashes(&leaves[1..]));
}

#[test]
fn step_1_a_gap_and_a_repetition_are_not_contiguous() {
    let leaves = [readable(b"a", b"1")];
    let head: Frontier = [LeafHash([1; 32]), LeafHash([2; 32])].into_iter().collect();
    for found in [0, 1, 3, u64::MAX] {
        let refused = verify_batch(&head, &verifier(), found, &leaves, "").unwrap_err();
        assert_eq!(refused, FollowError::NotContiguous { expected: 2, found });
    }
}

#[test]
fn step_2_bounds_hold_to_the_byte() {
    let bound = |leaves: &[Offered<'_>]| match follow(leaves, "") {
        Err(FollowError::Bounds(bound)) => Some(bound),
        _ => None,
    };
    let header = vec![0; 4_097];
    let body = vec![0; 512 * 1_024 + 1];
    assert_eq!(bound(&[]), Some(BatchBound::Entries(0)));
    assert_eq!(
        bound(&vec![readable(b"a", b""); 257]),
        Some(BatchBound::Entries(257))
    );
    assert_eq!(bound(&vec![readable(b"a", b""); 256]), None);
    assert_eq!(
        bound(&[readable(b"", b"")]),
        Some(BatchBound::Header { index: 0, bytes: 0 })
    );
    assert_eq!(
        bound(&[readable(&header, b"")]),
        Some(BatchBound::Header {
            index: 0,
            bytes: 4_097
        })
    );
    assert_eq!(bound(&[readable(&header[1..], b"")]), None);
    let large = BatchBound::Body {
        index: 1,
        bytes: body.len(),
    };
    assert_eq!(bound(&[readable(b"a", b""), readable(b"a", &body)]), Some(large));
    assert_eq!(bound(&[readable(b"a", &body[1..])]), None);
    let half = &body[..384 * 1_024 - 1];
    assert_eq!(bound(&[readable(b"a", half), readable(b"a", half)]), None);
    let full = bound(&[readable(b"a", half), readable(b"aa", half)]);
    assert_eq!(full, Some(BatchBound::Bytes(768 * 1_024 + 1)));
}

#[test]
fn step_3_a_body_must_fit_its_hash() {
    let good = readable(b"b", b"2");
    let leaves = [
        readable(b"a", b"1"),
        Offered {
            body: Some((&SALT, b"other")),
            ..good
        },
    ];
    assert_eq!(
        follow(&leaves, &note(&leaves)),
        Err(FollowError::BodyMismatch { index: 1 })
    );
    let leaves = [Offered {
        body: Some((&[4; 32], b"2")),
        ..good
    }];
    assert_eq!(
        follow(&leaves, &note(&leaves)),
        Err(FollowError::BodyMismatch { index: 0 })
    );
}

#[test]
fn step_4_exactly_the_bodies_that_we_may_read_are_sent() {
    let leaf = readable(b"a", b"1");
    let hidden = FollowError::BodyNotEntitled { index: 0 };
    for (entitled, erased, sent, expected) in [
        (true, false, true, Ok(1)),
        (true, false, false, Err(FollowError::BodyWithheld { index: 0 })),
        (true, true, false, Ok(1)),
        (true, true, true, Err(hidden.clone())),
        (false, false, false, Ok(1)),
        (false, false, true, Err(hidden.clone())),
        (false, true, false, Ok(1)),
        (false, true, true, Err(hidden)),
    ] {
        let leaves = [Offered {
            entitled,
            erased,
            body: leaf.body.filter(|_| sent),
            ..leaf
        }];
        assert_eq!(
            follow(&leaves, &note(&leaves)),
            expected,
            "{entitled} {erased} {sent}"
        );
    }
}

#[test]
fn steps_5_to_7_the_tree_is_the_one_that_the_owner_signed() {
    let leaves = [readable(b"a", b"1"), readable(b"b", b"2")];
    let wrong = FollowError::WrongSize {
        expected: 2,
        found: 1,
    };
    assert_eq!(follow(&leaves, &note(&leaves[..1])), Err(wrong));
    let altered = [leaves[0], readable(b"B", b"2")];
    assert_eq!(
        follow(&altered, &note(&leaves)),
        Err(FollowError::RootMismatch { size: 2 })
    );
    let exchanged = [leaves[1], leaves[0]];
    assert_eq!(
        follow(&exchanged, &note(&leaves)),
        Err(FollowError::RootMismatch { size: 2 })
    );
    let stranger = LedgerSigner::new(&origin(), &[2; 32]);
    let forged = prepare(&Frontier::new(), &hashes(&leaves), &origin(), &stranger)
        .unwrap()
        .signed
        .note;
    let refused = follow(&leaves, &forged);
    assert!(
        matches!(refused, Err(FollowError::Checkpoint(NoteError::NotSigned { .. }))),
        "{refused:?}"
    );
}

#[test]
fn a_cosigner_never_contradicts_itself() {
    let signed = |size, root| SignedCheckpoint {
        checkpoint: Checkpoint {
            origin: origin(),
            size,
            root: TreeHash([root; 32]),
        },
        note: String::new(),
    };
    let last = Some((5, TreeHash([1; 32])));
    assert_eq!(may_cosign(None, &signed(5, 1)), Ok(()));
    assert_eq!(may_cosign(last, &signed(5, 1)), Ok(()));
    assert_eq!(may_cosign(last, &signed(6, 2)), Ok(()));
    assert!(matches!(
        may_cosign(last, &signed(5, 2)),
        Err(Equivocation::TwoTrees { size: 5, .. })
    ));
    let smaller = Equivocation::Smaller {
        cosigned: 5,
        offered: 4,
    };
    assert_eq!(may_cosign(last, &signed(4, 1)), Err(smaller));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Erasing bodies, or not being entitled to them, leaves the tree as it was.
    #[test]
    fn a_tree_is_the_same_with_and_without_its_bodies(
        entries in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..40), any::<Vec<u8>>(), any::<bool>(), any::<bool>()), 1..30),
    ) {
        let whole: Vec<_> = entries.iter().map(|(header, body, ..)| readable(header, body)).collect();
        let note = note(&whole);
        let partial: Vec<_> = whole.iter().zip(&entries).map(|(leaf, (_, _, entitled, erased))| Offered {
            entitled: *entitled, erased: *erased, body: leaf.body.filter(|_| *entitled && !*erased), ..*leaf
        }).collect();
        let all = verify_batch(&Frontier::new(), &verifier(), 0, &whole, &note);
        prop_assert!(all.is_ok());
        prop_assert_eq!(verify_batch(&Frontier::new(), &verifier(), 0, &partial, &note), all);
    }

    /// One bit anywhere in a header or a body hash is noticed.
    #[test]
    fn one_altered_bit_is_noticed(
        headers in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..20),
        at in any::<prop::sample::Index>(), bit in 0..8u32, in_hash in any::<bool>(),
    ) {
        let leaf = |header| Offered { header_bytes: header, body_hash: BodyHash([1; 32]), body: None, entitled: false, erased: false };
        let honest: Vec<_> = headers.iter().map(|header| leaf(header.as_slice())).collect();
        let note = note(&honest);
        let (mut altered, mut leaves) = (headers.clone(), honest.clone());
        let which = at.index(headers.len());
        if in_hash {
            leaves[which].body_hash.0[at.index(32)] ^= 1 << bit;
        } else {
            let byte = at.index(altered[which].len());
            altered[which][byte] ^= 1 << bit;
            leaves[which].header_bytes = &altered[which];
        }
        prop_assert_eq!(follow(&leaves, &note), Err(FollowError::RootMismatch { size: headers.len() as u64 }));
    }
}
