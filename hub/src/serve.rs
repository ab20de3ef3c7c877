//! Everything that runs together at the Hub: the one place where parts are put together.

use crate::{
    federation::Hub,
    grpc,
    regions::{Addresses, HubRegistry},
    sync::{self, HubSync},
};
use anyhow::Context as _;
use raccordo_node::{
    auth::Authenticator,
    content::{entitlement::LedgerEntitlements, server::ContentLane},
    identity::{ca::NODE_VALIDITY_SECONDS, enrolment::Enrolment, tls::NodeTls},
    metrics::{self, Metrics},
    node_api::{self, NodeApi, SyncView as _},
    serve::{Gate, serve as serve_port},
    session::{FRAME_BYTES_MAX, server::Exchange},
    shutdown::{Shutdown, Tasks},
};
use raccordo_proto::wire::exchange_service_server::ExchangeServiceServer;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch};
use tonic::service::Routes;

/// How long the tasks have to end.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the figures of the metrics port are read.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Where a running Hub listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// `host:port` of the API (server TLS).
    pub api: String,
    /// `host:port` of the exchange (mutual TLS).
    pub exchange: String,
    /// `host:port` of the metrics.
    pub admin: String,
}

/// Runs a Hub until a signal or `shutdown`, then drains. `ready` is told the real ports once all listen.
pub async fn serve(hub: Hub, shutdown: Shutdown, ready: impl FnOnce(&Listening)) -> anyhow::Result<()> {
    // Two processes on one folder would be two signers of one ledger.
    let _lock = hub.lock()?;
    let hub = Arc::new(hub);
    let node = hub.node.clone();
    let api = bind(&hub.config.api_address).await?;
    let exchange = bind(&hub.config.exchange_address).await?;
    let admin = bind(&hub.config.admin_address).await?;
    let listening = Listening {
        api: api.local_addr()?.to_string(),
        exchange: exchange.local_addr()?.to_string(),
        admin: admin.local_addr()?.to_string(),
    };
    hub.write_client(&listening.api)?;
    let addresses = Addresses {
        api: hub
            .config
            .public_api_address
            .clone()
            .unwrap_or_else(|| listening.api.clone()),
        exchange: hub
            .config
            .public_exchange_address
            .clone()
            .unwrap_or_else(|| listening.exchange.clone()),
    };
    let renewal = hub.renewal();
    let tls = renewal.open()?;
    let counted = Metrics::new();
    let mut tasks = Tasks::new();

    let stop = stop_signal(&mut tasks, shutdown.clone());
    let router = exchange_routes(&hub, &counted, stop).into_axum_router();
    let gate = Gate::Peers(hub.revoked.clone());
    let system = node.system_clock.clone();
    let mutual = tls.mutual_server(hub.revoked.clone())?;
    tasks.spawn(
        "exchange",
        serve_port(exchange, mutual, router, gate, system.clone(), shutdown.clone()),
    );
    let router = api_routes(&hub, addresses).await?.into_axum_router();
    tasks.spawn(
        "api",
        serve_port(
            api,
            tls.public_server()?,
            router,
            Gate::Tokens,
            system,
            shutdown.clone(),
        ),
    );
    tasks.spawn("renewal", renewal.run(tls.clone(), shutdown.clone()));

    let router = metrics::router(&counted, || {});
    let admin_shutdown = shutdown.clone();
    tasks.spawn("admin", async move {
        if let Err(error) = metrics::serve_admin(admin, router, admin_shutdown).await {
            tracing::error!(%error, "the metrics port ended");
        }
    });
    tasks.spawn("measure", measure(hub.clone(), tls, counted, shutdown.clone()));

    let signalled = shutdown.on_signals()?;
    ready(&listening);
    signalled.await;
    tasks.drain(DRAIN).await;
    node.db.close().await;
    Ok(())
}

async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("non si può ascoltare su {address}"))
}

/// The signal in the form that sessions take.
fn stop_signal(tasks: &mut Tasks, shutdown: Shutdown) -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tasks.spawn("stop", async move {
        shutdown.wait().await;
        stop.send_replace(true);
    });
    stopped
}

fn exchange_routes(hub: &Arc<Hub>, counted: &Metrics, stop: watch::Receiver<bool>) -> Routes {
    let exchange = Exchange {
        node: hub.node.clone(),
        peers: hub.peers.clone(),
        shutdown: stop,
    };
    let entitlements = Arc::new(LedgerEntitlements {
        node: hub.node.clone(),
    });
    let content = ContentLane::new(hub.packs.clone(), entitlements, counted.clone());
    let mut routes = Routes::builder();
    routes
        .add_service(
            ExchangeServiceServer::new(exchange)
                .max_decoding_message_size(FRAME_BYTES_MAX)
                .max_encoding_message_size(FRAME_BYTES_MAX),
        )
        .add_service(content.into_server());
    routes.routes()
}

async fn api_routes(hub: &Arc<Hub>, addresses: Addresses) -> anyhow::Result<Routes> {
    let node = &hub.node;
    let authenticator = Authenticator::new(node.db.clone(), node.system_clock.clone());
    let api = NodeApi {
        db: node.db.clone(),
        node: node.me(),
        federation: node.identity.federation.clone(),
        test: node.identity.test,
        system: node.system_clock.clone(),
        business: hub.business.clone(),
        random: node.random.clone(),
        authenticator: authenticator.clone(),
        sync: Arc::new(HubSync {
            node: node.clone(),
            peers: hub.peers.clone(),
        }),
    };
    let enrolment = Enrolment {
        registry: HubRegistry(node.clone()),
        ca: hub.ca.clone(),
        federation: node.identity.federation.clone(),
        revoked: hub.revoked.clone(),
        system: node.system_clock.clone(),
        random: node.random.clone(),
        validity_seconds: NODE_VALIDITY_SECONDS,
    };
    let (health, health_server) = tonic_health::server::health_reporter();
    health
        .set_service_status("", tonic_health::ServingStatus::Serving)
        .await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(raccordo_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Routes::builder();
    routes
        .add_service(node_api::server(Arc::new(api)))
        .add_service(grpc::administration(
            hub.clone(),
            addresses,
            authenticator.clone(),
        ))
        .add_service(grpc::status(hub.clone(), authenticator))
        .add_service(enrolment.into_server())
        .add_service(health_server)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(routes.routes())
}

async fn measure(hub: Arc<Hub>, tls: NodeTls, counted: Metrics, shutdown: Shutdown) {
    let view = HubSync {
        node: hub.node.clone(),
        peers: hub.peers.clone(),
    };
    loop {
        let now = hub.node.system_clock.now().0;
        match view.status().await {
            Ok(status) => sync::measure(&counted, &status, now),
            Err(error) => tracing::warn!(%error, "the metrics were not read"),
        }
        if let Ok(peer) = tls.hot.peer() {
            counted
                .certificate_expiry_seconds
                .set((peer.not_after.0 - now) / 1_000_000);
        }
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(MEASURE_EVERY) => {}
        }
    }
}
