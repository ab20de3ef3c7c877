//! Manifests. A manifest is named by the digest of its encoding, so there is exactly one encoding.

use crate::{
    error::{self, DecodeError, at_most, exactly},
    wire,
};
use prost::Message;
use raccordo_model::{
    digest::{ChunkDigest, FileDigest},
    manifest::{
        CHUNKS_MAX, Chunker, FILES_MAX, MANIFEST_BYTES_MAX, Manifest, ManifestChunk, ManifestFile,
    },
};

const MANIFEST: &str = "Manifest";
const VERSION: u32 = 1;

/// The canonical bytes of a manifest.
pub fn encode_manifest(manifest: &Manifest) -> Vec<u8> {
    to_wire(manifest).encode_to_vec()
}

/// The manifest in `bytes`, at most 16 MiB. Refused unless encoding it again gives `bytes`:
/// two encodings would be two digests of one tree.
pub fn decode_manifest(bytes: &[u8]) -> Result<Manifest, DecodeError> {
    let message: wire::Manifest = error::decode(MANIFEST, bytes, MANIFEST_BYTES_MAX)?;
    if message.version != VERSION {
        let problem = format!("version {} is not known, {VERSION} is", message.version);
        return Err(DecodeError::new(MANIFEST, "version", problem));
    }
    at_most(MANIFEST, "files", "files", message.files.len(), FILES_MAX)?;
    at_most(
        MANIFEST,
        "chunks",
        "chunks",
        message.chunks.len(),
        CHUNKS_MAX,
    )?;
    if message.encode_to_vec() != bytes {
        return Err(DecodeError::new(MANIFEST, "*", "not in canonical encoding"));
    }
    let chunkers = message
        .chunkers
        .into_iter()
        .map(|chunker| {
            at_most(MANIFEST, "chunkers.id", "bytes", chunker.id.len(), 40)?;
            Ok(Chunker {
                id: chunker.id,
                minimum: chunker.minimum,
                average: chunker.average,
                maximum: chunker.maximum,
            })
        })
        .collect::<Result<_, DecodeError>>()?;
    let files = message
        .files
        .into_iter()
        .map(|file| {
            Ok(ManifestFile {
                path: file.path,
                length: file.length,
                digest: FileDigest(exactly(MANIFEST, "files.digest", &file.digest)?),
                chunker: file.chunker,
                executable: file.executable,
                chunks: file.chunks,
            })
        })
        .collect::<Result<_, DecodeError>>()?;
    let chunks = message
        .chunks
        .iter()
        .map(|chunk| {
            Ok(ManifestChunk {
                digest: ChunkDigest(exactly(MANIFEST, "chunks.digest", &chunk.digest)?),
                length: chunk.length,
            })
        })
        .collect::<Result<_, DecodeError>>()?;
    Manifest::new(chunkers, files, chunks).map_err(|e| DecodeError::new(MANIFEST, "*", e))
}

fn to_wire(manifest: &Manifest) -> wire::Manifest {
    wire::Manifest {
        version: VERSION,
        chunkers: manifest
            .chunkers()
            .iter()
            .map(|chunker| wire::Chunker {
                id: chunker.id.clone(),
                minimum: chunker.minimum,
                average: chunker.average,
                maximum: chunker.maximum,
            })
            .collect(),
        files: manifest
            .files()
            .iter()
            .map(|file| wire::ManifestFile {
                path: file.path.clone(),
                length: file.length,
                digest: file.digest.0.to_vec(),
                chunker: file.chunker,
                executable: file.executable,
                chunks: file.chunks.clone(),
            })
            .collect(),
        chunks: manifest
            .chunks()
            .iter()
            .map(|chunk| wire::ManifestChunk {
                digest: chunk.digest.0.to_vec(),
                length: chunk.length,
            })
            .collect(),
    }
}
