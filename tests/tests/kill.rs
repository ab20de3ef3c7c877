//! `kill -9` in the middle of an exchange: of the Hub, of the Spoke, again and again, while both go on
//! appending by public commands. Nothing is lost, nothing is applied twice.

use anyhow::{Context, Result, ensure};
use raccordo_model::{node::NodeId, scope::Scope};
use raccordo_node::random::{Random, SeededRandom, below};
use raccordo_store::{Db, heads};
use raccordo_tests::{
    backlog,
    federation::{Person, TestHub, TestSpoke, file, level, text},
    process::run,
};
use std::{collections::BTreeMap, path::Path, thread, time::Duration};
use tokio::runtime::Runtime;

const REGION: &str = "090";
const PENDING: usize = 4_000;
const ROUNDS: u64 = 4;

#[test]
fn a_killed_hub_loses_and_doubles_nothing() -> Result<()> {
    killed(Victim::Hub, 11)
}

#[test]
fn a_killed_spoke_loses_and_doubles_nothing() -> Result<()> {
    killed(Victim::Spoke, 12)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Hub,
    Spoke,
}

fn killed(victim: Victim, seed: u64) -> Result<()> {
    let runtime = Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let random = SeededRandom::new(seed);
    let mut hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
    let mut spoke = hub.spoke(folder.path(), REGION)?;
    // Code lists and the Spoke's first plan are there before the trouble begins.
    let publisher = hub.person("Redattrice", "MDS", &["publisher"])?;
    level(&hub, &spoke)?;
    spoke.stop()?;
    hub.stop()?;
    let mut expected = runtime.block_on(pending(&hub, &spoke, &random))?;

    hub.serve()?;
    spoke.serve()?;
    let watch = runtime.block_on(Watch::open(&hub, &spoke))?;
    let already = runtime.block_on(watch.crossed())?;
    for round in 0..ROUNDS {
        // A moment of each fifth of the exchange, random within it.
        let fifth = 2 * PENDING as u64 / (ROUNDS + 1);
        let moment = already + fifth * round + below(&random, fifth);
        runtime.block_on(watch.until(moment))?;
        match victim {
            Victim::Hub => hub.kill(),
            Victim::Spoke => spoke.kill(),
        }
        let crossed = runtime.block_on(watch.crossed())?;
        ensure!(
            crossed < already + 2 * PENDING as u64,
            "round {round}: the exchange was over before the kill"
        );
        // Whoever is alive works on, by what people have: commands.
        match victim {
            Victim::Hub => submit_plan(folder.path(), &spoke, round)?,
            Victim::Spoke => publish_syllabus(folder.path(), &hub, &publisher, round)?,
        }
        match victim {
            Victim::Hub => hub.serve()?,
            Victim::Spoke => spoke.serve()?,
        }
        match victim {
            Victim::Hub => publish_syllabus(folder.path(), &hub, &publisher, round)?,
            Victim::Spoke => submit_plan(folder.path(), &spoke, round)?,
        }
        *expected.entry("po/090".into()).or_insert(0) += 1;
        *expected
            .entry(format!("syllabus/{}", syllabus(round)))
            .or_insert(0) += 1;
    }
    level(&hub, &spoke)?;

    for sync in [hub.sync()?, spoke.sync()?] {
        ensure!((sync.quarantine, sync.fences) == (0, 0), "{sync:?}");
    }
    spoke.stop()?;
    hub.stop()?;
    let digests = [
        sound("raccordo-hub", &hub.data)?,
        sound("raccordo-spoke", &spoke.data)?,
    ];
    ensure!(digests.iter().all(|d| !d.is_empty()), "{digests:?}");
    runtime.block_on(each_once(&hub, &spoke, &expected))
}

/// Thousands of entries on both sides, in acts of random sizes; returns their subjects.
async fn pending(hub: &TestHub, spoke: &TestSpoke, random: &dyn Random) -> Result<BTreeMap<String, usize>> {
    let (at_hub, at_spoke) = (
        backlog::hub_node(&hub.data).await?,
        backlog::spoke_node(&spoke.data).await?,
    );
    let per_act = |random| 1 + below(random, 64) as usize;
    backlog::append(&at_hub, PENDING, 2_048, per_act(random), &Scope::Public, 1).await?;
    backlog::append(&at_spoke, PENDING, 2_048, per_act(random), &Scope::Centre, 2).await?;
    at_hub.db.close().await;
    at_spoke.db.close().await;
    Ok((0..PENDING).map(|n| (format!("load/{n}"), 2)).collect())
}

fn syllabus(round: u64) -> String {
    format!("SYL-PROVA-{round}")
}

