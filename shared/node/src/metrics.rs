//! Metrics for Prometheus, and the admin port that shows them: plain HTTP, on loopback by default.

use crate::shutdown::Shutdown;
use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{io, sync::Arc};
use tokio::net::TcpListener;

/// The node that a figure is about: `hub`, or a region's code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PeerLabel {
    /// The node.
    pub peer: String,
}

/// What a node counts. Cloning shares the figures.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Entries of the peer's ledger that it has and that are not applied here.
    pub lag_entries: Family<PeerLabel, Gauge>,
    /// Seconds since the last contact with the peer.
    pub lag_seconds: Family<PeerLabel, Gauge>,
    /// Own entries that the peer has not cosigned.
    pub outbox_entries: Family<PeerLabel, Gauge>,
    /// Entries in quarantine.
    pub quarantined_entries: Gauge,
    /// Fences that wait for a person.
    pub fences: Gauge,
    /// Seconds until the node's certificate expires; negative after that.
    pub certificate_expiry_seconds: Gauge,
    /// Open sessions.
    pub sessions: Gauge,
    /// Entries received, by the ledger that they are of.
    pub entries_received: Family<PeerLabel, Counter>,
    /// Chunks of content sent.
    pub chunks_served: Counter,
    /// Bytes of content sent.
    pub content_bytes_served: Counter,
}

impl Metrics {
    /// Figures that are all zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// The label of a peer.
    pub fn of(peer: impl std::fmt::Display) -> PeerLabel {
        PeerLabel {
            peer: peer.to_string(),
        }
    }

    fn registry(&self) -> Registry {
        let mut r = Registry::with_prefix("raccordo");
        r.register(
            "lag_entries",
            "Entries of the peer's ledger that are not applied here",
            self.lag_entries.clone(),
        );
        r.register(
            "lag_seconds",
            "Seconds since the last contact with the peer",
            self.lag_seconds.clone(),
        );
        r.register(
            "outbox_entries",
            "Own entries that the peer has not cosigned",
            self.outbox_entries.clone(),
        );
        r.register(
            "quarantined_entries",
            "Entries in quarantine",
            self.quarantined_entries.clone(),
        );
        r.register("fences", "Fences that wait for a person", self.fences.clone());
        let expiry = self.certificate_expiry_seconds.clone();
        r.register(
            "certificate_expiry_seconds",
            "Seconds until the certificate of the node expires",
            expiry,
        );
        r.register("sessions", "Open sessions", self.sessions.clone());
        r.register(
            "entries_received",
            "Entries received, by the ledger that they are of",
            self.entries_received.clone(),
        );
        r.register(
            "chunks_served",
            "Chunks of content sent",
            self.chunks_served.clone(),
        );
        r.register(
            "content_bytes_served",
            "Bytes of content sent",
            self.content_bytes_served.clone(),
        );
        r
    }
}

/// `/metrics` and `/healthz`. `refresh` is called before each answer of `/metrics`, for figures that
/// are read rather than counted; it must not block.
pub fn router(metrics: &Metrics, refresh: impl Fn() + Clone + Send + Sync + 'static) -> Router {
    let registry = Arc::new(metrics.registry());
    let show = move || {
        let (registry, refresh) = (registry.clone(), refresh.clone());
        async move {
            refresh();
            let mut text = String::new();
            match encode(&mut text, &registry) {
                Ok(()) => {
                    let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                    ([(header::CONTENT_TYPE, form)], text).into_response()
                }
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    };
    Router::new()
        .route("/metrics", get(show))
        .route("/healthz", get(|| async { "ok\n" }))
}

/// Serves the admin port until shutdown.
pub async fn serve_admin(listener: TcpListener, router: Router, shutdown: Shutdown) -> io::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { shutdown.wait().await })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    #[tokio::test]
    async fn every_metric_has_help_and_the_peer_is_a_label() {
        let metrics = Metrics::new();
        metrics.lag_entries.get_or_create(&Metrics::of("090")).set(7);
        // A family shows once it has a member.
        for family in [&metrics.lag_seconds, &metrics.outbox_entries] {
            family.get_or_create(&Metrics::of("090")).set(1);
        }
        metrics.entries_received.get_or_create(&Metrics::of("090")).inc();
        let sessions = metrics.clone();
        let router = router(&metrics, move || {
            sessions.sessions.set(3);
        });
        let request = http::Request::get("/metrics").body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let text = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        assert!(text.contains("raccordo_lag_entries{peer=\"090\"} 7"), "{text}");
        assert!(text.contains("raccordo_sessions 3"), "{text}");
        let (types, helps) = (text.matches("# TYPE").count(), text.matches("# HELP").count());
        assert_eq!((types, helps), (10, 10), "{text}");
        let request = http::Request::get("/healthz").body(Body::empty()).unwrap();
        assert_eq!(router.oneshot(request).await.unwrap().status(), StatusCode::OK);
    }
}
