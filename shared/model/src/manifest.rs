//! A tree of files, as its manifest names it.

use crate::digest::{ChunkDigest, FileDigest};

/// Largest encoded manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// Most files of a tree.
pub const FILES_MAX: usize = 100_000;
/// Most distinct chunks of a tree.
pub const CHUNKS_MAX: usize = 400_000;
/// Longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 1_024;
/// Longest chunk, in bytes.
pub const CHUNK_BYTES_MAX: u32 = 4 * 1_024 * 1_024;

/// How files were cut, with the parameters in bytes (zero where they mean nothing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunker {
    /// `whole`, `fastcdc-v2020` or `zip-members`; others are read, never written.
    pub id: String,
    /// Shortest chunk.
    pub minimum: u32,
    /// Nominal chunk.
    pub average: u32,
    /// Longest chunk.
    pub maximum: u32,
}

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Relative, `/`-separated, safe on every system.
    pub path: String,
    /// Length in bytes.
    pub length: u64,
    /// BLAKE3 of the whole file.
    pub digest: FileDigest,
    /// Index into [`Manifest::chunkers`].
    pub chunker: u32,
    /// Whether it may be run.
    pub executable: bool,
    /// Indexes into [`Manifest::chunks`], in file order.
    pub chunks: Vec<u32>,
}

/// One distinct chunk of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestChunk {
    /// BLAKE3 of the unpacked bytes.
    pub digest: ChunkDigest,
    /// Unpacked length in bytes.
    pub length: u32,
}

/// A tree of files. Only [`Manifest::new`] makes one, so that it always holds together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    chunkers: Vec<Chunker>,
    files: Vec<ManifestFile>,
    chunks: Vec<ManifestChunk>,
}

/// Why a manifest does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More than a stated bound.
    #[error("the manifest has {found} {what}, at most {most} are allowed")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much may be.
        most: usize,
    },
    /// A path that could leave the folder or that two systems read differently.
    #[error("the path `{path}` is refused: {why}")]
    Path {
        /// The path.
        path: String,
        /// The reason.
        why: &'static str,
    },
    /// Files out of order or twice.
    #[error("the files are not sorted by path without repetition: look at `{0}`")]
    Order(String),
    /// A number that points nowhere, or lengths that do not add up.
    #[error("the file `{path}` does not hold together: {why}")]
    File {
        /// The path.
        path: String,
        /// The reason.
        why: &'static str,
    },
    /// A chunk of a length that is not allowed.
    #[error("chunk {0} is empty or longer than 4 MiB")]
    ChunkLength(usize),
}

impl Manifest {
    /// A manifest of these parts, checked: bounds, paths, order, indexes, lengths.
    pub fn new(
        chunkers: Vec<Chunker>,
        files: Vec<ManifestFile>,
        chunks: Vec<ManifestChunk>,
    ) -> Result<Self, ManifestError> {
        bound("files", files.len(), FILES_MAX)?;
        bound("chunks", chunks.len(), CHUNKS_MAX)?;
        bound("chunkers", chunkers.len(), 16)?;
        for (index, chunk) in chunks.iter().enumerate() {
            if chunk.length == 0 || chunk.length > CHUNK_BYTES_MAX {
                return Err(ManifestError::ChunkLength(index));
            }
        }
        for pair in files.windows(2) {
            if pair[0].path >= pair[1].path {
                return Err(ManifestError::Order(pair[1].path.clone()));
            }
            // `a` and `a/b` cannot both be files.
            if pair[1]
                .path
                .strip_prefix(pair[0].path.as_str())
                .is_some_and(|r| r.starts_with('/'))
            {
                return Err(ManifestError::Path {
                    path: pair[1].path.clone(),
                    why: "its folder is also a file",
                });
            }
        }
        for file in &files {
            check_path(&file.path)?;
            check_file(file, chunkers.len(), &chunks)?;
        }
        Ok(Self {
            chunkers,
            files,
            chunks,
        })
    }

    /// The chunkers that files refer to.
    pub fn chunkers(&self) -> &[Chunker] {
        &self.chunkers
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// The distinct chunks, in order of first use.
    pub fn chunks(&self) -> &[ManifestChunk] {
        &self.chunks
    }

    /// Sum of the files' lengths, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|f| f.length).sum()
    }
}

fn bound(what: &'static str, found: usize, most: usize) -> Result<(), ManifestError> {
    if found > most {
        Err(ManifestError::TooMany { what, found, most })
    } else {
        Ok(())
    }
}

/// Refuses paths that could leave their folder or that systems read differently.
pub fn check_path(path: &str) -> Result<(), ManifestError> {
    let refuse = |why| {
        Err(ManifestError::Path {
            path: path.chars().take(200).collect(),
            why,
        })
    };
    if path.is_empty() || path.len() > PATH_BYTES_MAX {
        return refuse("it is empty or longer than 1,024 bytes");
    }
    if path.contains(['\\', ':']) || path.chars().any(char::is_control) {
        return refuse("it holds a backslash, a colon or a control character");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("it has an empty, `.` or `..` part");
    }
    Ok(())
}

fn check_file(file: &ManifestFile, chunkers: usize, chunks: &[ManifestChunk]) -> Result<(), ManifestError> {
    let refuse = |why| {
        Err(ManifestError::File {
            path: file.path.clone(),
            why,
        })
    };
    if file.chunker as usize >= chunkers {
        return refuse("its chunker is not in the list");
    }
    let mut length = 0_u64;
    for index in &file.chunks {
        match chunks.get(*index as usize) {
            Some(chunk) => length += u64::from(chunk.length),
            None => return refuse("one of its chunks is not in the list"),
        }
    }
    if length != file.length {
        return refuse("its length is not the sum of its chunks");
    }
    Ok(())
}
