//! Invented editions and outcomes of a region: seeded, scaled by its staff, in the regions' own CSV forms.
//!
//! A learner's row is invented whole and told in parts: the file of a month says what is known at the
//! month's end, and the next one brings what came later (a course begun in October and completed in
//! November). Nobody is in these files: learners are numbers.

use crate::{cast::TOSCANA, random::Random};
use jiff::{ToSpan as _, civil::Date};
use raccordo_model::{
    period::Period,
    region::Region,
    taxonomy::{CodeLists, Dimension},
};
use std::collections::BTreeSet;

/// The months that are run.
pub(crate) const MONTHS: [i8; 3] = [10, 11, 12];
/// Share of the year's learners in each month, per cent.
const MONTH_SHARES: [usize; 3] = [25, 35, 40];
/// Staff per invented learner row.
const STAFF_PER_ROW: u64 = 65;
/// Rows of a month that are told late where a region plays that part.
const LATE_ROWS: usize = 6;

/// An edition, as a row of the editions' CSV form.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edition {
    id: String,
    month: usize,
    start: Date,
    end: Date,
    course: usize,
}

/// What becomes of a learner in an edition, in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fate {
    learner: usize,
    edition: usize,
    profession: String,
    enrolled: Date,
    started: Option<Date>,
    completed: Option<Date>,
    passed: Option<bool>,
    credited: Option<bool>,
    /// Told only after the month's first report.
    late: bool,
}

/// How an intervention of the plan is run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Course {
    intervention: String,
    targets: &'static [&'static str],
    /// Of the region's rows, per cent.
    share: usize,
    /// People of one edition.
    capacity: usize,
    /// Longest time to complete it, in days; 0: on the day.
    days: i32,
    ecm: bool,
    test: bool,
    kit: bool,
    /// Minutes where the plan does not say.
    minutes: Option<u32>,
    /// A month (from 0) whose editions are put off: people are enrolled, nobody begins.
    put_off: Option<usize>,
    /// A month (from 0), a day and a number of people that the plan fixes.
    fixed: Option<(usize, i8, usize)>,
}

/// The three months of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Story {
    short: String,
    courses: Vec<Course>,
    editions: Vec<Edition>,
    fates: Vec<Fate>,
}

/// The month with this index of [`MONTHS`].
pub(crate) fn period(month: usize) -> Period {
    let month = MONTHS[month.min(MONTHS.len() - 1)];
    Period::new(2023, month).unwrap_or_else(|_| unreachable!("the constants are months"))
}

impl Story {
    /// Invents a region's months. `late`: the months (by index) of which some rows are told late.
    pub(crate) fn invent(region: &Region, seed: u64, late: &[usize]) -> Self {
        let mut random = Random::new(seed, region.code.as_str());
        let mut story = Self {
            short: region.short.clone(),
            courses: courses(region),
            editions: vec![],
            fates: vec![],
        };
        let rows = (region.staff + region.mmg + region.pls) / STAFF_PER_ROW;
        let mut people: Vec<(usize, String)> = Vec::new();
        let mut next_learner = 1;
        for (month, month_share) in MONTH_SHARES.into_iter().enumerate() {
            for course in 0..story.courses.len() {
                let plan = story.courses[course].clone();
                let (day, count) = match plan.fixed {
                    Some((m, day, count)) if m == month => (Some(day), count),
                    Some(_) => continue,
                    None => (None, (rows as usize * plan.share * month_share).div_ceil(10_000)),
                };
                for (nth, start) in (0..count).step_by(plan.capacity).enumerate() {
                    let size = plan.capacity.min(count - start);
                    let edition = story.add_edition(month, course, nth, day, &mut random);
                    let mut here = BTreeSet::new();
                    for _ in 0..size {
                        // Some have been in another edition: people are fewer than rows.
                        let again = people
                            .get(random.below(people.len() * 6))
                            .cloned()
                            .filter(|(n, p)| {
                                !here.contains(n) && plan.targets.iter().any(|t| p.starts_with(t))
                            });
                        let (learner, profession) = again.unwrap_or_else(|| {
                            next_learner += 1;
                            (next_learner - 1, profession(region, plan.targets, &mut random))
                        });
                        here.insert(learner);
                        people.push((learner, profession.clone()));
                        story.add_fate(edition, learner, profession, &mut random);
                    }
                }
            }
            if late.contains(&month) {
                story.tell_late(month);
            }
        }
        story
    }

