//! Joining, renewing and refusing, over real TLS on loopback.

use super::{
    bundle::{Bundle, new_token, token_hash},
    ca::Ca,
    enrolment::{Enrolled, Enrolment, Joining, RegionKeys, Registry},
    join::join,
    keys::NodeSecrets,
    node_file::NodeFile,
    renewal::{HubRenewal, SpokeRenewal},
    revocation::Revoked,
    tls::{NodeTls, client_config, write_certificate},
    *,
};
use crate::{
    channel::{TcpDialer, channel, explain},
    clock::{Clock, ManualClock, SystemClock},
    random::OsRandom,
    serve::{Gate, serve},
    shutdown::Shutdown,
    status::Refusal,
};
use raccordo_model::{
    node::{Federation, NodeId, RegionCode},
    timestamp::Timestamp,
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming, service::Routes, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};

const DAY: i64 = 86_400_000_000;

/// What the Hub would keep in its tables.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    tokens: BTreeMap<[u8; 32], (RegionCode, Option<RegionKeys>)>,
    regions: BTreeMap<RegionCode, RegionKeys>,
}

impl Registry for Book {
    async fn enrol(&self, joining: Joining) -> Result<Enrolled, Refusal> {
        let mut pages = self.0.lock().unwrap();
        let keys = RegionKeys {
            ledger_key: joining.ledger_key,
            cosigner_key: joining.cosigner_key,
        };
        let wrong =
            || Refusal::unauthenticated("the token is not one of this region", "ask for another bundle");
        let (region, used_by) = pages.tokens.get_mut(&joining.token_hash).ok_or_else(wrong)?;
        if *region != joining.region || used_by.is_some_and(|by| by != keys) {
            return Err(wrong());
        }
        *used_by = Some(keys);
        pages.regions.insert(joining.region, keys);
        let federation = federation();
        Ok(Enrolled {
            origin: federation.origin(NodeId::Region(joining.region)),
            hub_origin: federation.origin(NodeId::Hub),
            hub_ledger_key: [1; 32],
            hub_cosigner_key: [2; 32],
            test: true,
        })
    }

    async fn keys_of(&self, region: RegionCode) -> Result<Option<RegionKeys>, Refusal> {
        Ok(self.0.lock().unwrap().regions.get(&region).copied())
    }
}

fn federation() -> Federation {
    "prova".parse().unwrap()
}

/// A Hub with both ports.
struct Hub {
    _data: tempfile::TempDir,
    ca: Arc<Ca>,
    book: Book,
    revoked: Arc<Revoked>,
    /// The clock of the ports; the handshake goes by the machine's.
    clock: Arc<ManualClock>,
    api: String,
    exchange: String,
    shutdown: Shutdown,
}

impl Hub {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let random = Arc::new(OsRandom);
        let ca = Arc::new(Ca::create(data.path(), &federation(), clock.now(), &*random).unwrap());
        let secrets = Arc::new(NodeSecrets::create(data.path(), &*random).unwrap());
        let renewal = HubRenewal {
            data: data.path().into(),
            federation: federation(),
            ca: ca.clone(),
            secrets,
            hosts: vec!["hub.example.it".into()],
            validity_seconds: 90 * 86_400,
            system: clock.clone(),
            random: random.clone(),
        };
        let tls = renewal.open().unwrap();
        let (book, revoked, shutdown) = (Book::default(), Arc::new(Revoked::default()), Shutdown::new());
        let enrolment = Enrolment {
            registry: book.clone(),
            ca: ca.clone(),
            federation: federation(),
            revoked: revoked.clone(),
            system: clock.clone(),
            random,
            validity_seconds: 86_400,
        };
        let routes = Routes::new(enrolment.into_server()).into_axum_router();
        let api = port(
            tls.public_server().unwrap(),
            routes,
            Gate::Tokens,
            &clock,
            &shutdown,
        )
        .await;
        let (_, health) = tonic_health::server::health_reporter();
        let routes = Routes::new(health).into_axum_router();
        let gate = Gate::Peers(revoked.clone());
        let exchange = port(
            tls.mutual_server(revoked.clone()).unwrap(),
            routes,
            gate,
            &clock,
            &shutdown,
        )
        .await;
        Self {
            _data: data,
            ca,
            book,
            revoked,
            clock,
            api,
            exchange,
            shutdown,
        }
    }

    fn bundle(&self, region: &str) -> Bundle {
        let token = new_token(&OsRandom);
        let region = region.parse().unwrap();
        self.book
            .0
            .lock()
            .unwrap()
            .tokens
            .insert(token_hash(&token), (region, None));
        Bundle {
            federation: federation(),
            region,
            api_address: self.api.clone(),
            exchange_address: self.exchange.clone(),
            ca: self.ca.der().clone(),
            root_key_fingerprint: [3; 32],
            token,
            expires: Timestamp(self.clock.now().0 + DAY),
        }
    }

    async fn join(&self, bundle: &Bundle, data: &Path) -> Result<NodeFile, IdentityError> {
        join(bundle, data, Arc::new(TcpDialer), &OsRandom, &*self.clock).await
    }

    /// A region's connection to the mutual-TLS port.
    fn dial(&self, tls: &NodeTls) -> HealthClient<Channel> {
        let channel = channel(
            Arc::new(TcpDialer),
            &self.exchange,
            NodeId::Hub,
            tls.client().unwrap(),
        )
        .unwrap();
        HealthClient::new(channel)
    }
}

