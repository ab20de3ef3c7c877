//! Months that are reported, and the day at whose end their report is due.

use crate::timestamp::Timestamp;
use jiff::{
    ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A calendar month of the years 2000 to 2100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    year: i16,
    month: i8,
}

/// Not a period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a period: write year and month, for example 2023-11")]
pub struct NotAPeriod(pub String);

impl Period {
    /// The month `month` (1 to 12) of `year`.
    pub fn new(year: i16, month: i8) -> Result<Self, NotAPeriod> {
        if (2000..=2100).contains(&year) && (1..=12).contains(&month) {
            Ok(Self { year, month })
        } else {
            Err(NotAPeriod(format!("{year}-{month}")))
        }
    }

    /// The month that `day` is in; `None` outside 2000 to 2100.
    pub fn of_day(day: Date) -> Option<Self> {
        Self::new(day.year(), day.month()).ok()
    }

    /// The month, in Europe/Rome, that `instant` is in.
    pub fn at(instant: Timestamp) -> Option<Self> {
        Self::of_day(day_in_rome(instant))
    }

    /// The year.
    pub fn year(self) -> i16 {
        self.year
    }

    /// The month, 1 to 12.
    pub fn month(self) -> i8 {
        self.month
    }

    /// Its first day.
    pub fn first_day(self) -> Date {
        Date::constant(self.year, self.month, 1)
    }

    /// Its last day.
    pub fn last_day(self) -> Date {
        self.first_day().last_of_month()
    }

    /// The month after this one; `None` after 2100.
    pub fn next(self) -> Option<Self> {
        match self.month {
            12 => Self::new(self.year + 1, 1).ok(),
            month => Self::new(self.year, month + 1).ok(),
        }
    }

    /// The instant after its last day, in Europe/Rome: before it, the month is not over.
    pub fn end(self) -> Timestamp {
        end_of_day(self.last_day())
    }

    /// The last day for the report: `days` after the last day of the month, moved on to the next
    /// working day.
    pub fn due_day(self, days: u32) -> Date {
        let mut day = self.last_day().saturating_add(i64::from(days.min(3_650)).days());
        while !is_working_day(day) {
            day = day.saturating_add(1.day());
        }
        day
    }

    /// The instant until which a report is on time: 24:00, Europe/Rome, of [`Self::due_day`].
    pub fn due_date(self, days: u32) -> Timestamp {
        end_of_day(self.due_day(days))
    }
}

/// The day, in Europe/Rome, that `instant` falls on.
pub fn day_in_rome(instant: Timestamp) -> Date {
    instant.to_jiff().to_zoned(rome()).date()
}

/// Whether `day` is neither Saturday, Sunday nor a national holiday of Italy.
pub fn is_working_day(day: Date) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) && !is_holiday(day)
}

/// National holidays of Italy: law 260 of 1949 and its later changes; 4 October since 2026 (law 151
/// of 2025). Patron saints' days are local and do not count.
fn is_holiday(day: Date) -> bool {
    const FIXED: [(i8, i8); 10] = [
        (1, 1),
        (1, 6),
        (4, 25),
        (5, 1),
        (6, 2),
        (8, 15),
        (11, 1),
        (12, 8),
        (12, 25),
        (12, 26),
    ];
    FIXED.contains(&(day.month(), day.day()))
        || (day.year() >= 2026 && (day.month(), day.day()) == (10, 4))
        || easter_sunday(day.year()).saturating_add(1.day()) == day
}

/// Easter by the Gregorian computus (Meeus, Jones and Butcher).
fn easter_sunday(year: i16) -> Date {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let month = (h + l - 7 * m + 114) / 31;
    let day = (h + l - 7 * m + 114) % 31 + 1;
    Date::constant(year, month as i8, day as i8)
}

fn end_of_day(day: Date) -> Timestamp {
    let next = day.saturating_add(1.day());
    // Both can only fail at the ends of the calendar, far outside 2000 to 2100.
    let instant = next
        .to_zoned(rome())
        .map_or(jiff::Timestamp::MAX, |zoned| zoned.timestamp());
    Timestamp(instant.as_microsecond())
}

fn rome() -> TimeZone {
    // The time zone database is compiled in (`tzdb-bundle-always`), so this never falls back.
    TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC)
}

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let wrong = || NotAPeriod(text.chars().take(40).collect());
        let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        match text.split_once('-') {
            Some((year, month)) if year.len() == 4 && month.len() == 2 && digits(year) && digits(month) => {
                Self::new(
                    year.parse().map_err(|_| wrong())?,
                    month.parse().map_err(|_| wrong())?,
                )
                .map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:04}-{:02}", self.year, self.month))
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(period: &str, days: u32) -> String {
        let period: Period = period.parse().unwrap();
        format!("{} {}", period.due_day(days), period.due_date(days))
    }

    #[test]
    fn a_report_is_due_at_midnight_in_rome_of_a_working_day() {
        // Wednesday; midnight in Rome is 23:00 UTC in winter.
        assert_eq!(due("2023-11", 20), "2023-12-20 2023-12-20T23:00:00Z");
        // Saturday moves to Monday.
        assert_eq!(due("2023-12", 20), "2024-01-22 2024-01-22T23:00:00Z");
        // Summer time.
        assert_eq!(due("2023-06", 20), "2023-07-20 2023-07-20T22:00:00Z");
        // 1 April 2024 was Easter Monday, 31 March Easter.
        assert_eq!(due("2024-02", 31), "2024-04-02 2024-04-02T22:00:00Z");
        // Christmas 2024 (Wednesday), then St Stephen.
        assert_eq!(due("2024-11", 25), "2024-12-27 2024-12-27T23:00:00Z");
    }

    #[test]
    fn easter_is_right_for_known_years() {
        for (year, day) in [
            (2023, "2023-04-09"),
            (2024, "2024-03-31"),
            (2025, "2025-04-20"),
            (2038, "2038-04-25"),
        ] {
            assert_eq!(easter_sunday(year).to_string(), day);
        }
    }

    #[test]
    fn periods_have_one_spelling_and_an_order() {
        let p = |t: &str| t.parse::<Period>();
        assert!(p("2023-12").unwrap() < p("2024-01").unwrap());
        assert_eq!(p("2023-12").unwrap().next(), p("2024-01").ok());
        assert_eq!(p("2024-02").unwrap().last_day().to_string(), "2024-02-29");
        assert_eq!(p("2023-11").unwrap().end().to_string(), "2023-11-30T23:00:00Z");
        for wrong in ["2023-13", "2023-1", "1999-01", "23-11", "2023/11", "+023-11"] {
            assert!(p(wrong).is_err(), "{wrong}");
        }
    }
}
