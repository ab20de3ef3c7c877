//! Keys and certificates: who this node is, who the others are, and how a region joins.
//!
//! - [`files`]: durable files with a mode; [`keys`]: the node's secrets; [`node_file`]: what it knows of itself.
//! - [`ca`]: the federation's certificate authority; [`peer`]: what a certificate says.
//! - [`tls`]: configurations, hot reload; [`revocation`]: who may no longer come in.
//! - [`bundle`]: what is carried to a region by hand; [`enrolment`]: the Hub's side of joining and renewing.
//! - [`join`], [`renewal`]: the Spoke's side.
//!
//! TLS always goes by the system's clock, also in a test federation.

pub mod bundle;
pub mod ca;
pub mod enrolment;
mod error;
pub mod files;
pub mod join;
pub mod keys;
pub mod node_file;
pub mod peer;
pub mod renewal;
pub mod revocation;
pub mod tls;

pub use error::IdentityError;

#[cfg(test)]
mod tests;
