//! The Spoke's end of the stream, and its endless patience.

use super::{
    FRAME_BYTES_MAX, OUTBOUND_FRAMES_MAX,
    driver::{self, End},
    machine::Side,
    peers::Peers,
};
use crate::{node::Node, random::Random, telemetry};
use futures::StreamExt;
use raccordo_model::node::NodeId;
use raccordo_proto::wire::{
    Frame, SessionRequest, SessionResponse, exchange_service_client::ExchangeServiceClient, frame::Step,
};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// How long to wait between attempts: full jitter, at most `cap`.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Upper end of the first wait.
    pub base: Duration,
    /// Upper end of every wait.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The wait after `failures` attempts in a row: uniform between zero and the doubled base, so
    /// that 21 regions do not come back in one instant.
    pub fn wait(&self, failures: u32, random: &dyn Random) -> Duration {
        let most = self.base.saturating_mul(1 << failures.min(16)).min(self.cap);
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        let share = u64::from_be_bytes(bytes) as f64 / u64::MAX as f64;
        most.mul_f64(share)
    }
}

/// Keeps the exchange with the Hub going until `shutdown`, or until a fence needs a person.
/// The node works on, offline, whatever happens here.
pub async fn keep(
    node: &Node,
    peers: &Peers,
    channel: Channel,
    backoff: Backoff,
    mut shutdown: watch::Receiver<bool>,
) -> End {
    let mut failures = 0;
    loop {
        let (began, exchanges) = (tokio::time::Instant::now(), peers.exchanges());
        let end = session(node, peers, channel.clone(), shutdown.clone()).await;
        tracing::info!(?end, "session over");
        if end.is_final() || *shutdown.borrow() {
            return end;
        }
        // A session that lasted proves the way is open, a handshake that the Hub answers again: only
        // attempts that come to nothing double the wait. A Hub that restarts is found within a second.
        failures = match () {
            () if began.elapsed() > backoff.cap => 0,
            () if peers.exchanges() > exchanges && !matches!(end, End::Goodbye(_)) => 1,
            () => failures + 1,
        };
        let told = match &end {
            End::Goodbye(_) if end.is_fenced() => backoff.cap,
            End::Goodbye(said) => Duration::from_millis(said.retry_after_ms).min(backoff.cap),
            _ => Duration::ZERO,
        };
        let wait = backoff.wait(failures, node.random.as_ref()).max(told);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = shutdown.changed() => return End::Stopped,
        }
    }
}

/// Runs one session to its end.
pub async fn session(node: &Node, peers: &Peers, channel: Channel, shutdown: watch::Receiver<bool>) -> End {
    let (outbound, frames) = mpsc::channel::<Step>(OUTBOUND_FRAMES_MAX);
    let requests = ReceiverStream::new(frames).map(|step| SessionRequest {
        frame: Some(Frame { step: Some(step) }),
    });
    let mut client = ExchangeServiceClient::with_interceptor(channel, telemetry::inject)
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let stream = match client.session(requests).await {
        Ok(response) => response.into_inner(),
        Err(status) => return End::Cut(causes(&status)),
    };
    let inbound = stream.map(|message| match message {
        Ok(SessionResponse {
            frame: Some(Frame { step: Some(step) }),
        }) => Ok(step),
        Ok(_) => Err("an empty frame".to_owned()),
        Err(status) => Err(causes(&status)),
    });
    driver::run(node, peers, Side::Spoke, NodeId::Hub, inbound, outbound, shutdown).await
}

/// A refusal by TLS is only in the chain of causes.
fn causes(status: &tonic::Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn waits_are_jittered_and_bounded() {
        let random = SeededRandom::new(7);
        let backoff = Backoff {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(8),
        };
        let waits: Vec<_> = (0..200).map(|n| backoff.wait(n, &random)).collect();
        assert!(waits.iter().all(|w| *w <= backoff.cap));
        assert!(waits.iter().any(|w| *w > Duration::from_secs(4)));
        assert!(waits.iter().any(|w| *w < Duration::from_secs(1)));
    }
}
