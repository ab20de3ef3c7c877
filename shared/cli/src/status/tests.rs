use super::*;
use raccordo_proto::wire::MeasureValue;

fn value(measure: Measure, state: CellState, number: u64) -> MeasureValue {
    MeasureValue {
        measure: measure.into(),
        value: Some(CellValue {
            state: state.into(),
            number,
        }),
    }
}

fn region(code: &str, name: &str, freshness: Freshness, period: &str) -> RegionStatus {
    RegionStatus {
        region: code.into(),
        name: name.into(),
        freshness: freshness.into(),
        period: period.into(),
        revision: 2,
        index: 7,
        age_days: 34,
        on_time: true,
    }
}

fn row(key: [&str; 3], measures: Vec<MeasureValue>, coverage: &[u32]) -> ConsolidatedRow {
    ConsolidatedRow {
        region: key[0].into(),
        cluster: key[1].into(),
        area: key[2].into(),
        measures,
        coverage: coverage.into(),
    }
}

/// Four regions: two confirmed, one stale, one that never reported. Rows in no order.
fn sample() -> ConsolidatedResponse {
    use CellState::{NotApplicable, Number, Suppressed, Zero};
    use Measure::{DistinctTrained, Enrolled, Passed};
    ConsolidatedResponse {
        federation: "fse-prova".into(),
        test: true,
        period: "2023-11".into(),
        ledger_size: 120,
        checkpoint: "nota".into(),
        regions_reporting: 2,
        regions_total: 4,
        regions: vec![
            region("090", "Toscana", Freshness::Confirmed, "2023-11"),
            region("010", "Piemonte", Freshness::Confirmed, "2023-11"),
            region("100", "Umbria", Freshness::Stale, "2023-10"),
            region("110", "Marche", Freshness::Missing, ""),
        ],
        rows: vec![
            row([ALL, ALL, ALL], vec![value(DistinctTrained, Number, 150)], &[2]),
            row(
                [ALL, "C1", ALL],
                vec![value(Enrolled, Number, 90), value(Passed, Zero, 0)],
                &[2, 1],
            ),
            row(["090", ALL, ALL], vec![value(DistinctTrained, Number, 100)], &[1]),
            row(["010", ALL, ALL], vec![value(DistinctTrained, Number, 50)], &[1]),
            row(["100", ALL, ALL], vec![value(DistinctTrained, Number, 1)], &[1]),
            row(
                ["090", "C1", "FSE"],
                vec![value(Passed, NotApplicable, 0), value(Enrolled, Suppressed, 0)],
                &[],
            ),
        ],
        as_of_us: 1_701_709_200_000_000,
    }
}

#[test]
fn csv_has_a_row_per_measure_in_order_and_one_per_missing_region() {
    let expected = "\
period,region,cluster,area,measure,state,value,coverage,freshness,revision,ledger_size
2023-11,010,ALL,ALL,distinct_trained,number,50,1,confirmed,2,120
2023-11,090,ALL,ALL,distinct_trained,number,100,1,confirmed,2,120
2023-11,090,C1,FSE,enrolled,suppressed,,,confirmed,2,120
2023-11,090,C1,FSE,passed,not_applicable,,,confirmed,2,120
2023-10,100,ALL,ALL,distinct_trained,number,1,1,stale,2,120
2023-11,110,ALL,ALL,distinct_trained,missing,,,missing,,120
2023-11,ALL,ALL,ALL,distinct_trained,number,150,2,,,120
2023-11,ALL,C1,ALL,enrolled,number,90,2,,,120
2023-11,ALL,C1,ALL,passed,zero,0,1,,,120
";
    let text = render(&sample(), Format::Csv, Paint(false));
    assert_eq!(text, expected.replace('\n', "\r\n"));
}

#[test]
fn a_region_with_rows_gets_no_missing_one_and_a_stale_one_without_rows_does() {
    let mut answer = sample();
    answer.rows.retain(|r| r.region != "100");
    let text = render(&answer, Format::Csv, Paint(false));
    let umbria: Vec<_> = text.lines().filter(|l| l.starts_with("2023-11,100,")).collect();
    assert_eq!(
        umbria,
        ["2023-11,100,ALL,ALL,distinct_trained,missing,,,stale,2,120"]
    );
}

