//! What both nodes are: a ledger of their own, ledgers that they follow, and the way between.
//!
//! - [`journal`]: the own ledger; every decision is an [`journal::Act`] of one transaction.
//! - [`follow`]: a followed ledger; a batch is verified, stored, applied and answered.
//! - [`projection`]: how entries become tables, quarantine among them; [`rebuild`]: the same from nothing.
//! - [`session`]: the exchange, a pure state machine and the driver that carries its actions out.
//! - [`content`]: the lane for files, which entries name and entitle to.
//! - [`identity`], [`serve`], [`channel`]: keys, certificates, joining, TLS ports and connections.
//! - [`account`], [`auth`], [`node_api`]: people, tokens, and the part of the API that all nodes have.
//! - [`lock`]: one process at a time on a data folder.
//! - [`clock`], [`random`], [`telemetry`], [`metrics`], [`shutdown`], [`status`]: the world around.
//!
//! What is not here: what an entry means. `hub` and `spoke` say that, each with its
//! [`projection::Projector`].

pub mod account;
pub mod auth;
pub mod channel;
pub mod clock;
pub mod content;
pub mod follow;
pub mod identity;
pub mod journal;
pub mod lock;
pub mod metrics;
pub mod node;
pub mod node_api;
pub mod projection;
pub mod random;
pub mod rebuild;
pub mod serve;
pub mod session;
pub mod shutdown;
pub mod statements;
pub mod status;
pub mod telemetry;
pub mod verify;

pub use node::{Node, NodeError};
