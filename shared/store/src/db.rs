//! Runs one SQL text on either database: SQLite (the embedded default) or PostgreSQL.
//!
//! Portable subset: BIGINT, TEXT, BYTEA/BLOB and NULL; `$1` placeholders; `CAST(SUM(x) AS BIGINT)`;
//! booleans as 0 and 1; time as microseconds from our clock, never from SQL.

use crate::StoreError;
use futures::TryStreamExt;
use sqlx::{
    Decode, Encode, FromRow, Postgres, Sqlite, Type,
    postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow},
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
        SqliteSynchronous,
    },
};
use std::{str::FromStr, time::Duration};

/// Connections for readers, beside the one writer.
const READERS: u32 = 8;

/// A value that both databases store and read back.
pub trait Scalar:
    Type<Sqlite>
    + Type<Postgres>
    + for<'q> Encode<'q, Sqlite>
    + for<'q> Encode<'q, Postgres>
    + for<'r> Decode<'r, Sqlite>
    + for<'r> Decode<'r, Postgres>
    + Send
    + Unpin
{
}
impl<T> Scalar for T where
    T: Type<Sqlite>
        + Type<Postgres>
        + for<'q> Encode<'q, Sqlite>
        + for<'q> Encode<'q, Postgres>
        + for<'r> Decode<'r, Sqlite>
        + for<'r> Decode<'r, Postgres>
        + Send
        + Unpin
{
}

/// A row: a tuple, or a type that derives `sqlx::FromRow`; one derive serves both databases.
pub trait Record: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> Record for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A database. Cloning shares the connections.
#[derive(Debug, Clone)]
pub enum Db {
    /// Embedded: many readers and one writer on a file in WAL mode.
    Sqlite {
        /// Connections that only read.
        readers: SqlitePool,
        /// The one connection that writes.
        writer: SqlitePool,
    },
    /// A server.
    Postgres(PgPool),
}

/// A transaction. Dropped without [`Tx::commit`], it leaves no trace.
#[derive(Debug)]
pub enum Tx {
    /// On the embedded database.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// On a server.
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// One statement with its values.
pub enum Query<'t> {
    /// On the embedded database.
    Sqlite(
        &'t mut sqlx::SqliteConnection,
        sqlx::query::Query<'static, Sqlite, SqliteArguments>,
    ),
    /// On a server.
    Postgres(
        &'t mut sqlx::PgConnection,
        sqlx::query::Query<'static, Postgres, PgArguments>,
    ),
}

