//! What a region's ledger key signs when it joins and renews its certificate, as `enrolment.proto` says.
//!
//! The messages hold a zero byte after a fixed text, which no checkpoint can, so that neither can stand for
//! the other under the same key.

use crate::{
    hash::sha256,
    note::{VerifyingKey32, parse_key, verifies},
};
use ed25519_dalek::{Signer as _, SigningKey};
use raccordo_model::node::RegionCode;

/// The message of JoinRequest:
/// `raccordo/v1/join` ‖ 0x00 ‖ region ‖ 0x00 ‖ SHA-256(certificate request) ‖ cosigner key.
pub fn join_message(region: RegionCode, csr_der: &[u8], cosigner_key: &[u8; 32]) -> Vec<u8> {
    message("raccordo/v1/join", region, csr_der, cosigner_key)
}

/// The message of RenewRequest: `raccordo/v1/renew` ‖ 0x00 ‖ region ‖ 0x00 ‖ SHA-256(certificate request) ‖
/// instant of the request, in microseconds since the epoch, as 8 bytes, big endian.
pub fn renew_message(region: RegionCode, csr_der: &[u8], requested_at_us: i64) -> Vec<u8> {
    message(
        "raccordo/v1/renew",
        region,
        csr_der,
        &requested_at_us.to_be_bytes(),
    )
}

/// The Ed25519 signature of `message` under the secret `seed`.
pub fn sign(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    SigningKey::from_bytes(seed).sign(message).to_bytes()
}

/// Whether `signature` is that of `message` under the public `key`; false for malformed keys and signatures.
#[must_use]
pub fn verify(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    parse_key(key).is_ok_and(|key| verifies(&key, message, signature))
}

/// The public key of the secret `seed`.
pub fn public_key(seed: &[u8; 32]) -> VerifyingKey32 {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

fn message(purpose: &str, region: RegionCode, csr_der: &[u8], last: &[u8]) -> Vec<u8> {
    let parts = [
        purpose.as_bytes(),
        &[0],
        region.as_str().as_bytes(),
        &[0],
        &sha256(&[csr_der]),
        last,
    ];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_laid_out_as_the_protocol_says() {
        let region = "090".parse().unwrap();
        let csr = sha256(&[b"csr"]);
        let join = join_message(region, b"csr", &[3; 32]);
        assert_eq!(
            join,
            [b"raccordo/v1/join\x00090\x00".as_slice(), &csr, &[3; 32]].concat()
        );
        let renew = renew_message(region, b"csr", 258);
        assert_eq!(
            renew,
            [
                b"raccordo/v1/renew\x00090\x00".as_slice(),
                &csr,
                &[0, 0, 0, 0, 0, 0, 1, 2]
            ]
            .concat()
        );
    }

    #[test]
    fn a_proof_holds_for_its_message_and_key_only() {
        let proof = sign(&[4; 32], b"message");
        assert!(verify(&public_key(&[4; 32]), b"message", &proof));
        assert!(!verify(&public_key(&[4; 32]), b"another", &proof));
        assert!(!verify(&public_key(&[5; 32]), b"message", &proof));
        assert!(!verify(&public_key(&[4; 32]), b"message", &proof[..63]));
        assert!(
            !verify(&[0; 32], b"message", &[0; 64]),
            "a weak key signs everything"
        );
    }
}
