//! The Hub's side of joining and renewing, over what the Hub knows of its regions.

use super::{IdentityError, bundle::token_hash, ca::Ca, revocation::Revoked};
use crate::{
    clock::Clock,
    random::Random,
    status::{Refusal, RefusalKind},
};
use raccordo_ledger::join_proof::{self, join_message, renew_message};
use raccordo_model::node::{Federation, NodeId, Origin, RegionCode};
use raccordo_proto::wire;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// How far the clock of a region that renews may be from the Hub's, in microseconds: five minutes.
pub const RENEW_SKEW_US: i64 = 5 * 60 * 1_000_000;

/// A region that wants to join; its proof was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joining {
    /// The region.
    pub region: RegionCode,
    /// SHA-256 of the one-time token that it presented.
    pub token_hash: [u8; 32],
    /// Its ledger's public key, Ed25519.
    pub ledger_key: [u8; 32],
    /// Its cosigner's public key, Ed25519.
    pub cosigner_key: [u8; 32],
}

/// What a region learns when it has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The name of its ledger.
    pub origin: Origin,
    /// The name of the Hub's ledger.
    pub hub_origin: Origin,
    /// The Hub's ledger key, Ed25519.
    pub hub_ledger_key: [u8; 32],
    /// The Hub's cosigner key, Ed25519.
    pub hub_cosigner_key: [u8; 32],
    /// Whether it is a test federation.
    pub test: bool,
}

/// The public keys of an enrolled region, Ed25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionKeys {
    /// Of its ledger.
    pub ledger_key: [u8; 32],
    /// Of its cosigner.
    pub cosigner_key: [u8; 32],
}

/// What the Hub knows of its regions.
pub trait Registry: Send + Sync + 'static {
    /// Consumes the token and registers the region, in one transaction.
    ///
    /// A wrong or expired token, one of another region, or one that was used by other keys is
    /// refused and changes nothing. The same keys with the same token, within its life, are
    /// answered again: the first answer may have been lost.
    fn enrol(&self, joining: Joining) -> impl Future<Output = Result<Enrolled, Refusal>> + Send;

    /// The keys of a region that is enrolled and not revoked.
    fn keys_of(&self, region: RegionCode)
    -> impl Future<Output = Result<Option<RegionKeys>, Refusal>> + Send;
}

/// Answers `EnrolmentService`.
#[derive(Debug)]
pub struct Enrolment<R> {
    /// What the Hub knows of its regions.
    pub registry: R,
    /// Issues the certificates.
    pub ca: Arc<Ca>,
    /// The federation.
    pub federation: Federation,
    /// Who may no longer come in.
    pub revoked: Arc<Revoked>,
    /// The system's clock.
    pub system: Arc<dyn Clock>,
    /// For serial numbers.
    pub random: Arc<dyn Random>,
    /// Validity of the certificates, in seconds.
    pub validity_seconds: u64,
}

impl<R: Registry> Enrolment<R> {
    /// The service for tonic.
    pub fn into_server(self) -> wire::enrolment_service_server::EnrolmentServiceServer<Self> {
        wire::enrolment_service_server::EnrolmentServiceServer::new(self)
            .max_decoding_message_size(32 * 1_024)
    }

    async fn join(&self, request: wire::JoinRequest) -> Result<wire::JoinResponse, Refusal> {
        let region = region(&request.region)?;
        let ledger_key = key("ledger_key", &request.ledger_key)?;
        let cosigner_key = key("cosigner_key", &request.cosigner_key)?;
        let message = join_message(region, &request.certificate_request, &cosigner_key);
        verify(&ledger_key, &message, &request.proof)?;
        // Issued first: a request that the CA refuses must not consume the token.
        let certificates = self.issue(region, &request.certificate_request)?;
        let joining = Joining {
            region,
            token_hash: token_hash(&request.token),
            ledger_key,
            cosigner_key,
        };
        let enrolled = self.registry.enrol(joining).await?;
        tracing::info!(%region, "a region joined");
        Ok(wire::JoinResponse {
            certificates,
            federation: self.federation.to_string(),
            origin: enrolled.origin.to_string(),
            hub_origin: enrolled.hub_origin.to_string(),
            hub_ledger_key: enrolled.hub_ledger_key.to_vec(),
            hub_cosigner_key: enrolled.hub_cosigner_key.to_vec(),
            test: enrolled.test,
        })
    }

    async fn renew(&self, request: wire::RenewRequest) -> Result<wire::RenewResponse, Refusal> {
        let region = region(&request.region)?;
        let now = self.system.now();
        if now.0.abs_diff(request.requested_at_us) > RENEW_SKEW_US as u64 {
            return Err(Refusal::precondition(
                format_args!("the request is not of this time: the Hub's clock shows {now}"),
                "set the clock of the region's machine",
            ));
        }
        let keys = self.registry.keys_of(region).await?;
        if self.revoked.refuses_node(NodeId::Region(region)) {
            return Err(Refusal::forbidden(
                format_args!("region {region} was revoked"),
                "ask the centre",
            ));
        }
        let keys = keys.ok_or_else(|| {
            Refusal::forbidden(
                format_args!("region {region} is not enrolled"),
                "ask the centre for a join bundle, then run `join`",
            )
        })?;
        let message = renew_message(region, &request.certificate_request, request.requested_at_us);
        verify(&keys.ledger_key, &message, &request.proof)?;
        let certificates = self.issue(region, &request.certificate_request)?;
        tracing::info!(%region, "a region renewed its certificate");
        Ok(wire::RenewResponse { certificates })
    }

    fn issue(&self, region: RegionCode, request: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
        let node = NodeId::Region(region);
        let issued = self
            .ca
            .issue(
                request,
                node,
                &[],
                self.system.now(),
                self.validity_seconds,
                &*self.random,
            )
            .map_err(|error| match error {
                IdentityError::Unacceptable(text) => {
                    Refusal::invalid(text, "run `join` of this program's version")
                }
                other => Refusal::internal(&other),
            })?;
        Ok(vec![issued.der.to_vec(), self.ca.der().to_vec()])
    }
}

#[tonic::async_trait]
impl<R: Registry> wire::enrolment_service_server::EnrolmentService for Enrolment<R> {
    async fn join(
        &self,
        request: Request<wire::JoinRequest>,
    ) -> Result<Response<wire::JoinResponse>, Status> {
        Ok(Response::new(self.join(request.into_inner()).await?))
    }

    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        Ok(Response::new(self.renew(request.into_inner()).await?))
    }
}

fn verify(key: &[u8; 32], message: &[u8], proof: &[u8]) -> Result<(), Refusal> {
    let refused = || {
        Refusal::new(
            RefusalKind::Unauthenticated,
            "the proof is not signed by the region's ledger key",
            "use the data folder that the region joined with",
        )
    };
    if join_proof::verify(key, message, proof) {
        Ok(())
    } else {
        Err(refused())
    }
}

fn region(text: &str) -> Result<RegionCode, Refusal> {
    let short: String = text.chars().take(20).collect();
    short
        .parse()
        .map_err(|e| Refusal::invalid(e, "write the ministry's code of the region"))
}

fn key(field: &str, bytes: &[u8]) -> Result<[u8; 32], Refusal> {
    bytes.try_into().map_err(|_| {
        Refusal::invalid(
            format_args!("`{field}` has {} bytes", bytes.len()),
            "send an Ed25519 public key, 32 bytes",
        )
    })
}
