//! Manifests. A manifest is named by the digest of its encoding, so there is exactly one encoding.

use crate::{
    error::{self, DecodeError, at_most, exactly},
    wire,
};
use prost::Message;
use raccordo_model::{
    digest::{ChunkDigest, FileDigest},
    manifest::{CHUNKS_MAX, Chunker, FILES_MAX, MANIFEST_BYTES_MAX, Manifest, ManifestChunk, ManifestFile},
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
    at_most(MANIFEST, "chunks", "chunks", message.chunks.len(), CHUNKS_MAX)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let chunker = Chunker {
            id: "whole".into(),
            minimum: 0,
            average: 0,
            maximum: 0,
        };
        let file = |path: &str, chunks: Vec<u32>| ManifestFile {
            path: path.into(),
            length: 3 * chunks.len() as u64,
            digest: FileDigest([1; 32]),
            chunker: 0,
            executable: path.ends_with("b"),
            chunks,
        };
        let chunk = |n| ManifestChunk {
            digest: ChunkDigest([n; 32]),
            length: 3,
        };
        let files = vec![file("a", vec![0]), file("b", vec![0, 1]), file("c", vec![])];
        Manifest::new(vec![chunker], files, vec![chunk(1), chunk(2)]).unwrap()
    }

    #[test]
    fn manifests_survive_the_wire() {
        let manifest = manifest();
        assert_eq!(decode_manifest(&encode_manifest(&manifest)), Ok(manifest));
    }

    #[test]
    fn a_second_encoding_of_the_same_tree_is_refused() {
        // An unknown field, and a default value written out: both parse to the same manifest.
        for suffix in [&[0x78, 1][..], &[0x08, 1]] {
            let mut bytes = encode_manifest(&manifest());
            bytes.extend_from_slice(suffix);
            let error = decode_manifest(&bytes).unwrap_err();
            assert!(error.problem.contains("canonical"), "{error}");
        }
    }

    #[test]
    fn what_does_not_hold_together_is_refused() {
        let wrong = |change: fn(&mut wire::Manifest)| {
            let mut message = to_wire(&manifest());
            change(&mut message);
            decode_manifest(&message.encode_to_vec()).unwrap_err().to_string()
        };
        assert!(wrong(|m| m.version = 2).starts_with("Manifest.version: "));
        assert!(wrong(|m| m.files[0].path = "../a".into()).contains("../a"));
        assert!(wrong(|m| m.files[0].digest.clear()).starts_with("Manifest.files.digest: "));
        assert!(wrong(|m| m.files.swap(0, 1)).contains("sorted"));
        assert!(decode_manifest(&vec![0; MANIFEST_BYTES_MAX + 1]).is_err());
    }
}
