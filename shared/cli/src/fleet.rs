//! Who has which kit version in which phase, and how each region is connected.

use crate::{
    color::Paint,
    node::instant,
    output::{Cell, Format, Table, note, print_data, printable, to_json},
    status::banner,
};
use raccordo_proto::wire::{FleetResponse, FleetRow};
use std::io;

/// Columns, with stable codes in their cells.
const COLUMNS: &[(&str, &str)] = &[
    ("region", "Codice"),
    ("name", "Regione"),
    ("kit", "Kit"),
    ("version", "Versione"),
    ("phase", "Fase"),
    ("adoption", "Adozione"),
    ("phase_at", "Fase dal"),
    ("cosigned", "Confermate"),
    ("ledger_size", "Registro"),
    ("last_contact", "Ultimo contatto"),
    ("connected", "Collegata"),
];

const PHASES: &[(&str, &str)] = &[
    ("applied", "ricevuto"),
    ("content_complete", "contenuto completo"),
    ("serving", "in uso"),
    ("no_longer_served", "non più in uso"),
    ("unknown", "ignota"),
];

const ADOPTIONS: &[(&str, &str)] = &[
    ("acknowledged", "preso in carico"),
    ("adopted", "adottato"),
    ("localised", "adattato"),
    ("not_applicable", "non applicabile"),
];

/// Prints the fleet. What is not data goes to standard error.
pub fn print(answer: &FleetResponse, format: Format, paint: Paint) -> io::Result<()> {
    if let Some(banner) = banner(&answer.federation, answer.test) {
        note(&paint.yellow(&banner));
    }
    if format != Format::Table {
        note(&format!(
            "stato al registro del centro di {} voci",
            answer.ledger_size
        ));
    }
    print_data(&render(answer, format, paint))
}

/// The fleet in `format`; JSON is one object with the rows in it.
pub fn render(answer: &FleetResponse, format: Format, paint: Paint) -> String {
    match format {
        Format::Table => for_people(answer, paint),
        Format::Csv => rows(answer).render(Format::Csv),
        Format::Json => to_json(&serde_json::json!({
            "federation": answer.federation,
            "test": answer.test,
            "ledger_size": answer.ledger_size,
            "as_of": instant(answer.as_of_us),
            "rows": rows(answer).objects(),
        })),
    }
}

fn for_people(answer: &FleetResponse, paint: Paint) -> String {
    let title = format!(
        "Kit nelle regioni · federazione {}",
        printable(&answer.federation)
    );
    let mut header = format!("registro del centro: {} voci", answer.ledger_size);
    if answer.as_of_us != 0 {
        header.push_str(&format!(" · al {}", instant(answer.as_of_us).for_people()));
    }
    let rows = rows(answer).render(Format::Table);
    format!("{}\n{header}\n\n{rows}", paint.bold(&title))
}

/// One row per region, kit and version, sorted by them; versions as numbers.
pub fn rows(answer: &FleetResponse) -> Table {
    let mut rows: Vec<&FleetRow> = answer.rows.iter().collect();
    rows.sort_by(|a, b| {
        let key = |r: &FleetRow| (r.region.clone(), r.kit.clone(), version_key(&r.version));
        key(a).cmp(&key(b))
    });
    let mut table = Table::of(COLUMNS);
    for row in rows {
        table.push(vec![
            Cell::text(&row.region),
            Cell::text(&row.name),
            Cell::text_or_empty(&row.kit),
            Cell::text_or_empty(&row.version),
            coded(&row.phase, PHASES),
            coded(&row.adoption, ADOPTIONS),
            instant(row.phase_at_us),
            Cell::count(row.cosigned),
            Cell::count(answer.ledger_size),
            instant(row.last_contact_us),
            Cell::Bool(row.connected),
        ]);
    }
    table
}

/// Sorts 1.10.0 after 1.9.0, and what is no number as text.
fn version_key(version: &str) -> Vec<(u64, String)> {
    let part = |part: &str| match part.parse() {
        Ok(number) => (number, String::new()),
        Err(_) => (0, part.to_owned()),
    };
    version.split(['.', '-']).map(part).collect()
}

/// A code with its Italian label; one that this program does not know is its own label.
fn coded(code: &str, labels: &[(&str, &str)]) -> Cell {
    if code.is_empty() {
        return Cell::Empty;
    }
    let found = labels.iter().find(|(known, _)| *known == code);
    Cell::code(code, found.map_or(code, |(_, label)| label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(region: &str, version: &str, phase: &str) -> FleetRow {
        FleetRow {
            region: region.into(),
            name: "Toscana".into(),
            kit: "KIT-1".into(),
            version: version.into(),
            phase: phase.into(),
            adoption: "adopted".into(),
            phase_at_us: 1_701_367_200_000_000,
            cosigned: 12,
            connected: true,
            ..Default::default()
        }
    }

    fn sample() -> FleetResponse {
        FleetResponse {
            federation: "fse-prova".into(),
            ledger_size: 12,
            rows: vec![
                row("090", "1.10.0", "serving"),
                row("090", "1.9.0", "no_longer_served"),
                row("010", "1.9.0", "unknown"),
            ],
            ..Default::default()
        }
    }

    #[test]
    fn programs_get_codes_sorted_by_version() {
        let text = render(&sample(), Format::Csv, Paint(false));
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[1].starts_with("010,Toscana,KIT-1,1.9.0,unknown,adopted,2023-11-30T18:00:00Z,12,12,,true")
        );
        assert!(lines[2].contains("1.9.0,no_longer_served"), "{text}");
        assert!(lines[3].contains("1.10.0,serving"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&render(&sample(), Format::Json, Paint(true))).unwrap();
        assert_eq!(json["rows"][2]["phase"], "serving");
        assert_eq!(json["rows"][2]["cosigned"], 12);
        assert!(json["rows"][2]["last_contact"].is_null());
    }

    #[test]
    fn people_get_words() {
        let text = render(&sample(), Format::Table, Paint(false));
        assert!(
            text.contains("non più in uso") && text.contains("registro del centro: 12 voci"),
            "{text}"
        );
        assert!(!text.contains("no_longer_served"), "{text}");
    }
}
