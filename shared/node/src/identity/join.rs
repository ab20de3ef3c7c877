//! The Spoke's side of joining: keys are made here, the certificate comes from the Hub.

use super::{
    IdentityError,
    bundle::Bundle,
    files,
    keys::NodeSecrets,
    node_file::NodeFile,
    peer::Peer,
    tls::{Hot, client_config, write_certificate},
};
use crate::{
    channel::{self, Dialer},
    clock::Clock,
    random::Random,
    status::remedy_of,
};
use raccordo_ledger::join_proof;
use raccordo_model::node::NodeId;
use raccordo_proto::wire::{self, enrolment_service_client::EnrolmentServiceClient};
use rustls::pki_types::CertificateDer;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::time::timeout;
use tonic::{Code, Status};

/// How long one call to the Hub may take.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Joins the region of `bundle` to its federation and makes `data` its folder. `system` is the
/// system's clock.
///
/// After a crash at any point the same command with the same bundle goes on: the keys are kept, the
/// Hub answers the same keys again, and `node.toml`, written last, says that the node is whole.
pub async fn join(
    bundle: &Bundle,
    data: &Path,
    dialer: Arc<dyn Dialer>,
    random: &dyn Random,
    system: &dyn Clock,
) -> Result<NodeFile, IdentityError> {
    let node_file = NodeFile::path(data);
    if node_file.exists() {
        return Err(IdentityError::Exists(node_file));
    }
    if bundle.expires <= system.now() {
        return Err(IdentityError::unacceptable(format!(
            "the join bundle expired at {}: ask the centre for another",
            bundle.expires
        )));
    }
    files::folder(data)?;
    files::folder(&data.join("tls"))?;
    let secrets = NodeSecrets::open_or_create(data, random)?;
    let request = request(bundle, &secrets)?;

    let tls = client_config(&bundle.ca, None)?;
    let connection = channel::channel(dialer, &bundle.api_address, NodeId::Hub, tls)?;
    let mut client = EnrolmentServiceClient::new(connection);
    let answer = timeout(CALL_TIMEOUT, client.join(request))
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer within a minute")))
        .map_err(|status| hub_failed(&bundle.api_address, &status))?
        .into_inner();

    let (file, certificate) = accept(bundle, &secrets, answer)?;
    write_certificate(&data.join("tls/ca.pem"), &bundle.ca)?;
    write_certificate(&data.join("tls/node.pem"), &certificate)?;
    file.write(data)?;
    Ok(file)
}

fn request(bundle: &Bundle, secrets: &NodeSecrets) -> Result<wire::JoinRequest, IdentityError> {
    let certificate_request = secrets.certificate_request()?;
    let cosigner_key = secrets.cosigner_public();
    let message = join_proof::join_message(bundle.region, &certificate_request, &cosigner_key);
    Ok(wire::JoinRequest {
        region: bundle.region.to_string(),
        token: bundle.token.to_string(),
        proof: join_proof::sign(secrets.ledger_seed(), &message).to_vec(),
        certificate_request,
        ledger_key: secrets.ledger_public().to_vec(),
        cosigner_key: cosigner_key.to_vec(),
    })
}

fn accept(
    bundle: &Bundle,
    secrets: &NodeSecrets,
    answer: wire::JoinResponse,
) -> Result<(NodeFile, CertificateDer<'static>), IdentityError> {
    let refused = |what: &str| IdentityError::unacceptable(format!("the Hub's answer {what}"));
    if answer.federation != bundle.federation.as_str() {
        return Err(refused("is of another federation than the bundle"));
    }
    let node = NodeId::Region(bundle.region);
    let certificate = own_certificate(node, &bundle.ca, secrets, answer.certificates)?;
    let file = NodeFile {
        federation: bundle.federation.clone(),
        node,
        test: answer.test,
        origin: answer
            .origin
            .parse()
            .map_err(|_| refused("names no ledger of ours"))?,
        hub_origin: answer
            .hub_origin
            .parse()
            .map_err(|_| refused("names no ledger of the Hub"))?,
        hub_ledger_key: answer
            .hub_ledger_key
            .as_slice()
            .try_into()
            .map_err(|_| refused("has no ledger key"))?,
        hub_cosigner_key: answer
            .hub_cosigner_key
            .as_slice()
            .try_into()
            .map_err(|_| refused("has no cosigner key"))?,
        root_key_fingerprint: bundle.root_key_fingerprint,
        api_address: bundle.api_address.clone(),
        exchange_address: bundle.exchange_address.clone(),
    };
    Ok((file, certificate))
}

/// The first of `certificates` if it is `node`'s, of our key, and the second is the CA that we trust.
pub(crate) fn own_certificate(
    node: NodeId,
    ca: &CertificateDer<'static>,
    secrets: &NodeSecrets,
    certificates: Vec<Vec<u8>>,
) -> Result<CertificateDer<'static>, IdentityError> {
    let refused = |what: &str| IdentityError::unacceptable(format!("the Hub's answer {what}"));
    let [own, issuer] =
        <[Vec<u8>; 2]>::try_from(certificates).map_err(|_| refused("does not hold two certificates"))?;
    if issuer != ca.as_ref() {
        return Err(refused("comes with another CA than the one that we trust"));
    }
    let certificate = CertificateDer::from(own);
    if Peer::parse(&certificate)?.node != node {
        return Err(refused("holds the certificate of another node"));
    }
    // Refuses a certificate of another key.
    Hot::new(certificate.clone(), &secrets.tls_key()?)?;
    Ok(certificate)
}

pub(crate) fn hub_failed(address: &str, status: &Status) -> IdentityError {
    let remedy = remedy_of(status);
    let mut text = channel::explain(status);
    if !remedy.is_empty() {
        text = format!("{}: {remedy}", status.message());
    }
    let retry = matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal
    );
    IdentityError::Hub {
        address: address.into(),
        text,
        retry,
    }
}