#[test]
fn json_holds_the_same_nested() {
    let text = render(&sample(), Format::Json, Paint(true));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["ledger_size"], 120);
    assert_eq!(value["as_of"], "2023-12-04T17:00:00Z");
    assert_eq!(value["regions"][0]["region"], "010");
    assert_eq!(value["regions"][3]["freshness"], "missing");
    assert!(value["regions"][3]["period"].is_null() && value["regions"][3]["revision"].is_null());
    assert_eq!(value["rows"][0]["measures"]["distinct_trained"], 50);
    let c1 = &value["rows"][2];
    assert_eq!(c1["measures"]["enrolled"]["state"], "suppressed");
    assert!(c1.get("coverage").is_none());
    let national = &value["rows"][5];
    assert_eq!(
        (&national["measures"]["passed"], &national["coverage"]["passed"]),
        (&0.into(), &1.into())
    );
}

#[test]
fn people_see_a_bar_per_region_over_the_numbers() {
    let text = render(&sample(), Format::Table, Paint(false));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "Stato consolidato · federazione fse-prova");
    assert_eq!(
        lines[1],
        "periodo 2023-11 · registro del centro: 120 voci · copertura: 2 di 4 · al 2023-12-04T17:00:00Z"
    );
    let full = "█".repeat(30);
    let half = format!("{}{}", "█".repeat(15), " ".repeat(15));
    let one = format!("░{}", " ".repeat(29));
    let none = " ".repeat(30);
    assert_eq!(
        lines[4],
        format!("010 Piemonte {half}       50  confermato, rev. 2")
    );
    assert_eq!(
        lines[5],
        format!("090 Toscana  {full}      100  confermato, rev. 2")
    );
    assert_eq!(
        lines[6],
        format!("100 Umbria   {one}        1  fermo a 2023-10 (34 giorni), fuori dai totali")
    );
    assert_eq!(
        lines[7],
        format!("110 Marche   {none}        –  mancante: mai trasmesso")
    );
    assert_eq!(lines[8], format!("    Italia   {none}      150  2 regioni su 4"));
    assert!(lines[11].starts_with("REGIONE"), "{text}");
    assert!(lines[11].ends_with("COPERTURA"), "{text}");
    assert!(
        !text.contains("FSE"),
        "the detail of a region only when one is asked for: {text}"
    );
    let mut one = sample();
    one.regions.retain(|r| r.region == "090");
    assert!(render(&one, Format::Table, Paint(false)).contains("FSE"));
}

#[test]
fn colour_changes_no_letter() {
    let plain = render(&sample(), Format::Table, Paint(false));
    let painted = render(&sample(), Format::Table, Paint(true));
    let mut stripped = String::new();
    for (i, part) in painted.split('\u{1b}').enumerate() {
        stripped.push_str(if i == 0 {
            part
        } else {
            part.split_once('m').unwrap().1
        });
    }
    assert_ne!(plain, painted);
    // Trailing blanks may differ, nothing else.
    let trim = |t: &str| t.lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(trim(&plain), trim(&stripped));
}

#[test]
fn bars_are_seen_however_small_and_never_too_long() {
    assert_eq!(bar(0, 100, false), "");
    assert_eq!(bar(5, 0, false), "");
    assert_eq!(bar(1, u64::MAX, false), "▏");
    assert_eq!(bar(u64::MAX, u64::MAX, false).chars().count(), BAR_WIDTH);
    assert_eq!(bar(9, 3, true).chars().count(), BAR_WIDTH);
}

#[test]
fn what_a_newer_hub_says_is_shown_not_dropped() {
    let mut answer = sample();
    answer.rows[0].measures[0].measure = 99;
    answer.rows[0].measures[0].value = None;
    let text = render(&answer, Format::Csv, Paint(false));
    assert!(
        text.contains("2023-11,ALL,ALL,ALL,measure_99,missing,,2,,,120"),
        "{text}"
    );
}

#[test]
fn only_a_test_federation_has_a_banner() {
    assert!(banner("f", false).is_none());
    assert!(banner("fse", true).unwrap().contains("PROVA «fse»"));
}

#[test]
fn an_empty_federation_has_a_status_too() {
    let text = render(&ConsolidatedResponse::default(), Format::Table, Paint(false));
    assert!(
        text.contains("periodo nessuno") && text.contains("(nessuna riga)"),
        "{text}"
    );
}
