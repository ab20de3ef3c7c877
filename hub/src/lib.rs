//! The centre of a Raccordo federation.
//!
//! - [`projector`]: what entries mean here; it hands each to its noun:
//!   [`catalogue`] (code lists, syllabi, kits), [`plans`] (POs and PEs), [`monitoring`] (reports and the
//!   cube), [`fleet`] (which region holds which kit), [`regions`] (who takes part).
//! - [`status`]: the consolidated status, from accepted reports only.
//! - [`receipt`], [`listing`]: what acts and lists answer with; [`grpc`]: the services, thin.
//! - [`federation`]: `init`; [`serve`]: the running node; [`sync`]: how the exchange stands.
//! - [`config`], [`cli`]: settings and commands.
//! - [`statements`]: every SQL text, so that a test prepares each on both databases.
//!
//! Each noun's file holds its SQL, its rule (a plain function), and its act: read state, decide, append,
//! all in one transaction. Only entries of the Hub's own ledger move national tables; rows that come from
//! a region's ledger are keyed by the region.
//!
//! What is not here: the ledger, the exchange, TLS, accounts (`raccordo-node`); bytes of content
//! (`raccordo-content`).

pub mod catalogue;
pub mod cli;
pub mod config;
pub mod federation;
pub mod fleet;
pub mod grpc;
pub mod listing;
pub mod monitoring;
pub mod plans;
pub mod projector;
pub mod receipt;
pub mod regions;
pub mod serve;
pub mod statements;
pub mod status;
pub mod sync;

#[cfg(test)]
mod tests;
