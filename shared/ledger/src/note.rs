//! Checkpoints as C2SP signed notes (<https://c2sp.org/signed-note>, <https://c2sp.org/tlog-checkpoint>).
//!
//! ```text
//! raccordo/fse/090
//! 3
//! <root, base64>
//!
//! — raccordo/fse/090 <base64 of key id ‖ Ed25519 signature>
//! ```
//!
//! The key's name is the ledger's origin. Departure from the specification, on the strict side: a checkpoint
//! with extension lines is refused, so that one (origin, size, root) has exactly one text.

use crate::hash::sha256;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use raccordo_model::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    digest::TreeHash,
    node::Origin,
};
use std::fmt;

/// Largest signed note, in bytes.
pub const NOTE_BYTES_MAX: usize = 2_048;

/// An Ed25519 public key as bytes.
pub type VerifyingKey32 = [u8; 32];

/// What begins every signature line: em dash, space.
const LINE_START: &str = "— ";
/// Signature type of a plain Ed25519 note signature.
const ED25519: u8 = 0x01;

/// Why a note or a cosignature was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Larger than the bound.
    #[error("a note of {bytes} bytes, at most {max} are read")]
    TooLong {
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not of the form that the specification gives.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// Another ledger's checkpoint.
    #[error("a checkpoint of ledger `{found}`, expected `{expected}`")]
    Origin {
        /// Ledger expected.
        expected: Origin,
        /// Ledger found.
        found: Origin,
    },
    /// No signature of the expected key is there.
    #[error("no signature by key {name}+{key_id:08x}: is it signed by another key, or rotated?")]
    NotSigned {
        /// Name of the key.
        name: String,
        /// First four bytes of the key's hash.
        key_id: u32,
    },
    /// The expected key's signature is wrong.
    #[error("the signature by key {name}+{key_id:08x} does not verify")]
    BadSignature {
        /// Name of the key.
        name: String,
        /// First four bytes of the key's hash.
        key_id: u32,
    },
    /// The bytes are no public key.
    #[error("not an Ed25519 public key")]
    BadKey,
}

/// Signs the checkpoints of one ledger. Its secret is erased from memory when it is dropped.
pub struct LedgerSigner {
    origin: Origin,
    key: SigningKey,
}

impl LedgerSigner {
    /// The signer of the ledger `origin` with the secret `seed`.
    pub fn new(origin: &Origin, seed: &[u8; 32]) -> Self {
        Self {
            origin: origin.clone(),
            key: SigningKey::from_bytes(seed),
        }
    }

    /// The ledger that it signs for.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The public key.
    pub fn verifying_key(&self) -> VerifyingKey32 {
        self.key.verifying_key().to_bytes()
    }

    /// Signs `checkpoint`. Deterministic: the same checkpoint gives the same note. A checkpoint of another
    /// origin is signed under this signer's name, and no verifier opens it.
    pub fn sign_checkpoint(&self, checkpoint: &Checkpoint) -> SignedCheckpoint {
        let text = checkpoint_text(checkpoint);
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let id = key_id(self.origin.as_str(), ED25519, &self.verifying_key());
        let line = signature_line(self.origin.as_str(), id, &[&signature]);
        SignedCheckpoint {
            checkpoint: checkpoint.clone(),
            note: format!("{text}\n{line}\n"),
        }
    }
}

impl fmt::Debug for LedgerSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerSigner")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Opens the checkpoints of one ledger.
#[derive(Debug, Clone)]
pub struct LedgerVerifier {
    origin: Origin,
    key: VerifyingKey,
    key_id: u32,
}

impl LedgerVerifier {
    /// The verifier of the ledger `origin` under the public `key`.
    ///
    /// # Errors
    /// [`NoteError::BadKey`] when the bytes are no usable Ed25519 key.
    pub fn new(origin: &Origin, key: &[u8; 32]) -> Result<Self, NoteError> {
        let key_id = key_id(origin.as_str(), ED25519, key);
        Ok(Self {
            origin: origin.clone(),
            key: parse_key(key)?,
            key_id,
        })
    }

    /// The ledger whose checkpoints it opens.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Parses `note` and verifies its signature. Signatures of other keys are ignored, as the specification
    /// asks; a false signature of this key is not.
    ///
    /// # Errors
    /// When the note is too long, malformed, of another ledger, or not signed by this key.
    pub fn open(&self, note: &str) -> Result<SignedCheckpoint, NoteError> {
        let (text, checkpoint, lines) = parse(note)?;
        if checkpoint.origin != self.origin {
            return Err(NoteError::Origin {
                expected: self.origin.clone(),
                found: checkpoint.origin,
            });
        }
        let name = self.origin.as_str();
        let mut signed = false;
        for line in lines
            .iter()
            .filter(|line| line.name == name && line.key_id == self.key_id)
        {
            if !verifies(&self.key, text.as_bytes(), &line.signature) {
                return Err(NoteError::BadSignature {
                    name: name.into(),
                    key_id: self.key_id,
                });
            }
            signed = true;
        }
        if !signed {
            return Err(NoteError::NotSigned {
                name: name.into(),
                key_id: self.key_id,
            });
        }
        Ok(SignedCheckpoint {
            checkpoint,
            note: note.into(),
        })
    }
}

