//! What a caller of the store can decide about a failure.

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or did not answer; nothing of the transaction is kept.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A row that this program did not write, or a damaged one.
    #[error(
        "row `{key}` of table {table} is damaged in column {column}; run `verify`, then restore or `rebuild`"
    )]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The key of the row.
        key: String,
    },
    /// Another writer moved what we meant to move; read again and decide again.
    #[error("{0} was moved by another writer in the meantime")]
    Moved(&'static str),
    /// The database was made by another version of a migration.
    #[error(
        "migration {component} {version} of this database differs from the program's: use the program that made it"
    )]
    Migration {
        /// The component.
        component: String,
        /// The version within it.
        version: u32,
    },
    /// Not a database address.
    #[error("`{0}` is not a database address: write sqlite:PATH or postgres://USER@HOST/NAME")]
    Address(String),
}

impl StoreError {
    /// Whether a unique key stood in the way of an insert.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database(e) if e.as_database_error().is_some_and(|d| d.is_unique_violation()))
    }
}
