//! A folder becomes a manifest and stored chunks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use raccordo_model::digest::{ChunkDigest, FileDigest};
use raccordo_model::manifest::{CHUNKS_MAX, Manifest, ManifestChunk, ManifestError, ManifestFile};
use tokio::sync::mpsc;

use crate::chunker::{self, Method};
use crate::digest::chunk_digest;
use crate::pack::{PackError, PackStore};
use crate::stored::StoredChunk;
use crate::tree::{TreeError, TreeFile, list_files};

/// Most pieces of all files together, repetitions counted. Installing holds 16 bytes for each.
pub const PIECES_MAX: usize = 1_000_000;

/// Chunks that wait between cutting and storing, at most 1 MiB each.
const WAITING_MAX: usize = 4;

/// Who watches a publication.
pub trait Progress: Send + Sync {
    /// The folder was listed.
    fn begin(&self, files: u64, bytes: u64) {
        let _ = (files, bytes);
    }
    /// `bytes` more of `path` are cut and stored.
    fn advance(&self, path: &str, bytes: u64) {
        let _ = (path, bytes);
    }
}

/// Nobody watches.
impl Progress for () {}

/// Why a folder was not published. Chunks already stored stay, and are found by the next try.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The folder holds something that cannot be published.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The folder holds no file.
    #[error("`{0}` holds no file: give the folder with the kit's files")]
    Empty(PathBuf),
    /// A file cannot be read, or became shorter.
    #[error("cannot read `{path}`: {source}; publish again when nobody writes to the folder")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// More pieces than a tree may have.
    #[error(
        "the folder makes more than {PIECES_MAX} pieces or {CHUNKS_MAX} distinct ones: publish a smaller tree"
    )]
    TooMany,
    /// The manifest does not hold together.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] PackError),
    /// The thread that cuts was stopped.
    #[error("publication was interrupted: publish again")]
    Interrupted,
}

/// Cuts the files of `folder`, stores in `packs` the chunks that it lacks, and returns the manifest.
///
/// The caller encodes the manifest and stores it by [`PackStore::put_manifest`]; until then the chunks
/// belong to nobody. The same folder gives the same manifest on every machine. Blocking work runs in
/// `spawn_blocking`; about ten chunks and one pack are in memory at a time.
pub async fn publish_folder(
    folder: &Path,
    packs: &PackStore,
    progress: &dyn Progress,
) -> Result<Manifest, PublishError> {
    let root = folder.to_path_buf();
    let files = blocking(move || list_files(&root)).await??;
    if files.is_empty() {
        return Err(PublishError::Empty(folder.to_path_buf()));
    }
    progress.begin(files.len() as u64, files.iter().map(|file| file.length).sum());
    let mut draft = Draft::default();
    let mut writer = packs.writer();
    for file in files {
        let (send, mut receive) = mpsc::channel(WAITING_MAX);
        let (store, source) = (packs.clone(), file.clone());
        let cutting = tokio::task::spawn_blocking(move || cut_file(&source, &store, &send));
        let mut pieces = Vec::new();
        while let Some(cut) = receive.recv().await {
            progress.advance(&file.path, u64::from(cut.length));
            pieces.push(draft.piece(cut.digest, cut.length)?);
            if let Some(stored) = cut.stored {
                writer.add(cut.digest, stored).await?;
            }
        }
        let (method, digest) = cutting.await.map_err(|_| PublishError::Interrupted)??;
        draft.file(file, method, digest, pieces);
    }
    writer.finish().await?;
    draft.manifest()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PublishError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| PublishError::Interrupted)
}

/// A piece of a file on its way from the cutting thread; `stored` only if the store lacks it.
struct CutPiece {
    digest: ChunkDigest,
    length: u32,
    stored: Option<StoredChunk>,
}

enum CutError {
    Io(io::Error),
    /// Nobody receives any more: storing failed, and that error counts.
    Closed,
}

impl From<io::Error> for CutError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn cut_file(
    file: &TreeFile,
    store: &PackStore,
    send: &mpsc::Sender<CutPiece>,
) -> Result<(Method, FileDigest), PublishError> {
    let failed = |source| PublishError::Read {
        path: file.location.clone(),
        source,
    };
    let mut hasher = blake3::Hasher::new();
    let open = File::open(&file.location).map_err(failed)?;
    let length = open.metadata().map_err(failed)?.len();
    if length != file.length {
        return Err(failed(io::Error::other("its length changed meanwhile")));
    }
    let cut = chunker::cut(open, length, |bytes| {
        hasher.update(&bytes);
        let digest = chunk_digest(&bytes);
        let stored = (!store.contains(&digest)).then(|| StoredChunk::pack(&bytes));
        // A piece is at most FASTCDC_BYTES_MAX long.
        let piece = CutPiece {
            digest,
            length: bytes.len() as u32,
            stored,
        };
        send.blocking_send(piece).map_err(|_| CutError::Closed)
    });
    match cut {
        Ok(method) => Ok((method, FileDigest(*hasher.finalize().as_bytes()))),
        Err(CutError::Io(error)) => Err(failed(error)),
        Err(CutError::Closed) => Err(PublishError::Interrupted),
    }
}

/// The manifest while it grows.
#[derive(Default)]
struct Draft {
    methods: Vec<Method>,
    files: Vec<ManifestFile>,
    chunks: Vec<ManifestChunk>,
    known: BTreeMap<ChunkDigest, u32>,
    pieces: usize,
}

impl Draft {
    fn piece(&mut self, digest: ChunkDigest, length: u32) -> Result<u32, PublishError> {
        self.pieces += 1;
        if self.pieces > PIECES_MAX {
            return Err(PublishError::TooMany);
        }
        if let Some(index) = self.known.get(&digest) {
            return Ok(*index);
        }
        if self.chunks.len() >= CHUNKS_MAX {
            return Err(PublishError::TooMany);
        }
        let index = self.chunks.len() as u32;
        self.chunks.push(ManifestChunk { digest, length });
        self.known.insert(digest, index);
        Ok(index)
    }

    fn file(&mut self, file: TreeFile, method: Method, digest: FileDigest, chunks: Vec<u32>) {
        let chunker = self.methods.iter().position(|m| *m == method).unwrap_or_else(|| {
            self.methods.push(method);
            self.methods.len() - 1
        });
        let TreeFile {
            path,
            length,
            executable,
            ..
        } = file;
        self.files.push(ManifestFile {
            path,
            length,
            digest,
            chunker: chunker as u32,
            executable,
            chunks,
        });
    }

    fn manifest(self) -> Result<Manifest, PublishError> {
        let chunkers = self.methods.into_iter().map(Method::describe).collect();
        Ok(Manifest::new(chunkers, self.files, self.chunks)?)
    }
}
