//! The files of a folder, sorted, with everything refused that a manifest could not name.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use raccordo_model::manifest::{FILES_MAX, ManifestError, check_path};

/// A regular file below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Path as a manifest writes it.
    pub path: String,
    /// Where it is.
    pub location: PathBuf,
    /// Length in bytes when it was listed.
    pub length: u64,
    /// Whether anybody may run it (always false where the system has no such mark).
    pub executable: bool,
}

/// Why a folder cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A symbolic link, device, socket or pipe.
    #[error(
        "`{0}` is neither a file nor a folder: links and special files are refused; replace it by a copy"
    )]
    Special(PathBuf),
    /// A name that is not UTF-8.
    #[error("the name of `{0}` is not UTF-8: rename it")]
    NotUtf8(PathBuf),
    /// A path that a manifest refuses.
    #[error(transparent)]
    Path(#[from] ManifestError),
    /// More files or folders than a tree may have.
    #[error("`{0}` holds more than {FILES_MAX} files or folders: publish a smaller tree")]
    TooMany(PathBuf),
    /// The system refused.
    #[error("cannot read `{path}`: {source}")]
    Io {
        /// What was read.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Lists the regular files below `folder`, sorted by path; empty folders leave no trace.
///
/// Blocking; nothing is followed out of `folder`.
pub fn list_files(folder: &Path) -> Result<Vec<TreeFile>, TreeError> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_path_buf(), String::new())];
    let mut folders_seen = 0;
    while let Some((location, prefix)) = folders.pop() {
        folders_seen += 1;
        let failed = |source| TreeError::Io {
            path: location.clone(),
            source,
        };
        for entry in fs::read_dir(&location).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let location = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(TreeError::NotUtf8(location));
            };
            let path = if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}/{name}")
            };
            check_path(&path)?;
            // Of the entry itself: a link is seen as a link.
            let metadata = fs::symlink_metadata(&location).map_err(|source| TreeError::Io {
                path: location.clone(),
                source,
            })?;
            if metadata.is_dir() {
                folders.push((location, path));
            } else if metadata.is_file() {
                let executable = is_executable(&metadata);
                files.push(TreeFile {
                    path,
                    location,
                    length: metadata.len(),
                    executable,
                });
            } else {
                return Err(TreeError::Special(location));
            }
        }
        if files.len() > FILES_MAX || folders_seen + folders.len() > FILES_MAX {
            return Err(TreeError::TooMany(folder.to_path_buf()));
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_sorted_by_the_whole_path() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["b", "a/z", "a.txt", "a/b/c"] {
            let location = folder.path().join(path);
            fs::create_dir_all(location.parent().unwrap()).unwrap();
            fs::write(location, path).unwrap();
        }
        let paths: Vec<_> = list_files(folder.path())
            .unwrap()
            .into_iter()
            .map(|f| f.path)
            .collect();
        assert_eq!(paths, ["a.txt", "a/b/c", "a/z", "b"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_unsafe_names_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("secret")).unwrap();
        let error = list_files(folder.path()).unwrap_err().to_string();
        assert!(error.contains("secret") && error.contains("links"), "{error}");
        fs::remove_file(folder.path().join("secret")).unwrap();

        fs::write(folder.path().join("C:evil"), "").unwrap();
        let error = list_files(folder.path()).unwrap_err().to_string();
        assert!(error.contains("C:evil"), "{error}");
    }
}
