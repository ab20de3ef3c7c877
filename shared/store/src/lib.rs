//! The memory of a node: one SQL text on SQLite and PostgreSQL.
//!
//! - [`db`]: `Db`, `Tx`, `Query`, two-variant enums over the concrete drivers.
//! - [`migration`]: paired migrations, keyed by (component, version, checksum).
//! - [`entries`], [`heads`], [`checkpoints`], [`cosignatures`], [`epochs`], [`fences`], [`keys`], [`nacks`]:
//!   the `ledger_*` tables, one noun each.
//! - [`dump`]: canonical dump of tables, for the digest of projections.
//! - [`statements`]: every SQL text, so that a test prepares each on both databases.
//!
//! Tables have three classes, and the class is in the name: `ledger_*` (here), `proj_*`
//! (rebuildable, digested) and `local_*` (in no ledger); the last two belong to `hub`, `spoke` and
//! `node`, with their migrations.
//!
//! What is not here: hashing, signatures, protobuf, projections, files of content.

pub mod checkpoints;
pub mod cosignatures;
pub mod db;
pub mod dump;
pub mod entries;
pub mod epochs;
pub mod error;
pub mod fences;
pub mod heads;
pub mod keys;
pub mod migration;
pub mod nacks;
pub mod statements;

pub use db::{Db, Query, Record, Scalar, Tx};
pub use error::StoreError;
