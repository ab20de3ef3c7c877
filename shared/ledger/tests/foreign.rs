//! Our notes under other people's verifiers: `signed_note`, `tlog_tiles`, and Ed25519 by hand.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use raccordo_ledger::{
    cosign::{CosignatureVerifier, Cosigner, cosigner_key, cosigner_name},
    note::{LedgerSigner, LedgerVerifier, peek, verifier_key},
    tree::Frontier,
};
use raccordo_model::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    digest::LeafHash,
    node::Origin,
    timestamp::Timestamp,
};
use sha2::{Digest, Sha256};
use signed_note::{Note, Signer as _, StandardSigner, StandardVerifier, VerifierList};

fn origin() -> Origin {
    "raccordo/fse-prova/hub".parse().expect("an origin")
}

fn signer() -> LedgerSigner {
    LedgerSigner::new(&origin(), &[7; 32])
}

fn signed() -> SignedCheckpoint {
    let tree: Frontier = (0..5u8).map(|n| LeafHash([n; 32])).collect();
    signer().sign_checkpoint(&Checkpoint {
        origin: origin(),
        size: tree.size(),
        root: tree.root(),
    })
}

#[test]
fn our_checkpoint_opens_with_signed_note_and_tlog_tiles() {
    let vkey = verifier_key(&origin(), &signer().verifying_key());
    let verifier = StandardVerifier::new(&vkey).unwrap();
    let note = Note::from_bytes(signed().note.as_bytes()).unwrap();
    let (verified, unverified) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    let theirs = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(theirs.origin(), origin().as_str());
    assert_eq!((theirs.size(), theirs.hash().0), (5, signed().checkpoint.root.0));
}

#[test]
fn a_note_of_signed_note_opens_here() {
    let ours = signer();
    let vkey = verifier_key(&origin(), &ours.verifying_key());
    let id = vkey.split('+').nth(1).unwrap();
    let secret = BASE64_STANDARD.encode([[1].as_slice(), &[7; 32]].concat());
    let theirs = StandardSigner::new(&format!("PRIVATE+KEY+{}+{id}+{secret}", origin())).unwrap();
    assert_eq!(theirs.name(), origin().as_str());
    let text = signed().note.split_inclusive('\n').take(3).collect::<String>();
    let mut note = Note::new(text.as_bytes(), &[]).unwrap();
    note.add_sigs(&[&theirs]).unwrap();
    let note = String::from_utf8(note.to_bytes()).unwrap();
    let verifier = LedgerVerifier::new(&origin(), &ours.verifying_key()).unwrap();
    assert_eq!(verifier.open(&note), Ok(signed()));
}

#[test]
fn a_cosignature_is_laid_out_as_the_specification_says() {
    let name = cosigner_name(&"raccordo/fse-prova/090".parse().unwrap());
    let cosigner = Cosigner::new(&name, &[9; 32]);
    let key = cosigner.verifying_key();
    let line = cosigner
        .cosign(&signed(), Timestamp::from_seconds(1_679_315_147))
        .line;
    let bytes = BASE64_STANDARD
        .decode(line.strip_prefix("— raccordo/fse-prova/090/cosigner ").unwrap())
        .unwrap();
    assert_eq!(bytes.len(), 4 + 8 + 64);
    let id = Sha256::digest([name.as_bytes(), b"\n\x04", &key].concat());
    assert_eq!(bytes[..4], id[..4]);
    assert_eq!(bytes[4..12], 1_679_315_147u64.to_be_bytes());
    let text = signed().note.split_inclusive('\n').take(3).collect::<String>();
    let message = format!("cosignature/v1\ntime 1679315147\n{text}");
    let signature = ed25519_dalek::Signature::from_slice(&bytes[12..]).unwrap();
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
    assert!(key.verify_strict(message.as_bytes(), &signature).is_ok());
    assert!(cosigner_key(&name, key.as_bytes()).starts_with(&format!("{name}+{}+B", hex::encode(&id[..4]))));
}

#[test]
fn a_cosigned_note_is_one_note_for_everybody() {
    let name = cosigner_name(&origin());
    let cosigner = Cosigner::new(&name, &[9; 32]);
    let line = cosigner.cosign(&signed(), Timestamp(0)).line;
    let note = format!("{}{line}\n", signed().note);
    assert!(Note::from_bytes(note.as_bytes()).is_ok());
    let verifier = LedgerVerifier::new(&origin(), &signer().verifying_key()).unwrap();
    let opened = verifier.open(&note).unwrap();
    assert_eq!(Ok(&opened.checkpoint), peek(&note).as_ref());
    // A cosignature covers the text, so it verifies beside the bare note and beside the cosigned one.
    let cosigners = CosignatureVerifier::new(&name, &cosigner.verifying_key()).unwrap();
    assert!(cosigners.verify(&opened, &line).is_ok());
}
