//! The ledger of Raccordo: an append-only, signed RFC 6962 tree, seen by its owner and its followers.
//!
//! - [`hash`]: what an entry commits to; [`tree`]: compact frontier, proofs;
//! - [`note`]: checkpoints as C2SP signed notes; [`cosign`]: C2SP tlog-cosignature v1;
//! - [`owner`]: preparing an append; [`follower`]: verifying a batch, and when to cosign;
//! - [`handshake`]: session epochs;
//! - [`join_proof`]: what the ledger key signs at enrolment.
//!
//! Everything is a plain function of its arguments. What is not here: IO, clocks, random numbers (seeds come
//! in), SQL, protobuf (headers are opaque bytes), and which node is entitled to what.

pub mod cosign;
pub mod follower;
pub mod handshake;
pub mod hash;
pub mod join_proof;
pub mod note;
pub mod owner;
pub mod tree;
