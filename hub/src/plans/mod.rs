//! Plans of the regions: the inbox of what they submitted, and what the centre says to it.

pub mod pe;
pub mod po;
pub mod proposal;

use raccordo_model::{operational_plan::NOTE_BYTES_MAX, personal_data};
use raccordo_node::status::Refusal;

/// A reason or observation as it may enter a ledger: bounded, in printable characters, without what looks
/// like a person's data. It must be there if it is `needed`.
pub fn text_of_people(field: &str, text: &str, needed: bool) -> Result<String, Refusal> {
    let text = text.trim();
    if needed && text.is_empty() {
        return Err(Refusal::invalid(
            format!("`{field}` is empty"),
            "say why: the region reads it",
        ));
    }
    if text.len() > NOTE_BYTES_MAX {
        return Err(Refusal::too_large(
            format!(
                "`{field}` has {} bytes, at most {NOTE_BYTES_MAX} are allowed",
                text.len()
            ),
            "shorten it",
        ));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(Refusal::invalid(
            format!("`{field}` holds a control character"),
            "write plain text",
        ));
    }
    if let Some(found) = personal_data::scan(text).first() {
        return Err(Refusal::invalid(
            format!("`{field}` holds what looks like {}", found.kind),
            "delete it: the ledger keeps no person's data and is never edited",
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_node::status::RefusalKind;

    #[test]
    fn no_persons_data_enter_the_ledger() {
        assert_eq!(text_of_people("reasons", "  va bene ", true).unwrap(), "va bene");
        assert_eq!(text_of_people("reasons", "", false).unwrap(), "");
        assert!(text_of_people("reasons", " ", true).is_err());
        let refusal = text_of_people("reasons", "scrivere a mario.rossi@example.it", true).unwrap_err();
        assert!(
            refusal.text.contains("e-mail") && !refusal.text.contains("mario"),
            "{refusal}"
        );
        let long = "x".repeat(NOTE_BYTES_MAX + 1);
        assert_eq!(
            text_of_people("reasons", &long, true).unwrap_err().kind,
            RefusalKind::TooLarge
        );
    }
}
