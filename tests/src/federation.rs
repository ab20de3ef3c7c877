//! A Hub and Spokes of shipped binaries, joined, over real TLS.

use crate::process::{Finished, Serving, free_address, run};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long anything that must happen by itself may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A test federation's Hub.
#[derive(Debug)]
pub struct TestHub {
    /// Its data folder.
    pub data: PathBuf,
    /// The process, while it serves.
    pub serving: Option<Serving>,
}

/// A test federation's Spoke.
#[derive(Debug)]
pub struct TestSpoke {
    /// The region's three-digit code.
    pub region: String,
    /// Its data folder.
    pub data: PathBuf,
    /// The process, while it serves.
    pub serving: Option<Serving>,
}

impl TestHub {
    /// Makes a test federation whose business clock stands at `clock`, and serves it.
    pub fn start(folder: &Path, clock: &str) -> Result<Self> {
        Self::start_with(folder, clock, &[])
    }

    /// The same with further options of `init`.
    pub fn start_with(folder: &Path, clock: &str, options: &[&str]) -> Result<Self> {
        let data = folder.join("hub");
        let mut arguments = vec![
            "init",
            "--data",
            text(&data)?,
            "--federation",
            "fse-prova",
            "--test",
        ];
        arguments.extend_from_slice(&["--clock", clock]);
        // Ports of its own, so that it comes back where its Spokes look for it.
        let (api, exchange) = (free_address()?, free_address()?);
        arguments.extend_from_slice(&["--api-address", &api, "--exchange-address", &exchange]);
        arguments.extend_from_slice(&["--admin-address", "127.0.0.1:0"]);
        arguments.extend_from_slice(options);
        run("raccordo-hub", &arguments)?.ok()?;
        let mut hub = Self { data, serving: None };
        hub.serve()?;
        Ok(hub)
    }

    /// Serves, again after a kill.
    pub fn serve(&mut self) -> Result<()> {
        self.serving = Some(Serving::start("raccordo-hub", &self.data, &[])?);
        Ok(())
    }

    /// Kills the process at once.
    pub fn kill(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.kill();
        }
    }

    /// Ends the process in good order.
    pub fn stop(&mut self) -> Result<()> {
        stop(self.serving.take())
    }

    /// How the exchange stands.
    pub fn sync(&self) -> Result<Sync> {
        Sync::parse(&self.run(&["sync", "status", "-o", "json"])?.ok()?.json()?)
    }

    /// Runs a command as the first administrator.
    pub fn run(&self, arguments: &[&str]) -> Result<Finished> {
        with_data("raccordo-hub", &self.data, arguments)
    }

    /// Runs a command as another person.
    pub fn run_as(&self, person: &Person, arguments: &[&str]) -> Result<Finished> {
        let mut all = arguments.to_vec();
        all.extend_from_slice(&["--token-file", text(&person.token_file)?]);
        with_data("raccordo-hub", &self.data, &all)
    }

    /// Adds a person with a token.
    pub fn person(&self, name: &str, institution: &str, roles: &[&str]) -> Result<Person> {
        let mut arguments = vec!["account", "add", "--name", name, "--institution", institution];
        for role in roles {
            arguments.extend_from_slice(&["--role", role]);
        }
        arguments.extend_from_slice(&["-o", "json"]);
        let added = self.run(&arguments)?.ok()?.json()?;
        let account = find(&added, "account").context("the account's identifier")?;
        self.another_token(&account, &format!("{name}.token"))
    }

    /// A further token of an account.
    pub fn another_token(&self, account: &str, file: &str) -> Result<Person> {
        let token_file = self.data.join(file.replace(' ', "-"));
        self.run(&["token", "issue", account, "--out", text(&token_file)?])?
            .ok()?;
        Ok(Person {
            account: account.into(),
            token_file,
        })
    }

    /// The address of one of its ports.
    pub fn address(&self, name: &str) -> &str {
        self.serving.as_ref().map_or("", |s| s.address(name))
    }

    /// Invites a region, joins it and serves its Spoke.
    pub fn spoke(&self, folder: &Path, region: &str) -> Result<TestSpoke> {
        self.spoke_with(folder, region, &[])
    }

    /// The same with further options of `join`.
    pub fn spoke_with(&self, folder: &Path, region: &str, options: &[&str]) -> Result<TestSpoke> {
        let bundle = folder.join(format!("{region}.bundle"));
        self.run(&["region", "invite", region, "--out", text(&bundle)?])?
            .ok()?;
        let data = folder.join(format!("spoke-{region}"));
        let mut arguments = vec!["join", "--bundle", text(&bundle)?, "--data", text(&data)?];
        arguments.extend_from_slice(&["--api-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"]);
        arguments.extend_from_slice(options);
        run("raccordo-spoke", &arguments)?.ok()?;
        let mut spoke = TestSpoke {
            region: region.into(),
            data,
            serving: None,
        };
        spoke.serve()?;
        Ok(spoke)
    }
}

/// A person with a token file.
#[derive(Debug, Clone)]
pub struct Person {
    /// The account's identifier.
    pub account: String,
    /// Where the token is.
    pub token_file: PathBuf,
}

