//! Files that hold identity: written whole or not at all, secrets readable by their owner alone.

use super::IdentityError;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};
use zeroize::Zeroizing;

/// Most bytes of a file of identity.
pub const FILE_MAX: u64 = 64 * 1_024;

/// Mode of files that hold a secret.
pub const SECRET: u32 = 0o600;
/// Mode of files that hold none.
pub const PUBLIC: u32 = 0o644;

/// Writes a file so that after a crash the old one or the new one is there, whole: a temporary file,
/// synced, renamed over the old one, and the folder synced.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), IdentityError> {
    let failed = |source| IdentityError::Io {
        path: path.into(),
        source,
    };
    let folder = match path.parent() {
        // A bare name stands in the working folder.
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Err(failed(io::ErrorKind::InvalidInput.into())),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.new"));
    // A rest of an earlier crash.
    if let Err(error) = fs::remove_file(&temporary)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(failed(error));
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(failed)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(failed)
}

/// A file without secrets.
pub fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    let failed = |source| IdentityError::Io {
        path: path.into(),
        source,
    };
    take(File::open(path).map_err(failed)?, path).map(|bytes| bytes.to_vec())
}

/// A secret; refused when the group or others may reach it.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let failed = |source| IdentityError::Io {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::TooOpen {
            path: path.into(),
            mode,
        });
    }
    take(file, path)
}

fn take(file: File, path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    // Sized at once: growing would leave copies of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_MAX as usize + 1));
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| IdentityError::Io {
            path: path.into(),
            source,
        })?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(IdentityError::Damaged {
            path: path.into(),
            problem: format!("more than {FILE_MAX} bytes"),
        });
    }
    Ok(bytes)
}

/// Makes a folder, with its parents, that its owner alone may enter, also when it was there before: what is
/// in it (a database with learners' records among it) is nobody else's.
pub fn folder(path: &Path) -> Result<(), IdentityError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
        .map_err(|source| IdentityError::Io {
            path: path.into(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_others_may_read_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write(&path, b"one", SECRET).unwrap();
        write(&path, b"two", SECRET).unwrap();
        assert_eq!(read_secret(&path).unwrap().as_slice(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read_secret(&path).unwrap_err();
            assert!(matches!(error, IdentityError::TooOpen { .. }), "{error}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_over_the_bound_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        write(&path, &vec![0; FILE_MAX as usize + 1], PUBLIC).unwrap();
        assert!(matches!(read(&path).unwrap_err(), IdentityError::Damaged { .. }));
    }
}
