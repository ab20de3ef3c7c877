//! One table value, three forms: for people, JSON, CSV.

use clap::ValueEnum;
use comfy_table::{CellAlignment, presets};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::io::{self, Write};

/// What a reader asks for with `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Aligned columns with Italian headings.
    #[default]
    Table,
    /// Objects, keyed by stable names.
    Json,
    /// RFC 4180, UTF-8, decimal point, stable names in the first row.
    Csv,
}

/// The option `-o`, to be flattened into a program's arguments.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct OutputArgs {
    /// How to print: for people, or for programs
    #[arg(
        short = 'o',
        long = "output",
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        global = true
    )]
    pub output: Format,
}

/// A column: a stable name for programs, a heading for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Stable, lower-case, `_`-separated.
    pub name: String,
    /// Italian.
    pub heading: String,
}

impl Column {
    /// A column of this name and heading.
    pub fn new(name: impl Into<String>, heading: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            heading: heading.into(),
        }
    }
}

/// One value. Zero, missing, suppressed and not applicable are four different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A text, a code, an instant.
    Text(String),
    /// A count, greater than zero or at least not known to be a state.
    Number(u64),
    /// Counted, and none. `0` in every form.
    Zero,
    /// Not told. `–`, `missing`.
    Missing,
    /// Told, and withheld to protect people. `•`, `suppressed`.
    Suppressed,
    /// Has no meaning here. `n.a.`, `not_applicable`.
    NotApplicable,
    /// Yes or no.
    Bool(bool),
    /// A stable code for programs, and what people read in its place.
    Code {
        /// In JSON and CSV.
        code: String,
        /// Italian.
        label: String,
    },
    /// This row has no such value: an empty cell, `null` in JSON.
    Empty,
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A text, or nothing when it is empty.
    pub fn text_or_empty(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() {
            Self::Empty
        } else {
            Self::Text(text)
        }
    }

    /// A code, and what people read in its place.
    pub fn code(code: impl Into<String>, label: impl Into<String>) -> Self {
        Self::Code {
            code: code.into(),
            label: label.into(),
        }
    }

    /// A count.
    pub fn count(number: u64) -> Self {
        if number == 0 {
            Self::Zero
        } else {
            Self::Number(number)
        }
    }

    /// As people read it; control characters, which could steer a terminal, are replaced.
    pub fn for_people(&self) -> String {
        match self {
            Self::Text(text) | Self::Code { label: text, .. } => printable(text),
            Self::Number(number) => number.to_string(),
            Self::Zero => "0".into(),
            Self::Missing => "–".into(),
            Self::Suppressed => "•".into(),
            Self::NotApplicable => "n.a.".into(),
            Self::Bool(true) => "sì".into(),
            Self::Bool(false) => "no".into(),
            Self::Empty => String::new(),
        }
    }

    /// As a CSV field, before quoting. A text that a spreadsheet would run as a formula gets a
    /// leading apostrophe.
    pub fn for_csv(&self) -> String {
        match self {
            Self::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
                format!("'{text}")
            }
            Self::Text(text) | Self::Code { code: text, .. } => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Zero => "0".into(),
            Self::Missing => "missing".into(),
            Self::Suppressed => "suppressed".into(),
            Self::NotApplicable => "not_applicable".into(),
            Self::Bool(value) => value.to_string(),
            Self::Empty => String::new(),
        }
    }

    fn is_quantity(&self) -> bool {
        !matches!(
            self,
            Self::Text(_) | Self::Code { .. } | Self::Bool(_) | Self::Empty
        )
    }
}

impl Serialize for Cell {
    /// Numbers as numbers, states as `{"state": "suppressed"}`, an empty cell as `null`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) | Self::Code { code: text, .. } => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Zero => serializer.serialize_u64(0),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Empty => serializer.serialize_none(),
            Self::Missing | Self::Suppressed | Self::NotApplicable => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("state", &self.for_csv())?;
                map.end()
            }
        }
    }
}

