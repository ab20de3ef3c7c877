//! The end of an installation: every file is verified, then the version becomes visible at once. What does
//! not verify, also after a crash, counts as missing again.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};

use super::{InstallError, InstalledVersion, Installer, at, lock_path, make_parent, remove_if_there};
use crate::digest::{chunk_digest, file_digest};
use crate::journal::Record;
use crate::versions::{is_shared, make_read_only, sync_folder, sync_tree};

impl Installer {
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
        // Whoever locks the file that we remove sees the version first.
        remove_if_there(&lock_path(&self.root, &self.digest))?;
        Ok(InstalledVersion {
            digest: self.digest,
            folder,
        })
    }

    /// After a crash: a link that the journal does not know must not be written through.
    pub(super) fn tidy(&mut self) -> Result<(), InstallError> {
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
    pub(super) fn doubt(&mut self, number: u32) -> Result<bool, InstallError> {
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

    pub(super) fn note_everything(&mut self) -> Result<(), InstallError> {
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
}
