//! Where every chunk of a tree belongs.

use raccordo_model::digest::ChunkDigest;
use raccordo_model::manifest::Manifest;

use crate::install::InstallError;
use crate::publish::PIECES_MAX;

/// A position in a file of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of the file.
    pub(crate) file: u32,
    /// Position in bytes.
    pub(crate) offset: u64,
}

/// The places of every chunk, and the chunks by name: 16 bytes a piece and 8 a chunk.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Chunk indexes in the order of their digests.
    by_digest: Vec<u32>,
    /// `places[starts[i]..starts[i + 1]]` are the places of chunk `i`.
    starts: Vec<u32>,
    places: Vec<Place>,
}

impl Layout {
    /// Lays out a tree; refuses one of more than [`PIECES_MAX`] pieces.
    pub(crate) fn new(manifest: &Manifest) -> Result<Self, InstallError> {
        let pieces: usize = manifest.files().iter().map(|file| file.chunks.len()).sum();
        if pieces > PIECES_MAX {
            return Err(InstallError::Refused(
                "the manifest has more than 1,000,000 pieces",
            ));
        }
        let chunks = manifest.chunks();
        let mut by_digest: Vec<u32> = (0..chunks.len() as u32).collect();
        by_digest.sort_by_key(|index| chunks[*index as usize].digest);
        let mut starts = vec![0_u32; chunks.len() + 1];
        for index in manifest.files().iter().flat_map(|file| &file.chunks) {
            starts[*index as usize + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut next = starts.clone();
        let mut places = vec![Place { file: 0, offset: 0 }; pieces];
        for (file, number) in manifest.files().iter().zip(0..) {
            let mut offset = 0;
            for index in &file.chunks {
                let slot = &mut next[*index as usize];
                places[*slot as usize] = Place { file: number, offset };
                *slot += 1;
                offset += u64::from(chunks[*index as usize].length);
            }
        }
        Ok(Self {
            by_digest,
            starts,
            places,
        })
    }

    /// The index of the chunk in `manifest`, from which this layout was made.
    pub(crate) fn find(&self, manifest: &Manifest, digest: &ChunkDigest) -> Option<usize> {
        let chunks = manifest.chunks();
        let found = self
            .by_digest
            .binary_search_by_key(digest, |index| chunks[*index as usize].digest);
        found.ok().map(|position| self.by_digest[position] as usize)
    }

    /// Every place of the chunk of this index, in file order.
    pub(crate) fn places(&self, index: usize) -> &[Place] {
        &self.places[self.starts[index] as usize..self.starts[index + 1] as usize]
    }
}
