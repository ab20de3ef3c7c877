//! 100,000 pending entries of 2 KiB in each direction, between two processes, under 100 MiB each.

use anyhow::{Context, Result, ensure};
use raccordo_model::scope::Scope;
use raccordo_tests::{
    backlog,
    federation::{TestHub, level_within},
};
use std::time::{Duration, Instant};

const ENTRIES: usize = 100_000;
const BYTES: usize = 2 * 1_024;
const PER_ACT: usize = 256;
const RESIDENT_MAX: u64 = 100 * 1_024 * 1_024;
/// Not a goal but an end: far above what a slow machine takes in a development build.
const PATIENCE: Duration = Duration::from_secs(600);

#[test]
fn a_hundred_thousand_entries_each_way_in_a_hundred_mebibytes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
    let mut spoke = hub.spoke(folder.path(), "090")?;
    spoke.stop()?;
    hub.stop()?;

    let began = Instant::now();
    tokio::runtime::Runtime::new()?.block_on(async {
        let (at_hub, at_spoke) = (
            backlog::hub_node(&hub.data).await?,
            backlog::spoke_node(&spoke.data).await?,
        );
        let (on_hub, on_spoke) = (at_hub.clone(), at_spoke.clone());
        let other = tokio::spawn(async move {
            backlog::append(&on_spoke, ENTRIES, BYTES, PER_ACT, &Scope::Centre, 2).await
        });
        backlog::append(&on_hub, ENTRIES, BYTES, PER_ACT, &Scope::Public, 1).await?;
        other.await??;
        at_hub.db.close().await;
        at_spoke.db.close().await;
        Ok::<_, anyhow::Error>(())
    })?;
    let appended = began.elapsed();

    hub.serve()?;
    spoke.serve()?;
    let began = Instant::now();
    level_within(&hub, &spoke, PATIENCE)?;
    let exchanged = began.elapsed();

    let (at_hub, at_spoke) = (hub.sync()?, spoke.sync()?);
    for (sync, other) in [(&at_hub, "090"), (&at_spoke, "hub")] {
        ensure!(sync.ledger(other).size >= ENTRIES as u64, "{sync:?}");
        ensure!(sync.quarantine + sync.fences == 0, "{sync:?}");
    }
    let peak = |serving: &Option<raccordo_tests::process::Serving>| {
        serving.as_ref().context("it serves")?.peak_memory()
    };
    let (hub_peak, spoke_peak) = (peak(&hub.serving)?, peak(&spoke.serving)?);
    println!(
        "2 x {ENTRIES} entries of {BYTES} bytes: appended in {appended:.1?}, exchanged in {exchanged:.1?} \
         ({:.0} entries/s in all); resident at most {} MiB at the Hub, {} MiB at the Spoke",
        2.0 * ENTRIES as f64 / exchanged.as_secs_f64(),
        hub_peak >> 20,
        spoke_peak >> 20,
    );
    ensure!(hub_peak < RESIDENT_MAX, "the Hub took {hub_peak} bytes");
    ensure!(spoke_peak < RESIDENT_MAX, "the Spoke took {spoke_peak} bytes");
    Ok(())
}
