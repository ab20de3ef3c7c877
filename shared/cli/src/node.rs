//! The answers of every node's API as tables.

use crate::output::{Cell, Column, Format, Table, note, print_data, printable, to_json};
use raccordo_model::timestamp::Timestamp;
use raccordo_proto::wire;
use std::io;

/// Columns of a [`wire::Listing`] that hold whole numbers; everything else is text, whatever it
/// looks like, so that a column has one type in JSON.
const NUMBERS: &[&str] = &[
    "applied",
    "bytes",
    "cells",
    "cosigned",
    "days",
    "editions",
    "entries",
    "files",
    "index",
    "interventions",
    "ledger_size",
    "observations",
    "pending",
    "people",
    "pe_version",
    "po_version",
    "rejected",
    "revision",
    "rows",
    "size",
    "year",
];

/// Columns of a [`wire::Listing`] that hold `true` or `false`.
const BOOLEANS: &[&str] = &[
    "accepted",
    "additional",
    "connected",
    "current",
    "ecm",
    "on_time",
    "repeated",
    "revoked",
    "test",
    "withdrawn",
];

/// Italian headings of the columns that listings have.
const HEADINGS: &[(&str, &str)] = &[
    ("accepted", "Accettato"),
    ("account", "Utenza"),
    ("act_number", "Atto"),
    ("additional", "Aggiuntivo"),
    ("adoption", "Adozione"),
    ("after", "Dopo"),
    ("age_days", "Giorni"),
    ("applied", "Applicate"),
    ("approved", "Approvato"),
    ("area", "Area"),
    ("before", "Prima"),
    ("bytes", "Byte"),
    ("cell", "Cella"),
    ("cells", "Celle"),
    ("cluster", "Cluster"),
    ("code", "Codice"),
    ("completed", "Completati"),
    ("confirmed_at", "Confermato il"),
    ("connected", "Collegata"),
    ("cosigned", "Confermate"),
    ("current", "Vigente"),
    ("date", "Data"),
    ("decided_at", "Decisa il"),
    ("decision", "Decisione"),
    ("digest", "Impronta"),
    ("document", "Documento"),
    ("distinct_trained", "Formati"),
    ("ecm_credited", "Con ECM"),
    ("edition", "Edizione"),
    ("editions", "Edizioni"),
    ("end", "Fine"),
    ("enrolled", "Iscritti"),
    ("entries", "Voci"),
    ("entry", "Voce"),
    ("error", "Errore"),
    ("field", "Campo"),
    ("file", "File"),
    ("files", "File"),
    ("horizon", "Orizzonte"),
    ("id", "Codice"),
    ("index", "Voce"),
    ("institution", "Ente"),
    ("instrument", "Strumento"),
    ("intervention", "Intervento"),
    ("interventions", "Interventi"),
    ("item", "Elemento"),
    ("kind", "Tipo"),
    ("kit", "Kit"),
    ("ledger_size", "Registro"),
    ("level", "Livello"),
    ("measure", "Misura"),
    ("minutes", "Minuti"),
    ("minutes_delivered", "Minuti"),
    ("name", "Nome"),
    ("node", "Nodo"),
    ("objective", "Obiettivo"),
    ("observations", "Osservazioni"),
    ("on_time", "Nei termini"),
    ("origin", "Origine"),
    ("package", "Pacchetto"),
    ("passed", "Superati"),
    ("pe_version", "Versione PE"),
    ("pending", "In attesa"),
    ("people", "Persone"),
    ("period", "Periodo"),
    ("phase", "Fase"),
    ("phase_at", "Fase dal"),
    ("po_version", "Versione PO"),
    ("problem", "Problema"),
    ("profession", "Professione"),
    ("published_at", "Pubblicato il"),
    ("reason", "Motivo"),
    ("reasons", "Motivi"),
    ("recorded_at", "Registrato il"),
    ("region", "Regione"),
    ("rejected", "Respinti"),
    ("remedy", "Rimedio"),
    ("resend", "Da rinviare"),
    ("revision", "Revisione"),
    ("revoked", "Revocato"),
    ("roles", "Ruoli"),
    ("row", "Riga"),
    ("rows", "Righe"),
    ("severity", "Gravità"),
    ("size", "Voci"),
    ("start", "Inizio"),
    ("started", "Avviati"),
    ("state", "Stato"),
    ("status", "Stato"),
    ("subject", "Oggetto"),
    ("submission", "Invio"),
    ("submitted_at", "Inviato il"),
    ("syllabus", "Syllabus"),
    ("targets", "Destinatari"),
    ("test", "Prova"),
    ("text", "Testo"),
    ("title", "Titolo"),
    ("value", "Valore"),
    ("verdict", "Esito"),
    ("version", "Versione"),
    ("withdrawn", "Ritirato"),
    ("year", "Anno"),
];

/// The Italian heading of a column, or its name when it has none.
pub fn heading(name: &str) -> &str {
    HEADINGS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(name, |(_, heading)| heading)
}