impl Db {
    /// Opens `sqlite:PATH` (made if absent) or `postgres://…`.
    pub async fn open(address: &str) -> Result<Self, StoreError> {
        if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(address)
                .map_err(|_| StoreError::Address("postgres://…".into()))?;
            let pool = PgPoolOptions::new()
                .max_connections(READERS + 2)
                .connect_with(options)
                .await?;
            return Ok(Self::Postgres(pool));
        }
        let path = address
            .strip_prefix("sqlite:")
            .ok_or_else(|| StoreError::Address(address.into()))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit that was answered survives a power cut: the log is synced at each commit.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(true)
            // 2 MiB of pages per connection: eleven thousand followers' memory is not spent on caches.
            .pragma("cache_size", "-2048");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(60))
            .connect_with(options.clone())
            .await?;
        let readers = SqlitePoolOptions::new()
            .min_connections(0)
            .max_connections(READERS)
            .connect_lazy_with(options);
        Ok(Self::Sqlite { readers, writer })
    }

    /// A transaction that reads one consistent state. It must not write.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Tx::Sqlite(readers.begin().await?),
            Self::Postgres(pool) => Tx::Postgres(
                pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await?,
            ),
        })
    }

    /// A transaction that writes. Writers stand in line: on SQLite by its one writing connection,
    /// on PostgreSQL by a lock that the transaction holds to its end, so that both decide on the
    /// state that they will change.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                sqlx::query("SELECT pg_advisory_xact_lock(726, hashtext(current_schema()))")
                    .execute(&mut *tx)
                    .await?;
                Tx::Postgres(tx)
            }
        })
    }

    /// `sqlite` or `postgres`, for messages and logs.
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// Closes every connection; SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// One statement; its text is a constant of the program.
    pub fn query(&mut self, sql: &'static str) -> Query<'_> {
        match self {
            Self::Sqlite(tx) => Query::Sqlite(tx, sqlx::query(sql)),
            Self::Postgres(tx) => Query::Postgres(tx, sqlx::query(sql)),
        }
    }

    /// Several statements without values, for migrations.
    pub async fn script(&mut self, sql: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop)?,
            Self::Postgres(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop)?,
        }
        Ok(())
    }

    /// Asks the database whether it understands a statement.
    pub async fn prepare(&mut self, sql: &'static str) -> Result<(), StoreError> {
        use sqlx::{Executor as _, SqlSafeStr as _};
        match self {
            Self::Sqlite(tx) => (&mut **tx).prepare(sql.into_sql_str()).await.map(drop)?,
            Self::Postgres(tx) => (&mut **tx).prepare(sql.into_sql_str()).await.map(drop)?,
        }
        Ok(())
    }

    /// Marks a point to which [`Tx::undo`] goes back. Points do not nest.
    pub async fn mark(&mut self) -> Result<(), StoreError> {
        self.script("SAVEPOINT entry").await
    }

    /// Goes back to the mark and forgets it.
    pub async fn undo(&mut self) -> Result<(), StoreError> {
        self.script("ROLLBACK TO SAVEPOINT entry; RELEASE SAVEPOINT entry")
            .await
    }

    /// Keeps what was done since the mark and forgets the mark.
    pub async fn keep(&mut self) -> Result<(), StoreError> {
        self.script("RELEASE SAVEPOINT entry").await
    }

    /// Makes the whole transaction durable. After an error the outcome is unknown: read again.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Whether the embedded database is behind this transaction.
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

impl Query<'_> {
    /// Gives the next placeholder its value.
    pub fn bind<T: Scalar + 'static>(self, value: T) -> Self {
        match self {
            Self::Sqlite(c, q) => Self::Sqlite(c, q.bind(value)),
            Self::Postgres(c, q) => Self::Postgres(c, q.bind(value)),
        }
    }

    /// Runs it; returns the number of rows that it changed.
    pub async fn execute(self) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(c, q) => q.execute(c).await?.rows_affected(),
            Self::Postgres(c, q) => q.execute(c).await?.rows_affected(),
        })
    }

    /// All rows; the statement bounds how many.
    pub async fn fetch_all<R: Record>(self) -> Result<Vec<R>, StoreError> {
        let mut rows = Vec::new();
        self.fetch_each(|row| rows.push(row)).await?;
        Ok(rows)
    }

    /// Hands over one row after the other; memory stays that of one row.
    pub async fn fetch_each<R: Record>(self, mut each: impl FnMut(R) + Send) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(c, q) => {
                let mut rows = q.fetch(c);
                while let Some(row) = rows.try_next().await? {
                    each(R::from_row(&row)?);
                }
            }
            Self::Postgres(c, q) => {
                let mut rows = q.fetch(c);
                while let Some(row) = rows.try_next().await? {
                    each(R::from_row(&row)?);
                }
            }
        }
        Ok(())
    }

    /// The row, if there is one.
    pub async fn fetch_optional<R: Record>(self) -> Result<Option<R>, StoreError> {
        Ok(match self {
            Self::Sqlite(c, q) => q.fetch_optional(c).await?.as_ref().map(R::from_row).transpose()?,
            Self::Postgres(c, q) => q.fetch_optional(c).await?.as_ref().map(R::from_row).transpose()?,
        })
    }

    /// The row of a statement that always has one.
    pub async fn fetch_one<R: Record>(self) -> Result<R, StoreError> {
        self.fetch_optional()
            .await?
            .ok_or(StoreError::Database(sqlx::Error::RowNotFound))
    }
}