async fn port(
    tls: Arc<rustls::ServerConfig>,
    routes: axum::Router,
    gate: Gate,
    clock: &Arc<ManualClock>,
    shutdown: &Shutdown,
) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(serve(
        listener,
        tls,
        routes,
        gate,
        clock.clone(),
        shutdown.clone(),
    ));
    address
}

fn check() -> HealthCheckRequest {
    HealthCheckRequest {
        service: String::new(),
    }
}

/// Refused in the handshake, which shows late and in several forms; never by the service's own answer.
fn refused_in_handshake(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled)
}

/// The other side ends the stream. The time is generous and only spent when the test fails.
async fn assert_ends(stream: &mut Streaming<HealthCheckResponse>) {
    let next = timeout(Duration::from_secs(20), stream.message())
        .await
        .expect("the open stream must end");
    assert!(!matches!(next, Ok(Some(_))), "{next:?}");
}

#[tokio::test]
async fn a_region_joins_once_and_reaches_the_exchange() {
    let hub = Hub::start().await;
    let bundle = hub.bundle("090");
    let data = tempfile::tempdir().unwrap();
    let file = hub.join(&bundle, data.path()).await.unwrap();
    assert_eq!((file.node, file.test), ("090".parse().unwrap(), true));
    assert_eq!(NodeFile::read(data.path()).unwrap(), file);
    assert!(matches!(
        hub.join(&bundle, data.path()).await.unwrap_err(),
        IdentityError::Exists(_)
    ));

    let secrets = NodeSecrets::open(data.path()).unwrap();
    let tls = NodeTls::open(data.path(), &secrets).unwrap();
    assert_eq!(tls.hot.peer().unwrap().node, file.node);
    hub.dial(&tls).check(check()).await.unwrap();

    // The answer was lost: the same keys and the same token are answered again.
    std::fs::remove_file(NodeFile::path(data.path())).unwrap();
    assert_eq!(hub.join(&bundle, data.path()).await.unwrap(), file);
    // Other keys with the used token are not.
    let other = tempfile::tempdir().unwrap();
    let error = hub.join(&bundle, other.path()).await.unwrap_err().to_string();
    assert!(
        error.contains("token") && error.contains("another bundle"),
        "{error}"
    );
    assert!(!NodeFile::path(other.path()).exists());
    hub.shutdown.start();
}

#[tokio::test]
async fn wrong_tokens_and_bundles_are_refused() {
    let hub = Hub::start().await;
    let data = tempfile::tempdir().unwrap();
    let good = hub.bundle("090");
    let of_another_region = Bundle {
        region: "050".parse().unwrap(),
        ..good.clone()
    };
    let invented = Bundle {
        token: new_token(&OsRandom),
        ..good.clone()
    };
    for bundle in [&of_another_region, &invented] {
        let error = hub.join(bundle, data.path()).await.unwrap_err().to_string();
        assert!(error.contains("token is not one of this region"), "{error}");
    }
    let expired = Bundle {
        expires: hub.clock.now(),
        ..good.clone()
    };
    assert!(
        hub.join(&expired, data.path())
            .await
            .unwrap_err()
            .to_string()
            .contains("expired")
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Ca::create(elsewhere.path(), &federation(), hub.clock.now(), &OsRandom).unwrap();
    let misled = Bundle {
        ca: foreign.der().clone(),
        ..good.clone()
    };
    assert!(matches!(
        hub.join(&misled, data.path()).await.unwrap_err(),
        IdentityError::Hub { .. }
    ));
    assert!(hub.book.0.lock().unwrap().regions.is_empty());
    hub.join(&good, data.path()).await.unwrap();
    hub.shutdown.start();
}

#[tokio::test]
async fn an_expired_certificate_renews_and_only_with_the_right_key() {
    let hub = Hub::start().await;
    let data = tempfile::tempdir().unwrap();
    let file = hub.join(&hub.bundle("090"), data.path()).await.unwrap();
    let secrets = Arc::new(NodeSecrets::open(data.path()).unwrap());
    let request = secrets.certificate_request().unwrap();
    let long_ago = Timestamp(hub.clock.now().0 - 200 * DAY);
    let old = hub
        .ca
        .issue(&request, file.node, &[], long_ago, 86_400, &OsRandom)
        .unwrap();
    write_certificate(&data.path().join("tls/node.pem"), &old.der).unwrap();
    let tls = NodeTls::open(data.path(), &secrets).unwrap();
    let status = hub.dial(&tls).check(check()).await.unwrap_err();
    assert!(refused_in_handshake(&status), "{}", explain(&status));

    let renewal = |secrets: &Arc<NodeSecrets>, clock: Arc<dyn Clock>| SpokeRenewal {
        data: data.path().into(),
        file: file.clone(),
        secrets: secrets.clone(),
        tls: tls.clone(),
        dialer: Arc::new(TcpDialer),
        system: clock,
        random: Arc::new(OsRandom),
    };
    let other = tempfile::tempdir().unwrap();
    let strange = Arc::new(NodeSecrets::create(other.path(), &OsRandom).unwrap());
    let error = renewal(&strange, hub.clock.clone())
        .renew()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("proof"), "{error}");
    let late = Arc::new(ManualClock::new(Timestamp(
        hub.clock.now().0 - 6 * 60 * 1_000_000,
    )));
    let error = renewal(&secrets, late).renew().await.unwrap_err().to_string();
    assert!(error.contains("clock"), "{error}");

    let renewed = renewal(&secrets, hub.clock.clone()).renew().await.unwrap();
    assert_ne!(renewed.serial, old.serial);
    // The certificate in use was replaced without opening anything again.
    hub.dial(&tls).check(check()).await.unwrap();

    hub.revoked.revoke_node(file.node);
    let error = renewal(&secrets, hub.clock.clone())
        .renew()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("revoked"), "{error}");
    hub.shutdown.start();
}