    fn add_edition(
        &mut self,
        month: usize,
        course: usize,
        nth: usize,
        day: Option<i8>,
        random: &mut Random,
    ) -> usize {
        let first = period(month).first_day();
        let offset = day.map_or_else(|| 1 + random.below(20) as i32, |day| i32::from(day) - 1);
        let start = first.saturating_add(offset.days());
        let plan = &self.courses[course];
        let id = format!(
            "{}-{}{:02}-{}-{}",
            self.short,
            2023,
            MONTHS[month],
            course + 1,
            nth + 1
        );
        // An edition ends in the year of its plan.
        let end = start
            .saturating_add(plan.days.days())
            .min(period(MONTHS.len() - 1).last_day());
        self.editions.push(Edition {
            id,
            month,
            start,
            end,
            course,
        });
        self.editions.len() - 1
    }

    fn add_fate(&mut self, edition: usize, learner: usize, profession: String, random: &mut Random) {
        let (plan, run) = (
            &self.courses[self.editions[edition].course],
            &self.editions[edition],
        );
        let first = period(run.month).first_day();
        // Never before the month: earlier reports would have had to count them.
        let enrolled = run
            .start
            .saturating_sub((random.below(10) as i32).days())
            .max(first);
        let started = (plan.put_off != Some(run.month) && random.percent(95)).then(|| {
            let wait = if plan.days > 0 { random.below(5) as i32 } else { 0 };
            run.start.saturating_add(wait.days())
        });
        let completed = started.filter(|_| random.percent(88)).map(|day| {
            let takes = if plan.days > 0 {
                random.below(plan.days as usize) as i32
            } else {
                0
            };
            day.saturating_add(takes.days()).min(run.end.max(day))
        });
        let passed = (plan.test && completed.is_some()).then(|| random.percent(93));
        let credited = (plan.ecm && completed.is_some()).then(|| passed != Some(false) && random.percent(97));
        self.fates.push(Fate {
            learner,
            edition,
            profession,
            enrolled,
            started,
            completed,
            passed,
            credited,
            late: false,
        });
    }

    /// Marks the last completed rows of a month.
    fn tell_late(&mut self, month: usize) {
        let end = period(month).last_day();
        let editions = &self.editions;
        self.fates
            .iter_mut()
            .rev()
            .filter(|f| editions[f.edition].month == month && f.completed.is_some_and(|day| day <= end))
            .take(LATE_ROWS)
            .for_each(|f| f.late = true);
    }

    /// The editions that begin in a month: `id,intervention,start,end,kit,test,minutes`. The kit is in
    /// version `kit_version`.
    pub(crate) fn editions_csv(&self, month: usize, kit: &str, kit_version: &str) -> String {
        let mut text = String::from("id,intervention,start,end,kit,test,minutes\n");
        for edition in self.editions.iter().filter(|e| e.month == month) {
            let plan = &self.courses[edition.course];
            let kit = if plan.kit {
                format!("{kit}@{kit_version}")
            } else {
                String::new()
            };
            let test = yes_no(Some(plan.test));
            let minutes = plan.minutes.map(|m| m.to_string()).unwrap_or_default();
            let Edition { id, start, end, .. } = edition;
            text.push_str(&format!(
                "{id},{},{start},{end},{kit},{test},{minutes}\n",
                plan.intervention
            ));
        }
        text
    }

    /// What is new at the end of a month: rows of its editions, and earlier rows that came further. Rows
    /// that are told late are left out.
    pub(crate) fn outcomes_csv(&self, month: usize) -> String {
        self.csv(month, |fate, edition| {
            if edition.month == month {
                !fate.late
            } else {
                fate.moved_in(month)
            }
        })
    }

