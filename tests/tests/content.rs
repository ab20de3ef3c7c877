//! What a cut costs: a kit of 256 MiB over a line that breaks, counted on the line.

#![allow(clippy::unwrap_used, reason = "in a test a failed `unwrap` is a failed test")]

#[path = "../../shared/node/tests/kit/lane.rs"]
mod lane;

use futures::future::BoxFuture;
use lane::{Files, LaneHub, assert_holds, noise, publish};
use raccordo_content::{Installation, PackStore, requests};
use raccordo_model::{digest::ManifestDigest, manifest::Manifest, node::NodeId};
use raccordo_node::{
    content::{
        Entitlement,
        entitlement::Entitlements,
        fetch::{FetchError, fetch},
    },
    status::Refusal,
};
use raccordo_tests::proxy::Proxy;
use std::{collections::BTreeMap, sync::Arc};

const MIB: u64 = 1 << 20;

/// Entitles everyone to one manifest.
struct Everyone(ManifestDigest);

impl Entitlements for Everyone {
    fn manifests_of<'a>(
        &'a self,
        _: NodeId,
        _: NodeId,
        _: u64,
    ) -> BoxFuture<'a, Result<Vec<ManifestDigest>, Refusal>> {
        Box::pin(async { Ok(vec![self.0]) })
    }
}

/// Bytes that come down beyond the kit's own: 2 % for frames and the manifest, and what a cut repeats.
const REPEATED_MAX: u64 = 16 * MIB;

/// A number of bytes in the middle of a request near half of the tree. A cut between two requests costs
/// nothing: the connection is made again, and the fetch may not even notice.
fn within_a_request(manifest: &Manifest) -> u64 {
    let chunks: Vec<_> = manifest.chunks().iter().map(|c| (c.digest, c.length)).collect();
    let lengths: BTreeMap<_, _> = chunks.iter().copied().collect();
    let requests = requests(&chunks);
    let bytes = |digests: &[_]| {
        digests
            .iter()
            .map(|digest| u64::from(lengths[digest]))
            .sum::<u64>()
    };
    let middle = requests.len() / 2;
    requests[..middle].iter().map(|r| bytes(r)).sum::<u64>() + bytes(&requests[middle]) / 2
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_repeats_at_most_16_mebibytes_of_256() {
    let folder = tempfile::tempdir().unwrap();
    let packs = PackStore::local(&folder.path().join("content")).await.unwrap();
    // One file of half the kit, and many smaller ones.
    let mut kit = Files::from([("video.mp4".to_owned(), noise(0, 128 << 20))]);
    kit.extend((1..=32).map(|n| (format!("lessons/{n}.bin"), noise(n, 4 << 20))));
    let size: u64 = kit.values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(size, 256 * MIB);
    let (digest, manifest) = publish(&packs, &kit).await;
    assert_eq!(manifest.total_bytes(), size);
    let hub = LaneHub::start(packs, Arc::new(Everyone(digest))).await;
    let proxy = Proxy::start(&hub.address).await.unwrap();
    let installation = Installation::open(&folder.path().join("region")).unwrap();
    let entitlement = Entitlement {
        node: NodeId::Hub,
        index: 0,
    };
    let channel = hub.channel("090", &proxy.address);

    proxy.cut_when_down_reaches(within_a_request(&manifest));
    let cut = fetch(channel.clone(), entitlement, digest, &installation, &()).await;
    assert!(matches!(cut, Err(FetchError::Retry(_))), "{cut:?}");
    let before = proxy.down();
    // The connection is made again by itself; what was verified is not asked for again.
    let fetched = fetch(channel, entitlement, digest, &installation, &())
        .await
        .unwrap();
    assert_holds(&fetched.installed, &kit);
    let down = proxy.down();
    println!(
        "{before} bytes before the cut, {down} in all, {} after it verified",
        fetched.fetched_bytes
    );
    assert!(
        before < size * 6 / 10 && fetched.fetched_bytes < size,
        "it was not cut in the middle"
    );
    assert!(
        down <= size / 100 * 102 + REPEATED_MAX,
        "{down} bytes came down for a kit of {size}"
    );
}