/// Rows that a node sent. The columns that are known to hold numbers or yes and no are typed; a
/// cell of them that is neither stays text.
pub fn listing(listing: &wire::Listing) -> Table {
    let columns = listing
        .columns
        .iter()
        .map(|name| Column::new(name, heading(name)));
    let mut table = Table::new(columns.collect());
    for row in &listing.rows {
        let cells = listing.columns.iter().zip(&row.cells);
        table.push(cells.map(|(name, text)| typed(name, text)).collect());
    }
    table
}

fn typed(column: &str, text: &str) -> Cell {
    if NUMBERS.contains(&column) {
        match text.parse() {
            Ok(number) => return Cell::count(number),
            Err(_) if text.is_empty() => return Cell::Empty,
            Err(_) => {}
        }
    }
    match (BOOLEANS.contains(&column), text) {
        (true, "true") => Cell::Bool(true),
        (true, "false") => Cell::Bool(false),
        (true, "") => Cell::Empty,
        _ => Cell::text(text),
    }
}

/// The answer to an act, as one row.
pub fn receipt(receipt: &wire::Receipt) -> Table {
    let mut table = Table::of(&[
        ("subject", "Oggetto"),
        ("node", "Nodo"),
        ("index", "Voce"),
        ("leaf_hash", "Impronta"),
        ("ledger_size", "Registro"),
        ("repeated", "Già registrato"),
        ("text", "Esito"),
    ]);
    let entry = receipt.entry.clone().unwrap_or_default();
    table.push(vec![
        Cell::text(&receipt.subject),
        Cell::text(entry.node),
        Cell::count(entry.index),
        Cell::text(hex::encode(entry.leaf_hash)),
        Cell::count(receipt.ledger_size),
        Cell::Bool(receipt.repeated),
        Cell::text(&receipt.text),
    ]);
    table
}

/// Prints the answer to an act: for people a sentence and where it stands.
pub fn print_receipt(answer: &wire::Receipt, format: Format) -> io::Result<()> {
    match format {
        Format::Table => print_data(&receipt_for_people(answer)),
        other => receipt(answer).print(other),
    }
}

fn receipt_for_people(receipt: &wire::Receipt) -> String {
    let mut text = match receipt.text.as_str() {
        "" => "Registrato.".to_owned(),
        text => printable(text),
    };
    if receipt.repeated {
        text.push_str(" (già registrato: nulla è cambiato)");
    }
    text.push('\n');
    if let Some(entry) = &receipt.entry {
        text.push_str(&format!(
            "voce {}/{} · {} · registro di {} voci\n",
            printable(&entry.node),
            entry.index,
            printable(&receipt.subject),
            receipt.ledger_size
        ));
    }
    text
}

/// Who the token speaks for, as one row.
pub fn who_am_i(answer: &wire::WhoAmIResponse) -> Table {
    let mut table = Table::of(&[
        ("account", "Utenza"),
        ("name", "Nome"),
        ("institution", "Ente"),
        ("roles", "Ruoli"),
        ("expires_at", "Scade il"),
        ("node", "Nodo"),
        ("federation", "Federazione"),
        ("test", "Di prova"),
    ]);
    table.push(vec![
        Cell::text(&answer.account),
        Cell::text(&answer.name),
        Cell::text(&answer.institution),
        Cell::text(answer.roles.join(" ")),
        instant(answer.expires_at_us),
        Cell::text(&answer.node),
        Cell::text(&answer.federation),
        Cell::Bool(answer.test),
    ]);
    table
}

/// The people of a node.
pub fn accounts(answer: &wire::ListAccountsResponse) -> Table {
    let mut table = Table::of(&[
        ("account", "Utenza"),
        ("name", "Nome"),
        ("institution", "Ente"),
        ("roles", "Ruoli"),
    ]);
    for account in &answer.accounts {
        table.push(vec![
            Cell::text(&account.account),
            Cell::text(&account.name),
            Cell::text(&account.institution),
            Cell::text(account.roles.join(" ")),
        ]);
    }
    table
}

/// The state of a node's ledgers: the ledgers, the entries that are held, the fences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncTables {
    /// One row per ledger.
    pub ledgers: Table,
    /// One row per entry that could not be applied.
    pub quarantine: Table,
    /// One row per fence.
    pub fences: Table,
}

impl SyncTables {
    /// The tables of an answer.
    pub fn new(answer: &wire::SyncStatusResponse) -> Self {
        Self {
            ledgers: ledgers(&answer.ledgers),
            quarantine: quarantine(&answer.quarantine),
            fences: fences(&answer.fences),
        }
    }

    /// Prints them: JSON as one object of three arrays; CSV the ledgers only, with what that leaves
    /// out said on standard error.
    pub fn print(&self, format: Format) -> io::Result<()> {
        let (held, fenced) = (self.quarantine.rows().len(), self.fences.rows().len());
        match format {
            Format::Table => print_data(&self.for_people()),
            Format::Json => print_data(&to_json(&serde_json::json!({
                "ledgers": self.ledgers.objects(),
                "quarantine": self.quarantine.objects(),
                "fences": self.fences.objects(),
            }))),
            Format::Csv => {
                if held + fenced > 0 {
                    note(&format!(
                        "in quarantena: {held}; blocchi: {fenced} (con -o json il dettaglio)"
                    ));
                }
                self.ledgers.print(Format::Csv)
            }
        }
    }