/// The text that the owner signs, with its final newline.
pub fn checkpoint_text(checkpoint: &Checkpoint) -> String {
    let root = BASE64_STANDARD.encode(checkpoint.root.as_bytes());
    format!("{}\n{}\n{root}\n", checkpoint.origin, checkpoint.size)
}

/// What `note` says, *without* verifying any signature: for messages to people only.
///
/// # Errors
/// When the note is too long or malformed.
pub fn peek(note: &str) -> Result<Checkpoint, NoteError> {
    parse(note).map(|(_, checkpoint, _)| checkpoint)
}

/// The public key as a C2SP verifier key, `name+hash+base64(0x01 ‖ key)`, for other people's verifiers.
pub fn verifier_key(origin: &Origin, key: &[u8; 32]) -> String {
    vkey(origin.as_str(), ED25519, key)
}

/// A verifier key of any signature type.
pub(crate) fn vkey(name: &str, kind: u8, key: &[u8; 32]) -> String {
    let mut typed = vec![kind];
    typed.extend_from_slice(key);
    format!(
        "{name}+{:08x}+{}",
        key_id(name, kind, key),
        BASE64_STANDARD.encode(typed)
    )
}

/// First four bytes of SHA-256(name ‖ newline ‖ signature type ‖ key), big endian.
pub(crate) fn key_id(name: &str, kind: u8, key: &[u8; 32]) -> u32 {
    let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[kind], key]);
    u32::from_be_bytes([a, b, c, d])
}

/// `— name base64(key id ‖ parts)`, without line end.
pub(crate) fn signature_line(name: &str, key_id: u32, parts: &[&[u8]]) -> String {
    let mut bytes = key_id.to_be_bytes().to_vec();
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    format!("{LINE_START}{name} {}", BASE64_STANDARD.encode(bytes))
}

/// One signature line, parsed and not verified.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    pub(crate) key_id: u32,
    /// What follows the key id.
    pub(crate) signature: Vec<u8>,
}

/// Parses one signature line without its line end.
pub(crate) fn parse_line(line: &str) -> Result<Line<'_>, NoteError> {
    let rest = line
        .strip_prefix(LINE_START)
        .ok_or(NoteError::Malformed("a signature line without em dash"))?;
    let (name, base64) = rest
        .split_once(' ')
        .ok_or(NoteError::Malformed("a signature line without signature"))?;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+') {
        return Err(NoteError::Malformed("the name of a signature's key"));
    }
    let bytes = BASE64_STANDARD
        .decode(base64)
        .map_err(|_| NoteError::Malformed("the base64 of a signature"))?;
    match bytes.split_first_chunk::<4>() {
        Some((id, signature)) if !signature.is_empty() => Ok(Line {
            name,
            key_id: u32::from_be_bytes(*id),
            signature: signature.to_vec(),
        }),
        _ => Err(NoteError::Malformed("a signature too short to be one")),
    }
}

/// The public key that `bytes` are; keys of small order are refused, because under them one signature fits
/// many messages.
pub(crate) fn parse_key(bytes: &[u8; 32]) -> Result<VerifyingKey, NoteError> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| NoteError::BadKey)?;
    if key.is_weak() {
        Err(NoteError::BadKey)
    } else {
        Ok(key)
    }
}

/// Whether `signature` is `key`'s over `message`, with the strict rules that refuse malleable signatures.
pub(crate) fn verifies(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
}

/// The signed text, what it says, and the signature lines.
fn parse(note: &str) -> Result<(&str, Checkpoint, Vec<Line<'_>>), NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLong {
            bytes: note.len(),
            max: NOTE_BYTES_MAX,
        });
    }
    // The text keeps its newline; the blank line belongs to nobody.
    let end = note
        .find("\n\n")
        .ok_or(NoteError::Malformed("no blank line before the signatures"))?;
    let (text, signatures) = (&note[..=end], &note[end + 2..]);
    let checkpoint = parse_text(text)?;
    let signatures = signatures
        .strip_suffix('\n')
        .ok_or(NoteError::Malformed("no newline at the end"))?;
    let lines = signatures.split('\n').map(parse_line).collect::<Result<_, _>>()?;
    Ok((text, checkpoint, lines))
}

fn parse_text(text: &str) -> Result<Checkpoint, NoteError> {
    let mut lines = text.split_terminator('\n');
    let (Some(origin), Some(size), Some(root), None) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Err(NoteError::Malformed("not three lines: origin, size, root"));
    };
    let origin = origin.parse().map_err(|_| NoteError::Malformed("the origin"))?;
    let canonical = size.bytes().all(|b| b.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
    let size = size
        .parse()
        .ok()
        .filter(|size| canonical && *size <= crate::tree::TREE_SIZE_MAX);
    let root = BASE64_STANDARD
        .decode(root)
        .ok()
        .and_then(|bytes| TreeHash::from_slice(&bytes));
    Ok(Checkpoint {
        origin,
        size: size.ok_or(NoteError::Malformed("the size"))?,
        root: root.ok_or(NoteError::Malformed("the root: base64 of 32 bytes"))?,
    })
}

