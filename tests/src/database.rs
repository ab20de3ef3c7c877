//! A fresh database per test, on both engines.

use raccordo_store::Db;
use std::{env, io::Write};
use tempfile::TempDir;

/// A database that goes with the value.
pub struct TestDb {
    /// Connections to it.
    pub db: Db,
    /// Its address, for another process or a second opening.
    pub address: String,
    _folder: Option<TempDir>,
}

/// The engines that a suite runs on: SQLite always; PostgreSQL where `RACCORDO_TEST_POSTGRES` names
/// a server. Without one the test says loudly that it was skipped, and with
/// `RACCORDO_REQUIRE_POSTGRES` it fails: CI sets that.
pub async fn engines(test: &str) -> Vec<TestDb> {
    let mut engines = vec![sqlite().await];
    match env::var("RACCORDO_TEST_POSTGRES") {
        Ok(server) => engines.push(postgres(&server).await),
        Err(_) => {
            assert!(
                env::var("RACCORDO_REQUIRE_POSTGRES").is_err(),
                "{test}: RACCORDO_REQUIRE_POSTGRES is set and RACCORDO_TEST_POSTGRES names no server"
            );
            // Not `eprintln!`: the test harness would swallow it, and a skip must be seen.
            let line = format!(
                "SKIPPED on PostgreSQL: {test} (set RACCORDO_TEST_POSTGRES=postgres://USER@HOST/NAME)\n"
            );
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
    engines
}

/// A fresh SQLite file.
pub async fn sqlite() -> TestDb {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let address = format!("sqlite:{}", folder.path().join("node.db").display());
    let db = Db::open(&address).await.expect("a fresh SQLite file opens");
    TestDb {
        db,
        address,
        _folder: Some(folder),
    }
}

/// A fresh schema on a PostgreSQL server.
pub async fn postgres(server: &str) -> TestDb {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unique = folder
        .path()
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or("x")
        .to_lowercase();
    let schema: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
    let schema = format!("t_{schema}_{}", std::process::id());
    let admin = sqlx::PgPool::connect(server)
        .await
        .expect("the PostgreSQL server of RACCORDO_TEST_POSTGRES answers");
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
        .execute(&admin)
        .await
        .expect("a schema of its own");
    admin.close().await;
    let separator = if server.contains('?') { '&' } else { '?' };
    let address = format!("{server}{separator}options[search_path]={schema}");
    let db = Db::open(&address).await.expect("the schema opens");
    TestDb {
        db,
        address,
        _folder: Some(folder),
    }
}
