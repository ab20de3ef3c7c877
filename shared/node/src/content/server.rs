//! The Hub's end of the content lane.
//!
//! A request is served when the peer's certificate may read the entry, the entry names the manifest, and
//! the manifest holds every chunk. Memory is bounded by the streams of a peer: one chunk and three pieces
//! each.

use super::{Entitlement, MESSAGE_BYTES_MAX, PIECE_BYTES_MAX, entitlement::Entitlements};
use crate::{identity::peer::Peer, metrics::Metrics, status::Refusal};
use bytes::Bytes;
use futures::Stream;
use raccordo_content::{PackStore, plan::REQUEST_CHUNKS_MAX};
use raccordo_model::{
    digest::{ChunkDigest, ManifestDigest},
    node::NodeId,
};
use raccordo_proto::{
    content::decode_manifest,
    wire::{
        FetchRequest, FetchResponse, UploadRequest, UploadResponse,
        content_service_server::{ContentService, ContentServiceServer},
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

/// Most fetches of one peer at a time.
pub const PEER_FETCHES_MAX: usize = 8;
/// Most chunk digests of recently used manifests that are kept in memory, 32 bytes each.
pub const CACHED_DIGESTS_MAX: usize = 1_000_000;

/// Pieces that wait for the network, per stream.
const WAITING_PIECES_MAX: usize = 2;

/// Serves content to the nodes that entries entitle to it.
pub struct ContentLane {
    packs: PackStore,
    entitlements: Arc<dyn Entitlements>,
    metrics: Metrics,
    recent: Mutex<Recent>,
    fetches: Mutex<BTreeMap<NodeId, Arc<Semaphore>>>,
}

type Pieces = Pin<Box<dyn Stream<Item = Result<FetchResponse, Status>> + Send>>;

impl ContentLane {
    /// A lane that serves `packs` to whom `entitlements` admit, and counts in `metrics`.
    pub fn new(packs: PackStore, entitlements: Arc<dyn Entitlements>, metrics: Metrics) -> Self {
        Self {
            packs,
            entitlements,
            metrics,
            recent: Mutex::default(),
            fetches: Mutex::default(),
        }
    }

    /// As a service for the mutual-TLS port.
    pub fn into_server(self) -> ContentServiceServer<Self> {
        ContentServiceServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    async fn begin(&self, peer: NodeId, request: FetchRequest) -> Result<Pieces, Refusal> {
        let place = self.place(peer)?;
        let entitlement = Entitlement::from_wire(request.entitlement)?;
        let manifest =
            ManifestDigest::from_slice(&request.manifest).ok_or_else(|| not_digests("manifest"))?;
        if request.chunks.len() > REQUEST_CHUNKS_MAX {
            return Err(Refusal::too_large(
                format_args!("{} chunks were asked for at once", request.chunks.len()),
                format_args!("ask for at most {REQUEST_CHUNKS_MAX} per request"),
            ));
        }
        let chunks = request.chunks.iter().map(|bytes| ChunkDigest::from_slice(bytes));
        let chunks = chunks
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| not_digests("chunks"))?;
        let (node, index) = (entitlement.node, entitlement.index);
        let entitled = self.entitlements.manifests_of(peer, node, index).await?;
        if !entitled.contains(&manifest) {
            return Err(Refusal::forbidden(
                format_args!("the entry {entitlement} does not name the manifest {manifest}"),
                "name the entry that published this content",
            ));
        }
        let (to, pieces) = mpsc::channel(WAITING_PIECES_MAX);
        let outgoing = Outgoing {
            to,
            metrics: self.metrics.clone(),
            _place: place,
        };
        let span = tracing::debug_span!("content.fetch", %peer, %entitlement, chunks = chunks.len());
        // Both tasks end when the reader goes away: nobody takes the next piece.
        if chunks.is_empty() {
            let encoded = self.manifest(&manifest).await?;
            let send = async move { outgoing.manifest(manifest, encoded).await };
            tokio::spawn(send.instrument(span));
        } else {
            let members = self.members(manifest).await?;
            if let Some(stranger) = chunks.iter().find(|chunk| members.binary_search(chunk).is_err()) {
                return Err(Refusal::forbidden(
                    format_args!("the chunk {stranger} is not of the manifest {manifest}"),
                    "ask only for chunks that the manifest lists",
                ));
            }
            let packs = self.packs.clone();
            let send = async move { outgoing.chunks(&packs, &chunks).await };
            tokio::spawn(send.instrument(span));
        }
        Ok(Box::pin(ReceiverStream::new(pieces)))
    }

    fn place(&self, peer: NodeId) -> Result<OwnedSemaphorePermit, Refusal> {
        // At most one semaphore per node of the federation: certificates name no others.
        let mut fetches = self.fetches.lock().unwrap_or_else(PoisonError::into_inner);
        let places = fetches
            .entry(peer)
            .or_insert_with(|| Arc::new(Semaphore::new(PEER_FETCHES_MAX)));
        places.clone().try_acquire_owned().map_err(|_| {
            Refusal::unavailable(
                format_args!("{peer} already has {PEER_FETCHES_MAX} fetches on the way"),
                "wait until one of them ends",
            )
        })
    }

    async fn manifest(&self, digest: &ManifestDigest) -> Result<Bytes, Refusal> {
        let found = self.packs.get_manifest(digest).await;
        found.map_err(|e| Refusal::internal(&e))?.ok_or_else(|| {
            Refusal::unavailable(
                format_args!("the manifest {digest} is published, and its bytes are not in this store"),
                "the Hub's operator restores `content` from a backup or publishes the folder again",
            )
        })
    }

    /// The chunks of a manifest, sorted.
    async fn members(&self, manifest: ManifestDigest) -> Result<Arc<[ChunkDigest]>, Refusal> {
        if let Some(members) = self.recent().find(&manifest) {
            return Ok(members);
        }
        let encoded = self.manifest(&manifest).await?;
        // Up to 16 MiB: too long for a thread of the runtime.
        let decoding = tokio::task::spawn_blocking(move || {
            let decoded = decode_manifest(&encoded)?;
            let mut members: Vec<_> = decoded.chunks().iter().map(|chunk| chunk.digest).collect();
            members.sort_unstable();
            Ok::<Arc<[_]>, raccordo_proto::DecodeError>(members.into())
        });
        let members = decoding.await.map_err(|e| Refusal::internal(&e))?;
        // Our own store holds it: that it cannot be read is nothing that the caller could correct.
        let members = members.map_err(|e| Refusal::internal(&e))?;
        self.recent().add(manifest, members.clone());
        Ok(members)
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_digests(field: &str) -> Refusal {
    Refusal::invalid(
        format_args!("FetchRequest.{field}: not BLAKE3 digests of 32 bytes"),
        "send the digests as the manifest and the entry give them",
    )
}

#[tonic::async_trait]
impl ContentService for ContentLane {
    type FetchStream = Pieces;

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Pieces>, Status> {
        let peer = peer_of(&request)?;
        let pieces = self.begin(peer, request.into_inner()).await?;
        Ok(Response::new(pieces))
    }

    async fn upload(
        &self,
        request: Request<Streaming<UploadRequest>>,
    ) -> Result<Response<UploadResponse>, Status> {
        peer_of(&request)?;
        Err(Refusal::precondition(
            "the Hub has not asked for this content",
            "send content only after a WantContent frame that names it",
        )
        .into())
    }
}

fn peer_of<T>(request: &Request<T>) -> Result<NodeId, Refusal> {
    request
        .extensions()
        .get::<Peer>()
        .map(|peer| peer.node)
        .ok_or_else(|| {
            Refusal::unauthenticated(
                "the call needs a certificate of the federation",
                "run `join` first",
            )
        })
}

/// One answer on its way.
struct Outgoing {
    to: mpsc::Sender<Result<FetchResponse, Status>>,
    metrics: Metrics,
    _place: OwnedSemaphorePermit,
}

/// The reader went away.
struct Gone;

impl Outgoing {
    async fn manifest(self, digest: ManifestDigest, encoded: Bytes) {
        let length = encoded.len() as u32;
        let _ = self.pieces(digest.as_bytes(), encoded, false, length).await;
    }

    async fn chunks(self, packs: &PackStore, digests: &[ChunkDigest]) {
        for digest in digests {
            let refusal = match packs.get(digest).await {
                Ok(Some(chunk)) => {
                    let sent = self
                        .pieces(digest.as_bytes(), chunk.data, chunk.packed, chunk.length)
                        .await;
                    if sent.is_err() {
                        return;
                    }
                    self.metrics.chunks_served.inc();
                    continue;
                }
                Ok(None) => {
                    tracing::error!(%digest, "a published chunk is not in the store: restore `content` from a backup");
                    Refusal::unavailable(
                        format_args!("the chunk {digest} is published, and its bytes are not in this store"),
                        "the Hub's operator restores `content` from a backup or publishes the folder again",
                    )
                }
                Err(error) => Refusal::internal(&error),
            };
            let _ = self.to.send(Err(refusal.into())).await;
            return;
        }
    }

    async fn pieces(&self, digest: &[u8], mut data: Bytes, packed: bool, length: u32) -> Result<(), Gone> {
        loop {
            let piece = data.split_to(data.len().min(PIECE_BYTES_MAX));
            let (bytes, last) = (piece.len() as u64, data.is_empty());
            let response = FetchResponse {
                digest: digest.to_vec(),
                data: piece,
                packed,
                length,
                last,
            };
            self.to.send(Ok(response)).await.map_err(|_| Gone)?;
            self.metrics.content_bytes_served.inc_by(bytes);
            if last {
                return Ok(());
            }
        }
    }
}

/// The chunks of the manifests used last, the last one at the end.
#[derive(Default)]
struct Recent {
    manifests: VecDeque<(ManifestDigest, Arc<[ChunkDigest]>)>,
    digests: usize,
}

impl Recent {
    fn find(&mut self, manifest: &ManifestDigest) -> Option<Arc<[ChunkDigest]>> {
        let position = self.manifests.iter().position(|(known, _)| known == manifest)?;
        let found = self.manifests.remove(position)?;
        let members = found.1.clone();
        self.manifests.push_back(found);
        Some(members)
    }

    fn add(&mut self, manifest: ManifestDigest, members: Arc<[ChunkDigest]>) {
        if self.find(&manifest).is_some() {
            return;
        }
        self.digests += members.len();
        self.manifests.push_back((manifest, members));
        while self.digests > CACHED_DIGESTS_MAX {
            match self.manifests.pop_front() {
                Some((_, members)) => self.digests -= members.len(),
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_used_last_are_kept_within_the_bound() {
        let mut recent = Recent::default();
        let members: Arc<[ChunkDigest]> = vec![ChunkDigest([0; 32]); CACHED_DIGESTS_MAX / 3].into();
        let names: Vec<_> = (0..5).map(|n| ManifestDigest([n; 32])).collect();
        for name in &names[..3] {
            recent.add(*name, members.clone());
            recent.add(*name, members.clone());
        }
        assert!(recent.find(&names[0]).is_some());
        recent.add(names[3], members.clone());
        assert!(recent.digests <= CACHED_DIGESTS_MAX);
        let kept: Vec<_> = names.iter().map(|name| recent.find(name).is_some()).collect();
        assert_eq!(kept, [true, false, true, true, false]);
    }
}
