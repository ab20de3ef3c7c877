//! The wire of Raccordo: messages, services, and their conversions to and from the model.
//!
//! This crate alone encodes and decodes protobuf, once, at the edge; the bytes that were hashed are
//! kept as they came. [`wire`] holds the generated messages. [`entry`] and [`content`] convert the
//! ledger's nouns; [`body`] the bodies of entries, with [`catalogue`], [`plan`] and [`report`].
//! Steps, limits and failures of the protocol are in `PROTOCOL.md` beside this crate.

mod act_parts;
pub mod body;
pub mod catalogue;
pub mod content;
pub mod entry;
mod error;
pub mod plan;
pub mod report;

pub use error::DecodeError;

/// Messages and services generated from `raccordo/v1/*.proto`.
#[allow(missing_docs, clippy::all, unreachable_pub)]
pub mod wire {
    tonic::include_proto!("raccordo.v1");
}

/// The encoded file descriptors, for reflection and for foreign clients.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
