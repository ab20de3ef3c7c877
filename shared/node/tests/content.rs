//! The content lane over real TLS: who gets what, and that what was cut goes on.

#![allow(clippy::unwrap_used, reason = "in a test a failed `unwrap` is a failed test")]

mod kit;
#[path = "kit/lane.rs"]
mod lane;

use kit::{append, node, note, region};
use lane::{Files, LaneHub, assert_holds, noise, publish};
use raccordo_content::{Installation, PackStore};
use raccordo_model::{
    digest::ManifestDigest,
    edition::Versioned,
    kit::{Kit, KitDescriptor},
    manifest::Manifest,
    node::NodeId,
    scope::Scope,
    text::Text,
};
use raccordo_node::{
    Node,
    content::{
        Entitlement,
        entitlement::LedgerEntitlements,
        fetch::{FetchError, FetchProgress, Fetched, fetch},
        server::PEER_FETCHES_MAX,
    },
    journal::{Draft, Payload},
};
use raccordo_proto::{
    body::Act,
    wire::{self, FetchRequest, content_service_client::ContentServiceClient},
};
use std::{fs, sync::Arc};
use tempfile::TempDir;
use tokio::sync::watch;
use tonic::{Code, transport::Channel};

const MIB: usize = 1 << 20;

/// A Hub with a ledger, a store and the lane.
struct World {
    folder: TempDir,
    packs: PackStore,
    node: Arc<Node>,
    hub: LaneHub,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let packs = PackStore::local(&folder.path().join("content")).await.unwrap();
        let node = node(folder.path(), NodeId::Hub).await;
        let entitlements = Arc::new(LedgerEntitlements { node: node.clone() });
        let hub = LaneHub::start(packs.clone(), entitlements).await;
        Self {
            folder,
            packs,
            node,
            hub,
        }
    }

    /// Publishes for everyone: the manifest is in the header. The entry's index is `index`.
    async fn public(&self, files: &Files) -> (ManifestDigest, Manifest) {
        let (digest, manifest) = publish(&self.packs, files).await;
        append(
            &self.node,
            vec![Draft {
                content: vec![digest],
                ..note("kit/x", 9, Scope::Public)
            }],
            1,
        )
        .await;
        (digest, manifest)
    }

    fn channel(&self, region: &str) -> Channel {
        self.hub.channel(region, &self.hub.address)
    }

    fn installation(&self, region: &str) -> Installation {
        Installation::open(&self.folder.path().join(region)).unwrap()
    }

    async fn fetch(&self, region: &str, index: u64, digest: ManifestDigest) -> Result<Fetched, FetchError> {
        let installation = self.installation(region);
        fetch(self.channel(region), by_hub(index), digest, &installation, &()).await
    }
}

fn by_hub(index: u64) -> Entitlement {
    Entitlement {
        node: NodeId::Hub,
        index,
    }
}

fn files(trees: &[(&str, u64, usize)]) -> Files {
    trees
        .iter()
        .map(|(path, seed, count)| ((*path).to_owned(), noise(*seed, *count)))
        .collect()
}

fn refused(outcome: Result<Fetched, FetchError>, word: &str) {
    match outcome {
        Err(FetchError::Refused(text)) if text.contains(word) => {}
        other => panic!("not refused for `{word}`: {other:?}"),
    }
}

