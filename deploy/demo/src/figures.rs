//! The status as the working group reads it, held against itself: totals are the sums of their parts.

use anyhow::{Context as _, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A row of `raccordo-gdl status -o csv`; the columns that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Figure {
    /// Code, or `ALL`.
    pub(crate) region: String,
    /// Cluster, area and measure.
    pub(crate) key: (String, String, String),
    /// `number`, `zero`, `missing`, `suppressed` or `not_applicable`.
    pub(crate) state: String,
    /// With `number` and `zero`.
    pub(crate) value: Option<u64>,
    /// `confirmed`, `stale`, `missing`; empty for the country.
    pub(crate) freshness: String,
    coverage: Option<u64>,
}

/// Reads a file of figures.
pub(crate) fn read(path: &Path) -> Result<Vec<Figure>> {
    let mut reader = csv::Reader::from_path(path).with_context(|| path.display().to_string())?;
    let mut figures = Vec::new();
    for row in reader.deserialize::<BTreeMap<String, String>>() {
        let mut row = row?;
        let mut take = |column: &str| row.remove(column).unwrap_or_default();
        figures.push(Figure {
            region: take("region"),
            key: (take("cluster"), take("area"), take("measure")),
            state: take("state"),
            value: take("value").parse().ok(),
            freshness: take("freshness"),
            coverage: take("coverage").parse().ok(),
        });
    }
    Ok(figures)
}

/// Compares every figure of the country with the sum of the confirmed regions'. Returns how many were
/// compared, and the first that differs.
pub(crate) fn compare_totals(figures: &[Figure]) -> (usize, Option<String>) {
    let mut sums: BTreeMap<&(String, String, String), (u64, u64)> = BTreeMap::new();
    for part in figures
        .iter()
        .filter(|f| f.region != "ALL" && f.freshness == "confirmed")
    {
        if let Some(value) = part.value {
            let sum = sums.entry(&part.key).or_default();
            *sum = (sum.0 + value, sum.1 + 1);
        }
    }
    let totals: Vec<_> = figures.iter().filter(|f| f.region == "ALL").collect();
    let differs = totals.iter().find_map(|total| {
        let (sum, parts) = sums.get(&total.key).copied().unwrap_or_default();
        let same = total.value.unwrap_or(0) == sum && total.coverage == Some(parts);
        let (cluster, area, measure) = &total.key;
        let told = total.value.unwrap_or(0);
        (!same).then(|| format!("{measure} {cluster} {area}: {told}, somma {sum} su {parts} regioni"))
    });
    (totals.len(), differs)
}

/// The states that occur.
pub(crate) fn states(figures: &[Figure]) -> BTreeSet<&str> {
    figures.iter().map(|f| f.state.as_str()).collect()
}

/// The regions of a freshness.
pub(crate) fn regions<'f>(figures: &'f [Figure], freshness: &str) -> BTreeSet<&'f str> {
    figures
        .iter()
        .filter(|f| f.freshness == freshness)
        .map(|f| f.region.as_str())
        .collect()
}

/// The same figures with one number of the country made one larger: what must be noticed.
pub(crate) fn altered(figures: &[Figure]) -> Vec<Figure> {
    let mut figures = figures.to_vec();
    if let Some(total) = figures
        .iter_mut()
        .find(|f| f.region == "ALL" && f.state == "number")
    {
        total.value = total.value.map(|v| v + 1);
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "period,region,cluster,area,measure,state,value,coverage,freshness,revision,ledger_size\n\
        2023-11,090,C1,GENERAL,enrolled,number,7,1,confirmed,1,40\n\
        2023-10,140,C1,GENERAL,enrolled,number,5,1,stale,1,40\n\
        2023-11,020,C1,GENERAL,enrolled,suppressed,,0,confirmed,1,40\n\
        2023-11,100,C1,GENERAL,enrolled,number,4,1,confirmed,1,40\n\
        2023-11,ALL,C1,GENERAL,enrolled,number,11,2,,,40\n";

    #[test]
    fn totals_are_sums_of_what_is_confirmed_and_published() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.csv");
        std::fs::write(&path, CSV).unwrap();
        let figures = read(&path).unwrap();
        assert_eq!(compare_totals(&figures), (1, None));
        let (_, differs) = compare_totals(&altered(&figures));
        assert!(differs.unwrap().contains("12, somma 11 su 2 regioni"));
        assert_eq!(
            states(&figures).into_iter().collect::<Vec<_>>(),
            ["number", "suppressed"]
        );
        assert_eq!(
            regions(&figures, "stale").into_iter().collect::<Vec<_>>(),
            ["140"]
        );
    }
}
