//! Days, and dates that are known to the day, the month or the year only.

use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A calendar day, without time and time zone.
pub use jiff::civil::Date as Day;

/// Not a date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotADate {
    /// Not a day.
    #[error("`{0}` is not a date: write it as 2023-11-07")]
    Day(String),
    /// Not a day, month or year.
    #[error("`{0}` is not a date: write it as 2023-11-07, or 2023-11 or 2023 where no more is known")]
    Partial(String),
}

/// A day written `2023-11-07`, of the years 2000 to 2100; no other spelling.
pub fn parse_day(text: &str) -> Result<Day, NotADate> {
    let wrong = || NotADate::Day(text.chars().take(40).collect());
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| match i {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    if !shape {
        return Err(wrong());
    }
    let day: Day = text.parse().map_err(|_| wrong())?;
    (2000..=2100)
        .contains(&day.year())
        .then_some(day)
        .ok_or_else(wrong)
}

/// A date as far as a source tells it: `2023`, `2023-03` or `2023-03-15`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartialDate {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
}

impl PartialDate {
    /// The year.
    pub fn year(self) -> i16 {
        self.year
    }
}

impl FromStr for PartialDate {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Self, NotADate> {
        let wrong = || NotADate::Partial(text.chars().take(40).collect());
        let padded = match text.len() {
            4 => format!("{text}-01-01"),
            7 => format!("{text}-01"),
            _ => text.to_owned(),
        };
        let day = parse_day(&padded).map_err(|_| wrong())?;
        Ok(Self {
            year: day.year(),
            month: (text.len() > 4).then_some(day.month()),
            day: (text.len() > 7).then_some(day.day()),
        })
    }
}

impl fmt::Display for PartialDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if let Some(month) = self.month {
            write!(f, "-{month:02}")?;
        }
        if let Some(day) = self.day {
            write!(f, "-{day:02}")?;
        }
        Ok(())
    }
}

impl Serialize for PartialDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_one_spelling() {
        for text in ["2023", "2023-03", "2023-03-31"] {
            assert_eq!(text.parse::<PartialDate>().unwrap().to_string(), text);
        }
        for wrong in [
            "2023-13",
            "2023-02-30",
            "03/2023",
            "1999",
            "2023-3",
            "20230307",
            "",
        ] {
            assert!(wrong.parse::<PartialDate>().is_err(), "{wrong}");
            assert!(parse_day(wrong).is_err(), "{wrong}");
        }
    }
}
