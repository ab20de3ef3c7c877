//! Commands on editions, outcomes and reports.

use super::{Common, plans::print_parts, read_document};
use crate::grpc::PIECE_BYTES_MAX;
use clap::{Args, Subcommand, ValueEnum};
use raccordo_cli::{
    exit::Exit,
    node::{listing, print_receipt},
    output::{Cell, Format, Table, note},
};
use raccordo_model::outcome::CSV_BYTES_MAX;
use raccordo_proto::wire;
use std::path::PathBuf;

/// `edition …`
#[derive(Debug, Subcommand)]
pub(super) enum EditionCommand {
    /// Add an edition of an intervention of the shared Executive Plan
    Add(AddEdition),
    /// Add the editions of a CSV document (id,intervention,start,end,kit,test[,minutes]), all or none
    Import {
        /// UTF-8, with commas
        file: PathBuf,
    },
    /// Every edition
    List {
        /// All, if not given
        #[arg(long, default_value_t = 0)]
        year: u32,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum YesNo {
    Yes,
    No,
}

#[derive(Debug, Args)]
pub(super) struct AddEdition {
    /// Unique in the region
    #[arg(long)]
    id: String,
    /// Intervention of the plan of the start's year
    #[arg(long)]
    intervention: String,
    /// First day, 2023-11-07
    #[arg(long)]
    start: String,
    /// Last day; the first, if not given
    #[arg(long, default_value = "")]
    end: String,
    /// Kit version that it uses, ID@1.0.0
    #[arg(long, default_value = "")]
    kit: String,
    /// Whether it ends with a test
    #[arg(long, value_enum, default_value = "no")]
    test: YesNo,
    /// Length of the course; needed when the intervention does not say
    #[arg(long, default_value_t = 0)]
    minutes: u32,
    /// Objective, when the intervention does not say
    #[arg(long, default_value = "")]
    objective: String,
}

impl EditionCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let mut client = common.spoke().await?;
        match self {
            Self::Add(add) => {
                let answer = client
                    .add_edition(wire::AddEditionRequest {
                        id: add.id,
                        intervention: add.intervention,
                        start: add.start,
                        end: add.end,
                        kit: add.kit,
                        test: matches!(add.test, YesNo::Yes),
                        minutes: add.minutes,
                        objective: add.objective,
                    })
                    .await?
                    .into_inner();
                let mut table = Table::of(&[("text", "Esito"), ("repeated", "Già registrata")]);
                table.push(vec![Cell::text(answer.text), Cell::Bool(answer.repeated)]);
                table.print(common.format)?;
            }
            Self::Import { file } => {
                let (file_name, csv) = read_document(&file, 1_024 * 1_024)?;
                let answer = client
                    .import_editions(wire::ImportEditionsRequest { file_name, csv })
                    .await?
                    .into_inner();
                let errors = answer.errors.as_ref().map_or(0, |e| e.rows.len() as u64);
                return imported(
                    common,
                    [answer.accepted.into(), answer.unchanged.into(), errors],
                    answer.errors,
                );
            }
            Self::List { year } => {
                let answer = client.list_editions(wire::ListEditionsRequest { year }).await?;
                listing(answer.get_ref()).print(common.format)?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// What an import came to: the counts, or its errors by row and exit 1.
fn imported(
    common: &Common,
    [accepted, unchanged, errors]: [u64; 3],
    rows: Option<wire::Listing>,
) -> anyhow::Result<Exit> {
    if errors > 0 {
        listing(&rows.unwrap_or_default()).print(common.format)?;
        note(&format!(
            "errore: {errors} errori; nessuna riga è stata registrata"
        ));
        note("rimedio: correggere le righe indicate e importare di nuovo il file");
        return Ok(Exit::Failure);
    }
    let mut table = Table::of(&[("accepted", "Registrate"), ("unchanged", "Invariate")]);
    table.push(vec![Cell::count(accepted), Cell::count(unchanged)]);
    table.print(common.format)?;
    Ok(Exit::Ok)
}

/// `outcome …`
#[derive(Debug, Subcommand)]
pub(super) enum OutcomeCommand {
    /// Take in a CSV file of outcomes, all or nothing; the same file twice changes nothing
    Import {
        /// learner,edition,profession,enrolled,started,completed,passed,ecm_credited
        file: PathBuf,
        /// Replace recorded facts that the file contradicts, for this reason
        #[arg(long, default_value = "", value_name = "REASON")]
        correction: String,
    },
}

impl OutcomeCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let Self::Import { file, correction } = self;
        let (file_name, bytes) = read_document(&file, CSV_BYTES_MAX as u64)?;
        let pieces = bytes.chunks(PIECE_BYTES_MAX).map(<[u8]>::to_vec);
        let first = wire::ImportOutcomesRequest {
            file_name,
            correction_reason: correction,
            data: Vec::new(),
        };
        let rest = pieces.map(|data| wire::ImportOutcomesRequest {
            data,
            ..Default::default()
        });
        let stream: Vec<_> = std::iter::once(first).chain(rest).collect();
        let answer = common
            .spoke()
            .await?
            .import_outcomes(tokio_stream::iter(stream))
            .await?
            .into_inner();
        imported(
            common,
            [answer.accepted, answer.unchanged, answer.errors_total],
            answer.errors,
        )
    }
}

/// `report …`
#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// The report of a month as it would be sent now, and what stands against it
    Preview {
        /// 2023-11
        period: String,
    },
    /// Check, sign and send the report of a month
    Close {
        /// 2023-11
        period: String,
        /// What is corrected; needed from the second revision on
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Every revision: sent, confirmed, accepted or rejected
    List,
}

impl ReportCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let mut client = common.spoke().await?;
        match self {
            Self::Preview { period } => {
                let answer = client
                    .preview_report(wire::PreviewReportRequest { period })
                    .await?
                    .into_inner();
                let change = if answer.unchanged {
                    "dati invariati"
                } else {
                    "da inviare"
                };
                note(&format!("revisione {}: {change}", answer.revision));
                let parts = [
                    ("findings", answer.findings),
                    ("cells", answer.cells),
                    ("distinct", answer.distinct),
                    ("differences", answer.differences),
                ];
                print_parts(common.format, &parts)?;
            }
            Self::Close { period, reason } => {
                if common.format == Format::Table {
                    let request = wire::PreviewReportRequest {
                        period: period.clone(),
                    };
                    let shown = client.preview_report(request).await?.into_inner();
                    let cells = shown
                        .cells
                        .map(|c| listing(&c).render(Format::Table))
                        .unwrap_or_default();
                    note(&format!("si invia la revisione {}:\n{cells}", shown.revision));
                }
                let request = wire::CloseReportRequest { period, reason };
                print_receipt(&client.close_report(request).await?.into_inner(), common.format)?;
            }
            Self::List => {
                let answer = client.list_own_reports(wire::ListOwnReportsRequest {}).await?;
                listing(answer.get_ref()).print(common.format)?;
            }
        }
        Ok(Exit::Ok)
    }
}
