//! The join bundle: what is carried to a region by hand, as an armoured text file, mode 0600.

use super::{IdentityError, files, keys::fingerprint};
use crate::random::{self, Random};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use prost::Message;
use raccordo_model::{
    node::{Federation, RegionCode},
    timestamp::Timestamp,
};
use raccordo_proto::wire;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use std::{fmt, path::Path};
use zeroize::Zeroizing;

const LABEL: &str = "RACCORDO JOIN BUNDLE";
const TOKEN_PREFIX: &str = "rcj_";
/// Longest address, `host:port`, in bytes.
const ADDRESS_MAX: usize = 300;

/// A new one-time token for joining; the Hub keeps its hash alone.
pub fn new_token(random: &dyn Random) -> Zeroizing<String> {
    let part = Zeroizing::new(random::bytes::<32>(random));
    Zeroizing::new(format!(
        "{TOKEN_PREFIX}{}",
        URL_SAFE_NO_PAD.encode(part.as_slice())
    ))
}

/// What the Hub keeps of a token.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// A bundle whose parts were checked.
#[derive(Clone)]
pub struct Bundle {
    /// The federation to join.
    pub federation: Federation,
    /// The region that the token is bound to.
    pub region: RegionCode,
    /// `host:port` of the Hub's server-TLS port.
    pub api_address: String,
    /// `host:port` of the Hub's mutual-TLS port.
    pub exchange_address: String,
    /// The CA's certificate.
    pub ca: CertificateDer<'static>,
    /// SHA-256 of the federation's root key.
    pub root_key_fingerprint: [u8; 32],
    /// One-time token.
    pub token: Zeroizing<String>,
    /// When the token ends, by the system clock.
    pub expires: Timestamp,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bundle({} {}, token not shown)", self.federation, self.region)
    }
}

impl Bundle {
    /// SHA-256 of the CA's certificate, to compare by telephone.
    pub fn ca_fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.ca)
    }

    /// Writes the bundle, mode 0600: whoever reads it can join as the region.
    pub fn write(&self, path: &Path) -> Result<(), IdentityError> {
        files::write(path, self.encode().as_bytes(), files::SECRET)
    }

    /// Reads a bundle; refused when others may read the file.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let text = files::read_secret(path)?;
        let damaged = |problem: String| IdentityError::Damaged {
            path: path.into(),
            problem,
        };
        let text = std::str::from_utf8(&text).map_err(|_| damaged("not text".into()))?;
        Self::decode(text).map_err(|e| damaged(format!("{e}; ask the centre for the file again")))
    }

    /// The bundle as text: a head for people, then the armour.
    pub fn encode(&self) -> Zeroizing<String> {
        let message = wire::JoinBundle {
            federation: self.federation.to_string(),
            region: self.region.to_string(),
            api_address: self.api_address.clone(),
            exchange_address: self.exchange_address.clone(),
            ca_pem: armour("CERTIFICATE", &self.ca),
            ca_fingerprint: self.ca_fingerprint().to_vec(),
            root_key_fingerprint: self.root_key_fingerprint.to_vec(),
            token: self.token.to_string(),
            expires_at_us: self.expires.0,
        };
        let bytes = Zeroizing::new(message.encode_to_vec());
        Zeroizing::new(format!(
            "Federazione {}, regione {}, Hub {}, valido fino a {}\nImpronta della CA {}\n{}",
            self.federation,
            self.region,
            self.api_address,
            self.expires,
            hex::encode(self.ca_fingerprint()),
            armour(LABEL, &bytes)
        ))
    }

    /// A bundle from its text; everything in it is checked.
    pub fn decode(text: &str) -> Result<Self, IdentityError> {
        let refused = |what: &str| IdentityError::unacceptable(format!("not a join bundle: {what}"));
        let bytes = Zeroizing::new(unarmour(LABEL, text).ok_or_else(|| refused("its armour is damaged"))?);
        let message =
            wire::JoinBundle::decode(bytes.as_slice()).map_err(|_| refused("its content is damaged"))?;
        let ca = CertificateDer::from_pem_slice(message.ca_pem.as_bytes())
            .map_err(|_| refused("it holds no CA certificate"))?;
        if fingerprint(&ca).as_slice() != message.ca_fingerprint {
            return Err(refused("the CA certificate is not the one of the fingerprint"));
        }
        for address in [&message.api_address, &message.exchange_address] {
            if !is_address(address) {
                return Err(refused("an address is not host:port"));
            }
        }
        Ok(Self {
            federation: message
                .federation
                .parse()
                .map_err(|_| refused("it names no federation"))?,
            region: message
                .region
                .parse()
                .map_err(|_| refused("it names no region"))?,
            api_address: message.api_address,
            exchange_address: message.exchange_address,
            ca,
            root_key_fingerprint: message
                .root_key_fingerprint
                .as_slice()
                .try_into()
                .map_err(|_| refused("it holds no fingerprint of the root key"))?,
            token: Zeroizing::new(message.token),
            expires: Timestamp(message.expires_at_us),
        })
    }
}

/// Whether a text is `host:port`.
pub(crate) fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| {
        !host.is_empty()
            && text.len() <= ADDRESS_MAX
            && text.bytes().all(|b| b.is_ascii_graphic())
            && port.parse::<u16>().is_ok_and(|p| p > 0)
    })
}

/// Bytes in the armour of PEM (RFC 7468).
pub(crate) fn armour(label: &str, bytes: &[u8]) -> String {
    let text = Zeroizing::new(STANDARD.encode(bytes));
    let mut armoured = String::with_capacity(text.len() * 66 / 64 + 2 * label.len() + 40);
    armoured.push_str(&format!("-----BEGIN {label}-----\n"));
    for (place, letter) in text.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            armoured.push('\n');
        }
        armoured.push(letter);
    }
    armoured.push_str(&format!("\n-----END {label}-----\n"));
    armoured
}

fn unarmour(label: &str, text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (inner, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let inner: Zeroizing<String> = Zeroizing::new(inner.split_ascii_whitespace().collect());
    STANDARD.decode(inner.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::ca::Ca, random::OsRandom};
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn a_bundle_comes_back_and_is_kept_secret() {
        let data = tempfile::tempdir().unwrap();
        let federation: Federation = "prova".parse().unwrap();
        let ca = Ca::create(
            data.path(),
            &federation,
            Timestamp::from_seconds(1_700_000_000),
            &OsRandom,
        )
        .unwrap();
        let bundle = Bundle {
            federation,
            region: "090".parse().unwrap(),
            api_address: "hub.example.it:8443".into(),
            exchange_address: "[::1]:7443".into(),
            ca: ca.der().clone(),
            root_key_fingerprint: [7; 32],
            token: new_token(&OsRandom),
            expires: Timestamp::from_seconds(1_700_000_600),
        };
        let path = data.path().join("090.bundle");
        bundle.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Bundle::read(&path).unwrap();
        assert_eq!(read.encode(), bundle.encode());
        assert_eq!(
            (read.token, read.ca, read.expires),
            (bundle.token.clone(), bundle.ca.clone(), bundle.expires)
        );
        assert!(!format!("{bundle:?}").contains(bundle.token.as_str()));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            Bundle::read(&path).unwrap_err(),
            IdentityError::TooOpen { .. }
        ));
        let other = Bundle {
            api_address: "nowhere".into(),
            ..bundle.clone()
        };
        assert!(
            Bundle::decode(&other.encode())
                .unwrap_err()
                .to_string()
                .contains("host:port")
        );
        let text = bundle.encode();
        assert!(Bundle::decode(&text[..text.len() - 40]).is_err());
    }
}
