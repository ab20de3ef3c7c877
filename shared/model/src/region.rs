//! The 21 regions and autonomous provinces.
//!
//! From `data/regions.csv`. Code: the ministry's, as the FSE itself uses it; ISTAT numbers Bolzano
//! and Trento differently. Staff figures are rounded estimates, for proportion only.

use crate::node::RegionCode;
use serde::Serialize;
use std::sync::OnceLock;

/// A region or autonomous province.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Region {
    /// The ministry's three-digit code.
    #[serde(serialize_with = "crate::node::region_as_text")]
    pub code: RegionCode,
    /// ISTAT's two-digit code.
    pub istat: String,
    /// Eurostat's NUTS 2 code.
    pub nuts2: String,
    /// Three letters.
    pub short: String,
    /// Name, as the region writes it.
    pub name: String,
    /// General practitioners, estimate.
    pub mmg: u64,
    /// Family paediatricians, estimate.
    pub pls: u64,
    /// Staff of the health service, estimate.
    pub staff: u64,
    /// Citizens who used their record, per cent, third quarter of 2024.
    pub fse_use_percent: u64,
}

/// All 21, by code.
pub fn regions() -> &'static [Region] {
    static REGIONS: OnceLock<Vec<Region>> = OnceLock::new();
    REGIONS.get_or_init(|| {
        // A line that does not parse is left out; the test below counts 21.
        csv::Reader::from_reader(include_bytes!("../data/regions.csv").as_slice())
            .records()
            .filter_map(|record| from_record(&record.ok()?))
            .collect()
    })
}

/// The region with this code.
pub fn region(code: RegionCode) -> Option<&'static Region> {
    regions().iter().find(|region| region.code == code)
}

fn from_record(record: &csv::StringRecord) -> Option<Region> {
    let number = |column| record.get(column)?.parse().ok();
    Some(Region {
        code: record.get(0)?.parse().ok()?,
        istat: record.get(1)?.into(),
        nuts2: record.get(2)?.into(),
        short: record.get(3)?.into(),
        name: record.get(4)?.into(),
        mmg: number(5)?,
        pls: number(6)?,
        staff: number(7)?,
        fse_use_percent: number(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_21_in_order_of_code() {
        assert_eq!(regions().len(), 21);
        assert!(regions().windows(2).all(|pair| pair[0].code < pair[1].code));
        assert_eq!(region("041".parse().unwrap()).unwrap().short, "PAB");
        assert_eq!(region("999".parse().unwrap()), None);
    }
}