fn publish_syllabus(folder: &Path, hub: &TestHub, publisher: &Person, round: u64) -> Result<()> {
    let id = syllabus(round);
    let content = format!(
        "- id: {id}\n  version: \"1.0.0\"\n  title: {{ it: \"Prova {round}\" }}\n  level: STAFF\n  area: GENERAL\n  \
         targets: [C1]\n  ecm: {{ accredited: false }}\n  units:\n    - {{ id: U1, minutes: 30, objective: POLICY, \
         title: {{ it: \"Unità\" }} }}\n"
    );
    hub.run_as(
        publisher,
        &[
            "syllabus",
            "publish",
            &file(folder, &format!("{id}.yaml"), &content)?,
        ],
    )?
    .ok()
    .map(drop)
}

fn submit_plan(folder: &Path, spoke: &TestSpoke, round: u64) -> Result<()> {
    let content = format!(
        "region: \"{REGION}\"\noperational_plan:\n  horizon: {{ from: 2023, to: 2026 }}\n  interventions:\n    \
         - {{ id: PO-01, title: \"Formazione, versione {round}\", level: STAFF }}\n"
    );
    spoke
        .run(&[
            "po",
            "import",
            &file(folder, &format!("po-{round}.yaml"), &content)?,
        ])?
        .ok()?;
    spoke.run(&["po", "submit"])?.ok().map(drop)
}

/// Reads beside the running processes how far the exchange has come.
struct Watch {
    hub: Db,
    spoke: Db,
}

impl Watch {
    async fn open(hub: &TestHub, spoke: &TestSpoke) -> Result<Self> {
        Ok(Self {
            hub: open(&hub.data).await?,
            spoke: open(&spoke.data).await?,
        })
    }

    /// Entries that crossed so far, in both directions.
    async fn crossed(&self) -> Result<u64> {
        let held = async |db: &Db, ledger: NodeId| -> Result<u64> {
            let mut tx = db.read().await?;
            Ok(heads::get(&mut tx, ledger).await?.map_or(0, |h| h.size))
        };
        Ok(held(&self.hub, REGION.parse()?).await? + held(&self.spoke, NodeId::Hub).await?)
    }

    async fn until(&self, moment: u64) -> Result<()> {
        let began = std::time::Instant::now();
        while self.crossed().await? < moment {
            ensure!(
                began.elapsed() < Duration::from_secs(90),
                "the exchange stands still at {moment}"
            );
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

async fn open(data: &Path) -> Result<Db> {
    Ok(Db::open(&format!("sqlite:{}", data.join("node.db").display())).await?)
}

/// `verify` finds nothing, `rebuild` changes nothing; returns the digest that both print.
fn sound(program: &str, data: &Path) -> Result<String> {
    let digest = |command: &str| -> Result<String> {
        let printed = run(program, &[command, "--data", text(data)?])?.ok()?.stdout;
        let line = printed
            .lines()
            .rev()
            .find(|l| l.contains("digest "))
            .context(printed.clone())?;
        Ok(line.rsplit(' ').next().unwrap_or_default().to_owned())
    };
    let (verified, rebuilt) = (digest("verify")?, digest("rebuild")?);
    ensure!(
        verified == rebuilt,
        "{program}: digest {verified} before the rebuild, {rebuilt} after it"
    );
    Ok(rebuilt)
}

/// Both sides hold the same entries of both ledgers, every index once, every expected subject as often
/// as it was appended.
async fn each_once(hub: &TestHub, spoke: &TestSpoke, expected: &BTreeMap<String, usize>) -> Result<()> {
    let (hub, spoke) = (
        backlog::hub_node(&hub.data).await?,
        backlog::spoke_node(&spoke.data).await?,
    );
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for ledger in [NodeId::Hub, REGION.parse()?] {
        let (at_hub, at_spoke) = (whole(&hub, ledger).await?, whole(&spoke, ledger).await?);
        ensure!(
            at_hub.len() == at_spoke.len(),
            "{ledger}: {} and {} entries",
            at_hub.len(),
            at_spoke.len()
        );
        for (index, (ours, theirs)) in at_hub.iter().zip(&at_spoke).enumerate() {
            ensure!(
                ours.0 == theirs.0 && ours.1 == theirs.1,
                "{ledger}/{index} differs"
            );
            *found.entry(ours.1.clone()).or_insert(0) += 1;
        }
    }
    for (subject, times) in expected {
        let times_found = found.get(subject).copied().unwrap_or(0);
        ensure!(
            times_found == *times,
            "{subject}: {times_found} entries, not {times}"
        );
    }
    Ok(())
}

/// Leaf hash and subject of every entry of a ledger.
async fn whole(node: &raccordo_node::Node, ledger: NodeId) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    loop {
        let from = all.len() as u64;
        let page = node.entries(ledger, from, from + 500).await?;
        if page.is_empty() {
            return Ok(all);
        }
        for entry in page {
            ensure!(
                entry.index == all.len() as u64,
                "{ledger}/{} is missing",
                all.len()
            );
            all.push((entry.leaf_hash.to_string(), entry.header.subject.to_string()));
        }
    }
}
