//! The content lane: files that an entry names, chunk by chunk, on a connection of its own.
//!
//! - [`server`]: the Hub's end. Every request names the entry that entitles it.
//! - [`entitlement`]: who may read what, by default from the ledger.
//! - [`fetch`]: the Spoke's end: resumes, reuses, verifies, installs.
//!
//! What is not here: bytes on disk (`raccordo-content`), and when to fetch (the Spoke).

pub mod entitlement;
pub mod fetch;
pub mod server;

use raccordo_model::{
    entry::EntryRef,
    node::{NodeId, RegionCode},
};
use raccordo_proto::{DecodeError, wire};

/// Most bytes of a chunk or manifest in one message.
pub const PIECE_BYTES_MAX: usize = 512 * 1_024;

/// Longest message on the lane: a piece and its frame.
const MESSAGE_BYTES_MAX: usize = 1_024 * 1_024;

/// The entry that entitles its readers to content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entitlement {
    /// Whose ledger.
    pub node: NodeId,
    /// Where in it.
    pub index: u64,
}

impl From<EntryRef> for Entitlement {
    fn from(entry: EntryRef) -> Self {
        Self {
            node: entry.node,
            index: entry.index,
        }
    }
}

impl std::fmt::Display for Entitlement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.node, self.index)
    }
}

impl Entitlement {
    /// As it travels.
    pub fn to_wire(self) -> wire::Entitlement {
        wire::Entitlement {
            node: self.node.to_string(),
            index: self.index,
        }
    }

    /// As it came.
    ///
    /// # Errors
    /// No entitlement, a name that is no node's, or an index that no ledger reaches.
    pub fn from_wire(entitlement: Option<wire::Entitlement>) -> Result<Self, DecodeError> {
        let wrong = |field, problem| DecodeError::new("Entitlement", field, problem);
        let found = entitlement.ok_or_else(|| wrong("*", "missing"))?;
        let node = match found.node.as_str() {
            "hub" => NodeId::Hub,
            code => code
                .parse::<RegionCode>()
                .map(NodeId::Region)
                .map_err(|_| wrong("node", "neither `hub` nor the three digits of a region"))?,
        };
        // Indexes are signed in the tables.
        if found.index >= i64::MAX as u64 {
            return Err(wrong("index", "larger than any ledger"));
        }
        Ok(Self {
            node,
            index: found.index,
        })
    }
}
