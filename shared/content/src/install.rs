//! A tree becomes installed, chunk by verified chunk.
//!
//! An [`Installer`] writes each chunk straight to all its places in `staging/<digest>/files`. Chunks count
//! for the next process once the files are synced and the journal says so, which happens at least every
//! [`UNSYNCED_BYTES_MAX`]. `finish` verifies every file and renames the tree into `versions/`: the only
//! moment in which it becomes visible.
//!
//! All of this blocks: run it in `spawn_blocking`. One installer per version at a time.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use raccordo_model::digest::{ChunkDigest, ManifestDigest};
use raccordo_model::manifest::{CHUNK_BYTES_MAX, Manifest, ManifestFile};

use crate::digest::{chunk_digest, file_digest};
use crate::journal::{Journal, Record};
use crate::layout::Layout;
use crate::versions::{is_shared, make_read_only, make_writable, sync_folder, sync_tree};

/// Most bytes that a crash may lose: at this many unsynced bytes the installer syncs by itself.
pub const UNSYNCED_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// Why content was not installed, exported or verified.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The version is there already.
    #[error("version {0} is already installed")]
    AlreadyInstalled(ManifestDigest),
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

/// What an installed version spared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reused {
    /// Files linked whole.
    pub linked_files: u64,
    /// Bytes of the linked files.
    pub linked_bytes: u64,
    /// Distinct chunks copied.
    pub copied_chunks: u64,
    /// Bytes of those chunks.
    pub copied_bytes: u64,
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
}

