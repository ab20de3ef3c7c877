//! The whole way into a federation, over real TLS, against a Hub of the shared parts alone: join, exchange
//! both ledgers, fetch a kit, announce it.

use crate::{
    catalogue,
    config::Config,
    federation::{self, FolderError, Spoke},
    serve::serve,
    testing::{actor, at, hub},
};
use raccordo_content::{PackStore, manifest_digest, publish_folder};
use raccordo_model::{
    edition::Versioned,
    kit::{Kit, KitDescriptor, KitPhase},
    node::{Federation, NodeId},
    scope::Scope,
    text::Text,
    timestamp::Timestamp,
};
use raccordo_node::{
    Node,
    clock::{Clock, SystemClock},
    content::{entitlement::LedgerEntitlements, server::ContentLane},
    identity::{
        bundle::{Bundle, new_token, token_hash},
        ca::Ca,
        enrolment::{Enrolled, Enrolment, Joining, RegionKeys, Registry},
        keys::NodeSecrets,
        revocation::Revoked,
        tls::{NodeTls, write_certificate},
    },
    journal::Draft,
    metrics::Metrics,
    random::OsRandom,
    serve::{Gate, serve as serve_port},
    session::{FRAME_BYTES_MAX, peers::Peers, server::Exchange},
    shutdown::Shutdown,
    status::Refusal,
};
use raccordo_proto::{
    body::Act, content::encode_manifest, wire::exchange_service_server::ExchangeServiceServer,
};
use raccordo_store::{cosignatures, keys::PublicKeys};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tonic::service::Routes;

const PATIENCE: Duration = Duration::from_secs(30);

/// Enrols whoever has the token.
struct Anyone {
    node: Arc<Node>,
    token_hash: [u8; 32],
}

impl Registry for Anyone {
    async fn enrol(&self, joining: Joining) -> Result<Enrolled, Refusal> {
        if joining.token_hash != self.token_hash {
            return Err(Refusal::unauthenticated("not the token", ""));
        }
        let identity = &self.node.identity;
        let origin = identity.federation.origin(NodeId::Region(joining.region));
        let keys = PublicKeys {
            node: NodeId::Region(joining.region),
            origin: origin.clone(),
            from_size: 0,
            ledger_key: joining.ledger_key,
            cosigner_key: joining.cosigner_key,
        };
        self.node.follow(&keys).await.map_err(|e| Refusal::internal(&e))?;
        Ok(Enrolled {
            origin,
            hub_origin: identity.origin.clone(),
            hub_ledger_key: identity.signer.verifying_key(),
            hub_cosigner_key: identity.cosigner.verifying_key(),
            test: true,
        })
    }

    async fn keys_of(&self, _: raccordo_model::node::RegionCode) -> Result<Option<RegionKeys>, Refusal> {
        Ok(None)
    }
}

struct Centre {
    node: Arc<Node>,
    packs: PackStore,
    bundle: Bundle,
    shutdown: Shutdown,
    _stop: watch::Sender<bool>,
}

