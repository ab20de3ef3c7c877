//! Who takes part: the regions, and the parts that some of them play.

use raccordo_model::region::{Region, regions};

/// Tuscany, whose plan is real.
pub(crate) const TOSCANA: &str = "090";
/// Always there: Tuscany and the two smallest.
const ALWAYS: [&str; 3] = [TOSCANA, "020", "140"];
/// Fewest regions.
pub(crate) const REGIONS_MIN: usize = ALWAYS.len();

/// The regions of a federation of `count`: Tuscany, then the smallest ones; in order of code.
pub(crate) fn choose(count: usize) -> Vec<&'static Region> {
    let mut all: Vec<&Region> = regions().iter().collect();
    all.sort_by_key(|r| (!ALWAYS.contains(&r.code.as_str()), r.staff));
    all.truncate(count.max(REGIONS_MIN));
    all.sort_by_key(|r| r.code);
    all
}

/// The parts, by code of region. One region may play several where there are few.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// Its first PO comes back with a request for changes.
    pub(crate) changes_requested: &'static str,
    /// Runs October and does not report it: missing until its first report.
    pub(crate) silent_in_october: &'static str,
    /// Its report of November is rejected and corrected.
    pub(crate) rejected: &'static str,
    /// Corrects October in November.
    pub(crate) corrects_late: &'static str,
    /// Does not report December: stale.
    pub(crate) silent_in_december: &'static str,
    /// Its process is killed while it fetches the kit.
    pub(crate) killed: &'static str,
}

impl Parts {
    /// The parts among `cast`.
    pub(crate) fn of(cast: &[&'static Region]) -> Self {
        let or = |wanted: &'static str, instead: &'static str| {
            if cast.iter().any(|r| r.code.as_str() == wanted) {
                wanted
            } else {
                instead
            }
        };
        Self {
            changes_requested: "140",
            silent_in_october: "020",
            rejected: or("041", "020"),
            corrects_late: or("042", TOSCANA),
            silent_in_december: or("170", "140"),
            killed: or("100", "140"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_size_has_all_parts_played_by_regions_that_are_there() {
        for count in [0, 3, 4, 8, 21, 99] {
            let cast = choose(count);
            assert_eq!(cast.len(), count.clamp(3, 21));
            let parts = Parts::of(&cast);
            for code in [
                TOSCANA,
                parts.changes_requested,
                parts.silent_in_october,
                parts.rejected,
                parts.corrects_late,
                parts.silent_in_december,
                parts.killed,
            ] {
                assert!(cast.iter().any(|r| r.code.as_str() == code), "{code} of {count}");
            }
            // Otherwise December would be missing and not stale.
            assert_ne!(parts.silent_in_october, parts.silent_in_december);
            assert_ne!(parts.corrects_late, parts.silent_in_october);
        }
    }
}
