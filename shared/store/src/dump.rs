//! Canonical dump of tables: the same text from SQLite and PostgreSQL, for digests.

use crate::{Db, StoreError, Tx};
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::{Column, Row, TypeInfo, ValueRef};

pub(crate) const TABLES_SQLITE: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'proj\\_%' ESCAPE '\\' ORDER BY name";
pub(crate) const TABLES_POSTGRES: &str = "SELECT CAST(tablename AS TEXT) AS name FROM pg_tables
    WHERE schemaname = current_schema() AND tablename LIKE 'proj\\_%' ESCAPE '\\' ORDER BY tablename";

/// A rebuildable table, as its owner declares it.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name, `proj_…`.
    pub name: &'static str,
    /// `SELECT` of every column, ordered by the key: what the digest covers.
    pub dump: &'static str,
    /// `DROP TABLE`.
    pub drop: &'static str,
}

/// Declares a [`Table`] by name and key columns.
#[macro_export]
macro_rules! table {
    ($name:literal, $key:literal) => {
        $crate::dump::Table {
            name: $name,
            dump: concat!("SELECT * FROM ", $name, " ORDER BY ", $key),
            drop: concat!("DROP TABLE IF EXISTS ", $name),
        }
    };
}

/// Names of the `proj_*` tables that the database really has.
pub async fn projection_tables(tx: &mut Tx) -> Result<Vec<String>, StoreError> {
    let sql = if tx.is_sqlite() {
        TABLES_SQLITE
    } else {
        TABLES_POSTGRES
    };
    let rows: Vec<(String,)> = tx.query(sql).fetch_all().await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// SHA-256 of the canonical dump of these tables, in the order of their names.
///
/// Each table gives a line with its name, then a line per row: `column=value` in the order of the
/// columns' names, values as integers, as quoted text or as hexadecimal bytes. Rows are ordered by
/// the text of the line, so that collation rules of a database do not matter.
pub async fn digest(db: &Db, tables: &[Table]) -> Result<String, StoreError> {
    let mut tx = db.read().await?;
    digest_in(&mut tx, tables).await
}

/// [`digest`] of the state that `tx` sees.
pub async fn digest_in(tx: &mut Tx, tables: &[Table]) -> Result<String, StoreError> {
    let mut sorted: Vec<&Table> = tables.iter().collect();
    sorted.sort_by_key(|t| t.name);
    let mut hash = Sha256::new();
    for table in sorted {
        hash.update(table.name);
        hash.update(b"\n");
        // Lines are hashed first and sorted as 32-byte digests: memory is 32 bytes a row.
        let mut rows = Vec::new();
        each_row(tx, table, |line| rows.push(Sha256::digest(line))).await?;
        rows.sort_unstable();
        for row in rows {
            hash.update(row);
        }
    }
    Ok(hex::encode(hash.finalize()))
}

/// Hands over the canonical line of each row of a table.
pub async fn each_row(tx: &mut Tx, table: &Table, mut each: impl FnMut(&str)) -> Result<(), StoreError> {
    match tx {
        Tx::Sqlite(tx) => {
            let mut rows = sqlx::query(table.dump).fetch(&mut **tx);
            while let Some(row) = rows.try_next().await? {
                each(&line(row.columns().iter().map(|c| c.name()), |i| {
                    sqlite_value(&row, i)
                })?);
            }
        }
        Tx::Postgres(tx) => {
            let mut rows = sqlx::query(table.dump).fetch(&mut **tx);
            while let Some(row) = rows.try_next().await? {
                each(&line(row.columns().iter().map(|c| c.name()), |i| {
                    postgres_value(&row, i)
                })?);
            }
        }
    }
    Ok(())
}

fn line<'a>(
    names: impl Iterator<Item = &'a str>,
    value: impl Fn(usize) -> Result<String, StoreError>,
) -> Result<String, StoreError> {
    let mut cells = names
        .enumerate()
        .map(|(index, name)| Ok(format!("{name}={}", value(index)?)))
        .collect::<Result<Vec<_>, StoreError>>()?;
    cells.sort_unstable();
    Ok(cells.join(" "))
}

fn sqlite_value(row: &sqlx::sqlite::SqliteRow, index: usize) -> Result<String, StoreError> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok("null".into());
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" | "BOOLEAN" => row.try_get::<i64, _>(index)?.to_string(),
        "BLOB" => hex::encode(row.try_get::<Vec<u8>, _>(index)?),
        _ => format!("{:?}", row.try_get::<String, _>(index)?),
    })
}

fn postgres_value(row: &sqlx::postgres::PgRow, index: usize) -> Result<String, StoreError> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok("null".into());
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INT8" => row.try_get::<i64, _>(index)?.to_string(),
        "BYTEA" => hex::encode(row.try_get::<Vec<u8>, _>(index)?),
        _ => format!("{:?}", row.try_get::<String, _>(index)?),
    })
}
