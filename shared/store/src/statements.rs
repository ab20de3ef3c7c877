//! Every SQL text of this crate, so that a test prepares each on both databases.

use crate::{checkpoints, cosignatures, entries, epochs, fences, heads, keys, migration, nacks};

/// All statements that have one text for both databases.
pub const ALL: &[&str] = &[
    checkpoints::INSERT,
    checkpoints::GET,
    checkpoints::AFTER,
    cosignatures::INSERT,
    cosignatures::LAST,
    cosignatures::COVERING,
    cosignatures::ALL_LAST,
    entries::INSERT,
    entries::INSERT_BODY,
    entries::INSERT_ROWS,
    entries::INSERT_BODY_ROWS,
    entries::RANGE,
    entries::SIZES,
    entries::LEAF_HASHES,
    epochs::GET,
    epochs::PUT,
    epochs::TOUCH,
    fences::INSERT,
    fences::LIST,
    fences::OF,
    heads::INSERT,
    heads::GET,
    heads::LIST,
    heads::SWAP,
    keys::INSERT,
    keys::AT,
    nacks::PUT,
    nacks::LIST,
    migration::DONE,
    migration::NOTE,
    migration::FORGET,
];
