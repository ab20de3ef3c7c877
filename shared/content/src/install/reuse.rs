//! What an installed version spares: files by hard link, chunks by copying.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use raccordo_model::digest::ManifestDigest;
use raccordo_model::manifest::{CHUNK_BYTES_MAX, Manifest, ManifestFile};

use super::{InstallError, Installer, at, make_parent, remove_if_there};
use crate::digest::file_digest;
use crate::journal::Record;
use crate::versions::sync_tree;

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

impl Installer {
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

    fn lacks_any(&self, file: &ManifestFile) -> bool {
        file.chunks.iter().any(|index| !self.present[*index as usize])
    }
}
