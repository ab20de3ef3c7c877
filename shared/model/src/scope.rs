//! Who may read the body of an entry.

use crate::node::{NodeId, RegionCode};
use std::collections::BTreeSet;

/// The audience of a body; immutable once recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every follower.
    Public,
    /// The Hub and these regions.
    Regions(BTreeSet<RegionCode>),
    /// The Hub alone.
    Centre,
}

impl Scope {
    /// The Hub and one region: the scope of everything that passes between the two.
    pub fn region(code: RegionCode) -> Self {
        Self::Regions(BTreeSet::from([code]))
    }

    /// Whether `reader` is entitled to the body.
    pub fn admits(&self, reader: NodeId) -> bool {
        match (self, reader) {
            (Self::Public, _) | (_, NodeId::Hub) => true,
            (Self::Regions(codes), NodeId::Region(code)) => codes.contains(&code),
            (Self::Centre, NodeId::Region(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_reads_only_its_own() {
        let (toscana, molise) = ("090".parse().unwrap(), "140".parse().unwrap());
        let scope = Scope::region(toscana);
        assert!(scope.admits(NodeId::Region(toscana)) && scope.admits(NodeId::Hub));
        assert!(!scope.admits(NodeId::Region(molise)));
        assert!(!Scope::Centre.admits(NodeId::Region(toscana)));
    }
}
