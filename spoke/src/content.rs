//! The bytes of kit versions, and the worker that brings them here.
//!
//! The worker is level-triggered: [`decide`] compares what the ledgers say with what is on the disk,
//! and says what to announce, fetch and remove. So it does not matter what it missed. Phases that are
//! reached together are announced by one entry.

use crate::{
    adoption::scope,
    catalogue::{self, KitVersion},
    editions, records,
};
use futures::future::BoxFuture;
use raccordo_content::{InstallError, Installation};
use raccordo_model::{
    digest::ManifestDigest, edition::Versioned, entry::EntryRef, kit::KitPhase, manifest::Manifest,
    period::day_in_rome, timestamp::Timestamp,
};
use raccordo_node::{
    Node, NodeError, journal::Draft, session::client::Backoff, shutdown::Shutdown, status::Refusal,
};
use raccordo_proto::{
    body::{Act, KitPhaseReached, PHASES_MAX},
    wire,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How long the worker waits at most before it looks again: the business clock may have moved.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Brings content here.
pub trait Fetcher: Send + Sync + 'static {
    /// Fetches the tree of a manifest, entitled by an entry, and installs it. What it had before a
    /// failure or before it was dropped is kept for the next attempt.
    fn fetch(&self, entitlement: EntryRef, manifest: ManifestDigest) -> BoxFuture<'_, Result<(), String>>;
}

/// What is to be done; from [`look`], `announce` was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// To be announced, in one entry.
    pub announce: Vec<KitPhaseReached>,
    /// To be fetched, in this order.
    pub fetch: Vec<(Versioned, EntryRef, ManifestDigest)>,
    /// No longer needed by anything.
    pub remove: Vec<ManifestDigest>,
}

/// What is to be done, by what the ledgers say, what is installed, and which kit versions editions
/// use that have not ended. A withdrawn version is served as long as such an edition uses it.
pub fn decide(
    kits: &BTreeMap<Versioned, KitVersion>,
    installed: &BTreeSet<ManifestDigest>,
    in_use: &BTreeSet<Versioned>,
    now: Timestamp,
) -> Decision {
    let is_kept = |kit: &KitVersion| kit.withdrawn.is_none() || in_use.contains(&kit.kit);
    let kept: BTreeSet<ManifestDigest> = kits.values().filter(|k| is_kept(k)).map(|k| k.manifest).collect();
    let mut decision = Decision::default();
    for kit in kits.values() {
        let here = installed.contains(&kit.manifest);
        let mut reached = vec![KitPhase::Applied];
        match (is_kept(kit), here) {
            (true, true) => reached.extend([KitPhase::ContentComplete, KitPhase::Serving]),
            (true, false) => decision.fetch.push((kit.kit.clone(), kit.entry, kit.manifest)),
            (false, _) => reached.push(KitPhase::NoLongerServed),
        }
        let told = |phase: &KitPhase| kit.phases.contains_key(phase);
        let told_gone = told(&KitPhase::NoLongerServed);
        let news = reached.into_iter().filter(|phase| !told(phase));
        decision.announce.extend(news.map(|phase| KitPhaseReached {
            kit: kit.kit.clone(),
            phase,
            reached_at: now,
        }));
        // First it is told, then the bytes go: nobody is told of content that is not there.
        if here && told_gone && !kept.contains(&kit.manifest) {
            decision.remove.push(kit.manifest);
        }
    }
    decision.announce.truncate(PHASES_MAX);
    decision.remove.sort();
    decision.remove.dedup();
    decision
}

/// Where the content of a data folder is.
pub fn root(data: &Path) -> PathBuf {
    data.join("content")
}

/// Looks once: announces what was reached, and says what that was and what else is to be done.
pub async fn look(node: &Node, store: &Installation) -> Result<Decision, NodeError> {
    let installed = installed(store).await?;
    let (kits, in_use, now) = {
        let mut tx = node.db.read().await?;
        let now = node.clock.now();
        let held = editions::all(&mut tx).await?;
        (
            catalogue::kits(&mut tx).await?,
            editions::kits_in_use(&held, day_in_rome(now)),
            now,
        )
    };
    let decision = decide(&kits, &installed, &in_use, now);
    if !decision.announce.is_empty() {
        announce(node, decision.announce.clone()).await?;
    }
    Ok(decision)
}

async fn announce(node: &Node, phases: Vec<KitPhaseReached>) -> Result<(), NodeError> {
    tracing::info!(phases = phases.len(), "kit phases reached");
    let subject = records::subject(format_args!("kit-phases/{}", node.me()))?;
    let mut act = node.act().await?;
    let draft = Draft::new(
        Act::KitPhases(phases),
        subject,
        scope(node.me()),
        vec![records::program(node)],
    );
    act.append(draft).await?;
    act.commit().await?;
    Ok(())
}

