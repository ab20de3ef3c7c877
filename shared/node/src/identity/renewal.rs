//! Renewing certificates before two thirds of their life, without a restart.

use super::{
    IdentityError,
    ca::Ca,
    join::{CALL_TIMEOUT, hub_failed, own_certificate},
    keys::NodeSecrets,
    node_file::NodeFile,
    peer::Peer,
    tls::{NodeTls, client_config, write_certificate},
};
use crate::{
    channel::{self, Dialer},
    clock::Clock,
    random::{self, Random},
    shutdown::Shutdown,
};
use raccordo_ledger::join_proof;
use raccordo_model::{
    node::{Federation, NodeId},
    timestamp::Timestamp,
};
use raccordo_proto::wire::{self, enrolment_service_client::EnrolmentServiceClient};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use tonic::Status;

/// How long a task sleeps at most before it looks at the clock again.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// First pause after a failed attempt; it doubles.
const RETRY_FIRST: Duration = Duration::from_secs(30);
/// Longest pause after a failed attempt.
const RETRY_MOST: Duration = Duration::from_secs(1_800);

/// When a certificate is to be renewed: after five ninths of its life, so that there is time to try
/// again before two thirds.
pub fn due_at(peer: &Peer) -> Timestamp {
    let life = peer.not_after.0.saturating_sub(peer.not_before.0);
    Timestamp(peer.not_before.0.saturating_add(life / 9 * 5))
}

/// What a Spoke needs to renew its certificate.
#[derive(Debug)]
pub struct SpokeRenewal {
    /// The data folder.
    pub data: PathBuf,
    /// What the node knows of itself.
    pub file: NodeFile,
    /// Its keys.
    pub secrets: Arc<NodeSecrets>,
    /// Its certificate in use.
    pub tls: NodeTls,
    /// How the Hub is reached.
    pub dialer: Arc<dyn Dialer>,
    /// The system's clock.
    pub system: Arc<dyn Clock>,
    /// For jitter.
    pub random: Arc<dyn Random>,
}

impl SpokeRenewal {
    /// Renews now, and puts the new certificate to use. Works with an expired certificate too: the
    /// request is signed by the ledger key.
    pub async fn renew(&self) -> Result<Peer, IdentityError> {
        let Some(region) = self.file.node.region() else {
            return Err(IdentityError::unacceptable(
                "the Hub renews its own certificate itself",
            ));
        };
        let certificate_request = self.secrets.certificate_request()?;
        let requested_at_us = self.system.now().0;
        let message = join_proof::renew_message(region, &certificate_request, requested_at_us);
        let request = wire::RenewRequest {
            region: region.to_string(),
            certificate_request,
            requested_at_us,
            proof: join_proof::sign(self.secrets.ledger_seed(), &message).to_vec(),
        };
        let address = &self.file.api_address;
        let tls = client_config(&self.tls.ca, None)?;
        let mut client =
            EnrolmentServiceClient::new(channel::channel(self.dialer.clone(), address, NodeId::Hub, tls)?);
        let answer = timeout(CALL_TIMEOUT, client.renew(request))
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer within a minute")))
            .map_err(|status| hub_failed(address, &status))?
            .into_inner();
        let certificate = own_certificate(self.file.node, &self.tls.ca, &self.secrets, answer.certificates)?;
        self.tls.replace(&self.data, certificate, &self.secrets)?;
        self.tls.hot.peer()
    }

    /// Renews whenever it is due, until shutdown. A failure is logged and tried again with jitter.
    pub async fn run(self, shutdown: Shutdown) {
        let mut failures = 0u32;
        loop {
            let wait = match self.tls.hot.peer() {
                Ok(peer) if due_at(&peer) > self.system.now() => {
                    failures = 0;
                    until(due_at(&peer), self.system.now())
                }
                _ => match self.renew().await {
                    Ok(peer) => {
                        tracing::info!(until = %peer.not_after, "the certificate was renewed");
                        failures = 0;
                        Duration::ZERO
                    }
                    Err(error) => {
                        failures += 1;
                        let wait = pause(failures, &*self.random);
                        tracing::warn!(%error, failures, wait_s = wait.as_secs(), "the certificate was not renewed");
                        wait
                    }
                },
            };
            tokio::select! {
                () = shutdown.wait() => return,
                () = sleep(wait) => {}
            }
        }
    }
}

