//! The trees that are installed on this machine.
//!
//! ```text
//! <root>/manifests/<digest>          encoded manifests
//! <root>/versions/<digest>/…         the files of complete versions, read-only by convention
//! <root>/staging/<digest>/files/…    versions on their way, with their journal in `progress`
//! ```
//!
//! Versions share unchanged files by hard link: whoever wants to change a file exports it first. All of
//! this blocks: run it in `spawn_blocking`.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use raccordo_model::digest::ManifestDigest;
use raccordo_model::manifest::{MANIFEST_BYTES_MAX, Manifest};

use crate::digest::{file_digest, manifest_digest};
use crate::install::{InstallError, Installer, at};
use crate::tree::{TreeError, list_files};

/// Begins the name of a version that is being removed.
const REMOVED: &str = "removed-";

/// The installed versions below one root folder.
#[derive(Debug, Clone)]
pub struct Installation {
    root: PathBuf,
}

impl Installation {
    /// Opens the installation below `root`, makes its folders and sweeps up what a crash left half removed.
    pub fn open(root: &Path) -> Result<Self, InstallError> {
        for folder in ["manifests", "versions", "staging"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(at(&folder))?;
        }
        let installation = Self {
            root: root.to_path_buf(),
        };
        let staging = root.join("staging");
        for entry in fs::read_dir(&staging).map_err(at(&staging))? {
            let path = entry.map_err(at(&staging))?.path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let installed = ManifestDigest::from_hex(name).is_ok_and(|d| installation.is_installed(&d));
            if installed || name.starts_with(REMOVED) {
                fs::remove_dir_all(&path).map_err(at(&path))?;
            }
        }
        Ok(installation)
    }

    /// Begins or resumes the installation of a version; see [`Installer::begin`].
    pub fn begin(&self, digest: ManifestDigest, manifest: Manifest) -> Result<Installer, InstallError> {
        Installer::begin(&self.root, digest, manifest)
    }

    /// Keeps an encoded manifest, checked against its digest; atomic and durable.
    pub fn put_manifest(&self, digest: &ManifestDigest, encoded: &[u8]) -> Result<(), InstallError> {
        if encoded.len() > MANIFEST_BYTES_MAX || manifest_digest(encoded) != *digest {
            return Err(InstallError::Refused(
                "a manifest under a digest that is not its own, or over 16 MiB",
            ));
        }
        let folder = self.root.join("manifests");
        let (path, part) = (
            folder.join(digest.to_string()),
            folder.join(format!("{digest}.part")),
        );
        let write = || {
            // Another process may bring the same: its bytes are not cut short.
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(false).open(&part)?;
            file.lock()?;
            if matches!(self.manifest(digest), Ok(Some(_))) {
                // It did; what we opened has its final name by now, or is of no use.
                let _ = fs::remove_file(&part);
                return Ok(());
            }
            file.set_len(0)?;
            file.write_all(encoded)?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            sync_folder(&folder)
        };
        write().map_err(at(&path))
    }

