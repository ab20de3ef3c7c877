//! One accept loop for every TLS port: HTTP/2 and HTTP/1.1 to an axum router (gRPC routes included).
//!
//! On the mutual-TLS port every request carries the [`Peer`] in its extensions, and a peer that was
//! revoked or whose certificate expired since the handshake is refused at the request; its
//! connections are closed. Everything is bounded: connections, handshake time, header time, streams.

use crate::{
    channel::{CONNECTION_WINDOW, STREAM_WINDOW},
    clock::Clock,
    identity::{peer::Peer, revocation::Revoked},
    shutdown::Shutdown,
    status::Refusal,
    telemetry::span_of,
};
use axum::{Router, body::Body};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use raccordo_model::timestamp::Timestamp;
use rustls::ServerConfig;
use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::Status;
use tower::ServiceExt;
use tracing::Instrument;

/// Most connections of a port at a time; more wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 4_096;
/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open connections have to end at shutdown.
pub const DRAIN: Duration = Duration::from_secs(5);

/// How long the head of an HTTP/1.1 request may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Most streams of a connection at a time.
const STREAMS_MAX: u32 = 256;
/// How long to pause when the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may send requests to a port.
#[derive(Debug, Clone)]
pub enum Gate {
    /// Bearers of certificates that are not revoked and not expired.
    Peers(Arc<Revoked>),
    /// Anyone: each call proves who it is, by a token.
    Tokens,
}

/// Serves `router` on `listener` until shutdown, then drains. `system` is the system's clock.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    gate: Gate,
    system: Arc<dyn Clock>,
    shutdown: Shutdown,
) {
    let port = Arc::new(Port {
        acceptor: TlsAcceptor::from(tls),
        http: http(),
        router,
        gate,
        system,
        shutdown,
    });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = port.shutdown.wait() => break,
            // Ended tasks are taken out, so that the set holds the open ones alone.
            Some(_) = connections.join_next() => continue,
            accepted = next(&listener, places.clone()) => accepted,
        };
        match accepted {
            Some((stream, place)) => {
                connections.spawn(port.clone().connection(stream, place));
            }
            None => break,
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN, drained).await.is_err() {
        tracing::warn!(
            open = connections.len(),
            "connections did not end in time and are cut"
        );
        connections.shutdown().await;
    }
}

async fn next(listener: &TcpListener, places: Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, place)),
            Err(error) => {
                // Out of descriptors, or a connection that was gone already: neither ends the port.
                tracing::warn!(%error, "a connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    http.http2()
        .timer(TokioTimer::new()) // keepalive needs it
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .max_frame_size(64 << 10);
    http
}

struct Port {
    acceptor: TlsAcceptor,
    http: auto::Builder<TokioExecutor>,
    router: Router,
    gate: Gate,
    system: Arc<dyn Clock>,
    shutdown: Shutdown,
}

impl Port {
    async fn connection(self: Arc<Self>, stream: TcpStream, place: OwnedSemaphorePermit) {
        let _place = place;
        let _ = stream.set_nodelay(true);
        let tls = match timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(stream)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::debug!(%error, "a handshake failed"),
            Err(_) => return tracing::debug!("a handshake took too long"),
        };
        let certificates = tls.get_ref().1.peer_certificates();
        let peer = certificates
            .and_then(|c| c.first())
            .and_then(|c| Peer::parse(c).ok());
        let ended = self.ended(peer.as_ref());
        tokio::select! {
            () = self.requests(tls, peer.clone()) => {}
            () = ended => tracing::info!(peer = ?peer.as_ref().map(|p| p.node), "a connection was closed: its certificate was revoked or has expired"),
        }
    }

    async fn requests(&self, tls: TlsStream<TcpStream>, peer: Option<Peer>) {
        let (router, gate, system) = (self.router.clone(), self.gate.clone(), self.system.clone());
        let peer = peer.map(Arc::new);
        let service = tower::service_fn(move |mut request: http::Request<Incoming>| {
            let (router, peer) = (router.clone(), peer.clone());
            let refusal = gate.refuses(peer.as_deref(), system.now());
            async move {
                if let Some(refusal) = refusal {
                    return Ok::<_, Infallible>(Status::from(refusal).into_http::<Body>());
                }
                if let Some(peer) = peer {
                    request.extensions_mut().insert(Peer::clone(&peer));
                }
                let span = span_of(request.headers(), request.uri().path());
                router.oneshot(request.map(Body::new)).instrument(span).await
            }
        });
        let connection = self
            .http
            .serve_connection_with_upgrades(TokioIo::new(tls), TowerToHyperService::new(service));
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.wait() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }

    /// Waits until the peer is revoked or its certificate expires; for ever where there is no peer.
    async fn ended(&self, peer: Option<&Peer>) {
        let (Gate::Peers(revoked), Some(peer)) = (&self.gate, peer) else {
            return std::future::pending().await;
        };
        let mut changed = revoked.changed();
        loop {
            let now = self.system.now();
            if revoked.refuses(peer) || peer.is_expired(now) {
                return;
            }
            let left = u64::try_from(peer.not_after.0.saturating_sub(now.0)).unwrap_or(0);
            // Looked at again at least each hour: the system's clock may have been set.
            let left = Duration::from_micros(left).min(Duration::from_secs(3_600)) + Duration::from_millis(1);
            tokio::select! {
                _ = changed.changed() => {}
                () = sleep(left) => {}
            }
        }
    }
}

impl Gate {
    fn refuses(&self, peer: Option<&Peer>, now: Timestamp) -> Option<Refusal> {
        let Self::Peers(revoked) = self else { return None };
        let Some(peer) = peer else {
            return Some(Refusal::unauthenticated(
                "the call needs a certificate of the federation",
                "run `join` first",
            ));
        };
        if revoked.refuses(peer) {
            return Some(Refusal::forbidden(
                format_args!("the certificate of {} was revoked", peer.node),
                "ask the centre",
            ));
        }
        peer.is_expired(now).then(|| {
            Refusal::unauthenticated(
                format_args!("the certificate of {} expired at {}", peer.node, peer.not_after),
                "renew it: the running node does so by itself",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_model::node::NodeId;
    use tonic::Code;

    #[test]
    fn the_gate_asks_at_every_request() {
        let revoked = Arc::new(Revoked::default());
        let gate = Gate::Peers(revoked.clone());
        let peer = |node: &str, serial: &str| Peer {
            node: node.parse().unwrap(),
            federation: "prova".parse().unwrap(),
            serial: serial.into(),
            not_before: Timestamp(0),
            not_after: Timestamp(100),
        };
        let (first, renewed, other) = (peer("090", "41"), peer("090", "42"), peer("050", "43"));
        let code = |peer: Option<&Peer>, now| gate.refuses(peer, Timestamp(now)).map(|r| r.kind.code());
        assert_eq!(code(None, 1), Some(Code::Unauthenticated));
        assert_eq!(code(Some(&first), 100), None);
        assert_eq!(code(Some(&first), 101), Some(Code::Unauthenticated));
        revoked.revoke_serial("41");
        assert_eq!(code(Some(&first), 1), Some(Code::PermissionDenied));
        assert_eq!(code(Some(&renewed), 1), None);
        revoked.replace_nodes(["090".parse::<NodeId>().unwrap()]);
        assert_eq!(code(Some(&renewed), 1), Some(Code::PermissionDenied));
        assert_eq!(code(Some(&other), 1), None);
        assert!(Gate::Tokens.refuses(None, Timestamp(1)).is_none());
    }
}