    /// The rows of a month that are told late, as they stand at its end; none: no part of this region.
    pub(crate) fn late_csv(&self, month: usize) -> Option<String> {
        let late = |fate: &Fate, edition: &Edition| edition.month == month && fate.late;
        self.fates
            .iter()
            .any(|f| late(f, &self.editions[f.edition]))
            .then(|| self.csv(month, late))
    }

    fn csv(&self, month: usize, chosen: impl Fn(&Fate, &Edition) -> bool) -> String {
        let end = period(month).last_day();
        let mut text = raccordo_model::outcome::COLUMNS.join(",");
        text.push('\n');
        for fate in &self.fates {
            let edition = &self.editions[fate.edition];
            if edition.month > month || !chosen(fate, edition) {
                continue;
            }
            let by_then = |day: Option<Date>| day.filter(|d| *d <= end);
            let day = |day: Option<Date>| by_then(day).map(|d| d.to_string()).unwrap_or_default();
            let result = |value| {
                if by_then(fate.completed).is_some() {
                    yes_no(value)
                } else {
                    ""
                }
            };
            text.push_str(&format!(
                "{}-{:06},{},{},{},{},{},{},{}\n",
                self.short,
                fate.learner,
                edition.id,
                fate.profession,
                fate.enrolled,
                day(fate.started),
                day(fate.completed),
                result(fate.passed),
                result(fate.credited),
            ));
        }
        text
    }

    /// Rows of learners in all three months.
    pub(crate) fn rows(&self) -> usize {
        self.fates.len()
    }

    /// Editions in all three months.
    pub(crate) fn edition_count(&self) -> usize {
        self.editions.len()
    }
}

impl Fate {
    fn moved_in(&self, month: usize) -> bool {
        let month = period(month);
        let within = |day: Option<Date>| day.and_then(Period::of_day) == Some(month);
        within(self.started) || within(self.completed)
    }
}

fn yes_no(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    }
}

/// How the interventions of the region's plan are run; of Tuscany's as its real plan says.
fn courses(region: &Region) -> Vec<Course> {
    let course = |number: usize, targets, share, capacity, days| Course {
        intervention: intervention(region, number),
        targets,
        share,
        capacity,
        days,
        ecm: false,
        test: false,
        kit: false,
        minutes: None,
        put_off: None,
        fixed: None,
    };
    let online = |number, share| Course {
        ecm: true,
        test: true,
        kit: true,
        ..course(number, &["C1", "C2", "C3"], share, 120, 25)
    };
    if region.code.as_str() == TOSCANA {
        return vec![
            Course {
                fixed: Some((0, 16, 24)),
                ..course(1, &["C2", "C3"], 0, 24, 0)
            },
            Course {
                fixed: Some((1, 7, 180)),
                ..course(2, &["C1", "C2", "C3"], 0, 180, 0)
            },
            online(3, 70),
            Course {
                minutes: Some(120),
                put_off: Some(0),
                ..course(4, &["C1"], 15, 20, 0)
            },
        ];
    }
    let mut courses = vec![
        course(1, &["C2", "C3"], 5, 24, 0),
        online(2, 70),
        course(3, &["C1"], 15, 20, 0),
    ];
    if has_webinar(region) {
        courses.push(course(4, &["C3.02"], 10, 60, 0));
    }
    courses
}

/// Whether the region's invented plan has the additional webinar.
pub(crate) fn has_webinar(region: &Region) -> bool {
    region.code.as_str() != TOSCANA && region.staff > 6_000
}

/// The identifier of an intervention of the Executive Plan.
pub(crate) fn intervention(region: &Region, number: usize) -> String {
    format!("{}-2023-{number:02}", region.short)
}