impl Installer {
    /// Begins, or resumes after a crash, below `root` (see [`crate::versions::Installation`]).
    ///
    /// The caller has checked that `manifest` is what the bytes named `digest` decode to.
    pub fn begin(root: &Path, digest: ManifestDigest, manifest: Manifest) -> Result<Self, InstallError> {
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

    /// Takes over from an installed version what is the same there: whole files by hard link (or by
    /// copying chunks where linking fails), then chunks by copying. Everything is verified; what is damaged
    /// over there is passed over and stays missing.
    pub fn reuse(&mut self, other: &ManifestDigest, manifest: &Manifest) -> Result<Reused, InstallError> {
        let folder = self.root.join("versions").join(other.to_string());
        if !folder.is_dir() {
            return Err(InstallError::NotInstalled(*other));
        }
        let mut reused = Reused::default();
        self.link_files(&folder, manifest, &mut reused)?;
        let mut buffer = vec![0; CHUNK_BYTES_MAX as usize];
        for file in manifest.files() {
            let mut source = None;
            let mut offset = 0;
            for index in &file.chunks {
                let chunk = manifest.chunks()[*index as usize];
                let start = offset;
                offset += u64::from(chunk.length);
                if !self.wants(&chunk.digest) {
                    continue;
                }
                let path = folder.join(&file.path);
                let open = match source.take() {
                    Some(open) => Ok(open),
                    None => File::open(&path),
                };
                let bytes = &mut buffer[..chunk.length as usize];
                let read = open.and_then(|mut open| {
                    open.seek(SeekFrom::Start(start))?;
                    open.read_exact(bytes)?;
                    Ok(open)
                });
                match read {
                    Ok(open) => source = Some(open),
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "an installed file cannot be read");
                        break;
                    }
                }
                match self.accept(chunk.digest, bytes) {
                    Ok(()) => {
                        reused.copied_chunks += 1;
                        reused.copied_bytes += u64::from(chunk.length);
                    }
                    Err(InstallError::Corrupt(_)) => {
                        tracing::warn!(path = %path.display(), start, "an installed file is damaged");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        self.sync()?;
        Ok(reused)
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

    /// Verifies every file and makes the version visible, all at once.
    ///
    /// A damaged file is named; its wrong chunks are missing again, so that fetching and finishing once
    /// more repairs it. If we die before the rename, the staging stays; after it, the version is there.
    pub fn finish(&mut self) -> Result<InstalledVersion, InstallError> {
        let missing = self.missing().len();
        if missing > 0 {
            return Err(InstallError::Missing(missing));
        }
        self.sync()?;
        let mut damaged = None;
        for number in 0..self.manifest.files().len() as u32 {
            if !self.staged_file_is_good(number)? {
                self.doubt(number)?;
                damaged.get_or_insert_with(|| self.file(number).path.clone());
            }
        }
        if let Some(path) = damaged {
            self.note_everything()?;
            return Err(InstallError::Damaged {
                path,
                why: "it did not verify; what is wrong is missing again",
            });
        }
        let files = self.staging().join("files");
        for number in 0..self.manifest.files().len() as u32 {
            let path = self.staged_path(number);
            if !self.linked[number as usize] {
                make_read_only(&path, self.file(number).executable).map_err(at(&path))?;
            }
        }
        sync_tree(&files).map_err(at(&files))?;
        let versions = self.root.join("versions");
        fs::create_dir_all(&versions).map_err(at(&versions))?;
        let folder = versions.join(self.digest.to_string());
        fs::rename(&files, &folder).map_err(at(&folder))?;
        sync_folder(&versions).map_err(at(&versions))?;
        let staging = self.staging();
        fs::remove_dir_all(&staging).map_err(at(&staging))?;
        Ok(InstalledVersion {
            digest: self.digest,
            folder,
        })
    }

    fn link_files(
        &mut self,
        folder: &Path,
        manifest: &Manifest,
        reused: &mut Reused,
    ) -> Result<(), InstallError> {
        let mut theirs: Vec<&ManifestFile> = manifest.files().iter().collect();
        theirs.sort_by_key(|file| file.digest);
        let mut records = Vec::new();
        let mut unsure = false;
        for number in 0..self.manifest.files().len() as u32 {
            let mine = self.file(number);
            if self.linked[number as usize] || mine.length == 0 || !self.lacks_any(mine) {
                continue;
            }
            let Ok(found) = theirs.binary_search_by_key(&mine.digest, |file| file.digest) else {
                continue;
            };
            let theirs = theirs[found];
            if theirs.executable != mine.executable || theirs.length != mine.length {
                continue;
            }
            let source = folder.join(&theirs.path);
            let verified = File::open(&source).and_then(file_digest);
            if !verified.is_ok_and(|(digest, _)| digest == mine.digest) {
                tracing::warn!(path = %source.display(), "an installed file is damaged");
                continue;
            }
            let length = mine.length;
            let path = self.staged_path(number);
            make_parent(&path)?;
            remove_if_there(&path)?;
            if fs::hard_link(&source, &path).is_err() {
                // Another file system, or one without links: the chunks are copied instead.
                unsure |= self.doubt(number)?;
                continue;
            }
            self.linked[number as usize] = true;
            records.push(Record::Linked(number));
            reused.linked_files += 1;
            reused.linked_bytes += length;
        }
        sync_tree(&self.staging().join("files")).map_err(at(folder))?;
        if unsure {
            self.sync()?;
            return self.note_everything();
        }
        let path = self.staging().join("progress");
        self.journal.append(records).map_err(at(&path))
    }

    /// After a crash: a link that the journal does not know must not be written through.
    fn tidy(&mut self) -> Result<(), InstallError> {
        let mut changed = false;
        for number in 0..self.manifest.files().len() as u32 {
            let path = self.staged_path(number);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if is_shared(&metadata) && !self.linked[number as usize] => {
                    remove_if_there(&path)?;
                    changed |= self.doubt(number)?;
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    changed |= self.doubt(number)?;
                }
                Err(error) => return Err(at(&path)(error)),
            }
        }
        if changed { self.note_everything() } else { Ok(()) }
    }

    /// Re-reads the chunks of a staged file: those that are not there count as missing from now on.
    /// Says whether that changed anything, so that the journal is to be rewritten.
    fn doubt(&mut self, number: u32) -> Result<bool, InstallError> {
        let path = self.staged_path(number);
        let mut changed = std::mem::replace(&mut self.linked[number as usize], false);
        if changed {
            // Never repair through a link: the installed version shares the bytes.
            remove_if_there(&path)?;
        }
        let mut open = File::open(&path).ok();
        let mut offset = 0_u64;
        for position in 0..self.file(number).chunks.len() {
            let index = self.file(number).chunks[position] as usize;
            let chunk = self.manifest.chunks()[index];
            if self.present[index] {
                let good = open.as_mut().is_some_and(|file| {
                    let mut bytes = vec![0; chunk.length as usize];
                    file.seek(SeekFrom::Start(offset)).is_ok()
                        && file.read_exact(&mut bytes).is_ok()
                        && chunk_digest(&bytes) == chunk.digest
                });
                self.present[index] = good;
                changed |= !good;
            }
            offset += u64::from(chunk.length);
        }
        Ok(changed)
    }

    fn note_everything(&mut self) -> Result<(), InstallError> {
        let chunks = self.present.iter().zip(0..).filter(|(there, _)| **there);
        let files = self.linked.iter().zip(0..).filter(|(there, _)| **there);
        let records = chunks
            .map(|(_, i)| Record::Chunk(i))
            .chain(files.map(|(_, i)| Record::Linked(i)));
        let path = self
            .root
            .join("staging")
            .join(self.digest.to_string())
            .join("progress");
        self.journal.rewrite(records).map_err(at(&path))
    }

    fn staged_file_is_good(&self, number: u32) -> Result<bool, InstallError> {
        let file = self.file(number);
        let path = self.staged_path(number);
        if file.length == 0 {
            make_parent(&path)?;
            remove_if_there(&path)?;
            File::create(&path)
                .and_then(|file| file.sync_all())
                .map_err(at(&path))?;
        }
        match File::open(&path).and_then(file_digest) {
            Ok(found) => Ok(found == (file.digest, file.length)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(at(&path)(error)),
        }
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

    fn lacks_any(&self, file: &ManifestFile) -> bool {
        file.chunks.iter().any(|index| !self.present[*index as usize])
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