/// How an attempt to fetch a version ended.
type Attempt = (Versioned, ManifestDigest, Result<(), String>);

/// Keeps the content of the kit versions as the ledgers want it, until shutdown. `nudge` tells of
/// local changes, such as a new edition.
pub async fn keep(
    node: Arc<Node>,
    store: Installation,
    fetcher: Arc<dyn Fetcher>,
    nudge: Arc<Notify>,
    shutdown: Shutdown,
) {
    let mut applied = node.watch_applied();
    let mut failures: BTreeMap<ManifestDigest, (u32, Instant)> = BTreeMap::new();
    let mut fetching: Option<BoxFuture<'_, Attempt>> = None;
    loop {
        let mut wait = LOOK_EVERY;
        match look(&node, &store).await {
            Err(error) => tracing::warn!(%error, "the content was not looked after"),
            Ok(decision) => {
                let news = !decision.announce.is_empty();
                remove(&store, decision.remove).await;
                let now = Instant::now();
                let due = |manifest: &ManifestDigest| failures.get(manifest).map_or(now, |(_, at)| *at);
                if let Some(next) = decision.fetch.iter().map(|(.., m)| due(m)).min() {
                    wait = wait.min(next.saturating_duration_since(now));
                }
                let next = decision
                    .fetch
                    .into_iter()
                    .find(|(.., manifest)| due(manifest) <= now);
                if let (None, Some((kit, entry, manifest))) = (&fetching, next) {
                    tracing::info!(%kit, "fetching content");
                    let fetcher = fetcher.clone();
                    fetching = Some(Box::pin(async move {
                        (kit, manifest, fetcher.fetch(entry, manifest).await)
                    }));
                }
                if fetching.is_some() {
                    wait = LOOK_EVERY;
                }
                if news {
                    // What was told may have let something else follow: bytes that may go now.
                    wait = Duration::ZERO;
                }
            }
        }
        tokio::select! {
            () = shutdown.wait() => return,
            (kit, manifest, outcome) = ended(&mut fetching) => {
                fetching = None;
                match outcome {
                    Ok(()) => {
                        failures.remove(&manifest);
                        tracing::info!(%kit, "content complete");
                    }
                    Err(error) => {
                        let (count, at) = failures.entry(manifest).or_insert((0, Instant::now()));
                        let pause = Backoff::default().wait(*count, node.random.as_ref());
                        *count += 1;
                        *at = Instant::now() + pause;
                        tracing::warn!(%kit, %error, failures = *count, wait_ms = pause.as_millis() as u64, "content was not fetched");
                    }
                }
            }
            // The Hub is there: what failed is worth another attempt now.
            Ok(()) = applied.changed() => failures.values_mut().for_each(|(_, at)| *at = Instant::now()),
            () = nudge.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// The end of the fetch that is on the way; never, if there is none.
async fn ended<T>(fetching: &mut Option<BoxFuture<'_, T>>) -> T {
    match fetching {
        Some(fetching) => fetching.await,
        None => std::future::pending().await,
    }
}

async fn installed(store: &Installation) -> Result<BTreeSet<ManifestDigest>, NodeError> {
    let versions = with_installation(store, |installation| installation.open_versions()).await?;
    Ok(versions.into_iter().collect())
}

async fn remove(store: &Installation, manifests: Vec<ManifestDigest>) {
    for manifest in manifests {
        match with_installation(store, move |installation| installation.remove(&manifest)).await {
            Ok(()) => tracing::info!(%manifest, "the bytes of a withdrawn kit version were removed"),
            Err(error) => tracing::warn!(%manifest, %error, "bytes that nobody needs were not removed"),
        }
    }
}

/// Works on the installation on a thread that may block.
async fn with_installation<T: Send + 'static>(
    store: &Installation,
    work: impl FnOnce(&Installation) -> Result<T, InstallError> + Send + 'static,
) -> Result<T, Refusal> {
    let store = store.clone();
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error @ (InstallError::NotInstalled(_) | InstallError::Missing(_)))) => {
            Err(Refusal::precondition(
                error,
                "wait until the phase is content_complete; see `catalogue list`",
            ))
        }
        Ok(Err(error @ InstallError::Occupied(_))) => {
            Err(Refusal::conflict(error, "choose a folder that does not exist"))
        }
        Ok(Err(error)) => Err(Refusal::internal(&error)),
        Err(error) => Err(Refusal::internal(&error)),
    }
}

