//! A tree becomes installed, chunk by verified chunk.
//!
//! An [`Installer`] writes each chunk straight to all its places in `staging/<digest>/files`. Chunks count
//! for the next process once the files are synced and the journal says so, which happens at least every
//! [`UNSYNCED_BYTES_MAX`]. `finish` verifies every file and renames the tree into `versions/`: the only
//! moment in which it becomes visible.
//!
//! All of this blocks: run it in `spawn_blocking`. One installer per version at a time, also of several
//! processes: it holds a lock on `staging/<digest>.lock`, which the system lets go when a process ends.

mod finish;
mod reuse;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use raccordo_model::digest::{ChunkDigest, ManifestDigest};
use raccordo_model::manifest::{Manifest, ManifestFile};

use crate::digest::chunk_digest;
use crate::journal::{Journal, Record};
use crate::layout::Layout;
use crate::versions::make_writable;

pub use reuse::Reused;

/// Most bytes that a crash may lose: at this many unsynced bytes the installer syncs by itself.
pub const UNSYNCED_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// Why content was not installed, exported or verified.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The version is there already.
    #[error("version {0} is already installed")]
    AlreadyInstalled(ManifestDigest),
    /// Another installer, perhaps of another process, is at this version.
    #[error("version {0} is being installed already: wait until that ends")]
    Busy(ManifestDigest),
    /// The version is not there.
    #[error("version {0} is not installed: fetch it first")]
    NotInstalled(ManifestDigest),
    /// A chunk arrived that the manifest does not name.
    #[error("chunk {0} does not belong to this version")]
    Foreign(ChunkDigest),
    /// A chunk arrived with other bytes than its digest says; nothing was changed.
    #[error("chunk {0} arrived damaged: fetch it again")]
    Corrupt(ChunkDigest),
    /// Chunks are missing.
    #[error("{0} chunks are missing: fetch them, then finish")]
    Missing(usize),
    /// A file is not what the manifest says. In staging, its chunks count as missing again.
    #[error("the file `{path}` is damaged: {why}")]
    Damaged {
        /// Path in the tree.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Bytes were handed over under a name that is not theirs, or over a bound.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The folder to export to cannot be used.
    #[error("cannot export to `{0}`: it exists and is not an empty folder; choose another")]
    Occupied(PathBuf),
    /// The system refused.
    #[error("cannot work on `{path}`: {source}")]
    Io {
        /// What was worked on.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Names the path in an error of the system.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> InstallError {
    let path = path.to_path_buf();
    move |source| InstallError::Io { path, source }
}

/// A version that is complete, verified and visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledVersion {
    /// Its manifest.
    pub digest: ManifestDigest,
    /// The folder with its files, read-only by convention.
    pub folder: PathBuf,
}

/// One tree on its way to be installed.
#[derive(Debug)]
pub struct Installer {
    root: PathBuf,
    digest: ManifestDigest,
    manifest: Manifest,
    layout: Layout,
    present: Vec<bool>,
    linked: Vec<bool>,
    journal: Journal,
    unsynced_chunks: Vec<u32>,
    unsynced_bytes: u64,
    unsynced_files: BTreeSet<u32>,
    _lock: File,
}

impl Installer {
    /// Begins, or resumes after a crash, below `root` (see [`crate::versions::Installation`]).
    ///
    /// The caller has checked that `manifest` is what the bytes named `digest` decode to.
    pub fn begin(root: &Path, digest: ManifestDigest, manifest: Manifest) -> Result<Self, InstallError> {
        let lock = lock(root, &digest)?;
        // Only now: the installer that held the lock before may have finished.
        if root.join("versions").join(digest.to_string()).exists() {
            return Err(InstallError::AlreadyInstalled(digest));
        }
        let staging = root.join("staging").join(digest.to_string());
        let files = staging.join("files");
        fs::create_dir_all(&files).map_err(at(&files))?;
        let layout = Layout::new(&manifest)?;
        let mut present = vec![false; manifest.chunks().len()];
        let mut linked = vec![false; manifest.files().len()];
        let path = staging.join("progress");
        // Chunks may be noted again after a repair, so twice as many records as there are things.
        let records_max = 2 * (present.len() + linked.len());
        let journal = Journal::open(&path, records_max, |record| {
            let (list, index) = match record {
                Record::Chunk(index) => (&mut present, index),
                Record::Linked(index) => (&mut linked, index),
            };
            if let Some(known) = list.get_mut(index as usize) {
                *known = true;
            }
        })
        .map_err(at(&path))?;
        let mut installer = Self {
            root: root.to_path_buf(),
            digest,
            manifest,
            layout,
            present,
            linked,
            journal,
            unsynced_chunks: Vec::new(),
            unsynced_bytes: 0,
            unsynced_files: BTreeSet::new(),
            _lock: lock,
        };
        installer.tidy()?;
        Ok(installer)
    }

