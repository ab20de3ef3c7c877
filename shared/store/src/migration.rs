//! Migrations: paired texts for both databases, append-only, keyed by (component, version, checksum).

use crate::{Db, StoreError, Tx};
use sha2::{Digest, Sha256};

/// One step of one component's schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Who owns the tables, for example `ledger` or `hub_proj`.
    pub component: &'static str,
    /// From 1, without gaps.
    pub version: u32,
    /// Statements for SQLite.
    pub sqlite: &'static str,
    /// The same for PostgreSQL.
    pub postgres: &'static str,
}

/// The ledger's own tables.
pub const LEDGER: &[Migration] = &[Migration {
    component: "ledger",
    version: 1,
    sqlite: include_str!("../migrations/sqlite/ledger_0001.sql"),
    postgres: include_str!("../migrations/postgres/ledger_0001.sql"),
}];

const BOOK: &str = "CREATE TABLE IF NOT EXISTS local_migration (
    component TEXT NOT NULL, version BIGINT NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (component, version))";
pub(crate) const DONE: &str = "SELECT checksum FROM local_migration WHERE component = $1 AND version = $2";
pub(crate) const NOTE: &str =
    "INSERT INTO local_migration (component, version, checksum) VALUES ($1, $2, $3)";
pub(crate) const FORGET: &str = "DELETE FROM local_migration WHERE component = $1";

impl Db {
    /// Brings the schema up to these migrations, all in one transaction: after a crash either all
    /// of them are there or none, and the next start does the same again.
    pub async fn migrate(&self, migrations: &[Migration]) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        tx.script(BOOK).await?;
        for migration in migrations {
            apply(&mut tx, migration).await?;
        }
        tx.commit().await
    }
}

/// Applies one migration inside `tx` unless the book says that it is done.
pub async fn apply(tx: &mut Tx, migration: &Migration) -> Result<(), StoreError> {
    let text = if tx.is_sqlite() {
        migration.sqlite
    } else {
        migration.postgres
    };
    let checksum = hex::encode(Sha256::digest(text));
    let version = i64::from(migration.version);
    let done: Option<(String,)> = tx
        .query(DONE)
        .bind(migration.component.to_owned())
        .bind(version)
        .fetch_optional()
        .await?;
    match done {
        Some((found,)) if found == checksum => Ok(()),
        Some(_) => Err(StoreError::Migration {
            component: migration.component.into(),
            version: migration.version,
        }),
        None => {
            tx.script(text).await?;
            tx.query(NOTE)
                .bind(migration.component.to_owned())
                .bind(version)
                .bind(checksum)
                .execute()
                .await?;
            Ok(())
        }
    }
}

/// Strikes a component from the book, so that its migrations run again: for `rebuild`, which has
/// dropped its tables in the same transaction.
pub async fn forget(tx: &mut Tx, component: &str) -> Result<(), StoreError> {
    tx.query(FORGET)
        .bind(component.to_owned())
        .execute()
        .await
        .map(drop)
}
