//! What to fetch: pure arithmetic over a manifest and what is already here.

use std::path::Path;
use std::sync::Arc;

use raccordo_model::digest::ChunkDigest;
use raccordo_model::manifest::Manifest;

/// Most digests of one request; PROTOCOL.md states the same.
pub const REQUEST_CHUNKS_MAX: usize = 512;
/// Unpacked bytes after which a request is closed; one chunk may be longer.
pub const REQUEST_BYTES_MAX: u64 = 8 * 1_024 * 1_024;

/// Where a chunk already is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file that holds it.
    pub file: Arc<Path>,
    /// Its position in bytes.
    pub offset: u64,
}

/// What is missing of a tree, and what can be copied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchPlan {
    /// Chunks to fetch with their unpacked lengths, distinct, in order of first use.
    pub fetch: Vec<(ChunkDigest, u32)>,
    /// Chunks to copy, distinct, in order of first use.
    pub copy: Vec<(ChunkDigest, Source)>,
    /// Unpacked bytes to fetch.
    pub fetch_bytes: u64,
    /// Unpacked bytes to copy.
    pub copy_bytes: u64,
}

impl FetchPlan {
    /// Plans `manifest`, asking `have` once for every distinct chunk of it.
    pub fn new(manifest: &Manifest, have: impl Fn(&ChunkDigest) -> Option<Source>) -> Self {
        let mut plan = Self::default();
        let mut seen = vec![false; manifest.chunks().len()];
        for index in manifest.files().iter().flat_map(|file| &file.chunks) {
            let index = *index as usize;
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            let chunk = manifest.chunks()[index];
            match have(&chunk.digest) {
                Some(source) => {
                    plan.copy_bytes += u64::from(chunk.length);
                    plan.copy.push((chunk.digest, source));
                }
                None => {
                    plan.fetch_bytes += u64::from(chunk.length);
                    plan.fetch.push((chunk.digest, chunk.length));
                }
            }
        }
        plan
    }

    /// The requests that fetch what is missing, in file order.
    pub fn requests(&self) -> Vec<Vec<ChunkDigest>> {
        requests(&self.fetch)
    }
}

/// Divides chunks (with unpacked lengths) into requests of at most [`REQUEST_CHUNKS_MAX`] digests and
/// about [`REQUEST_BYTES_MAX`] unpacked bytes, order kept, none empty.
pub fn requests(chunks: &[(ChunkDigest, u32)]) -> Vec<Vec<ChunkDigest>> {
    let mut requests = Vec::new();
    let mut current = Vec::new();
    let mut bytes = 0;
    for (digest, length) in chunks {
        let length = u64::from(*length);
        if !current.is_empty() && (current.len() == REQUEST_CHUNKS_MAX || bytes + length > REQUEST_BYTES_MAX)
        {
            requests.push(std::mem::take(&mut current));
            bytes = 0;
        }
        current.push(*digest);
        bytes += length;
    }
    if !current.is_empty() {
        requests.push(current);
    }
    requests
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use raccordo_model::digest::FileDigest;
    use raccordo_model::manifest::{CHUNK_BYTES_MAX, ManifestChunk, ManifestFile};

    use super::*;
    use crate::chunker::Method;

    fn digest(number: u32) -> ChunkDigest {
        crate::chunk_digest(&number.to_le_bytes())
    }

    proptest! {
        #[test]
        fn requests_keep_order_and_bounds(lengths in prop::collection::vec(1..=CHUNK_BYTES_MAX, 0..900)) {
            let chunks: Vec<_> = lengths.iter().zip(0..).map(|(length, i)| (digest(i), *length)).collect();
            let requests = requests(&chunks);
            prop_assert_eq!(requests.concat(), chunks.iter().map(|c| c.0).collect::<Vec<_>>());
            let mut at = 0;
            for request in requests {
                let bytes: u64 = chunks[at..at + request.len()].iter().map(|c| u64::from(c.1)).sum();
                prop_assert!(!request.is_empty() && request.len() <= REQUEST_CHUNKS_MAX);
                prop_assert!(bytes <= REQUEST_BYTES_MAX);
                at += request.len();
            }
        }

        #[test]
        fn a_plan_names_every_chunk_once(
            files in prop::collection::vec(prop::collection::vec(0_u32..30, 0..8), 1..10),
            held in prop::collection::btree_set(0_u32..30, 0..30),
        ) {
            let chunks = (0..30).map(|i| ManifestChunk { digest: digest(i), length: i + 1 }).collect();
            let files = files.into_iter().enumerate().map(|(i, chunks)| ManifestFile {
                path: format!("{i:03}"),
                length: chunks.iter().map(|c| u64::from(c + 1)).sum(),
                digest: FileDigest([0; 32]),
                chunker: 0,
                executable: false,
                chunks,
            }).collect::<Vec<_>>();
            let used: std::collections::BTreeSet<u32> = files.iter().flat_map(|f| f.chunks.clone()).collect();
            let manifest = Manifest::new(vec![Method::Whole.describe()], files, chunks).unwrap();
            let source = Source { file: Path::new("here").into(), offset: 0 };
            let plan = FetchPlan::new(&manifest, |d| {
                held.iter().any(|h| digest(*h) == *d).then(|| source.clone())
            });
            let missing: u64 = used.difference(&held).map(|i| u64::from(i + 1)).sum();
            prop_assert_eq!(plan.fetch_bytes, missing);
            prop_assert_eq!(plan.fetch.len() + plan.copy.len(), used.len());
        }
    }

    #[test]
    fn a_small_request_closes_at_512() {
        let chunks: Vec<_> = (0..513).map(|i| (digest(i), 1)).collect();
        assert_eq!(
            requests(&chunks).iter().map(Vec::len).collect::<Vec<_>>(),
            [512, 1]
        );
    }
}