    fn for_people(&self) -> String {
        let mut text = self.ledgers.render(Format::Table);
        for (title, table) in [("In quarantena", &self.quarantine), ("Blocchi", &self.fences)] {
            if !table.rows().is_empty() {
                text.push_str(&format!("\n{title}\n{}", table.render(Format::Table)));
            }
        }
        text
    }
}

fn ledgers(ledgers: &[wire::LedgerStatus]) -> Table {
    let mut table = Table::of(&[
        ("node", "Registro di"),
        ("size", "Voci"),
        ("applied", "Applicate"),
        ("cosigned", "Confermate"),
        ("connected", "Collegato"),
        ("last_contact", "Ultimo contatto"),
    ]);
    for ledger in ledgers {
        table.push(vec![
            Cell::text(&ledger.node),
            Cell::count(ledger.size),
            Cell::count(ledger.applied),
            Cell::count(ledger.cosigned),
            Cell::Bool(ledger.connected),
            instant(ledger.last_contact_us),
        ]);
    }
    table
}

fn quarantine(entries: &[wire::QuarantinedEntry]) -> Table {
    let names = ["node", "index", "kind", "subject", "code", "text", "remedy"];
    let mut table = Table::new(names.map(|n| Column::new(n, heading(n))).into());
    for entry in entries {
        table.push(vec![
            Cell::text(&entry.node),
            Cell::count(entry.index),
            Cell::text(&entry.kind),
            Cell::text(&entry.subject),
            Cell::text(&entry.code),
            Cell::text(&entry.text),
            Cell::text(&entry.remedy),
        ]);
    }
    table
}

fn fences(fences: &[wire::FenceStatus]) -> Table {
    let mut table = Table::of(&[("node", "Nodo"), ("at", "Dal"), ("reason", "Motivo")]);
    for fence in fences {
        table.push(vec![
            Cell::text(&fence.node),
            instant(fence.at_us),
            Cell::text(&fence.reason),
        ]);
    }
    table
}

/// An instant in RFC 3339, UTC; 0 is never, an empty cell.
pub fn instant(us: i64) -> Cell {
    match us {
        0 => Cell::Empty,
        us => Cell::text(Timestamp(us).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_types_its_columns_by_name_not_by_looks() {
        let answer = wire::Listing {
            columns: ["id", "version", "files", "withdrawn"].map(Into::into).into(),
            rows: vec![
                wire::ListingRow {
                    cells: ["12", "2", "0", "false"].map(Into::into).into(),
                },
                wire::ListingRow {
                    cells: ["K", "1.0.0", "many"].map(Into::into).into(),
                },
            ],
        };
        let table = listing(&answer);
        let expected = [
            vec![Cell::text("12"), Cell::text("2"), Cell::Zero, Cell::Bool(false)],
            vec![
                Cell::text("K"),
                Cell::text("1.0.0"),
                Cell::text("many"),
                Cell::Empty,
            ],
        ];
        assert_eq!(table.rows(), expected);
        assert_eq!(table.columns()[3].heading, "Ritirato");
        assert_eq!(heading("altro"), "altro");
    }

    #[test]
    fn a_receipt_says_what_where_and_whether_again() {
        let answer = wire::Receipt {
            entry: Some(wire::EntryRef {
                node: "hub".into(),
                index: 12,
                leaf_hash: vec![0xab; 32],
            }),
            ledger_size: 13,
            subject: "kit/KIT-1".into(),
            text: "Il kit KIT-1 1.0.0 è pubblicato.".into(),
            repeated: true,
        };
        assert_eq!(
            receipt_for_people(&answer),
            "Il kit KIT-1 1.0.0 è pubblicato. (già registrato: nulla è cambiato)\n\
             voce hub/12 · kit/KIT-1 · registro di 13 voci\n"
        );
        let json: serde_json::Value = serde_json::from_str(&receipt(&answer).render(Format::Json)).unwrap();
        assert_eq!(json[0]["index"], 12);
        assert_eq!(json[0]["leaf_hash"], "ab".repeat(32));
        assert_eq!(json[0]["repeated"], true);
    }

    #[test]
    fn what_is_held_stands_under_the_ledgers() {
        let mut answer = wire::SyncStatusResponse {
            ledgers: vec![wire::LedgerStatus {
                node: "hub".into(),
                size: 5,
                last_contact_us: 1_701_367_200_000_000,
                ..Default::default()
            }],
            ..Default::default()
        };
        let text = SyncTables::new(&answer).for_people();
        assert!(
            text.contains("2023-11-30T18:00:00Z") && !text.contains("quarantena"),
            "{text}"
        );
        answer.quarantine.push(wire::QuarantinedEntry {
            code: "invalid_body".into(),
            ..Default::default()
        });
        let text = SyncTables::new(&answer).for_people();
        assert!(
            text.contains("In quarantena") && text.contains("invalid_body"),
            "{text}"
        );
    }
}
