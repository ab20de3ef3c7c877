//! Cosignatures of checkpoints (C2SP tlog-cosignature v1, <https://c2sp.org/tlog-cosignature>).
//!
//! A cosignature says that the follower verified and durably stored everything up to the checkpoint's size,
//! and nothing more. Its key is never the ledger's: another signature type, another name.

use crate::note::{
    NoteError, VerifyingKey32, checkpoint_text, key_id, parse_key, parse_line, signature_line, verifies, vkey,
};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use raccordo_model::{
    checkpoint::{Checkpoint, Cosignature, SignedCheckpoint},
    node::Origin,
    timestamp::Timestamp,
};
use std::fmt;

/// Largest cosignature line, in bytes.
pub const LINE_BYTES_MAX: usize = 512;

/// Signature type of a timestamped Ed25519 cosignature.
const COSIGNATURE_V1: u8 = 0x04;

/// The name of the cosigner key of the node whose ledger is `origin`.
pub fn cosigner_name(origin: &Origin) -> String {
    format!("{origin}/cosigner")
}

/// The cosigner's public key as a C2SP verifier key, `name+hash+base64(0x04 ‖ key)`.
pub fn cosigner_key(name: &str, key: &[u8; 32]) -> String {
    vkey(name, COSIGNATURE_V1, key)
}

/// Cosigns checkpoints of other nodes. Its secret is erased from memory when it is dropped.
///
/// It does not remember what it cosigned: ask [`crate::follower::may_cosign`] first.
pub struct Cosigner {
    name: String,
    key: SigningKey,
}

impl Cosigner {
    /// The cosigner `name` (see [`cosigner_name`]) with the secret `seed`.
    pub fn new(name: &str, seed: &[u8; 32]) -> Self {
        Self {
            name: name.into(),
            key: SigningKey::from_bytes(seed),
        }
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key.
    pub fn verifying_key(&self) -> VerifyingKey32 {
        self.key.verifying_key().to_bytes()
    }

    /// Cosigns `signed` at the instant `at`, cut to the second; instants before 1970 count as 1970.
    pub fn cosign(&self, signed: &SignedCheckpoint, at: Timestamp) -> Cosignature {
        let seconds = at.as_seconds().max(0);
        let message = message(seconds.unsigned_abs(), &signed.checkpoint);
        let signature = self.key.sign(message.as_bytes()).to_bytes();
        let id = key_id(&self.name, COSIGNATURE_V1, &self.verifying_key());
        Cosignature {
            size: signed.checkpoint.size,
            at: Timestamp::from_seconds(seconds),
            line: signature_line(&self.name, id, &[&seconds.to_be_bytes(), &signature]),
        }
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cosigner")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Verifies the cosignatures of one follower.
#[derive(Debug, Clone)]
pub struct CosignatureVerifier {
    name: String,
    key: VerifyingKey,
    key_id: u32,
}

impl CosignatureVerifier {
    /// The verifier of the cosigner `name` under the public `key`.
    ///
    /// # Errors
    /// [`NoteError::BadKey`] when the bytes are no usable Ed25519 key.
    pub fn new(name: &str, key: &[u8; 32]) -> Result<Self, NoteError> {
        let key_id = key_id(name, COSIGNATURE_V1, key);
        Ok(Self {
            name: name.into(),
            key: parse_key(key)?,
            key_id,
        })
    }

    /// Verifies that `line` (one line, without line end) cosigns exactly the checkpoint of `signed`.
    ///
    /// # Errors
    /// When the line is too long, malformed, of another key, or does not verify for this checkpoint.
    pub fn verify(&self, signed: &SignedCheckpoint, line: &str) -> Result<Cosignature, NoteError> {
        if line.len() > LINE_BYTES_MAX {
            return Err(NoteError::TooLong {
                bytes: line.len(),
                max: LINE_BYTES_MAX,
            });
        }
        let parsed = parse_line(line)?;
        let (name, key_id) = (self.name.clone(), self.key_id);
        if parsed.name != name || parsed.key_id != key_id {
            return Err(NoteError::NotSigned { name, key_id });
        }
        let Some((seconds, signature)) = parsed.signature.split_first_chunk::<8>() else {
            return Err(NoteError::Malformed("a cosignature without timestamp"));
        };
        let seconds = u64::from_be_bytes(*seconds);
        let at = i64::try_from(seconds)
            .ok()
            .and_then(|seconds| seconds.checked_mul(1_000_000));
        let at = at.ok_or(NoteError::Malformed("the timestamp of a cosignature"))?;
        if !verifies(
            &self.key,
            message(seconds, &signed.checkpoint).as_bytes(),
            signature,
        ) {
            return Err(NoteError::BadSignature { name, key_id });
        }
        Ok(Cosignature {
            size: signed.checkpoint.size,
            at: Timestamp(at),
            line: line.into(),
        })
    }
}

/// What a cosignature signs.
fn message(seconds: u64, checkpoint: &Checkpoint) -> String {
    format!("cosignature/v1\ntime {seconds}\n{}", checkpoint_text(checkpoint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::LedgerSigner;
    use raccordo_model::digest::TreeHash;

    fn signed(size: u64) -> SignedCheckpoint {
        let origin: Origin = "raccordo/fse-prova/hub".parse().unwrap();
        let signer = LedgerSigner::new(&origin, &[7; 32]);
        signer.sign_checkpoint(&Checkpoint {
            origin,
            size,
            root: TreeHash([5; 32]),
        })
    }

    fn cosigner() -> Cosigner {
        Cosigner::new(
            &cosigner_name(&"raccordo/fse-prova/090".parse().unwrap()),
            &[9; 32],
        )
    }

    #[test]
    fn a_cosignature_holds_for_its_checkpoint_only() {
        let cosigner = cosigner();
        let verifier = CosignatureVerifier::new(cosigner.name(), &cosigner.verifying_key()).unwrap();
        let made = cosigner.cosign(&signed(3), Timestamp(1_700_000_000_999_999));
        assert_eq!(made.at, Timestamp(1_700_000_000_000_000));
        assert_eq!(verifier.verify(&signed(3), &made.line), Ok(made.clone()));
        assert!(matches!(
            verifier.verify(&signed(4), &made.line),
            Err(NoteError::BadSignature { .. })
        ));
        for at in 0..made.line.len() {
            let mut bytes = made.line.clone().into_bytes();
            bytes[at] ^= 0x01;
            if let Ok(altered) = String::from_utf8(bytes) {
                assert!(verifier.verify(&signed(3), &altered).is_err(), "byte {at}");
            }
        }
        assert!(verifier.verify(&signed(3), &format!("{}\n", made.line)).is_err());
        let long = format!("— {} AAAA", "x".repeat(LINE_BYTES_MAX));
        assert!(matches!(
            verifier.verify(&signed(3), &long),
            Err(NoteError::TooLong { .. })
        ));
    }

    #[test]
    fn a_ledger_signature_is_no_cosignature() {
        let name = "raccordo/fse-prova/hub";
        let key = LedgerSigner::new(&name.parse().unwrap(), &[7; 32]).verifying_key();
        let verifier = CosignatureVerifier::new(name, &key).unwrap();
        let line = signed(3).note.lines().last().unwrap().to_owned();
        assert!(matches!(
            verifier.verify(&signed(3), &line),
            Err(NoteError::NotSigned { .. })
        ));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(
            format!("{:?}", cosigner()),
            "Cosigner { name: \"raccordo/fse-prova/090/cosigner\", .. }"
        );
    }
}