#[tokio::test]
async fn revocation_refuses_handshakes_and_closes_streams() {
    let hub = Hub::start().await;
    let (data, neighbour) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = hub.join(&hub.bundle("090"), data.path()).await.unwrap();
    hub.join(&hub.bundle("050"), neighbour.path()).await.unwrap();
    let open = |data: &Path| NodeTls::open(data, &NodeSecrets::open(data).unwrap()).unwrap();
    let (tls, near) = (open(data.path()), open(neighbour.path()));
    let mut client = hub.dial(&tls);
    let mut stream = client.watch(check()).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let mut untouched = hub.dial(&near).watch(check()).await.unwrap().into_inner();
    untouched.message().await.unwrap().unwrap();

    hub.revoked.revoke_node(file.node);
    assert_ends(&mut stream).await;
    let status = hub.dial(&tls).check(check()).await.unwrap_err();
    assert!(refused_in_handshake(&status), "{}", explain(&status));
    hub.dial(&near).check(check()).await.unwrap();
    hub.revoked.revoke_serial(&near.hot.peer().unwrap().serial);
    assert_ends(&mut untouched).await;
    hub.shutdown.start();
}

#[tokio::test]
async fn a_certificate_that_expires_on_an_open_connection_ends_it() {
    let hub = Hub::start().await;
    let data = tempfile::tempdir().unwrap();
    hub.join(&hub.bundle("090"), data.path()).await.unwrap();
    let tls = NodeTls::open(data.path(), &NodeSecrets::open(data.path()).unwrap()).unwrap();
    let mut client = hub.dial(&tls);
    client.check(check()).await.unwrap();
    // The ports' clock says that it has expired; the machine's, at the handshake, that it has not.
    hub.clock.advance(2 * DAY);
    let status = client.check(check()).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::Unauthenticated),
        "{}",
        explain(&status)
    );
    hub.shutdown.start();
}

#[tokio::test]
async fn without_a_certificate_of_the_federation_nothing_is_reached() {
    let hub = Hub::start().await;
    let bare = client_config(hub.ca.der(), None).unwrap();
    let channel = channel(Arc::new(TcpDialer), &hub.exchange, NodeId::Hub, bare).unwrap();
    let status = HealthClient::new(channel).check(check()).await.unwrap_err();
    assert!(refused_in_handshake(&status), "{}", explain(&status));

    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Ca::create(elsewhere.path(), &federation(), hub.clock.now(), &OsRandom).unwrap();
    let secrets = NodeSecrets::create(elsewhere.path(), &OsRandom).unwrap();
    let request = secrets.certificate_request().unwrap();
    let region = "090".parse().unwrap();
    let issued = foreign
        .issue(&request, region, &[], hub.clock.now(), 86_400, &OsRandom)
        .unwrap();
    let hot = tls::Hot::new(issued.der, &secrets.tls_key().unwrap()).unwrap();
    let status = hub
        .dial(&NodeTls {
            hot,
            ca: hub.ca.der().clone(),
        })
        .check(check())
        .await
        .unwrap_err();
    assert!(refused_in_handshake(&status), "{}", explain(&status));
    hub.shutdown.start();
}
