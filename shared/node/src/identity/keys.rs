//! The secrets of a node: ledger key, cosigner key, TLS key; and the root key, which is carried away.
//!
//! `<data>/keys/{ledger,cosigner}.key` hold 32-byte Ed25519 seeds as 64 hexadecimal digits,
//! `<data>/keys/tls.key` a PKCS #8 key in PEM. They never leave the machine.

use super::{IdentityError, files};
use crate::random::Random;
use ed25519_dalek::SigningKey;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest, Sha256};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The secrets of a node, in memory. Zeroed when dropped.
pub struct NodeSecrets {
    ledger: Zeroizing<[u8; 32]>,
    cosigner: Zeroizing<[u8; 32]>,
    /// PKCS #8, PEM.
    tls: Zeroizing<String>,
}

impl fmt::Debug for NodeSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeSecrets(not shown)")
    }
}

impl NodeSecrets {
    /// Makes the secrets of a new node; refused when any is there.
    pub fn create(data: &Path, random: &dyn Random) -> Result<Self, IdentityError> {
        for name in ["ledger.key", "cosigner.key", "tls.key"] {
            let path = path(data, name);
            if path.exists() {
                return Err(IdentityError::Exists(path));
            }
        }
        Self::open_or_create(data, random)
    }

    /// The secrets of a node; those that are missing are made. So joining, interrupted, goes on with
    /// the keys that the Hub may have registered already.
    pub fn open_or_create(data: &Path, random: &dyn Random) -> Result<Self, IdentityError> {
        files::folder(&data.join("keys"))?;
        for name in ["ledger.key", "cosigner.key"] {
            let path = path(data, name);
            if !path.exists() {
                write_seed(&path, random)?;
            }
        }
        let tls = path(data, "tls.key");
        if !tls.exists() {
            let pem = Zeroizing::new(KeyPair::generate()?.serialize_pem());
            files::write(&tls, pem.as_bytes(), files::SECRET)?;
        }
        Self::open(data)
    }

    /// The secrets of a node that was made before.
    pub fn open(data: &Path) -> Result<Self, IdentityError> {
        let tls = path(data, "tls.key");
        let pem = files::read_secret(&tls)?;
        let pem = std::str::from_utf8(&pem)
            .ok()
            .filter(|text| KeyPair::from_pem(text).is_ok());
        let pem = pem.ok_or_else(|| IdentityError::Damaged {
            path: tls.clone(),
            problem: "not a PKCS #8 key in PEM; restore it from the backup".into(),
        })?;
        Ok(Self {
            ledger: read_seed(&path(data, "ledger.key"))?,
            cosigner: read_seed(&path(data, "cosigner.key"))?,
            tls: Zeroizing::new(pem.to_owned()),
        })
    }

    /// Seed of the key that signs the ledger's checkpoints.
    pub fn ledger_seed(&self) -> &[u8; 32] {
        &self.ledger
    }

    /// Seed of the key that cosigns others' checkpoints.
    pub fn cosigner_seed(&self) -> &[u8; 32] {
        &self.cosigner
    }

    /// Signs the ledger's checkpoints.
    pub fn ledger_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.ledger)
    }

    /// Cosigns others' checkpoints.
    pub fn cosigner_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.cosigner)
    }

    /// Public half of the ledger key.
    pub fn ledger_public(&self) -> [u8; 32] {
        self.ledger_key().verifying_key().to_bytes()
    }

    /// Public half of the cosigner key.
    pub fn cosigner_public(&self) -> [u8; 32] {
        self.cosigner_key().verifying_key().to_bytes()
    }

    /// The TLS key for rustls.
    pub fn tls_key(&self) -> Result<PrivateKeyDer<'static>, IdentityError> {
        Ok(PrivateKeyDer::Pkcs8(
            KeyPair::from_pem(&self.tls)?.serialize_der().into(),
        ))
    }

    /// A PKCS #10 request for a certificate of the TLS key, DER. It names nothing: the CA does.
    pub fn certificate_request(&self) -> Result<Vec<u8>, IdentityError> {
        let key = KeyPair::from_pem(&self.tls)?;
        Ok(CertificateParams::default()
            .serialize_request(&key)?
            .der()
            .to_vec())
    }
}

/// The root key, made once by `init`: signs successions when a ledger was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootKey {
    /// Where its seed was written: to be carried away and kept in two places.
    pub path: PathBuf,
    /// The public half.
    pub public: [u8; 32],
}

impl RootKey {
    /// Makes the root key in `<data>/offline/root.key`; refused when it is there.
    pub fn create(data: &Path, random: &dyn Random) -> Result<Self, IdentityError> {
        let folder = data.join("offline");
        files::folder(&folder)?;
        let path = folder.join("root.key");
        if path.exists() {
            return Err(IdentityError::Exists(path));
        }
        let seed = write_seed(&path, random)?;
        let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        Ok(Self { path, public })
    }

    /// What `init` tells the person who runs it.
    pub fn advice(&self) -> String {
        format!(
            "the root key is in {}: carry it away now, keep it in two places that are not on a network, and delete it here; \
             it is needed only when the Hub's ledger was lost (fingerprint {})",
            self.path.display(),
            hex::encode(fingerprint(&self.public)),
        )
    }
}

/// SHA-256 of a public key or a certificate, to compare by telephone.
pub fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn path(data: &Path, name: &str) -> PathBuf {
    data.join("keys").join(name)
}

fn write_seed(path: &Path, random: &dyn Random) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
    let mut seed = Zeroizing::new([0; 32]);
    random.fill(seed.as_mut());
    let text = Zeroizing::new(format!("{}\n", hex::encode(seed.as_slice())));
    files::write(path, text.as_bytes(), files::SECRET)?;
    Ok(seed)
}

fn read_seed(path: &Path) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
    let text = files::read_secret(path)?;
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim_ascii(), seed.as_mut()).map_err(|_| IdentityError::Damaged {
        path: path.into(),
        problem: "not 64 hexadecimal digits; restore it from the backup".into(),
    })?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn secrets_are_made_once_and_read_back() {
        let data = tempfile::tempdir().unwrap();
        let made = NodeSecrets::create(data.path(), &SeededRandom::new(1)).unwrap();
        let read = NodeSecrets::open(data.path()).unwrap();
        assert_eq!(made.ledger_public(), read.ledger_public());
        assert_eq!(made.cosigner_public(), read.cosigner_public());
        assert_ne!(made.ledger_public(), made.cosigner_public());
        assert_eq!(made.tls_key().unwrap(), read.tls_key().unwrap());
        assert!(matches!(
            NodeSecrets::create(data.path(), &SeededRandom::new(2)).unwrap_err(),
            IdentityError::Exists(_)
        ));
        let again = NodeSecrets::open_or_create(data.path(), &SeededRandom::new(3)).unwrap();
        assert_eq!(again.ledger_public(), made.ledger_public());
        assert_eq!(format!("{made:?}"), "NodeSecrets(not shown)");

        let ledger = data.path().join("keys/ledger.key");
        files::write(&ledger, b"00ff\n", files::SECRET).unwrap();
        assert!(
            NodeSecrets::open(data.path())
                .unwrap_err()
                .to_string()
                .contains("ledger.key")
        );
    }

    #[test]
    fn the_root_key_is_made_once() {
        let data = tempfile::tempdir().unwrap();
        let root = RootKey::create(data.path(), &SeededRandom::new(1)).unwrap();
        assert!(root.advice().contains("root.key") && root.advice().contains("carry it away"));
        assert!(RootKey::create(data.path(), &SeededRandom::new(1)).is_err());
    }
}