    /// The encoded manifest of this digest, verified.
    pub fn manifest(&self, digest: &ManifestDigest) -> Result<Option<Vec<u8>>, InstallError> {
        let path = self.root.join("manifests").join(digest.to_string());
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.len() <= MANIFEST_BYTES_MAX as u64 => {}
            Ok(_) => return Err(damaged(&digest.to_string(), "the manifest is longer than 16 MiB")),
            Err(error) => return Err(at(&path)(error)),
        }
        let encoded = fs::read(&path).map_err(at(&path))?;
        if manifest_digest(&encoded) == *digest {
            Ok(Some(encoded))
        } else {
            Err(damaged(
                &format!("manifests/{digest}"),
                "its bytes have another digest",
            ))
        }
    }

    /// The complete versions, sorted.
    pub fn open_versions(&self) -> Result<Vec<ManifestDigest>, InstallError> {
        self.digests_in("versions")
    }

    /// The versions on their way, sorted; [`Installation::discard_staging`] gives one up.
    pub fn staged_versions(&self) -> Result<Vec<ManifestDigest>, InstallError> {
        self.digests_in("staging")
    }

    /// Whether the version is complete and visible.
    pub fn is_installed(&self, digest: &ManifestDigest) -> bool {
        self.version_folder(digest).is_dir()
    }

    /// Where the files of an installed version are.
    pub fn version_folder(&self, digest: &ManifestDigest) -> PathBuf {
        self.root.join("versions").join(digest.to_string())
    }

    /// Removes an installed version; the caller has made sure that no edition uses it.
    ///
    /// It vanishes at once; if we die while its files go, the next [`Installation::open`] ends the work.
    pub fn remove(&self, digest: &ManifestDigest) -> Result<(), InstallError> {
        let folder = self.version_folder(digest);
        if !folder.is_dir() {
            return Err(InstallError::NotInstalled(*digest));
        }
        let doomed = self.root.join("staging").join(format!("{REMOVED}{digest}"));
        remove_folder(&doomed)?;
        fs::rename(&folder, &doomed).map_err(at(&folder))?;
        sync_folder(&self.root.join("versions")).map_err(at(&folder))?;
        remove_folder(&doomed)
    }

    /// Gives up a version on its way; nothing happens if there is none.
    pub fn discard_staging(&self, digest: &ManifestDigest) -> Result<(), InstallError> {
        remove_folder(&self.root.join("staging").join(digest.to_string()))
    }

    /// Copies an installed version to `to`, which must not exist or be an empty folder.
    ///
    /// The copies may be changed. If we die, `to` is not there, only `.<name>.raccordo-part` next to it,
    /// which the next export to the same place replaces.
    pub fn export(&self, digest: &ManifestDigest, to: &Path) -> Result<(), InstallError> {
        let folder = self.version_folder(digest);
        if !folder.is_dir() {
            return Err(InstallError::NotInstalled(*digest));
        }
        let occupied = || InstallError::Occupied(to.to_path_buf());
        let name = to
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(occupied)?;
        match fs::symlink_metadata(to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(to)(error)),
            Ok(metadata) if metadata.is_dir() => {
                if fs::read_dir(to).map_err(at(to))?.next().is_some() {
                    return Err(occupied());
                }
            }
            Ok(_) => return Err(occupied()),
        }
        let part = to.with_file_name(format!(".{name}.raccordo-part"));
        remove_folder(&part)?;
        fs::create_dir_all(&part).map_err(at(&part))?;
        for file in list_files(&folder).map_err(from_tree)? {
            let target = part.join(&file.path);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(at(parent))?;
            }
            fs::copy(&file.location, &target).map_err(at(&target))?;
            make_writable(&target, file.executable).map_err(at(&target))?;
            File::open(&target)
                .and_then(|copy| copy.sync_all())
                .map_err(at(&target))?;
        }
        sync_tree(&part).map_err(at(&part))?;
        if to.is_dir() {
            fs::remove_dir(to).map_err(at(to))?;
        }
        fs::rename(&part, to).map_err(at(to))?;
        match to.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent).map_err(at(parent)),
            _ => Ok(()),
        }
    }

    /// Reads every file of an installed version again; the error names the first that is damaged, missing
    /// or not in the manifest.
    pub fn verify(&self, digest: &ManifestDigest, manifest: &Manifest) -> Result<(), InstallError> {
        let folder = self.version_folder(digest);
        if !folder.is_dir() {
            return Err(InstallError::NotInstalled(*digest));
        }
        for file in manifest.files() {
            let path = folder.join(&file.path);
            match File::open(&path).and_then(file_digest) {
                Ok(found) if found == (file.digest, file.length) => {}
                Ok(_) => return Err(damaged(&file.path, "its bytes are not those that were published")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(damaged(&file.path, "it is missing"));
                }
                Err(error) => return Err(at(&path)(error)),
            }
        }
        for found in list_files(&folder).map_err(from_tree)? {
            if manifest
                .files()
                .binary_search_by(|file| file.path.cmp(&found.path))
                .is_err()
            {
                return Err(damaged(&found.path, "it is not part of the version"));
            }
        }
        Ok(())
    }

    fn digests_in(&self, folder: &str) -> Result<Vec<ManifestDigest>, InstallError> {
        let folder = self.root.join(folder);
        let mut digests = Vec::new();
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let name = entry.map_err(at(&folder))?.file_name();
            digests.extend(name.to_str().and_then(|name| ManifestDigest::from_hex(name).ok()));
        }
        digests.sort();
        Ok(digests)
    }
}

fn damaged(path: &str, why: &'static str) -> InstallError {
    InstallError::Damaged {
        path: path.into(),
        why,
    }
}

fn from_tree(error: TreeError) -> InstallError {
    match error {
        TreeError::Io { path, source } => InstallError::Io { path, source },
        TreeError::Special(path) | TreeError::NotUtf8(path) | TreeError::TooMany(path) => {
            damaged(&path.display().to_string(), "it is not part of the version")
        }
        TreeError::Path(error) => damaged(&error.to_string(), "it is not part of the version"),
    }
}

fn remove_folder(path: &Path) -> Result<(), InstallError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Whether the file has more than one name, so that writing would change another version.
#[cfg(unix)]
pub(crate) fn is_shared(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink() > 1
}

/// Without a count of links: installed files are read-only, staged ones are not.
#[cfg(not(unix))]
pub(crate) fn is_shared(metadata: &Metadata) -> bool {
    metadata.permissions().readonly()
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(unix)]
pub(crate) fn make_read_only(path: &Path, executable: bool) -> io::Result<()> {
    set_mode(path, if executable { 0o555 } else { 0o444 })
}

#[cfg(unix)]
pub(crate) fn make_writable(path: &Path, executable: bool) -> io::Result<()> {
    set_mode(path, if executable { 0o755 } else { 0o644 })
}

#[cfg(not(unix))]
pub(crate) fn make_read_only(path: &Path, _: bool) -> io::Result<()> {
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions)
}

#[cfg(not(unix))]
pub(crate) fn make_writable(path: &Path, _: bool) -> io::Result<()> {
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions)
}

/// Makes the names in a folder survive a power cut.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Other systems open no folders; their file systems log names by themselves.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Syncs a folder and the folders below it (not the files).
pub(crate) fn sync_tree(path: &Path) -> io::Result<()> {
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        sync_folder(&folder)?;
    }
    Ok(())
}
