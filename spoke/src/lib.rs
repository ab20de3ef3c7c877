//! A region: its plans, its editions, its learners' outcomes, its reports.
//!
//! - [`config`], [`federation`]: the data folder, joining and opening it; [`serve`]: everything that runs together.
//! - [`projector`]: what becomes of the Hub's entries and of our own; [`records`]: reading them back.
//! - [`catalogue`], [`adoption`], [`content`]: what the centre publishes, what we decide about it, its bytes.
//! - [`plans`]: Operational and Executive Plans; [`editions`], [`outcomes`]: what stays here; [`reports`]: what leaves.
//! - [`grpc`]: the operators' API; [`cli`]: its commands; [`sync`]: how the exchange stands.
//!
//! What is not here: the exchange, keys, TLS and accounts (`raccordo-node`), the rules of plans and
//! the arithmetic of reports (`raccordo-model`).

pub mod adoption;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod content;
pub mod editions;
pub mod federation;
pub mod grpc;
pub mod outcomes;
pub mod plans;
pub mod projector;
pub mod records;
pub mod reports;
pub mod serve;
pub mod statements;
pub mod sync;

#[cfg(test)]
mod joining;
#[cfg(test)]
mod running;
#[cfg(test)]
mod story;
#[cfg(test)]
mod testing;

pub use federation::Spoke;
pub use projector::SpokeProjector;
