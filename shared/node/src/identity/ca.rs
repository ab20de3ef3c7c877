//! The federation's certificate authority, in the Hub's process. From a request only the public key
//! is taken: names, usages, serial and validity are ours.

use super::{IdentityError, files, keys::fingerprint};
use crate::random::{self, Random};
use raccordo_model::{
    node::{Federation, NodeId},
    timestamp::Timestamp,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, pem::PemObject};
use std::{fmt, net::IpAddr, path::Path};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// Longest certificate request, in bytes.
pub const REQUEST_MAX: usize = 8 * 1_024;
/// Validity of a node's certificate unless another is asked for, in seconds: 90 days.
pub const NODE_VALIDITY_SECONDS: u64 = 90 * 86_400;
/// Most extra host names and addresses of a certificate.
pub const HOSTS_MAX: usize = 16;

/// Certificates are valid from a minute ago: clocks differ a little.
const BACKDATE_SECONDS: i64 = 60;
/// Validity of the CA itself: ten years.
const CA_VALIDITY_SECONDS: i64 = 3_652 * 86_400;

/// The certificate authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    federation: Federation,
    der: CertificateDer<'static>,
    pem: String,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ca({}, {})", self.federation, hex::encode(self.fingerprint()))
    }
}

/// A certificate that was just issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// The last instant of its validity.
    pub not_after: Timestamp,
}

impl Ca {
    /// Makes the CA of a federation in `<data>/keys/ca.key` and `<data>/tls/ca.pem`; refused when it is there.
    pub fn create(
        data: &Path,
        federation: &Federation,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Self, IdentityError> {
        let (key_path, pem_path) = (data.join("keys/ca.key"), data.join("tls/ca.pem"));
        if key_path.exists() {
            return Err(IdentityError::Exists(key_path));
        }
        files::folder(&data.join("keys"))?;
        files::folder(&data.join("tls"))?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Raccordo {federation} CA"));
        params.serial_number = Some(SerialNumber::from_slice(&serial(random)));
        (params.not_before, params.not_after) = validity(now, CA_VALIDITY_SECONDS)?;
        let pem = params.self_signed(&key)?.pem();
        let secret = Zeroizing::new(key.serialize_pem());
        // The certificate first: a key without certificate would block a second `init`.
        files::write(&pem_path, pem.as_bytes(), files::PUBLIC)?;
        files::write(&key_path, secret.as_bytes(), files::SECRET)?;
        Self::open(data, federation)
    }

    /// The CA that was made before.
    pub fn open(data: &Path, federation: &Federation) -> Result<Self, IdentityError> {
        let (key_path, pem_path) = (data.join("keys/ca.key"), data.join("tls/ca.pem"));
        let damaged = |path: &Path, problem: &str| IdentityError::Damaged {
            path: path.into(),
            problem: problem.into(),
        };
        let secret = files::read_secret(&key_path)?;
        let key = std::str::from_utf8(&secret)
            .ok()
            .and_then(|text| KeyPair::from_pem(text).ok());
        let key =
            key.ok_or_else(|| damaged(&key_path, "not a PKCS #8 key in PEM; restore it from the backup"))?;
        let pem = String::from_utf8(files::read(&pem_path)?).map_err(|_| damaged(&pem_path, "not PEM"))?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| damaged(&pem_path, "not a certificate in PEM"))?;
        let issuer = Issuer::from_ca_cert_der(&der, key)?;
        Ok(Self {
            issuer,
            federation: federation.clone(),
            der,
            pem,
        })
    }

    /// The certificate of the CA.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The certificate of the CA in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the certificate, to compare by telephone.
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.der)
    }

    /// Issues a certificate for the public key of `request` (PKCS #10, DER) to `node`: client and
    /// server, with the node's names, `localhost` and `hosts` (names or addresses). `now` is the
    /// system's time.
    ///
    /// # Errors
    /// A request over [`REQUEST_MAX`], not a request, or not signed by its own key; a host that is
    /// neither a name nor an address.
    pub fn issue(
        &self,
        request: &[u8],
        node: NodeId,
        hosts: &[String],
        now: Timestamp,
        validity_seconds: u64,
        random: &dyn Random,
    ) -> Result<Issued, IdentityError> {
        if request.len() > REQUEST_MAX || hosts.len() > HOSTS_MAX {
            return Err(IdentityError::unacceptable(format!(
                "the certificate request has {} bytes and {} host names; at most {REQUEST_MAX} and {HOSTS_MAX} are allowed",
                request.len(),
                hosts.len()
            )));
        }
        let refused = |e: rcgen::Error| {
            IdentityError::unacceptable(format!(
                "not a certificate request (PKCS #10, DER, signed by its own key): {e}"
            ))
        };
        let mut csr = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
            .map_err(refused)?;
        let serial = serial(random);
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, node_name(node));
        let uri = san_uri(&self.federation, node);
        params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        for host in [node_name(node), "localhost".into(), "127.0.0.1".into()]
            .iter()
            .chain(hosts)
        {
            params.subject_alt_names.push(san(host)?);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        (params.not_before, params.not_after) =
            validity(now, i64::try_from(validity_seconds).unwrap_or(i64::MAX))?;
        let not_after = Timestamp::from_seconds(params.not_after.unix_timestamp());
        // Wholly replaced: names, usages and even a CA flag of the requester would come along otherwise.
        csr.params = params;
        let certificate = csr.signed_by(&self.issuer)?;
        Ok(Issued {
            der: certificate.der().clone(),
            serial: hex::encode(serial),
            not_after,
        })
    }
}

