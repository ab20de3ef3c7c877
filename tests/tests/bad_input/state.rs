//! What nodes hold, so that before and after can be compared; and what a refusal must say.

use anyhow::{Context, Result, bail, ensure};
use raccordo_tests::{
    federation::{TestHub, TestSpoke, eventually},
    process::Finished,
};
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};
use tonic::{Code, Status};

/// Tables that every contact writes, refused or not: the access log, when a peer was seen, and what
/// followers confirmed of entries that were there before.
const VOLATILE: [&str; 3] = ["local_access", "ledger_epoch", "ledger_cosignature"];

/// Every row of every table of a node's database.
type Tables = BTreeMap<String, BTreeSet<String>>;

/// Opens a node's database beside the running node.
pub(crate) async fn database(data: &Path) -> Result<SqliteConnection> {
    let file = data.join("node.db");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .busy_timeout(Duration::from_secs(20));
    options
        .connect()
        .await
        .with_context(|| file.display().to_string())
}

/// Changes a node's database behind its back, as only a test may.
pub(crate) async fn meddle(data: &Path, sql: &str) -> Result<()> {
    let mut db = database(data).await?;
    let changed = sqlx::query(AssertSqlSafe(sql))
        .execute(&mut db)
        .await?
        .rows_affected();
    ensure!(changed > 0, "nothing was changed by {sql}");
    Ok(())
}

/// One number of a node's database.
pub(crate) async fn number(data: &Path, sql: &str) -> Result<i64> {
    let mut db = database(data).await?;
    let (n,): (i64,) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut db).await?;
    Ok(n)
}

/// How many entries of a ledger a node holds.
pub(crate) async fn size(data: &Path, ledger: &str) -> Result<i64> {
    number(
        data,
        &format!("SELECT COALESCE(MAX(size), 0) FROM ledger_head WHERE ledger = '{ledger}'"),
    )
    .await
}

async fn tables(data: &Path) -> Result<Tables> {
    let mut db = database(data).await?;
    let names: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .fetch_all(&mut db)
            .await?;
    let mut tables = Tables::new();
    for (table,) in names {
        if VOLATILE.contains(&table.as_str()) {
            continue;
        }
        let sql = format!("SELECT name FROM pragma_table_info('{table}')");
        let columns: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut db).await?;
        let quoted: Vec<String> = columns
            .iter()
            .map(|(c,)| format!("'{c}=' || quote({c})"))
            .collect();
        let sql = format!("SELECT {} FROM {table}", quoted.join(" || ' ' || "));
        let rows: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut db).await?;
        tables.insert(table, rows.into_iter().map(|(row,)| row).collect());
    }
    ensure!(
        tables.contains_key("ledger_head") && tables.contains_key("proj_cursor"),
        "these are a node's tables"
    );
    Ok(tables)
}

/// Nodes as they stood at one moment.
pub(crate) struct Before(Vec<(PathBuf, Tables)>);

impl Before {
    /// Looks at every node of these data folders. None of them must have work on the way.
    pub(crate) async fn of(folders: &[&Path]) -> Result<Self> {
        let mut nodes = Vec::new();
        for folder in folders {
            nodes.push((folder.to_path_buf(), tables(folder).await?));
        }
        Ok(Self(nodes))
    }

    /// Fails with the first rows that differ now.
    pub(crate) async fn unchanged(&self, what: &str) -> Result<()> {
        for (folder, before) in &self.0 {
            let after = tables(folder).await?;
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let empty = BTreeSet::new();
                let (old, new) = (
                    before.get(name).unwrap_or(&empty),
                    after.get(name).unwrap_or(&empty),
                );
                let (lost, came) = (old.difference(new).next(), new.difference(old).next());
                if lost.is_some() || came.is_some() {
                    let cut = |row: Option<&String>| row.map(|r| r.chars().take(300).collect::<String>());
                    bail!(
                        "{what}: {} changed table {name}: {:?} became {:?}",
                        folder.display(),
                        cut(lost),
                        cut(came)
                    );
                }
            }
        }
        Ok(())
    }

    /// The command was refused with this exit code, said all of this and a remedy, and changed nothing.
    pub(crate) async fn refused(&self, what: &str, got: Finished, code: i32, says: &[&str]) -> Result<()> {
        let all = format!("{}{}", got.stdout, got.stderr);
        ensure!(
            got.code == code,
            "{what}: exit code {} where {code} was expected:\n{all}",
            got.code
        );
        for say in says {
            ensure!(all.contains(say), "{what}: does not say `{say}`:\n{all}");
        }
        ensure!(
            all.to_lowercase().contains("rimedio"),
            "{what}: no remedy:\n{all}"
        );
        self.unchanged(what).await
    }

    /// The call was refused with one of these codes, said all of this, and changed nothing.
    pub(crate) async fn status<T>(
        &self,
        what: &str,
        got: Result<T, Status>,
        codes: &[Code],
        says: &[&str],
    ) -> Result<()> {
        let Err(status) = got else {
            bail!("{what}: was accepted")
        };
        ensure!(
            codes.contains(&status.code()),
            "{what}: {:?} where {codes:?} was expected: {status:?}",
            status.code()
        );
        let all = raccordo_node::channel::explain(&status);
        for say in says {
            ensure!(all.contains(say), "{what}: does not say `{say}`: {all}");
        }
        self.unchanged(what).await
    }
}

/// Waits until the Hub and its serving Spokes hold the same of each other's ledgers.
pub(crate) async fn level(hub: &TestHub, spokes: &[&TestSpoke]) -> Result<()> {
    for spoke in spokes {
        let mut left = 1_200;
        loop {
            let at_hub = (
                size(&hub.data, "hub").await?,
                size(&hub.data, &spoke.region).await?,
            );
            let at_spoke = (
                size(&spoke.data, "hub").await?,
                size(&spoke.data, &spoke.region).await?,
            );
            if at_hub == at_spoke && at_spoke.1 > 0 {
                break;
            }
            left -= 1;
            ensure!(
                left > 0,
                "region {}: the Hub holds {at_hub:?}, the Spoke {at_spoke:?}",
                spoke.region
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Waits until a command's output holds a text.
pub(crate) fn until_says(what: &str, mut ask: impl FnMut() -> Result<Finished>, text: &str) -> Result<()> {
    eventually(what, || Ok(ask()?.stdout.contains(text)))
}