/// What the Hub needs to issue and renew its own certificate.
#[derive(Debug)]
pub struct HubRenewal {
    /// The data folder.
    pub data: PathBuf,
    /// The federation.
    pub federation: Federation,
    /// Issues it.
    pub ca: Arc<Ca>,
    /// The Hub's keys.
    pub secrets: Arc<NodeSecrets>,
    /// Host names and addresses that people reach the Hub by.
    pub hosts: Vec<String>,
    /// Validity in seconds.
    pub validity_seconds: u64,
    /// The system's clock.
    pub system: Arc<dyn Clock>,
    /// For serial numbers.
    pub random: Arc<dyn Random>,
}

impl HubRenewal {
    /// The Hub's certificate, issued anew at each start: host names may have changed.
    pub fn open(&self) -> Result<NodeTls, IdentityError> {
        let certificate = self.issue()?;
        write_certificate(&self.data.join("tls/node.pem"), &certificate)?;
        NodeTls::open(&self.data, &self.secrets)
    }

    /// Renews whenever it is due, until shutdown.
    pub async fn run(self, tls: NodeTls, shutdown: Shutdown) {
        let mut failures = 0u32;
        loop {
            let now = self.system.now();
            let due = tls.hot.peer().map(|peer| due_at(&peer));
            let wait = match due {
                Ok(due) if due > now => until(due, now),
                _ => match self
                    .issue()
                    .and_then(|new| tls.replace(&self.data, new, &self.secrets))
                {
                    Ok(()) => {
                        failures = 0;
                        Duration::ZERO
                    }
                    Err(error) => {
                        failures += 1;
                        tracing::error!(%error, failures, "the Hub's certificate was not renewed");
                        pause(failures, &*self.random)
                    }
                },
            };
            tokio::select! {
                () = shutdown.wait() => return,
                () = sleep(wait) => {}
            }
        }
    }

    fn issue(&self) -> Result<rustls::pki_types::CertificateDer<'static>, IdentityError> {
        let request = self.secrets.certificate_request()?;
        let now = self.system.now();
        Ok(self
            .ca
            .issue(
                &request,
                NodeId::Hub,
                &self.hosts,
                now,
                self.validity_seconds,
                &*self.random,
            )?
            .der)
    }
}

fn until(due: Timestamp, now: Timestamp) -> Duration {
    let wait = u64::try_from(due.0.saturating_sub(now.0)).unwrap_or(0);
    Duration::from_micros(wait).min(LOOK_EVERY)
}

/// Full jitter: anything up to a bound that doubles, but never at once.
fn pause(failures: u32, random: &dyn Random) -> Duration {
    let bound = RETRY_FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(RETRY_MOST);
    let jitter = random::below(random, u64::try_from(bound.as_millis()).unwrap_or(u64::MAX));
    Duration::from_millis(jitter.max(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn renewal_is_due_before_two_thirds_and_pauses_are_bounded() {
        let peer = Peer {
            node: NodeId::Hub,
            federation: "prova".parse().unwrap(),
            serial: "40".into(),
            not_before: Timestamp::from_seconds(0),
            not_after: Timestamp::from_seconds(90),
        };
        assert_eq!(due_at(&peer), Timestamp::from_seconds(50));
        assert_eq!(
            until(Timestamp::from_seconds(50), Timestamp::from_seconds(20)),
            Duration::from_secs(30)
        );
        assert_eq!(
            until(Timestamp::from_seconds(50_000), Timestamp::from_seconds(0)),
            LOOK_EVERY
        );
        let random = SeededRandom::new(1);
        for failures in [1, 5, 40] {
            let pause = pause(failures, &random);
            assert!(pause >= Duration::from_secs(1) && pause <= RETRY_MOST);
        }
    }
}
