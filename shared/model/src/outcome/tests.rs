//! Rows that are taken in and rows that are refused.

use super::*;

fn parse(rows: &str) -> Result<Vec<OutcomeRow>, RowErrors> {
    let text = format!("{}\n{rows}", COLUMNS.join(","));
    parse_csv(text.as_bytes(), "o.csv")
}

#[test]
fn good_rows_are_taken_in() {
    let rows =
        parse("L1,E1,C1.01,2023-11-01,2023-11-07,2023-11-07,yes,yes\nL2,E1,UNSPECIFIED,2023-11-01,,,,\n")
            .unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].passed, rows[1].started), (Some(true), None));
    let bom = format!("\u{feff}{}\r\nL1,E1,C1.01,,,,,\r\n", COLUMNS.join(","));
    assert_eq!(parse_csv(bom.as_bytes(), "o.csv").unwrap().len(), 1);
}

#[test]
fn every_bad_row_is_told_with_its_line_column_and_remedy() {
    let errors = parse(
        "L1,E1,C1.01,07/11/2023,,,,\n\
         L2,E1,C1.01,2023-11-01,2023-10-01,,,\n\
         L3,E1,C1.01,,,2023-11-07,,\n\
         L4,E1,C1.01,2023-11-01,,,si,\n\
         L5,E1,C1.01,2023-11-01,,,yes,\n\
         RSSMRA80A01H501U,E1,C1.01,,,,,\n\
         L6,E1,C1.01,,,,\n\
         L7,E1,C1.01,,,,,\n\
         L7,E1,C1.01,,,,,\n\
         L8,E1,C1.01,2023-11-01,2023-11-01,2023-11-01,no,yes\n",
    )
    .unwrap_err();
    let text = errors.to_string();
    for (line, what) in [
        (2, "enrolled `07/11/2023`: not a date"),
        (3, "started `2023-10-01`: before `enrolled`"),
        (4, "completed `2023-11-07`: given although `started` is empty"),
        (5, "passed `si`: neither yes nor no"),
        (6, "passed `yes`: given although `completed` is empty"),
        (7, "learner `…`: looks like a fiscal code"),
        (8, "7 columns, 8 are needed"),
        (10, "learner `L7`: the learner is already in edition E1 on line 9"),
        (11, "ecm_credited `yes`: credited although"),
    ] {
        assert!(
            text.contains(&format!("o.csv:{line}: {what}")),
            "{line} {what}\n{text}"
        );
    }
    assert_eq!(errors.total, 9);
}

#[test]
fn another_header_an_empty_file_and_floods_are_refused() {
    let error = parse_csv(b"learner;edition\n", "o.csv").unwrap_err().to_string();
    assert!(error.contains("write exactly `learner,edition"), "{error}");
    assert!(parse_csv(b"", "o.csv").unwrap_err().to_string().contains("empty"));
    let flood = parse(&"x\n".repeat(150)).unwrap_err();
    assert_eq!((flood.shown.len(), flood.total), (100, 150));
    assert!(flood.to_string().ends_with("50 further errors are not shown"));
    let rows: String = (0..=CSV_ROWS_MAX)
        .map(|n| format!("L{n},E1,C1.01,,,,,\n"))
        .collect();
    assert!(
        parse(&rows)
            .unwrap_err()
            .to_string()
            .contains("more than 200000 rows")
    );
    let bytes = vec![b'x'; CSV_BYTES_MAX + 1];
    assert!(
        parse_csv(&bytes, "o.csv")
            .unwrap_err()
            .to_string()
            .contains("split")
    );
}
#[test]
fn rows_are_held_against_editions_and_code_lists() {
    let edition = Edition {
        id: "E1".parse().unwrap(),
        intervention: "I1".parse().unwrap(),
        kit: None,
        syllabus: None,
        instrument: "TRADITIONAL.RES".parse().unwrap(),
        area: "GENERAL".parse().unwrap(),
        objective: Code::unspecified(),
        level: "STAFF".parse().unwrap(),
        origin: crate::edition::PlanOrigin::FromPo,
        package: None,
        minutes: 180,
        start: parse_day("2023-11-07").unwrap(),
        end: parse_day("2023-11-07").unwrap(),
        ecm: true,
        test: true,
    };
    let mut bare = edition.clone();
    bare.id = "E2".parse().unwrap();
    (bare.ecm, bare.test) = (false, false);
    let editions = BTreeMap::from([(edition.id.clone(), edition), (bare.id.clone(), bare)]);
    let day = "2023-11-07,2023-11-07,2023-11-07";
    let rows = parse(&format!(
        "L1,E1,C1.01,{day},yes,yes\nL2,E1,C4.01,{day},yes,\nL3,E9,C1.01,{day},,\n\
         L4,E2,C1.01,{day},yes,no\nL5,E1,C1.01,{day},,yes\n"
    ))
    .unwrap();
    let errors = check_rows(&rows, &editions, CodeLists::builtin(), "o.csv").unwrap_err();
    let found: Vec<(u64, &str)> = errors.shown.iter().map(|e| (e.line, e.column.as_str())).collect();
    assert_eq!(
        found,
        [
            (3, "profession"),
            (4, "edition"),
            (5, "passed"),
            (5, "ecm_credited"),
            (6, "ecm_credited"),
        ]
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn any_bytes_are_rows_or_errors(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let with_header = [COLUMNS.join(",").as_bytes(), b"\n", &bytes].concat();
        let _ = parse_csv(&bytes, "o.csv");
        let _ = parse_csv(&with_header, "o.csv");
    }
}