#[tokio::test]
async fn a_kit_arrives_whole_and_the_next_version_takes_what_is_there() {
    let world = World::new().await;
    let old = files(&[("a/video.mp4", 1, 5 * MIB), ("b.html", 2, 9_000), ("empty", 0, 0)]);
    let (digest, _) = world.public(&old).await;
    let first = world.fetch("090", 0, digest).await.unwrap();
    assert_holds(&first.installed, &old);
    assert_eq!(
        (first.fetched_bytes, first.reused_bytes),
        (5 * MIB as u64 + 9_000, 0)
    );
    assert!(
        first.wire_bytes >= first.fetched_bytes,
        "noise does not shrink: {first:?}"
    );
    assert!(world.hub.metrics.content_bytes_served.get() >= first.wire_bytes);
    let again = world.fetch("090", 0, digest).await.unwrap();
    assert_eq!((again.fetched_bytes, again.installed), (0, first.installed));

    let mut new = old.clone();
    new.insert("b.html".into(), noise(3, 9_100));
    let (digest, _) = world.public(&new).await;
    let second = world.fetch("090", 1, digest).await.unwrap();
    assert_holds(&second.installed, &new);
    assert_eq!(
        (second.fetched_bytes, second.reused_bytes),
        (9_100, 5 * MIB as u64)
    );
}

#[tokio::test]
async fn only_who_may_read_the_entry_fetches_what_it_names() {
    let world = World::new().await;
    let (digest, manifest) = publish(&world.packs, &files(&[("a", 1, 70_000)])).await;
    let version: Versioned = "KIT-X@1.0.0".parse().unwrap();
    let title = Text {
        it: "Corso".into(),
        en: String::new(),
        de: String::new(),
    };
    let kit = Kit {
        descriptor: KitDescriptor {
            kit: version.clone(),
            title,
            syllabus: version,
        },
        manifest: digest,
        files: 1,
        bytes: manifest.total_bytes(),
    };
    let payload = Payload::Act(Act::KitPublished(kit));
    let scope = Scope::region("090".parse().unwrap());
    let private = Draft {
        payload,
        ..note("kit/x", 0, scope)
    };
    append(&world.node, vec![private], 1).await;
    let (other, _) = world.public(&files(&[("b", 2, 70_000)])).await;

    refused(world.fetch("050", 0, digest).await, "not for 050");
    // A public entry of the Hub does not entitle to what another names.
    refused(world.fetch("050", 1, digest).await, "does not name");
    refused(world.fetch("050", 7, digest).await, "not here");
    let foreign = Entitlement {
        node: region("090"),
        index: 0,
    };
    let installation = world.installation("050");
    refused(
        fetch(world.channel("050"), foreign, digest, &installation, &()).await,
        "not for 050",
    );
    assert_eq!(installation.open_versions().unwrap(), []);

    world.fetch("090", 0, digest).await.unwrap();
    world.fetch("050", 1, other).await.unwrap();
}

