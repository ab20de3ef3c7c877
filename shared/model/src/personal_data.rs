//! What looks like a person's data in free text: Italian fiscal codes, e-mail addresses, telephone
//! numbers. A scan by shape: it can be wrong both ways, so a finding is a warning that a person may
//! override on record.

use crate::finding::Finding;
use std::fmt;

/// What kind of personal data a text seems to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoundKind {
    /// An Italian fiscal code (codice fiscale), also with letters in place of digits (omocodia).
    FiscalCode,
    /// An e-mail address.
    Email,
    /// A telephone number, Italian or with an international prefix.
    Telephone,
}

impl fmt::Display for FoundKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::FiscalCode => "a fiscal code",
            Self::Email => "an e-mail address",
            Self::Telephone => "a telephone number",
        })
    }
}

/// One place in a text that looks like personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it looks like.
    pub kind: FoundKind,
    /// Where it begins and ends, in bytes of the text.
    pub range: std::ops::Range<usize>,
}

/// Everything in `text` that looks like personal data, in order.
pub fn scan(text: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for (start, word) in words(text, |c| c.is_ascii_alphanumeric()) {
        if is_fiscal_code(word) {
            found.push(at(FoundKind::FiscalCode, start, word));
        }
    }
    let in_address = |c: char| c.is_alphanumeric() || "._%+-@".contains(c);
    for (start, word) in words(text, in_address) {
        if is_email(word.trim_matches(['.', '-'])) {
            found.push(at(FoundKind::Email, start, word));
        }
    }
    telephones(text, &mut found);
    found.sort_by_key(|f| f.range.start);
    found
}

/// A warning for each of the `texts` (by field) that looks as if it held personal data. The warning
/// does not repeat what it found.
pub fn findings<'a>(texts: impl Iterator<Item = (String, &'a str)>) -> Vec<Finding> {
    texts
        .flat_map(|(field, text)| {
            scan(text).into_iter().map(move |found| {
                Finding::warning(
                    field.clone(),
                    format!("holds what looks like {}", found.kind),
                    "delete it: no person's data leave the region; or go on with a recorded reason",
                )
            })
        })
        .collect()
}

fn at(kind: FoundKind, start: usize, word: &str) -> Found {
    Found {
        kind,
        range: start..start + word.len(),
    }
}

/// The longest runs of characters that `inside` accepts, with their offsets.
fn words(text: &str, inside: impl Fn(char) -> bool) -> impl Iterator<Item = (usize, &str)> {
    text.split(move |c| !inside(c))
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

fn is_fiscal_code(word: &str) -> bool {
    let word = word.to_ascii_uppercase();
    let digit = |b: u8| b.is_ascii_digit() || b"LMNPQRSTUV".contains(&b);
    word.len() == 16
        && word.bytes().enumerate().all(|(i, b)| match i {
            0..=5 | 11 | 15 => b.is_ascii_uppercase(),
            8 => b"ABCDEHLMPRST".contains(&b),
            _ => digit(b),
        })
}

fn is_email(word: &str) -> bool {
    let Some((local, domain)) = word.split_once('@') else {
        return false;
    };
    let Some((host, top)) = domain.rsplit_once('.') else {
        return false;
    };
    !local.is_empty()
        && !host.is_empty()
        && !domain.contains('@')
        && top.len() >= 2
        && top.chars().all(char::is_alphabetic)
}

/// Groups of digits with at most two separators between them; a number is a run of groups.
fn telephones(text: &str, found: &mut Vec<Found>) {
    let groups: Vec<(usize, &str)> = words(text, |c| c.is_ascii_digit()).collect();
    let end = |i: usize| groups[i].0 + groups[i].1.len();
    let joined = |i: usize| {
        let between = &text[end(i)..groups[i + 1].0];
        between.len() <= 2 && between.bytes().all(|b| b" ./-()".contains(&b))
    };
    let mut first = 0;
    while first < groups.len() {
        let mut last = first;
        let (start, head) = groups[first];
        let before = text[..start].chars().next_back();
        let international = before == Some('+') || head.starts_with("00");
        let begins = international || !before.is_some_and(|c| c.is_alphanumeric() || "-/._,".contains(c));
        let mut digits = head.len();
        // 07/11/2023 is a date, and what follows it is something else.
        let date = first + 2 < groups.len()
            && joined(first)
            && joined(first + 1)
            && (
                groups[first].1.len(),
                groups[first + 1].1.len(),
                groups[first + 2].1.len(),
            ) == (2, 2, 4);
        if date && !international {
            first += 3;
            continue;
        }
        while last + 1 < groups.len() && digits < 9 && joined(last) {
            last += 1;
            digits += groups[last].1.len();
        }
        while last + 1 < groups.len() && joined(last) && digits + groups[last + 1].1.len() <= 11 {
            last += 1;
            digits += groups[last].1.len();
        }
        let number = begins
            && match head.as_bytes() {
                _ if international => (9..=15).contains(&digits),
                [b'0', _, ..] => (9..=11).contains(&digits),
                [b'3', _, _, ..] => digits == 10,
                _ => false,
            };
        if number {
            found.push(Found {
                kind: FoundKind::Telephone,
                range: start..end(last),
            });
            first = last + 1;
        } else {
            first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<FoundKind> {
        scan(text).into_iter().map(|f| f.kind).collect()
    }

    #[test]
    fn personal_data_are_found_in_a_sentence() {
        use FoundKind::*;
        for (text, kind) in [
            ("referente: RSSMRA80A01H501U.", FiscalCode),
            ("cf rssmra80a01h501u", FiscalCode),
            ("omocodia RSSMRAULALNHRLNU", FiscalCode),
            ("scrivere a mario.rossi@asl.toscana.it, grazie", Email),
            ("tel. 055 4383111", Telephone),
            ("tel. 055/438.3111", Telephone),
            ("cell. 333 1234567", Telephone),
            ("+39 333 123 4567", Telephone),
            ("il 07/11/2023 055 4383111", Telephone),
        ] {
            assert_eq!(kinds(text), [kind], "{text}");
        }
        let found = &scan("tel. 055 4383111, chiedere")[0];
        assert_eq!(found.range, 5..16);
    }

    #[test]
    fn ordinary_texts_are_left_alone() {
        for text in [
            "Primo gruppo di circa 180 operatori del SST",
            "Decreto 8 agosto 2022, n. 1234/2023",
            "il 07/11/2023, ore 09:30",
            "il 07/11/2023 09.30",
            "dal 2023-11-07 al 2023-12-20",
            "TOS-2023-01 e KIT-FSE-GEN@1.0.0",
            "spesa di 12.345.678,90 euro",
            "33.000 iscritti, 3 edizioni",
            "prova @ casa",
        ] {
            assert_eq!(kinds(text), [], "{text}");
        }
    }

    #[test]
    fn a_warning_does_not_repeat_what_it_found() {
        let texts = [("reason".to_owned(), "chiamare 055 4383111")];
        let findings = findings(texts.iter().map(|(f, t)| (f.clone(), *t)));
        assert_eq!(findings.len(), 1);
        assert!(!findings[0].to_string().contains("4383111"));
    }
}