/// Rows under named columns. Every row has one cell per column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table of these columns.
    pub fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// An empty table of `(stable name, Italian heading)` columns.
    pub fn of(columns: &[(&str, &str)]) -> Self {
        Self::new(columns.iter().map(|(n, h)| Column::new(*n, *h)).collect())
    }

    /// Adds a row; too few cells are filled up with [`Cell::Empty`], too many are dropped.
    pub fn push(&mut self, mut row: Vec<Cell>) {
        row.resize(self.columns.len(), Cell::Empty);
        self.rows.push(row);
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The rows, in order.
    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// The whole output in `format`, ending with a line end unless it is empty.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Table => self.render_for_people(),
            Format::Json => to_json(&self.objects()),
            Format::Csv => self.render_csv(),
        }
    }

    /// Writes the output in `format` to standard output; see [`print_data`].
    pub fn print(&self, format: Format) -> io::Result<()> {
        print_data(&self.render(format))
    }

    /// The rows as objects that serialize with their keys in the order of the columns.
    pub fn objects(&self) -> Vec<Object<'_>> {
        self.rows
            .iter()
            .map(|row| Object {
                columns: &self.columns,
                row,
            })
            .collect()
    }

    fn render_for_people(&self) -> String {
        if self.rows.is_empty() {
            return "(nessuna riga)\n".into();
        }
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(self.columns.iter().map(|c| c.heading.to_uppercase()));
        for row in &self.rows {
            table.add_row(row.iter().map(Cell::for_people));
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.rows.iter().any(|row| row[i].is_quantity()) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        if let Some(legend) = self.legend() {
            text.push_str(&legend);
            text.push('\n');
        }
        text
    }

    /// What the signs in the table mean, if there are any.
    fn legend(&self) -> Option<String> {
        let cells = || self.rows.iter().flatten();
        let mut parts = Vec::new();
        if cells().any(|c| *c == Cell::Missing) {
            parts.push("– dato mancante");
        }
        if cells().any(|c| *c == Cell::Suppressed) {
            parts.push("• oscurato a tutela delle persone");
        }
        if cells().any(|c| *c == Cell::NotApplicable) {
            parts.push("n.a. non applicabile");
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn render_csv(&self) -> String {
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        let head = self.columns.iter().map(|c| c.name.clone()).collect();
        let rows = self.rows.iter().map(|r| r.iter().map(Cell::for_csv).collect());
        for record in std::iter::once::<Vec<String>>(head).chain(rows) {
            // Writing into memory, every record as long as the first: there is nothing to fail.
            let _ = writer.write_record(record);
        }
        let bytes = writer.into_inner().unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// A row as JSON.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    columns: &'a [Column],
    row: &'a [Cell],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, cell) in self.columns.iter().zip(self.row) {
            map.serialize_entry(&column.name, cell)?;
        }
        map.end()
    }
}

/// `value` as indented JSON, ending with a line end.
pub fn to_json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_else(|_| "null".into());
    text.push('\n');
    text
}

/// Writes data to standard output. A reader that went away (`| head`) is no error.
pub fn print_data(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a line for people to standard error; it is no data, and losing it is no error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// `text` with its control characters replaced, line ends and tabs by a space.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn sample() -> Table {
        let mut table = Table::of(&[("region", "Regione"), ("count", "Formati"), ("ok", "Esito")]);
        table.push(vec![
            Cell::text("090, \"Toscana\""),
            Cell::Number(12),
            Cell::Bool(true),
        ]);
        table.push(vec![Cell::text("=1+2"), Cell::Suppressed, Cell::Empty]);
        table.push(vec![Cell::text("100"), Cell::Zero]);
        table.push(vec![Cell::text("110"), Cell::Missing, Cell::NotApplicable]);
        table
    }

    #[test]
    fn csv_is_quoted_neutral_and_says_the_states_in_words() {
        let expected = "region,count,ok\r\n\"090, \"\"Toscana\"\"\",12,true\r\n'=1+2,suppressed,\r\n\
                        100,0,\r\n110,missing,not_applicable\r\n";
        assert_eq!(sample().render(Format::Csv), expected);
        for text in ["+1", "-1", "@x", "\tx"] {
            assert!(Cell::text(text).for_csv().starts_with('\''), "{text}");
        }
        assert_eq!(Cell::text("a=1").for_csv(), "a=1");
    }

    #[test]
    fn json_keeps_the_order_of_the_columns_and_tells_zero_from_missing() {
        let text = sample().render(Format::Json);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[0]["count"], 12);
        assert_eq!(value[1]["count"]["state"], "suppressed");
        assert_eq!(value[2]["count"], 0);
        assert_eq!(value[3]["ok"]["state"], "not_applicable");
        assert!(value[2]["ok"].is_null());
        assert!(text.find("region").unwrap() < text.find("count").unwrap());
    }

    #[test]
    fn people_see_signs_with_their_legend() {
        let text = sample().render(Format::Table);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "REGIONE         FORMATI  ESITO");
        assert_eq!(lines[1], "090, \"Toscana\"       12     sì");
        assert_eq!(lines[4], "110                   –   n.a.");
        let legend = "– dato mancante; • oscurato a tutela delle persone; n.a. non applicabile";
        assert_eq!(lines[5], legend);
        assert_eq!(Table::of(&[("a", "A")]).render(Format::Table), "(nessuna riga)\n");
    }

    proptest! {
        #[test]
        fn any_text_survives_csv_and_reaches_no_formula(texts in vec(".{0,12}", 1..6)) {
            let mut table = Table::of(&[("a", "A"), ("b", "B")]);
            for text in &texts {
                table.push(vec![Cell::text(text), Cell::Zero]);
            }
            let rendered = table.render(Format::Csv);
            let mut reader = csv::Reader::from_reader(rendered.as_bytes());
            let read: Vec<_> = reader.records().map(|r| r.unwrap()[0].to_owned()).collect();
            prop_assert_eq!(read.len(), texts.len());
            for (read, text) in read.iter().zip(&texts) {
                prop_assert!(!read.starts_with(['=', '+', '-', '@', '\t', '\r']));
                prop_assert_eq!(read.strip_prefix('\'').filter(|r| *r == text).unwrap_or(read), text);
            }
            let shown = table.render(Format::Table);
            prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
        }
    }

    #[test]
    fn a_code_is_for_programs_and_its_label_for_people() {
        let cell = Cell::code("default", "predefinito");
        assert_eq!(
            (cell.for_csv().as_str(), cell.for_people().as_str()),
            ("default", "predefinito")
        );
        assert_eq!(serde_json::to_value(&cell).unwrap(), "default");
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(Cell::text("a\u{1b}[31mb\nc").for_people(), "a\u{fffd}[31mb c");
    }
}
