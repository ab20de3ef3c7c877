//! Every SQL text of this crate, so that a test prepares each on both databases.

use crate::{account, auth, projection};

/// All statements that have one text for both databases.
pub fn all() -> Vec<&'static str> {
    let projection = [
        projection::CURSOR,
        projection::CURSORS,
        projection::MOVE,
        projection::HOLD,
        projection::HELD,
        projection::ANY_HELD,
        projection::LIST_HELD,
    ];
    projection
        .into_iter()
        .chain(account::STATEMENTS.iter().copied())
        .chain(auth::STATEMENTS.iter().copied())
        .collect()
}
