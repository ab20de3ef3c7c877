//! The test kit: what system tests need and no single room owns.
//!
//! - [`backlog`]: pending entries, made in a node's data folder while it does not serve.
//! - [`database`]: a fresh SQLite file or PostgreSQL schema per test.
//! - [`process`]: the shipped binaries as processes that end with the test.
//! - [`proxy`]: a TCP proxy that counts and cuts.
//! - [`federation`]: a Hub and Spokes of shipped binaries, joined.

pub mod backlog;
pub mod database;
pub mod federation;
pub mod process;
pub mod proxy;
