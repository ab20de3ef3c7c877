//! What the centre publishes. Published versions are immutable and known by their content.

pub mod code_lists;
pub mod kit;
pub mod syllabus;

use raccordo_node::status::Refusal;
use std::fmt;

/// A version that is published already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Where in the Hub's ledger.
    pub index: u64,
    /// Digest of what it says.
    pub content: Vec<u8>,
}

/// The rule of publishing: a new key is published, the same again is a repetition (the index of the
/// entry), the same key with other content is a conflict.
pub fn decide(known: Option<Known>, content: &[u8], what: impl fmt::Display) -> Result<Option<u64>, Refusal> {
    match known {
        None => Ok(None),
        Some(known) if known.content == content => Ok(Some(known.index)),
        Some(known) => Err(Refusal::conflict(
            format!(
                "{what} was published with other content (entry hub/{})",
                known.index
            ),
            "published versions are immutable: publish the changes under a new version",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_node::status::RefusalKind;

    #[test]
    fn the_same_key_is_a_repetition_or_a_conflict() {
        let known = Known {
            index: 7,
            content: vec![1],
        };
        assert_eq!(decide(None, &[1], "kit A@1.0.0"), Ok(None));
        assert_eq!(decide(Some(known.clone()), &[1], "kit A@1.0.0"), Ok(Some(7)));
        let refusal = decide(Some(known), &[2], "kit A@1.0.0").unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Conflict);
        assert!(refusal.text.contains("kit A@1.0.0") && refusal.text.contains("hub/7"));
    }
}
