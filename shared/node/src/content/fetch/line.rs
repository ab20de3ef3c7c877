//! The way of chunks from the Hub to the disk: requests, answers, and the one task that writes.

use super::{FetchError, FetchProgress, Fetched, blocking};
use crate::{
    channel::explain,
    content::{Entitlement, MESSAGE_BYTES_MAX},
    status::remedy_of,
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use raccordo_content::{InstallError, Installation, Installer, manifest_digest, unpack};
use raccordo_model::{
    digest::{ChunkDigest, ManifestDigest},
    manifest::{CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX, Manifest},
};
use raccordo_proto::{
    content::decode_manifest,
    wire::{FetchRequest, FetchResponse, content_service_client::ContentServiceClient},
};
use std::sync::Arc;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::spawn_blocking,
};
use tonic::{Code, Status, transport::Channel};

/// Requests on their way at a time: while one ends the other keeps the line busy.
pub const REQUESTS_MAX: usize = 2;
/// Bytes that wait for the disk. With what the requests and HTTP/2 hold, a fetch stays below 16 MiB.
pub const WAITING_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Chunks that wait for the disk.
const WAITING_CHUNKS_MAX: usize = 64;

type Client = ContentServiceClient<Channel>;

/// A chunk on its way to the disk.
struct Arrived {
    digest: ChunkDigest,
    data: Bytes,
    packed: bool,
    length: u32,
    _room: OwnedSemaphorePermit,
}

/// Verified so far, in bytes: unpacked, and as they came.
#[derive(Debug, Clone, Copy, Default)]
struct Verified {
    unpacked: u64,
    wire: u64,
}

/// Writes chunks until there are no more or one is refused; what was verified is durable afterwards.
fn write(
    installer: &mut Installer,
    mut chunks: mpsc::Receiver<Arrived>,
    verified: &watch::Sender<Verified>,
) -> Result<(), FetchError> {
    let mut accept = || {
        while let Some(chunk) = chunks.blocking_recv() {
            let corrupt = |what: &dyn std::fmt::Display| FetchError::Corrupt(what.to_string());
            let unpacked = unpack(&chunk.data, chunk.packed, chunk.length).map_err(|e| corrupt(&e))?;
            match installer.accept(chunk.digest, &unpacked) {
                Ok(()) => verified.send_modify(|all| {
                    all.unpacked += unpacked.len() as u64;
                    all.wire += chunk.data.len() as u64;
                }),
                Err(error @ InstallError::Corrupt(_)) => return Err(corrupt(&error)),
                Err(error) => return Err(FetchError::Disk(error)),
            }
        }
        Ok(())
    };
    let accepted = accept();
    let synced = installer.sync().map_err(FetchError::Disk);
    accepted.and(synced)
}

/// The way to the Hub for one tree.
#[derive(Clone)]
pub(super) struct Line {
    client: Client,
    entitlement: Entitlement,
    manifest: ManifestDigest,
}

impl Line {
    pub(super) fn new(channel: Channel, entitlement: Entitlement, manifest: ManifestDigest) -> Self {
        let client = Client::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self {
            client,
            entitlement,
            manifest,
        }
    }

    /// The manifest, from this machine or from the Hub.
    pub(super) async fn tree(&self, installation: &Installation) -> Result<Manifest, FetchError> {
        let (here, digest) = (installation.clone(), self.manifest);
        let stored = blocking(move || match here.manifest(&digest) {
            Ok(encoded) => Ok(encoded.and_then(|encoded| decode_manifest(&encoded).ok())),
            // Fetched again and replaced.
            Err(InstallError::Damaged { .. }) => Ok(None),
            Err(error) => Err(FetchError::Disk(error)),
        });
        if let Some(tree) = stored.await?? {
            return Ok(tree);
        }
        let mut answer = self.ask(&[]).await?;
        let arrived = next(&mut answer, digest.as_bytes(), MANIFEST_BYTES_MAX).await?;
        if arrived.packed || manifest_digest(&arrived.data) != digest {
            return Err(FetchError::Corrupt(format!(
                "not the bytes of the manifest {digest}"
            )));
        }
        let here = installation.clone();
        blocking(move || {
            let tree = decode_manifest(&arrived.data).map_err(|e| FetchError::Corrupt(e.to_string()))?;
            here.put_manifest(&digest, &arrived.data)
                .map_err(FetchError::Disk)?;
            Ok(tree)
        })
        .await?
    }

