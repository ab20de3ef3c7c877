//! A content lane over real TLS on loopback, and the regions that dial it. System tests use it too.

#![allow(dead_code, reason = "each test binary uses its part")]

use raccordo_content::{PackStore, manifest_digest, publish_folder};
use raccordo_model::{
    digest::ManifestDigest,
    manifest::Manifest,
    node::{Federation, NodeId},
};
use raccordo_node::{
    channel::{TcpDialer, channel},
    clock::{Clock, SystemClock},
    content::{entitlement::Entitlements, server::ContentLane},
    identity::{
        ca::Ca,
        keys::NodeSecrets,
        revocation::Revoked,
        tls::{Hot, NodeTls},
    },
    metrics::Metrics,
    random::OsRandom,
    serve::{Gate, serve},
    shutdown::Shutdown,
};
use raccordo_proto::content::encode_manifest;
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};
use tempfile::TempDir;
use tonic::{service::Routes, transport::Channel};

/// A Hub that serves content and nothing else; ends with the value.
pub(crate) struct LaneHub {
    folder: TempDir,
    ca: Ca,
    /// `host:port` of the mutual-TLS port.
    pub(crate) address: String,
    /// What it counts.
    pub(crate) metrics: Metrics,
    shutdown: Shutdown,
}

impl Drop for LaneHub {
    fn drop(&mut self) {
        self.shutdown.start();
    }
}

impl LaneHub {
    pub(crate) async fn start(packs: PackStore, entitlements: Arc<dyn Entitlements>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let federation: Federation = "fse-prova".parse().unwrap();
        let ca = Ca::create(folder.path(), &federation, SystemClock.now(), &OsRandom).unwrap();
        let (metrics, shutdown) = (Metrics::new(), Shutdown::new());
        let lane = ContentLane::new(packs, entitlements, metrics.clone());
        let routes = Routes::new(lane.into_server()).into_axum_router();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hub = Self {
            folder,
            ca,
            address,
            metrics,
            shutdown,
        };
        let revoked = Arc::new(Revoked::default());
        let tls = hub.tls(NodeId::Hub).mutual_server(revoked.clone()).unwrap();
        let (gate, clock) = (Gate::Peers(revoked), Arc::new(SystemClock));
        tokio::spawn(serve(listener, tls, routes, gate, clock, hub.shutdown.clone()));
        hub
    }

    /// A connection of a region, through `address`: the Hub's or a proxy's.
    pub(crate) fn channel(&self, region: &str, address: &str) -> Channel {
        let tls = self.tls(region.parse().unwrap()).client().unwrap();
        channel(Arc::new(TcpDialer), address, NodeId::Hub, tls).unwrap()
    }

    fn tls(&self, node: NodeId) -> NodeTls {
        let keys = tempfile::tempdir_in(self.folder.path()).unwrap();
        let secrets = NodeSecrets::create(keys.path(), &OsRandom).unwrap();
        let request = secrets.certificate_request().unwrap();
        let issued = self
            .ca
            .issue(&request, node, &[], SystemClock.now(), 86_400, &OsRandom)
            .unwrap();
        let hot = Hot::new(issued.der, &secrets.tls_key().unwrap()).unwrap();
        NodeTls {
            hot,
            ca: self.ca.der().clone(),
        }
    }
}

/// A tree of files by path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Publishes a tree.
pub(crate) async fn publish(packs: &PackStore, files: &Files) -> (ManifestDigest, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let manifest = publish_folder(folder.path(), packs, &()).await.unwrap();
    let encoded = encode_manifest(&manifest);
    let digest = manifest_digest(&encoded);
    packs.put_manifest(&digest, &encoded).await.unwrap();
    (digest, manifest)
}

/// Whether the folder holds exactly this tree.
pub(crate) fn assert_holds(folder: &Path, files: &Files) {
    for (path, bytes) in files {
        assert!(
            fs::read(folder.join(path)).unwrap() == *bytes,
            "{path} is not what was published"
        );
    }
    let mut found = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => found += 1,
            }
        }
    }
    assert_eq!(found, files.len());
}

/// Bytes that do not compress and are the same in every run (xorshift64*).
pub(crate) fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; count];
    for word in bytes.chunks_mut(8) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let next = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
        word.copy_from_slice(&next[..word.len()]);
    }
    bytes
}