impl TestSpoke {
    /// Serves, again after a kill.
    pub fn serve(&mut self) -> Result<()> {
        self.serving = Some(Serving::start("raccordo-spoke", &self.data, &[])?);
        Ok(())
    }

    /// Kills the process at once.
    pub fn kill(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.kill();
        }
    }

    /// Ends the process in good order.
    pub fn stop(&mut self) -> Result<()> {
        stop(self.serving.take())
    }

    /// How the exchange stands.
    pub fn sync(&self) -> Result<Sync> {
        Sync::parse(&self.run(&["sync", "status", "-o", "json"])?.ok()?.json()?)
    }

    /// Runs a command as the first administrator.
    pub fn run(&self, arguments: &[&str]) -> Result<Finished> {
        with_data("raccordo-spoke", &self.data, arguments)
    }

    /// Moves the business clock of this region.
    pub fn clock(&self, instant: &str) -> Result<()> {
        self.run(&["clock", "set", instant])?.ok().map(drop)
    }
}

/// What `sync status` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// By node: entries held, entries applied, entries that are confirmed.
    pub ledgers: BTreeMap<String, Ledger>,
    /// Entries that could not be applied.
    pub quarantine: usize,
    /// Exchanges that wait for a person.
    pub fences: usize,
}

/// One ledger, as a node sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Entries held.
    pub size: u64,
    /// Entries applied.
    pub applied: u64,
    /// Entries that are confirmed.
    pub cosigned: u64,
}

impl Sync {
    fn parse(value: &serde_json::Value) -> Result<Self> {
        let list = |key: &str| value[key].as_array().with_context(|| format!("{key} in {value}"));
        let number = |row: &serde_json::Value, key: &str| row[key].as_u64().unwrap_or(0);
        let mut ledgers = BTreeMap::new();
        for row in list("ledgers")? {
            let ledger = Ledger {
                size: number(row, "size"),
                applied: number(row, "applied"),
                cosigned: number(row, "cosigned"),
            };
            ledgers.insert(row["node"].as_str().context("a node")?.to_owned(), ledger);
        }
        Ok(Self {
            ledgers,
            quarantine: list("quarantine")?.len(),
            fences: list("fences")?.len(),
        })
    }

    /// One ledger; of one that is not known nothing is held.
    pub fn ledger(&self, node: &str) -> Ledger {
        self.ledgers.get(node).copied().unwrap_or_default()
    }

    /// Whether all of a ledger is applied here and confirmed.
    pub fn is_level(&self, node: &str) -> bool {
        let ledger = self.ledger(node);
        ledger.size > 0 && ledger.size == ledger.applied && ledger.size == ledger.cosigned
    }
}

/// Waits until each of the two holds all of the other's ledger, and has its own confirmed.
pub fn level(hub: &TestHub, spoke: &TestSpoke) -> Result<()> {
    level_within(hub, spoke, PATIENCE)
}

/// The same with another patience.
pub fn level_within(hub: &TestHub, spoke: &TestSpoke, patience: Duration) -> Result<()> {
    let what = format!("Hub and {} are level", spoke.region);
    eventually_within(&what, patience, || {
        let (at_hub, at_spoke) = (hub.sync()?, spoke.sync()?);
        let same = |node: &str| at_hub.ledger(node).size == at_spoke.ledger(node).size;
        let all = ["hub", spoke.region.as_str()];
        Ok(all.iter().all(|node| same(node) && at_spoke.is_level(node)) && at_hub.is_level(&spoke.region))
    })
}

/// Asks again until `true`, or fails with what was waited for. Polling is what a person at the
/// command line does; nothing here depends on how long it takes.
pub fn eventually(what: &str, ask: impl FnMut() -> Result<bool>) -> Result<()> {
    eventually_within(what, PATIENCE, ask)
}

/// The same with another patience.
pub fn eventually_within(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let began = Instant::now();
    loop {
        if ask()? {
            return Ok(());
        }
        if began.elapsed() > patience {
            bail!("still not so after {patience:?}: {what}");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// A path as text.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a UTF-8 path")
}

/// Writes a file into a folder and returns its path as text.
pub fn file(folder: &Path, name: &str, content: &str) -> Result<String> {
    let path = folder.join(name);
    fs::write(&path, content)?;
    Ok(text(&path)?.to_owned())
}

/// The first value of a key anywhere in a JSON document, as text.
pub fn find(value: &serde_json::Value, key: &str) -> Option<String> {
    match value {
        serde_json::Value::Object(map) => match map.get(key) {
            Some(serde_json::Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
            None => map.values().find_map(|v| find(v, key)),
        },
        serde_json::Value::Array(list) => list.iter().find_map(|v| find(v, key)),
        _ => None,
    }
}

fn stop(serving: Option<Serving>) -> Result<()> {
    let Some(serving) = serving else { return Ok(()) };
    if !serving.stop()? {
        bail!("the process did not end with code 0");
    }
    Ok(())
}

fn with_data(program: &str, data: &Path, arguments: &[&str]) -> Result<Finished> {
    let mut all = arguments.to_vec();
    all.extend_from_slice(&["--data", text(data)?]);
    run(program, &all)
}
