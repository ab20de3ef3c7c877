//! Everything that runs together at a Spoke. The region works on, whole, while the Hub is away.

use crate::{
    content::{self, Fetcher},
    federation::Spoke,
    grpc,
    sync::{self, Standing},
};
use anyhow::Context as _;
use futures::future::BoxFuture;
use raccordo_content::Installation;
use raccordo_model::{digest::ManifestDigest, entry::EntryRef, node::NodeId};
use raccordo_node::{
    auth::Authenticator,
    channel,
    content::fetch::fetch,
    identity::renewal::SpokeRenewal,
    metrics::{self, Metrics},
    node_api::{self, NodeApi},
    serve::{Gate, serve as serve_port},
    session::{
        client::{Backoff, keep},
        peers::Peers,
    },
    shutdown::{Shutdown, Tasks},
};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch};
use tonic::{service::Routes, transport::Channel};

/// How long the tasks have to end.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the figures of the metrics port are read.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Where a running Spoke listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// `host:port` of the API.
    pub api: String,
    /// `host:port` of the metrics.
    pub admin: String,
}

/// Runs a Spoke until `shutdown`, then drains. `ready` is told the real ports once all listen.
pub async fn serve(spoke: Spoke, shutdown: Shutdown, ready: impl FnOnce(&Listening)) -> anyhow::Result<()> {
    // Two processes on one folder would be two signers of one ledger.
    let _lock = spoke.lock()?;
    let spoke = Arc::new(spoke);
    let node = spoke.node.clone();
    let api = bind(&spoke.config.api_address).await?;
    let admin = bind(&spoke.config.admin_address).await?;
    let listening = Listening {
        api: api.local_addr()?.to_string(),
        admin: admin.local_addr()?.to_string(),
    };
    spoke.write_client(&listening.api)?;

    let peers = Arc::new(Peers::default());
    let mut tasks = Tasks::new();
    let client_tls = spoke.tls.client()?;
    let connect = || {
        channel::channel(
            spoke.dialer(),
            spoke.exchange_address(),
            NodeId::Hub,
            client_tls.clone(),
        )
    };

    let stop = stop_signal(&mut tasks, shutdown.clone());
    let (exchange, exchange_peers, exchange_node) = (connect()?, peers.clone(), node.clone());
    tasks.spawn("exchange", async move {
        let end = keep(
            &exchange_node,
            &exchange_peers,
            exchange,
            Backoff::default(),
            stop,
        )
        .await;
        if end.is_final() {
            tracing::error!(
                ?end,
                "the exchange waits for a person; see `sync status`. The region works on"
            );
        }
    });
    let fetcher = Arc::new(HubContent {
        channel: connect()?,
        store: spoke.content.clone(),
    });
    let (store, nudge) = (spoke.content.clone(), spoke.nudge.clone());
    tasks.spawn(
        "content",
        content::keep(node.clone(), store, fetcher, nudge, shutdown.clone()),
    );
    tasks.spawn("renewal", renewal(&spoke).run(shutdown.clone()));

    let counted = Metrics::new();
    let router = metrics::router(&counted, || {});
    let admin_shutdown = shutdown.clone();
    tasks.spawn("admin", async move {
        if let Err(error) = metrics::serve_admin(admin, router, admin_shutdown).await {
            tracing::error!(%error, "the metrics port ended");
        }
    });
    tasks.spawn(
        "measure",
        measure(spoke.clone(), peers.clone(), counted, shutdown.clone()),
    );
    let router = routes(&spoke, peers).await?.into_axum_router();
    let system = node.system_clock.clone();
    tasks.spawn(
        "api",
        serve_port(
            api,
            spoke.tls.public_server()?,
            router,
            Gate::Tokens,
            system,
            shutdown.clone(),
        ),
    );

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

/// The signal in the form that the session takes.
fn stop_signal(tasks: &mut Tasks, shutdown: Shutdown) -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tasks.spawn("stop", async move {
        shutdown.wait().await;
        stop.send_replace(true);
    });
    stopped
}

fn renewal(spoke: &Spoke) -> SpokeRenewal {
    let mut file = spoke.file.clone();
    if let Some(address) = &spoke.config.hub_api_address {
        file.api_address = address.clone();
    }
    SpokeRenewal {
        data: spoke.data.clone(),
        file,
        secrets: spoke.secrets.clone(),
        tls: spoke.tls.clone(),
        dialer: spoke.dialer(),
        system: spoke.node.system_clock.clone(),
        random: spoke.node.random.clone(),
    }
}

async fn routes(spoke: &Arc<Spoke>, peers: Arc<Peers>) -> anyhow::Result<Routes> {
    let node = &spoke.node;
    let authenticator = Authenticator::new(node.db.clone(), node.system_clock.clone());
    let api = NodeApi {
        db: node.db.clone(),
        node: node.me(),
        federation: node.identity.federation.clone(),
        test: node.identity.test,
        system: node.system_clock.clone(),
        business: spoke.business.clone(),
        random: node.random.clone(),
        authenticator: authenticator.clone(),
        sync: Arc::new(Standing {
            node: node.clone(),
            peers,
        }),
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
        .add_service(grpc::server(spoke.clone(), authenticator))
        .add_service(health_server)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(routes.routes())
}

async fn measure(spoke: Arc<Spoke>, peers: Arc<Peers>, counted: Metrics, shutdown: Shutdown) {
    let node = &spoke.node;
    loop {
        let now = node.system_clock.now().0;
        match sync::status(node, &peers).await {
            Ok(status) => sync::measure(&counted, node.me(), &status, now),
            Err(error) => tracing::warn!(%error, "the metrics were not read"),
        }
        if let Ok(peer) = spoke.tls.hot.peer() {
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

/// Fetches content from the Hub, on a connection of its own.
struct HubContent {
    channel: Channel,
    store: Installation,
}

impl Fetcher for HubContent {
    fn fetch(&self, entitlement: EntryRef, manifest: ManifestDigest) -> BoxFuture<'_, Result<(), String>> {
        let channel = self.channel.clone();
        Box::pin(async move {
            let fetched = fetch(channel, entitlement.into(), manifest, &self.store, &()).await;
            fetched.map(drop).map_err(|error| channel::explain(&error))
        })
    }
}
