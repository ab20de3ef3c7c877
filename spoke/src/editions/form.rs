//! How editions are written: the CSV form, and the words of one edition.

use super::{Fault, LineFaults, NONE, NewEdition};
use crate::records::listing;
use raccordo_model::{
    code::{Code, Id},
    date::parse_day,
    edition::Versioned,
};
use raccordo_proto::wire;

/// Columns of the CSV form; `minutes` may be left out.
pub const COLUMNS: [&str; 7] = ["id", "intervention", "start", "end", "kit", "test", "minutes"];
/// Longest CSV document, in bytes.
pub const CSV_BYTES_MAX: usize = 1_024 * 1_024;

/// The editions of a CSV document, by line; or every cell that cannot be read.
pub fn parse_csv(bytes: &[u8]) -> Result<Vec<(u64, NewEdition)>, LineFaults> {
    let whole = |line, problem: String, remedy: &str| vec![(line, Fault::new("", problem, remedy))];
    if bytes.len() > CSV_BYTES_MAX {
        let problem = format!("{} bytes, at most {CSV_BYTES_MAX} are read", bytes.len());
        return Err(whole(1, problem, "split the document"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut rows = Vec::new();
    let mut errors = Vec::new();
    let mut columns = 0;
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                errors.push((
                    line,
                    Fault::new(
                        "",
                        format!("not CSV in UTF-8: {error}"),
                        "export the document again",
                    ),
                ));
                break;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        if columns == 0 {
            columns = record.len();
            if !matches!(columns, 6 | 7) || record.iter().ne(COLUMNS[..columns].iter().copied()) {
                let remedy = "write `id,intervention,start,end,kit,test`, optionally followed by `minutes`";
                return Err(whole(
                    line,
                    "the header is not the one of the form".into(),
                    remedy,
                ));
            }
        } else if record.len() != columns {
            let problem = format!("{} columns, {columns} are needed", record.len());
            errors.push((
                line,
                Fault::new("", problem, "write every column, empty where nothing is known"),
            ));
        } else {
            match parse_row(&record) {
                Ok(new) => rows.push((line, new)),
                Err(faults) => errors.extend(faults.into_iter().map(|f| (line, f))),
            }
        }
    }
    if columns == 0 {
        return Err(whole(
            1,
            "the document is empty".into(),
            "write the header and the rows below",
        ));
    }
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}

fn parse_row(record: &csv::StringRecord) -> Result<NewEdition, Vec<Fault>> {
    let cell = |column: usize| record.get(column).unwrap_or_default().trim();
    let minutes = match cell(6) {
        "" => Ok(0),
        text => text
            .parse()
            .map_err(|_| Fault::new("minutes", "not a whole number", "write it in digits")),
    };
    let test = match cell(5) {
        "yes" => Ok(true),
        "" | "no" => Ok(false),
        other => {
            let shown: String = other.chars().take(40).collect();
            Err(Fault::new(
                "test",
                format!("`{shown}` is neither yes nor no"),
                "write yes or no",
            ))
        }
    };
    let mut faults = Vec::new();
    let parsed = parse(&[cell(0), cell(1), cell(2), cell(3), cell(4)], 0, "");
    let (new, minutes, test) = match (parsed, minutes, test) {
        (Ok(new), Ok(minutes), Ok(test)) => (new, minutes, test),
        (new, minutes, test) => {
            faults.extend(new.err().into_iter().flatten());
            faults.extend(minutes.err());
            faults.extend(test.err());
            return Err(faults);
        }
    };
    Ok(NewEdition {
        test,
        minutes: (minutes > 0).then_some(minutes),
        ..new
    })
}

/// A new edition (without test) from the texts of identifier, intervention, start, end and kit.
pub fn parse(texts: &[&str; 5], minutes: u32, objective: &str) -> Result<NewEdition, Vec<Fault>> {
    let [id, intervention, start, end, kit] = *texts;
    let mut faults = Vec::new();
    let mut keep = |field, error: String, remedy: &str| faults.push(Fault::new(field, error, remedy));
    let id = id
        .parse::<Id>()
        .map_err(|e| keep("id", e.to_string(), "correct it"))
        .ok();
    let intervention = intervention
        .parse::<Id>()
        .map_err(|e| keep("intervention", e.to_string(), "see `pe show`"))
        .ok();
    let start = parse_day(start)
        .map_err(|e| keep("start", e.to_string(), "correct the day"))
        .ok();
    let end = match end {
        "" => start,
        text => parse_day(text)
            .map_err(|e| keep("end", e.to_string(), "correct the day"))
            .ok(),
    };
    let kit = match kit {
        "" | NONE => None,
        text => text
            .parse::<Versioned>()
            .map_err(|e| keep("kit", e.to_string(), "see `catalogue list`"))
            .ok(),
    };
    let objective = match objective {
        "" => None,
        text => text
            .parse::<Code>()
            .map_err(|e| keep("objective", e.to_string(), "correct it"))
            .ok(),
    };
    let minutes = (minutes > 0).then_some(minutes);
    match (id, intervention, start, end) {
        (Some(id), Some(intervention), Some(start), Some(end)) if faults.is_empty() => Ok(NewEdition {
            id,
            intervention,
            start,
            end,
            kit,
            test: false,
            minutes,
            objective,
        }),
        _ => Err(faults),
    }
}

/// Faults by line, as rows.
pub fn errors(file: &str, errors: &[(u64, Fault)]) -> wire::Listing {
    let rows = errors.iter().take(100).map(|(line, fault)| {
        vec![
            file.to_owned(),
            line.to_string(),
            fault.field.to_owned(),
            fault.problem.clone(),
            fault.remedy.clone(),
        ]
    });
    listing(&["file", "row", "field", "error", "remedy"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_csv_form_names_line_and_column() {
        let good = "id,intervention,start,end,kit,test\nE1,TOS-2023-03,2023-11-08,,KIT-A@1.0.0,yes\n";
        let rows = parse_csv(good.as_bytes()).unwrap();
        assert_eq!(
            (rows[0].0, rows[0].1.end, rows[0].1.test),
            (2, rows[0].1.start, true)
        );
        let bad = "id,intervention,start,end,kit,test,minutes\nE 1,X,08/11/2023,,K,forse,x\nE2,X\n";
        let errors = parse_csv(bad.as_bytes()).unwrap_err();
        let seen: Vec<_> = errors.iter().map(|(line, f)| (*line, f.field)).collect();
        assert_eq!(
            seen,
            [
                (2, "id"),
                (2, "start"),
                (2, "kit"),
                (2, "minutes"),
                (2, "test"),
                (3, "")
            ]
        );
        assert!(parse_csv(b"id;intervention\n").is_err());
        assert!(parse_csv(b"").is_err());
    }
}
