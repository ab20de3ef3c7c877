//! The hand of Raccordo: what the three programs share on the command line.
//!
//! - [`output`]: one [`output::Table`] value, printed as a table for people, as JSON or as CSV.
//! - [`node`]: the answers of every node's API (receipts, listings, accounts, ledgers) as tables.
//! - [`people`]: the commands that every node has (accounts, tokens, clock, exchange).
//! - [`status`] and [`fleet`]: the consolidated status and who has which kit, as the Hub and
//!   `raccordo-gdl` show them.
//! - [`exit`]: exit codes, and how a program's `main` ends with one.
//! - [`config`]: flag over environment over file over default, each value with its origin.
//! - [`client`]: where a node's API is, and a channel to it with a bearer token.
//! - [`color`] and [`progress`]: what only a terminal gets.
//!
//! Data go to standard output, everything else to standard error. People read what this crate
//! says, so its errors are in Italian, unlike those of the other libraries.
//!
//! What is not here: other commands, domain rules, anything that reads a node's data.

pub mod client;
pub mod color;
pub mod config;
pub mod exit;
pub mod fleet;
pub mod node;
pub mod output;
pub mod people;
pub mod progress;
pub mod status;