/// Copies the files of a kit version to `directory`, an absolute path that is new or an empty folder.
pub async fn export(
    node: &Node,
    store: &Installation,
    id: &Versioned,
    directory: &str,
) -> Result<wire::ExportKitResponse, NodeError> {
    let to = PathBuf::from(directory);
    if !to.is_absolute() || directory.len() > 4_096 {
        return Err(Refusal::invalid(
            "the folder to export to is not an absolute path",
            "write it from the root",
        )
        .into());
    }
    let kit = catalogue::kit(&mut node.db.read().await?, id).await?;
    let manifest = kit.manifest;
    with_installation(store, move |installation| installation.export(&manifest, &to)).await?;
    Ok(wire::ExportKitResponse {
        files: kit.files,
        bytes: kit.bytes,
        directory: directory.to_owned(),
    })
}

/// Reads the installed bytes of a kit version again; one row per thing that does not hold.
pub async fn verify(node: &Node, store: &Installation, id: &Versioned) -> Result<wire::Listing, NodeError> {
    let kit = catalogue::kit(&mut node.db.read().await?, id).await?;
    let manifest = kit.manifest;
    let found = with_installation(store, move |installation| {
        let Some(encoded) = installation.manifest(&manifest)? else {
            return Err(InstallError::NotInstalled(manifest));
        };
        let tree: Manifest = match raccordo_proto::content::decode_manifest(&encoded) {
            Ok(tree) => tree,
            Err(error) => return Ok(Some(("manifest".to_owned(), error.to_string()))),
        };
        match installation.verify(&manifest, &tree) {
            Ok(()) => Ok(None),
            Err(InstallError::Damaged { path, why }) => Ok(Some((path, why.to_owned()))),
            Err(error) => Err(error),
        }
    })
    .await?;
    let rows = found.map(|(path, problem)| vec![id.to_string(), path, problem]);
    Ok(records::listing(&["kit", "item", "problem"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_model::{digest::LeafHash, node::NodeId};

    const NOW: Timestamp = Timestamp(5);

    fn kit(version: &str, phases: &[KitPhase], withdrawn: bool) -> KitVersion {
        let kit: Versioned = format!("KIT@{version}").parse().unwrap();
        KitVersion {
            manifest: ManifestDigest([kit.version.minor as u8; 32]),
            kit,
            entry: EntryRef {
                node: NodeId::Hub,
                index: 1,
                leaf_hash: LeafHash([0; 32]),
            },
            title: String::new(),
            files: 1,
            bytes: 1,
            published_us: 0,
            withdrawn: withdrawn.then(|| "errore".to_owned()),
            phases: phases.iter().map(|p| (*p, 1)).collect(),
            adoption: None,
        }
    }

    fn told(kits: &[KitVersion], installed: &[u8], in_use: &[&str]) -> (Vec<String>, usize, usize) {
        let kits = kits.iter().map(|k| (k.kit.clone(), k.clone())).collect();
        let installed = installed.iter().map(|n| ManifestDigest([*n; 32])).collect();
        let in_use = in_use.iter().map(|k| k.parse().unwrap()).collect();
        let decision = decide(&kits, &installed, &in_use, NOW);
        let announced = decision
            .announce
            .iter()
            .map(|p| format!("{} {}", p.kit.version, p.phase.as_str()))
            .collect();
        (announced, decision.fetch.len(), decision.remove.len())
    }

    #[test]
    fn phases_that_come_together_are_announced_together() {
        use KitPhase::*;
        let two = [kit("1.0.0", &[], false), kit("1.1.0", &[], false)];
        assert_eq!(
            told(&two, &[], &[]),
            (vec!["1.0.0 applied".into(), "1.1.0 applied".into()], 2, 0)
        );
        let words = ["1.0.0 applied", "1.0.0 content_complete", "1.0.0 serving"]
            .map(String::from)
            .to_vec();
        assert_eq!(told(&two[..1], &[0], &[]), (words, 0, 0));
        let done = [kit("1.0.0", &[Applied, ContentComplete, Serving], false)];
        assert_eq!(told(&done, &[0], &[]), (vec![], 0, 0));
        // Bytes that vanished come back without another announcement.
        assert_eq!(told(&done, &[], &[]), (vec![], 1, 0));
    }

    #[test]
    fn a_withdrawn_version_stays_while_an_edition_uses_it() {
        use KitPhase::*;
        let served = [kit("1.0.0", &[Applied, ContentComplete, Serving], true)];
        assert_eq!(told(&served, &[0], &["KIT@1.0.0"]), (vec![], 0, 0));
        assert_eq!(
            told(&served, &[0], &[]),
            (vec!["1.0.0 no_longer_served".into()], 0, 0)
        );
        let gone = [kit("1.0.0", &[Applied, ContentComplete, NoLongerServed], true)];
        assert_eq!(told(&gone, &[0], &[]), (vec![], 0, 1));
        // Another version with the same tree keeps the bytes.
        let mut other = kit("1.0.1", &[Applied, ContentComplete, Serving], false);
        other.manifest = gone[0].manifest;
        assert_eq!(told(&[gone[0].clone(), other], &[0], &[]), (vec![], 0, 0));
    }
}