/// Compiles only while the secret key erases itself, which is a feature of its crate.
const _: fn() = || {
    fn erased<T: zeroize::ZeroizeOnDrop>() {}
    erased::<SigningKey>();
};

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> LedgerSigner {
        LedgerSigner::new(&"raccordo/fse-prova/hub".parse().unwrap(), &[7; 32])
    }

    fn signed() -> SignedCheckpoint {
        let origin = signer().origin;
        signer().sign_checkpoint(&Checkpoint {
            origin,
            size: 3,
            root: TreeHash([5; 32]),
        })
    }

    fn open(note: &str) -> Result<SignedCheckpoint, NoteError> {
        let signer = signer();
        LedgerVerifier::new(&signer.origin, &signer.verifying_key())
            .unwrap()
            .open(note)
    }

    #[test]
    fn opens_what_was_signed_and_ignores_other_keys() {
        let signed = signed();
        assert_eq!(open(&signed.note), Ok(signed.clone()));
        assert_eq!(peek(&signed.note), Ok(signed.checkpoint.clone()));
        let more = format!("{}— other/key AAAAAAAA\n", signed.note);
        assert_eq!(open(&more).unwrap().checkpoint, signed.checkpoint);
    }

    #[test]
    fn refuses_every_altered_byte() {
        let note = signed().note;
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 0x01;
            if let Ok(altered) = String::from_utf8(bytes) {
                assert!(open(&altered).is_err(), "byte {at}: {altered}");
            }
        }
    }

    #[test]
    fn refuses_what_the_specification_forbids() {
        let note = signed().note;
        for (altered, why) in [
            (note.replace("\n3\n", "\n03\n"), "leading zero"),
            (note.replace("\n3\n", "\n+3\n"), "sign"),
            (note.replace("\n3\n", "\n\n"), "no size"),
            (note.replace("\n3\n", "\n18446744073709551616\n"), "too large"),
            (note.replace("BQU=\n", "BQU\n"), "no padding"),
            (note.replace("BQU=\n", "BQV=\n"), "loose bits"),
            (note.replace("BQU=\n", "BQU=\nextension\n"), "extension line"),
            (note.trim_end().into(), "no final newline"),
            (format!("{note}\n"), "empty signature line"),
            (format!("{note}junk\n"), "junk line"),
            (note.replace('\n', "\r\n"), "carriage returns"),
            (String::new(), "nothing"),
        ] {
            assert!(
                matches!(open(&altered), Err(NoteError::Malformed(_))),
                "{why}: {:?}",
                open(&altered)
            );
        }
        let long = note.clone() + &"— other/key AAAAAAAA\n".repeat(100);
        assert!(matches!(open(&long), Err(NoteError::TooLong { .. })));
        let twice = format!("{note}{}", note.split("\n\n").nth(1).unwrap().replace('A', "B"));
        assert!(open(&twice).is_err(), "a second, false line of the same key");
    }

    #[test]
    fn another_ledger_or_key_is_told_apart() {
        let note = signed().note;
        let other: Origin = "raccordo/fse-prova/090".parse().unwrap();
        let verifier = LedgerVerifier::new(&other, &signer().verifying_key()).unwrap();
        assert!(matches!(verifier.open(&note), Err(NoteError::Origin { .. })));
        let key = LedgerSigner::new(&other, &[8; 32]).verifying_key();
        let verifier = LedgerVerifier::new(&signer().origin, &key).unwrap();
        assert!(matches!(verifier.open(&note), Err(NoteError::NotSigned { .. })));
        assert_eq!(
            LedgerVerifier::new(&other, &[0; 32]).unwrap_err(),
            NoteError::BadKey
        );
    }

    /// The example of Go's `golang.org/x/mod/sumdb/note`.
    #[test]
    fn the_key_of_peter_neumann_signs_as_published() {
        let secret = BASE64_STANDARD
            .decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
            .unwrap();
        let key = SigningKey::try_from(&secret[1..]).unwrap();
        let public = key.verifying_key().to_bytes();
        let published = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(vkey("PeterNeumann", ED25519, &public), published);
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let published = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let line = parse_line(published).unwrap();
        assert!(verifies(
            &parse_key(&public).unwrap(),
            text.as_bytes(),
            &line.signature
        ));
        let signature = key.sign(text.as_bytes()).to_bytes();
        assert_eq!(
            signature_line("PeterNeumann", 0xc74f_20a3, &[&signature]),
            published
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", signer());
        assert_eq!(
            shown,
            "LedgerSigner { origin: Origin(\"raccordo/fse-prova/hub\"), .. }"
        );
    }
}