/// The name that a certificate of `node` carries and that others look for: `hub.raccordo`, `region-090.raccordo`.
pub fn node_name(node: NodeId) -> String {
    match node {
        NodeId::Hub => "hub.raccordo".into(),
        NodeId::Region(code) => format!("region-{code}.raccordo"),
    }
}

/// The identity in a certificate: `raccordo://<federation>/hub` or `…/region/090`.
pub fn san_uri(federation: &Federation, node: NodeId) -> String {
    match node {
        NodeId::Hub => format!("raccordo://{federation}/hub"),
        NodeId::Region(code) => format!("raccordo://{federation}/region/{code}"),
    }
}

fn san(host: &str) -> Result<SanType, IdentityError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    if host.is_empty() || host.len() > 253 || !host.bytes().all(letters) {
        return Err(IdentityError::unacceptable(format!(
            "`{host}` is neither a host name nor an address"
        )));
    }
    Ok(SanType::DnsName(host.try_into()?))
}

/// 16 bytes, positive, without leading zero: the form is the same however it is encoded.
fn serial(random: &dyn Random) -> [u8; 16] {
    let mut serial = random::bytes::<16>(random);
    serial[0] = (serial[0] & 0x7f) | 0x40;
    serial
}

fn validity(now: Timestamp, seconds: i64) -> Result<(OffsetDateTime, OffsetDateTime), IdentityError> {
    let at = |seconds: i64| {
        OffsetDateTime::from_unix_timestamp(seconds)
            .map_err(|_| IdentityError::unacceptable("the certificate would be valid beyond the calendar"))
    };
    let now = now.as_seconds();
    Ok((
        at(now.saturating_sub(BACKDATE_SECONDS))?,
        at(now.saturating_add(seconds))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::peer::Peer, random::OsRandom};
    use x509_parser::prelude::{FromDer, X509Certificate};

    fn ca() -> (tempfile::TempDir, Ca) {
        let data = tempfile::tempdir().unwrap();
        let federation = "prova".parse().unwrap();
        let ca = Ca::create(
            data.path(),
            &federation,
            Timestamp::from_seconds(1_700_000_000),
            &OsRandom,
        )
        .unwrap();
        (data, ca)
    }

    #[test]
    fn nothing_of_a_request_but_its_key_is_taken_over() {
        let (_data, ca) = ca();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["hub.raccordo".into()]).unwrap();
        params
            .subject_alt_names
            .push(SanType::URI("raccordo://prova/hub".try_into().unwrap()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.distinguished_name.push(DnType::CommonName, "hub.raccordo");
        let request = params.serialize_request(&key).unwrap();
        let region: NodeId = "090".parse().unwrap();
        let now = Timestamp::from_seconds(1_700_000_000);
        let issued = ca.issue(request.der(), region, &[], now, 600, &OsRandom).unwrap();

        let peer = Peer::parse(&issued.der).unwrap();
        assert_eq!((peer.node, peer.serial), (region, issued.serial));
        assert_eq!(peer.not_before, Timestamp::from_seconds(1_700_000_000 - 60));
        assert_eq!(
            (peer.not_after, issued.not_after),
            (Timestamp::from_seconds(1_700_000_600), peer.not_after)
        );
        let (_, certificate) = X509Certificate::from_der(&issued.der).unwrap();
        assert!(!certificate.is_ca());
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && usage.server_auth && !usage.code_signing);
        assert!(!certificate.key_usage().unwrap().unwrap().value.key_cert_sign());
        assert!(!issued.der.windows(12).any(|w| w == b"hub.raccordo"));
        assert!(certificate.public_key().raw.ends_with(key.public_key_raw()));
    }

    #[test]
    fn wrong_requests_and_hosts_are_refused() {
        let (_data, ca) = ca();
        let key = KeyPair::generate().unwrap();
        let mut request = CertificateParams::default()
            .serialize_request(&key)
            .unwrap()
            .der()
            .to_vec();
        let issue = |request: &[u8], hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
            ca.issue(
                request,
                NodeId::Hub,
                &hosts,
                Timestamp::from_seconds(1_700_000_000),
                600,
                &OsRandom,
            )
        };
        assert!(issue(&request, &["hub.example.it", "192.0.2.7", "::1"]).is_ok());
        assert!(issue(&request, &["a b"]).is_err());
        assert!(issue(&vec![0x30; REQUEST_MAX + 1], &[]).is_err());
        let last = request.len() - 1;
        request[last] ^= 1;
        assert!(issue(&request, &[]).unwrap_err().to_string().contains("request"));
    }

    #[test]
    fn the_ca_is_made_once_and_opens_again() {
        let (data, made) = ca();
        let federation = "prova".parse().unwrap();
        assert_eq!(
            Ca::open(data.path(), &federation).unwrap().fingerprint(),
            made.fingerprint()
        );
        let again = Ca::create(
            data.path(),
            &federation,
            Timestamp::from_seconds(1_700_000_000),
            &OsRandom,
        );
        assert!(matches!(again.unwrap_err(), IdentityError::Exists(_)));
    }
}