#[tokio::test]
async fn requests_out_of_bounds_are_refused() {
    let world = World::new().await;
    let (digest, manifest) = world.public(&files(&[("a", 1, 70_000)])).await;
    let (_, other) = world.public(&files(&[("b", 2, 70_000)])).await;
    let client = ContentServiceClient::new(world.channel("090"));
    let good = FetchRequest {
        entitlement: Some(by_hub(0).to_wire()),
        manifest: digest.as_bytes().to_vec(),
        chunks: vec![manifest.chunks()[0].digest.as_bytes().to_vec()],
    };
    let code = async |request: FetchRequest| match client.clone().fetch(request).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    };
    assert_eq!(code(good.clone()).await, Code::Ok);
    let stranger = vec![
        good.chunks[0].clone(),
        other.chunks()[0].digest.as_bytes().to_vec(),
    ];
    assert_eq!(
        code(FetchRequest {
            chunks: stranger,
            ..good.clone()
        })
        .await,
        Code::PermissionDenied
    );
    let many = vec![good.chunks[0].clone(); 513];
    assert_eq!(
        code(FetchRequest {
            chunks: many,
            ..good.clone()
        })
        .await,
        Code::ResourceExhausted
    );
    let short = vec![vec![0; 31]];
    assert_eq!(
        code(FetchRequest {
            chunks: short,
            ..good.clone()
        })
        .await,
        Code::InvalidArgument
    );
    assert_eq!(
        code(FetchRequest {
            manifest: vec![],
            ..good.clone()
        })
        .await,
        Code::InvalidArgument
    );
    assert_eq!(
        code(FetchRequest {
            entitlement: None,
            ..good.clone()
        })
        .await,
        Code::InvalidArgument
    );
    for (node, index) in [("hub", u64::MAX), ("hub", i64::MAX as u64), ("rome", 0)] {
        let entitlement = Some(wire::Entitlement {
            node: node.into(),
            index,
        });
        assert_eq!(
            code(FetchRequest {
                entitlement,
                ..good.clone()
            })
            .await,
            Code::InvalidArgument
        );
    }
    let upload = tokio_stream::iter([wire::UploadRequest::default()]);
    let status = client.clone().upload(upload).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_peer_holds_a_bounded_number_of_fetches() {
    let world = World::new().await;
    // More than HTTP/2 and the lane hold back for a reader that does not read.
    let (digest, manifest) = world.public(&files(&[("a", 1, 12 * MIB)])).await;
    let request = FetchRequest {
        entitlement: Some(by_hub(0).to_wire()),
        manifest: digest.as_bytes().to_vec(),
        chunks: manifest
            .chunks()
            .iter()
            .map(|chunk| chunk.digest.as_bytes().to_vec())
            .collect(),
    };
    let mut client = ContentServiceClient::new(world.channel("090"));
    let mut open = Vec::new();
    for _ in 0..PEER_FETCHES_MAX {
        open.push(client.fetch(request.clone()).await.unwrap());
    }
    let status = client.fetch(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    // Another region is not concerned.
    let mut other = ContentServiceClient::new(world.channel("050"));
    other.fetch(request).await.unwrap();
}

/// Tells how far a fetch is.
struct Told(watch::Sender<u64>);

impl FetchProgress for Told {
    fn advanced(&self, fetched: u64) {
        self.0.send_replace(fetched);
    }
}

#[tokio::test]
async fn a_fetch_dropped_anywhere_goes_on() {
    let world = World::new().await;
    let tree = files(&[("a", 1, 10 * MIB), ("b/c", 2, 11 * MIB), ("d", 3, 100)]);
    let (digest, _) = world.public(&tree).await;
    let total: u64 = tree.values().map(|bytes| bytes.len() as u64).sum();
    let mut resumed = 0;
    for at in [1, 3 * MIB as u64, 6 * MIB as u64] {
        let (told, mut heard) = watch::channel(0);
        let (installation, told) = (world.installation("090"), Told(told));
        let fetching = fetch(world.channel("090"), by_hub(0), digest, &installation, &told);
        tokio::select! {
            biased;
            _ = heard.wait_for(|fetched| *fetched >= at) => resumed += 1,
            done = fetching => panic!("it must not end at {at}: {done:?}"),
        }
    }
    assert_eq!(resumed, 3);
    let last = world.fetch("090", 0, digest).await.unwrap();
    assert_holds(&last.installed, &tree);
    // At least what the attempts verified, less what none had synced.
    assert!(last.fetched_bytes <= total - 9 * MIB as u64, "{last:?}");
}

#[tokio::test]
async fn two_fetches_of_one_version_do_not_write_at_once() {
    let world = World::new().await;
    let tree = files(&[("a", 1, 6 * MIB), ("b", 2, 6 * MIB)]);
    let (digest, _) = world.public(&tree).await;
    let (one, two) = tokio::join!(world.fetch("090", 0, digest), world.fetch("090", 0, digest));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.fetched_bytes + two.fetched_bytes, 12 * MIB as u64);
    assert_holds(&one.installed, &tree);
}

#[tokio::test]
async fn damage_in_the_store_is_named_and_never_installed() {
    let world = World::new().await;
    let (digest, _) = world.public(&files(&[("a", 1, 700_000)])).await;
    let packs = world.folder.path().join("content/packs");
    let pack = fs::read_dir(packs).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[350_000] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let outcome = world.fetch("090", 0, digest).await;
    assert!(matches!(outcome, Err(FetchError::Corrupt(_))), "{outcome:?}");
    assert_eq!(world.installation("090").open_versions().unwrap(), []);
}
