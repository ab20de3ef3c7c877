//! The Spoke's end of the content lane.
//!
//! A fetch begins where the last one was cut: what was verified is not asked for again, and what an
//! installed version has is taken from there. One blocking task writes; a few requests feed it through a
//! queue that is bounded in bytes. Dropping the fetch loses nothing that was verified.

mod line;

use super::Entitlement;
use line::Line;
use raccordo_content::{InstallError, Installation, InstalledVersion, Installer, plan};
use raccordo_model::{digest::ManifestDigest, manifest::Manifest};
use raccordo_proto::content::decode_manifest;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::sleep};
use tonic::transport::Channel;

pub use line::{REQUESTS_MAX, WAITING_BYTES_MAX};

/// How often and how many times a version is tried that another fetch still writes: the writer of a
/// dropped fetch ends within moments.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
const BUSY_TRIES_MAX: u32 = 200;

/// Who watches a fetch. Bytes are of chunks as files have them, unpacked.
pub trait FetchProgress: Send + Sync {
    /// What the tree has in distinct chunks (`total`), what is here already (`here`: fetched before or
    /// reused), and so what is to be fetched.
    fn planned(&self, total: u64, here: u64) {
        let _ = (total, here);
    }
    /// `fetched` bytes have come by this fetch and are verified, in all.
    fn advanced(&self, fetched: u64) {
        let _ = fetched;
    }
}

/// Nobody watches.
impl FetchProgress for () {}

/// What a fetch did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes of chunks that came over the network and verified, unpacked.
    pub fetched_bytes: u64,
    /// The same as they came, packed; without manifest and frames.
    pub wire_bytes: u64,
    /// Bytes taken from installed versions, unpacked.
    pub reused_bytes: u64,
    /// The folder of the version, verified and read-only by convention.
    pub installed: PathBuf,
}

/// Why nothing was installed. What was verified stays for the next fetch.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The line or the Hub failed: fetch again later.
    #[error("the fetch was interrupted and goes on with the next one: {0}")]
    Retry(String),
    /// The Hub will not send it: fetching again helps only after what the text says was done.
    #[error("the Hub refused: {0}")]
    Refused(String),
    /// This machine cannot take it: look at its disk.
    #[error(transparent)]
    Disk(InstallError),
    /// The Hub sent other bytes than it published: its content must be verified.
    #[error("the Hub sent damaged content ({0}): its operator verifies the content store")]
    Corrupt(String),
}

/// Fetches a tree that the entry `entitlement` names and installs it; at once if it is installed already.
///
/// `channel` is a connection of its own, so that the ledger does not wait for files. Safe to drop at any
/// point and to call again, also in another process. Two calls for one version: the second waits a few
/// seconds, then says [`FetchError::Retry`].
///
/// # Errors
/// See [`FetchError`]: each variant is a decision of the caller.
pub async fn fetch(
    channel: Channel,
    entitlement: Entitlement,
    manifest: ManifestDigest,
    installation: &Installation,
    progress: &dyn FetchProgress,
) -> Result<Fetched, FetchError> {
    let line = Line::new(channel, entitlement, manifest);
    let mut fetched = Fetched {
        fetched_bytes: 0,
        wire_bytes: 0,
        reused_bytes: 0,
        installed: installation.version_folder(&manifest),
    };
    if installation.is_installed(&manifest) {
        return Ok(fetched);
    }
    let tree = line.tree(installation).await?;
    let total = tree.chunks().iter().map(|chunk| u64::from(chunk.length)).sum();
    let Some((mut installer, reused)) = begin(installation, manifest, tree).await? else {
        return Ok(fetched);
    };
    fetched.reused_bytes = reused;
    let mut repaired = false;
    loop {
        let missing = installer.missing();
        let lacking: u64 = missing.iter().map(|(_, length)| u64::from(*length)).sum();
        progress.planned(total, total.saturating_sub(lacking));
        installer = line
            .chunks(installer, &plan::requests(&missing), &mut fetched, progress)
            .await?;
        let (back, finished) = blocking(move || {
            let finished = installer.finish();
            (installer, finished)
        })
        .await?;
        installer = back;
        match finished {
            Ok(InstalledVersion { folder, .. }) => {
                fetched.installed = folder;
                return Ok(fetched);
            }
            // The disk lost or changed bytes after they were verified; once may be chance.
            Err(InstallError::Damaged { path, why }) if !repaired => {
                tracing::warn!(path, why, %manifest, "fetched content is damaged and repaired once");
                repaired = true;
            }
            Err(error) => return Err(FetchError::Disk(error)),
        }
    }
}

/// Begins or resumes, and takes what installed versions have; says how many bytes that were. `None` if
/// another fetch has installed the version meanwhile.
async fn begin(
    installation: &Installation,
    digest: ManifestDigest,
    tree: Manifest,
) -> Result<Option<(Installer, u64)>, FetchError> {
    let tree = Arc::new(tree);
    for _ in 0..BUSY_TRIES_MAX {
        let (installation, tree) = (installation.clone(), tree.clone());
        match blocking(move || reuse(&installation, digest, &tree)).await? {
            Ok(begun) => return Ok(Some(begun)),
            Err(InstallError::AlreadyInstalled(_)) => return Ok(None),
            Err(InstallError::Busy(_)) => sleep(BUSY_PAUSE).await,
            Err(error) => return Err(FetchError::Disk(error)),
        }
    }
    Err(FetchError::Retry(format!(
        "version {digest} is being fetched already"
    )))
}

fn reuse(
    installation: &Installation,
    digest: ManifestDigest,
    tree: &Manifest,
) -> Result<(Installer, u64), InstallError> {
    let mut installer = installation.begin(digest, tree.clone())?;
    let mut reused = 0;
    for version in installation.open_versions()? {
        if installer.missing().is_empty() {
            break;
        }
        // A version whose manifest is lost or damaged only spares nothing.
        let encoded = installation.manifest(&version).ok().flatten();
        let Some(other) = encoded.and_then(|encoded| decode_manifest(&encoded).ok()) else {
            tracing::warn!(%version, "an installed version has no readable manifest: nothing is reused from it");
            continue;
        };
        match installer.reuse(&version, &other) {
            Ok(found) => reused += found.linked_bytes + found.copied_bytes,
            // It was removed meanwhile.
            Err(InstallError::NotInstalled(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((installer, reused))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, FetchError> {
    spawn_blocking(work)
        .await
        .map_err(|e| FetchError::Retry(e.to_string()))
}
