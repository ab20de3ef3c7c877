//! The nouns of Raccordo: values that cannot be wrong, and their rules.
//!
//! Two halves. The *ledger's* nouns: [`node`], [`entry`], [`kind`], [`scope`], [`checkpoint`],
//! [`manifest`], [`timestamp`], [`digest`]. The *programme's* nouns, in the words of `domain.md`:
//! plans, syllabi, kits, editions, outcomes, reports.
//!
//! What is not here: IO, clocks, random numbers, protobuf (see `raccordo-proto`), SQL, signatures.

pub mod checkpoint;
pub mod digest;
pub mod entry;
pub mod kind;
pub mod manifest;
pub mod node;
pub mod scope;
pub mod timestamp;
