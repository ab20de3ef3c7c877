//! What a certificate says about its bearer.

use super::IdentityError;
use raccordo_model::{
    node::{Federation, NodeId},
    timestamp::Timestamp,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The bearer of a certificate of the federation; in the extensions of every request on the
/// mutual-TLS port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Which node.
    pub node: NodeId,
    /// Of which federation.
    pub federation: Federation,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// First instant of validity.
    pub not_before: Timestamp,
    /// Last instant of validity.
    pub not_after: Timestamp,
}

impl Peer {
    /// Reads a certificate (DER) whose chain was verified elsewhere. It must carry exactly one URI,
    /// `raccordo://<federation>/hub` or `…/region/<code>`.
    pub fn parse(der: &[u8]) -> Result<Self, IdentityError> {
        let refused = |what: &str| IdentityError::unacceptable(format!("the certificate {what}"));
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| refused("is not X.509"))?;
        if !rest.is_empty() {
            return Err(refused("is followed by other bytes"));
        }
        let san = certificate
            .subject_alternative_name()
            .map_err(|_| refused("has damaged names"))?;
        let san = san.ok_or_else(|| refused("has no alternative names"))?;
        let mut uris = san.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        let (Some(uri), None) = (uris.next(), uris.next()) else {
            return Err(refused("does not carry exactly one URI"));
        };
        let (federation, node) =
            identity(uri).ok_or_else(|| refused("does not name a node of a federation"))?;
        let validity = certificate.validity();
        Ok(Self {
            node,
            federation,
            serial: hex::encode(certificate.tbs_certificate.raw_serial()),
            not_before: Timestamp::from_seconds(validity.not_before.timestamp()),
            not_after: Timestamp::from_seconds(validity.not_after.timestamp()),
        })
    }

    /// Whether the certificate is valid no longer at `now`, the system's time.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.not_after < now
    }
}

fn identity(uri: &str) -> Option<(Federation, NodeId)> {
    let (federation, node) = uri.strip_prefix("raccordo://")?.split_once('/')?;
    let node = match node.split_once('/') {
        None if node == "hub" => NodeId::Hub,
        Some(("region", code)) => NodeId::Region(code.parse().ok()?),
        _ => return None,
    };
    Some((federation.parse().ok()?, node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_exact() {
        assert_eq!(
            identity("raccordo://prova/hub"),
            Some(("prova".parse().unwrap(), NodeId::Hub))
        );
        assert_eq!(
            identity("raccordo://prova/region/090").unwrap().1,
            "090".parse().unwrap()
        );
        for wrong in [
            "raccordo://prova/090",
            "raccordo://prova/region/hub",
            "raccordo://prova/hub/",
            "https://prova/hub",
            "raccordo://P/hub",
        ] {
            assert_eq!(identity(wrong), None, "{wrong}");
        }
        assert!(Peer::parse(b"nonsense").is_err());
    }
}
