//! One process at a time works on a data folder.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// Why the folder was not locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another process works on {}: stop it first (`serve` ends on SIGTERM)", .0.display())]
    Busy(PathBuf),
    /// The lock's file cannot be made.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes this process the only one that works on `data`, until the file is dropped or the process
/// ends, however it ends.
pub fn lock(data: &Path) -> Result<File, LockError> {
    let path = data.join("node.lock");
    let io = |source| LockError::Io {
        path: path.clone(),
        source,
    };
    let file = File::create(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LockError::Busy(data.into())),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_waits_for_the_first_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(matches!(lock(folder.path()), Err(LockError::Busy(_))));
        drop(first);
        assert!(lock(folder.path()).is_ok());
    }
}
