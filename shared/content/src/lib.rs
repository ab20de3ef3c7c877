//! The bytes of Raccordo: how files become chunks, where chunks rest, and how they become files again.
//!
//! Publishing: [`publish`] walks a folder, [`chunker`] cuts its files, [`stored`] packs the chunks and
//! [`pack`] keeps them. Fetching: [`plan`] says what to ask for, [`install`] puts verified chunks in their
//! places (remembered by [`journal`]), and [`versions`] holds the trees that are complete. [`digest`] names
//! bytes, [`tree`] lists the files of a folder.
//!
//! What is not here: protobuf (callers hand over encoded manifests as bytes next to the decoded
//! [`raccordo_model::manifest::Manifest`]), the network, entitlement, the ledger, SQL, the clock.
//!
//! Memory does not grow with the size of a file or of a tree's bytes: at most a dozen chunks are held
//! at a time, besides the manifest and an index of it (at most about 32 MB at the bounds).

pub mod chunker;
pub mod digest;
pub mod install;
pub mod journal;
mod layout;
pub mod pack;
pub mod plan;
pub mod publish;
pub mod stored;
pub mod tree;
pub mod versions;

#[cfg(test)]
mod roundtrip;

pub use digest::{chunk_digest, manifest_digest};
pub use install::{InstallError, InstalledVersion, Installer, Reused};
pub use pack::{PackError, PackStore};
pub use plan::{FetchPlan, Source, requests};
pub use publish::{Progress, PublishError, publish_folder};
pub use stored::{StoredChunk, UnpackError, unpack};
pub use versions::Installation;