    /// The manifest being installed.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The chunks still to be had, with their unpacked lengths, distinct, in file order.
    pub fn missing(&self) -> Vec<(ChunkDigest, u32)> {
        let chunks = self.manifest.chunks().iter().enumerate();
        let missing = chunks.filter(|(index, _)| self.is_needed(*index) && !self.present[*index]);
        missing.map(|(_, chunk)| (chunk.digest, chunk.length)).collect()
    }

    /// Whether the chunk belongs to this tree and is still to be had.
    pub fn wants(&self, digest: &ChunkDigest) -> bool {
        self.find(digest)
            .is_some_and(|index| self.is_needed(index) && !self.present[index])
    }

    /// Verifies a chunk and writes it to all its places. A chunk that is already there changes nothing;
    /// one that does not verify changes nothing and is refused.
    pub fn accept(&mut self, digest: ChunkDigest, unpacked: &[u8]) -> Result<(), InstallError> {
        let Some(index) = self.find(&digest) else {
            return Err(InstallError::Foreign(digest));
        };
        if self.present[index] {
            return Ok(());
        }
        let length = self.manifest.chunks()[index].length;
        if unpacked.len() != length as usize || chunk_digest(unpacked) != digest {
            return Err(InstallError::Corrupt(digest));
        }
        if self.unsynced_bytes + u64::from(length) > UNSYNCED_BYTES_MAX {
            self.sync()?;
        }
        let mut open: Option<(u32, File)> = None;
        for place in self.layout.places(index) {
            if self.linked[place.file as usize] {
                continue;
            }
            let path = self.staged_path(place.file);
            let mut file = match open.take() {
                Some((number, file)) if number == place.file => file,
                _ => self.open_staged(place.file)?,
            };
            file.seek(SeekFrom::Start(place.offset)).map_err(at(&path))?;
            file.write_all(unpacked).map_err(at(&path))?;
            self.unsynced_files.insert(place.file);
            open = Some((place.file, file));
        }
        self.present[index] = true;
        self.unsynced_chunks.push(index as u32);
        self.unsynced_bytes += u64::from(length);
        Ok(())
    }

    /// Makes everything accepted so far survive a crash: first the files, then the journal.
    ///
    /// If we die between the two, the chunks are on disk but are fetched again.
    pub fn sync(&mut self) -> Result<(), InstallError> {
        for file in std::mem::take(&mut self.unsynced_files) {
            let path = self.staged_path(file);
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(at(&path))?;
        }
        let chunks = std::mem::take(&mut self.unsynced_chunks);
        self.unsynced_bytes = 0;
        let path = self.staging().join("progress");
        self.journal
            .append(chunks.into_iter().map(Record::Chunk))
            .map_err(at(&path))
    }

    fn open_staged(&self, number: u32) -> Result<File, InstallError> {
        let path = self.staged_path(number);
        make_parent(&path)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = match options.open(&path) {
            // Left read-only by a crash just before the rename.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                make_writable(&path, false).and_then(|()| options.open(&path))
            }
            other => other,
        };
        let file = file.map_err(at(&path))?;
        let length = self.file(number).length;
        if file.metadata().map_err(at(&path))?.len() != length {
            file.set_len(length).map_err(at(&path))?;
        }
        Ok(file)
    }

    fn find(&self, digest: &ChunkDigest) -> Option<usize> {
        self.layout.find(&self.manifest, digest)
    }

    /// Whether any place of the chunk is in a file that was not linked whole.
    fn is_needed(&self, index: usize) -> bool {
        self.layout
            .places(index)
            .iter()
            .any(|place| !self.linked[place.file as usize])
    }

    fn file(&self, number: u32) -> &ManifestFile {
        &self.manifest.files()[number as usize]
    }

    fn staging(&self) -> PathBuf {
        self.root.join("staging").join(self.digest.to_string())
    }

    fn staged_path(&self, number: u32) -> PathBuf {
        // Safe to join: `Manifest::new` refuses paths that could leave the folder.
        self.staging().join("files").join(&self.file(number).path)
    }
}

fn lock_path(root: &Path, digest: &ManifestDigest) -> PathBuf {
    root.join("staging").join(format!("{digest}.lock"))
}

fn lock(root: &Path, digest: &ManifestDigest) -> Result<File, InstallError> {
    let path = lock_path(root, digest);
    make_parent(&path)?;
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(InstallError::Busy(*digest)),
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

fn make_parent(path: &Path) -> Result<(), InstallError> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(at(parent)),
        None => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> Result<(), InstallError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}