    /// Fetches `requests` into the installer and gives it back.
    pub(super) async fn chunks(
        &self,
        mut installer: Installer,
        requests: &[Vec<ChunkDigest>],
        fetched: &mut Fetched,
        progress: &dyn FetchProgress,
    ) -> Result<Installer, FetchError> {
        let (to, chunks) = mpsc::channel(WAITING_CHUNKS_MAX);
        let (verified, mut sums) = watch::channel(Verified::default());
        // Not ended when this is dropped: it writes what is in the queue, syncs and ends.
        let writer = spawn_blocking(move || {
            let written = write(&mut installer, chunks, &verified);
            (installer, written)
        });
        let room = Arc::new(Semaphore::new(WAITING_BYTES_MAX));
        let before = fetched.fetched_bytes;
        let asked = {
            let one =
                |request: &Vec<ChunkDigest>| self.clone().request(request.clone(), to.clone(), room.clone());
            let mut running = stream::iter(requests.iter().map(one)).buffer_unordered(REQUESTS_MAX);
            loop {
                tokio::select! {
                    ended = running.next() => match ended {
                        None => break Ok(()),
                        Some(Ok(())) => {}
                        Some(Err(error)) => break Err(error),
                    },
                    Ok(()) = sums.changed() => {
                        let sum = sums.borrow_and_update().unpacked;
                        progress.advanced(before + sum);
                    }
                }
            }
        };
        drop(to);
        let (installer, written) = writer.await.map_err(|e| FetchError::Retry(e.to_string()))?;
        let sum = *sums.borrow();
        fetched.fetched_bytes += sum.unpacked;
        fetched.wire_bytes += sum.wire;
        progress.advanced(fetched.fetched_bytes);
        // The writer first: when it stops, the requests only end.
        written.and(asked).map(|()| installer)
    }

    async fn request(
        self,
        digests: Vec<ChunkDigest>,
        to: mpsc::Sender<Arrived>,
        room: Arc<Semaphore>,
    ) -> Result<(), FetchError> {
        let mut answer = self.ask(&digests).await?;
        for digest in digests {
            let piece = next(&mut answer, digest.as_bytes(), CHUNK_BYTES_MAX as usize).await?;
            let size = piece.data.len().min(WAITING_BYTES_MAX) as u32;
            let Ok(room) = room.clone().acquire_many_owned(size).await else {
                return Ok(());
            };
            let (data, packed, length) = (piece.data, piece.packed, piece.length);
            let chunk = Arrived {
                digest,
                data,
                packed,
                length,
                _room: room,
            };
            if to.send(chunk).await.is_err() {
                // The writer stopped and says why.
                return Ok(());
            }
        }
        Ok(())
    }

    async fn ask(&self, chunks: &[ChunkDigest]) -> Result<tonic::Streaming<FetchResponse>, FetchError> {
        let request = FetchRequest {
            entitlement: Some(self.entitlement.to_wire()),
            manifest: self.manifest.as_bytes().to_vec(),
            chunks: chunks.iter().map(|digest| digest.as_bytes().to_vec()).collect(),
        };
        let mut client = self.client.clone();
        client
            .fetch(request)
            .await
            .map(tonic::Response::into_inner)
            .map_err(|status| failed(&status))
    }
}

/// The next chunk or manifest of an answer, put together; it must be the one named `digest`.
async fn next(
    answer: &mut tonic::Streaming<FetchResponse>,
    digest: &[u8],
    bytes_max: usize,
) -> Result<FetchResponse, FetchError> {
    let corrupt = |what: &str| FetchError::Corrupt(format!("{what} for {}", hex::encode(digest)));
    let mut piece = take(answer, digest).await?;
    if piece.last && piece.data.len() <= bytes_max {
        return Ok(piece);
    }
    let mut data = Vec::new();
    loop {
        if piece.data.is_empty() || data.len() + piece.data.len() > bytes_max {
            return Err(corrupt("empty or too many pieces were sent"));
        }
        data.extend_from_slice(&piece.data);
        if piece.last {
            return Ok(FetchResponse {
                data: data.into(),
                ..piece
            });
        }
        piece = take(answer, digest).await?;
    }
}

async fn take(
    answer: &mut tonic::Streaming<FetchResponse>,
    digest: &[u8],
) -> Result<FetchResponse, FetchError> {
    match answer.message().await {
        Ok(Some(piece)) if piece.digest == digest => Ok(piece),
        Ok(Some(piece)) => Err(FetchError::Corrupt(format!(
            "{} was sent for {}",
            hex::encode(piece.digest.get(..32).unwrap_or_default()),
            hex::encode(digest)
        ))),
        Ok(None) => Err(FetchError::Retry("the answer ended early".into())),
        Err(status) => Err(failed(&status)),
    }
}

fn failed(status: &Status) -> FetchError {
    let refused = matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Unauthenticated
            | Code::OutOfRange
            | Code::Unimplemented
    );
    if !refused {
        return FetchError::Retry(explain(status));
    }
    match remedy_of(status) {
        remedy if remedy.is_empty() => FetchError::Refused(status.message().into()),
        remedy => FetchError::Refused(format!("{} ({remedy})", status.message())),
    }
}