/// A profession within the targets, as frequent as a region's staff would have it, more or less.
fn profession(region: &Region, targets: &[&str], random: &mut Random) -> String {
    // Some regions do not know every learner's profession.
    if region.code.as_str().ends_with("50") && random.percent(4) {
        return raccordo_model::code::UNSPECIFIED.into();
    }
    let doctors = (region.mmg + region.pls) as usize;
    let staff = region.staff as usize;
    let weights = [("C1", doctors), ("C2", staff * 7 / 10), ("C3", staff * 3 / 10)];
    let open: Vec<_> = weights
        .iter()
        .filter(|(c, _)| targets.iter().any(|t| t.starts_with(c)))
        .collect();
    let mut draw = random.below(open.iter().map(|(_, w)| w).sum());
    let mut cluster = open.first().map_or("C2", |(c, _)| c);
    for (code, weight) in open {
        cluster = code;
        if draw < *weight {
            break;
        }
        draw -= weight;
    }
    let fits = |code: &str| code.starts_with(cluster) && targets.iter().any(|t| code.starts_with(t));
    let codes: Vec<&str> = CodeLists::builtin()
        .codes(Dimension::Profession)
        .map(|(c, _)| c.as_str())
        .filter(|c| fits(c))
        .collect();
    // A region trains few professions at a time, and other ones than its neighbour: many small groups would
    // leave nothing to be shown.
    let few = (doctors + staff) / 15_000 + 1;
    let first: usize = region.istat.parse().unwrap_or(0);
    let at = (first + random.below(few.min(codes.len()))) % codes.len().max(1);
    codes
        .get(at)
        .map_or_else(|| raccordo_model::code::UNSPECIFIED.into(), |c| (*c).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast;
    use raccordo_model::outcome::parse_csv;
    use std::collections::BTreeMap;

    fn stories() -> Vec<Story> {
        cast::choose(21)
            .iter()
            .map(|r| Story::invent(r, 1, &[0]))
            .collect()
    }

    #[test]
    fn every_file_is_of_the_form_and_the_seed_decides() {
        let stories = stories();
        let total: usize = stories.iter().map(Story::rows).sum();
        assert!((8_000..12_500).contains(&total), "{total}");
        for story in &stories {
            for month in 0..MONTHS.len() {
                let rows = parse_csv(story.outcomes_csv(month).as_bytes(), "o.csv").unwrap();
                assert!(!rows.is_empty());
                let end = period(month).last_day();
                assert!(rows.iter().all(|r| r.enrolled.is_some_and(|d| d <= end)));
                assert!(story.editions_csv(month, "K", "1.0.0").lines().count() > 1);
            }
        }
        let region = cast::choose(3)[1];
        assert_eq!(Story::invent(region, 1, &[]), Story::invent(region, 1, &[]));
        assert_ne!(Story::invent(region, 1, &[]), Story::invent(region, 2, &[]));
    }

    /// The files, one after the other, tell in the end exactly what is known at the end of the year.
    #[test]
    fn files_in_order_add_up_to_the_whole_story() {
        for story in stories() {
            let mut told = BTreeMap::new();
            for month in 0..MONTHS.len() {
                for file in [Some(story.outcomes_csv(month)), story.late_csv(month)]
                    .into_iter()
                    .flatten()
                {
                    for row in parse_csv(file.as_bytes(), "o.csv").unwrap() {
                        told.insert((row.learner.clone(), row.edition.clone()), row);
                    }
                }
            }
            let whole = story.csv(2, |_, _| true);
            let whole = parse_csv(whole.as_bytes(), "o.csv").unwrap();
            assert_eq!(whole.len(), told.len());
            for row in whole {
                assert_eq!(told.get(&(row.learner.clone(), row.edition.clone())), Some(&row));
            }
        }
    }

    #[test]
    fn some_begin_in_one_month_and_complete_in_the_next() {
        let later = |s: &Story| {
            let end = |f: &Fate| period(s.editions[f.edition].month).last_day();
            s.fates
                .iter()
                .filter(|f| f.completed.is_some_and(|day| day > end(f)))
                .count()
        };
        assert!(stories().iter().map(later).sum::<usize>() > 100);
    }
}
