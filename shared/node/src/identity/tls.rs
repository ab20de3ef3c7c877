//! TLS: configurations by rustls with ring, key and certificate that are replaced while running, and
//! revocation at the handshake. No session tickets: a resumed session would skip the verifier.

use super::{IdentityError, ca::node_name, files, keys::NodeSecrets, peer::Peer, revocation::Revoked};
use arc_swap::ArcSwap;
use raccordo_model::node::NodeId;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme,
    client::{ResolvesClientCert, Resumption, danger::HandshakeSignatureValid},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use std::{path::Path, sync::Arc};

/// The one provider of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate with its key, replaced while running; both sides of a connection use it.
#[derive(Debug)]
pub struct Hot(ArcSwap<CertifiedKey>);

impl Hot {
    /// Starts with this certificate, which must be the key's.
    pub fn new(
        certificate: CertificateDer<'static>,
        key: &PrivateKeyDer<'static>,
    ) -> Result<Arc<Self>, IdentityError> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(certified(
            certificate,
            key,
        )?))))
    }

    /// New handshakes use this certificate from now on; open connections stay.
    pub fn set(
        &self,
        certificate: CertificateDer<'static>,
        key: &PrivateKeyDer<'static>,
    ) -> Result<(), IdentityError> {
        self.0.store(Arc::new(certified(certificate, key)?));
        Ok(())
    }

    /// What the certificate in use says.
    pub fn peer(&self) -> Result<Peer, IdentityError> {
        match self.0.load().cert.first() {
            Some(certificate) => Peer::parse(certificate),
            None => Err(IdentityError::unacceptable("there is no certificate in use")),
        }
    }
}

fn certified(
    certificate: CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
) -> Result<CertifiedKey, IdentityError> {
    let certified = CertifiedKey::new(
        vec![certificate],
        rustls::crypto::ring::sign::any_supported_type(key)?,
    );
    certified.keys_match()?;
    Ok(certified)
}

impl ResolvesServerCert for Hot {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ResolvesClientCert for Hot {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What a node needs for TLS: its certificate with key, and the CA that it trusts.
#[derive(Debug, Clone)]
pub struct NodeTls {
    /// Certificate and key in use.
    pub hot: Arc<Hot>,
    /// The CA of the federation.
    pub ca: CertificateDer<'static>,
}

impl NodeTls {
    /// From `<data>/tls/{node,ca}.pem` and the node's key.
    pub fn open(data: &Path, secrets: &NodeSecrets) -> Result<Self, IdentityError> {
        let ca = read_certificate(&data.join("tls/ca.pem"))?;
        let certificate = read_certificate(&data.join("tls/node.pem"))?;
        Ok(Self {
            hot: Hot::new(certificate, &secrets.tls_key()?)?,
            ca,
        })
    }

    /// Keeps a new certificate and puts it to use. The file is first: after a crash between the two
    /// the next start uses it.
    pub fn replace(
        &self,
        data: &Path,
        certificate: CertificateDer<'static>,
        secrets: &NodeSecrets,
    ) -> Result<(), IdentityError> {
        let key = secrets.tls_key()?;
        certified(certificate.clone(), &key)?;
        write_certificate(&data.join("tls/node.pem"), &certificate)?;
        self.hot.set(certificate, &key)
    }

    /// For the mutual-TLS port: only bearers of certificates of the federation that are not revoked; HTTP/2.
    pub fn mutual_server(&self, revoked: Arc<Revoked>) -> Result<Arc<ServerConfig>, IdentityError> {
        let inner = WebPkiClientVerifier::builder_with_provider(roots(&self.ca)?, provider())
            .build()
            .map_err(|e| Error::General(e.to_string()))?;
        let own = self.hot.peer()?.federation;
        let verifier = Arc::new(Revoking {
            inner,
            revoked,
            federation: own.as_str().into(),
        });
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let config = builder
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.hot.clone());
        Ok(without_tickets(config, &[b"h2"]))
    }

    /// For the server-TLS port: console, REST, API, joining; HTTP/2 and HTTP/1.1.
    pub fn public_server(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let config = builder.with_no_client_auth().with_cert_resolver(self.hot.clone());
        Ok(without_tickets(config, &[b"h2", b"http/1.1"]))
    }

    /// For calls to other nodes: shows our certificate, trusts the federation's CA.
    pub fn client(&self) -> Result<Arc<ClientConfig>, IdentityError> {
        client_config(&self.ca, Some(self.hot.clone()))
    }
}

/// For calls that show a certificate (`Some`) or none; trusts this CA alone.
pub fn client_config(
    ca: &CertificateDer<'static>,
    hot: Option<Arc<Hot>>,
) -> Result<Arc<ClientConfig>, IdentityError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca)?);
    let mut config = match hot {
        Some(hot) => builder.with_client_cert_resolver(hot),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The name that a certificate of `node` must carry.
pub fn server_name(node: NodeId) -> Result<ServerName<'static>, IdentityError> {
    ServerName::try_from(node_name(node)).map_err(|_| IdentityError::unacceptable("not the name of a node"))
}

/// A certificate in a PEM file.
pub fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, IdentityError> {
    CertificateDer::from_pem_slice(&files::read(path)?).map_err(|_| IdentityError::Damaged {
        path: path.into(),
        problem: "not a certificate in PEM; restore it from the backup, or run `join` again".into(),
    })
}

/// Writes a certificate as a PEM file.
pub fn write_certificate(path: &Path, certificate: &CertificateDer<'_>) -> Result<(), IdentityError> {
    files::write(
        path,
        super::bundle::armour("CERTIFICATE", certificate).as_bytes(),
        files::PUBLIC,
    )
}

fn roots(ca: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, IdentityError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    Ok(Arc::new(roots))
}

fn without_tickets(mut config: ServerConfig, alpn: &[&[u8]]) -> Arc<ServerConfig> {
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// The verifier of client certificates, which also asks the list of the revoked and the federation's name.
#[derive(Debug)]
struct Revoking {
    inner: Arc<dyn ClientCertVerifier>,
    revoked: Arc<Revoked>,
    federation: String,
}

impl ClientCertVerifier for Revoking {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(certificate, intermediates, now)?;
        let peer = Peer::parse(certificate).map_err(|e| Error::General(e.to_string()))?;
        if peer.federation.as_str() != self.federation {
            return Err(Error::General(format!(
                "a certificate of federation {}",
                peer.federation
            )));
        }
        if self.revoked.refuses(&peer) {
            return Err(Error::InvalidCertificate(CertificateError::Revoked));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
