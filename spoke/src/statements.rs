//! Every SQL text of this crate, so that a test prepares each on both databases.

use crate::{adoption, catalogue, editions, outcomes, plans, projector, records, reports};

/// All statements that have one text for both databases.
pub fn all() -> Vec<&'static str> {
    [
        projector::STATEMENTS,
        records::STATEMENTS,
        catalogue::STATEMENTS,
        adoption::STATEMENTS,
        plans::STATEMENTS,
        plans::po::STATEMENTS,
        plans::pe::STATEMENTS,
        editions::STATEMENTS,
        outcomes::STATEMENTS,
        reports::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect()
}