async fn centre(folder: &Path) -> Centre {
    let federation: Federation = "prova".parse().unwrap();
    let node = Arc::new(hub(folder, at("2023-09-01T08:00:00Z")).await);
    let packs = PackStore::local(&folder.join("packs")).await.unwrap();
    let system: Arc<dyn Clock> = Arc::new(SystemClock);
    let ca = Arc::new(Ca::create(folder, &federation, system.now(), &OsRandom).unwrap());
    let secrets = NodeSecrets::create(folder, &OsRandom).unwrap();
    let request = secrets.certificate_request().unwrap();
    let issued = ca
        .issue(&request, NodeId::Hub, &[], system.now(), 3_600, &OsRandom)
        .unwrap();
    write_certificate(&folder.join("tls/node.pem"), &issued.der).unwrap();
    let tls = NodeTls::open(folder, &secrets).unwrap();
    let revoked = Arc::new(Revoked::default());
    let token = new_token(&OsRandom);
    let (api, exchange) = (bind().await, bind().await);
    let bundle = Bundle {
        federation: federation.clone(),
        region: "090".parse().unwrap(),
        api_address: api.local_addr().unwrap().to_string(),
        exchange_address: exchange.local_addr().unwrap().to_string(),
        ca: ca.der().clone(),
        root_key_fingerprint: [0; 32],
        token: token.clone(),
        expires: Timestamp(system.now().0 + 60_000_000),
    };
    let enrolment = Enrolment {
        registry: Anyone {
            node: node.clone(),
            token_hash: token_hash(&token),
        },
        ca,
        federation,
        revoked: revoked.clone(),
        system: system.clone(),
        random: Arc::new(OsRandom),
        validity_seconds: 3_600,
    };
    let (stop, stopped) = watch::channel(false);
    let session = Exchange {
        node: node.clone(),
        peers: Arc::new(Peers::default()),
        shutdown: stopped,
    };
    let session = ExchangeServiceServer::new(session).max_decoding_message_size(FRAME_BYTES_MAX);
    let entitlements = Arc::new(LedgerEntitlements { node: node.clone() });
    let lane = ContentLane::new(packs.clone(), entitlements, Metrics::new());
    let mut mutual = Routes::builder();
    mutual.add_service(session).add_service(lane.into_server());
    let mutual = mutual.routes().into_axum_router();
    let public = Routes::new(enrolment.into_server()).into_axum_router();
    let shutdown = Shutdown::new();
    let gate = Gate::Peers(revoked.clone());
    let server = tls.mutual_server(revoked).unwrap();
    tokio::spawn(serve_port(
        exchange,
        server,
        mutual,
        gate,
        system.clone(),
        shutdown.clone(),
    ));
    let server = tls.public_server().unwrap();
    tokio::spawn(serve_port(
        api,
        server,
        public,
        Gate::Tokens,
        system,
        shutdown.clone(),
    ));
    Centre {
        node,
        packs,
        bundle,
        shutdown,
        _stop: stop,
    }
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

impl Centre {
    async fn publish(&self, folder: &Path, kit: &Versioned) {
        let manifest = publish_folder(folder, &self.packs, &()).await.unwrap();
        let encoded = encode_manifest(&manifest);
        let digest = manifest_digest(&encoded);
        self.packs.put_manifest(&digest, &encoded).await.unwrap();
        let body = Act::KitPublished(Kit {
            descriptor: KitDescriptor {
                kit: kit.clone(),
                title: Text {
                    it: "FSE 2.0".into(),
                    en: String::new(),
                    de: String::new(),
                },
                syllabus: "SYL-GEN@1.0.0".parse().unwrap(),
            },
            manifest: digest,
            files: manifest.files().len() as u64,
            bytes: 10,
        });
        let mut draft = Draft::new(
            body,
            "kit/KIT-FSE-GEN".parse().unwrap(),
            Scope::Public,
            vec![actor()],
        );
        draft.content = vec![digest];
        let mut act = self.node.act().await.unwrap();
        act.append(draft).await.unwrap();
        act.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_region_joins_exchanges_and_serves_a_kit() {
    let folder = tempfile::tempdir().unwrap();
    let (files, data) = (folder.path().join("kit"), folder.path().join("spoke"));
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("lezione.html"), "Alimentare il FSE").unwrap();
    let hub_folder = folder.path().join("hub");
    std::fs::create_dir_all(&hub_folder).unwrap();
    let centre = centre(&hub_folder).await;
    let kit: Versioned = "KIT-FSE-GEN@1.0.0".parse().unwrap();
    centre.publish(&files, &kit).await;

    let carried = folder.path().join("090.bundle");
    centre.bundle.write(&carried).unwrap();
    let joined = federation::join(&carried, &data, &BTreeMap::new()).await.unwrap();
    assert_eq!((joined.node.to_string().as_str(), joined.test), ("090", true));
    let again = federation::join(&carried, &data, &BTreeMap::new()).await;
    assert!(matches!(again, Err(FolderError::Identity(_))));

    let spoke = Spoke::open(&data, Config::load(&data, &BTreeMap::new()).unwrap())
        .await
        .unwrap();
    let (node, content) = (spoke.node.clone(), spoke.content.clone());
    let mut grown = node.watch_growth();
    let shutdown = Shutdown::new();
    let running = tokio::spawn(serve(spoke, shutdown.clone(), |_| {}));
    let serving = async {
        loop {
            let mut tx = node.db.read().await.unwrap();
            let kits = catalogue::kits(&mut tx).await.unwrap();
            drop(tx);
            if kits.get(&kit).and_then(|k| k.phase()) == Some(KitPhase::Serving) {
                break;
            }
            grown.changed().await.unwrap();
        }
    };
    timeout(PATIENCE, serving).await.expect("the kit is served");
    let manifest = catalogue::kit(&mut node.db.read().await.unwrap(), &kit)
        .await
        .unwrap()
        .manifest;
    let installed = content.version_folder(&manifest).join("lezione.html");
    assert_eq!(std::fs::read_to_string(installed).unwrap(), "Alimentare il FSE");
    assert!(
        crate::content::verify(&node, &content, &kit)
            .await
            .unwrap()
            .rows
            .is_empty()
    );

    // What the Spoke appended is at the Hub, which confirms it.
    let mut told = centre.node.watch_applied();
    let size = node.act().await.unwrap().commit().await.unwrap().size;
    let arrived = async {
        while centre.node.entries(node.me(), 0, size).await.unwrap().len() < size as usize {
            told.changed().await.unwrap();
        }
    };
    timeout(PATIENCE, arrived)
        .await
        .expect("the Hub has the region's ledger");
    let mut tx = node.db.read().await.unwrap();
    assert!(
        cosignatures::last(&mut tx, NodeId::Hub, node.me())
            .await
            .unwrap()
            .is_some()
    );
    drop(tx);
    shutdown.start();
    running.await.unwrap().unwrap();
    centre.shutdown.start();
}
