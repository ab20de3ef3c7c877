//! Commands on the catalogue, kits and plans.

use super::{Common, read_yaml};
use clap::{Args, Subcommand};
use raccordo_cli::{
    exit::Exit,
    node::{listing, print_receipt},
    output::{Cell, Format, Table, note, print_data, to_json},
};
use raccordo_proto::wire;
use std::path::PathBuf;

/// `catalogue …`
#[derive(Debug, Subcommand)]
pub(super) enum CatalogueCommand {
    /// Code lists, syllabi and kit versions, with how far they have come here
    List,
}

impl CatalogueCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let Self::List = self;
        let answer = common
            .spoke()
            .await?
            .list_catalogue(wire::ListCatalogueRequest {})
            .await?
            .into_inner();
        listing(&answer).print(common.format)?;
        Ok(Exit::Ok)
    }
}

/// `kit …`
#[derive(Debug, Subcommand)]
pub(super) enum KitCommand {
    /// Record what the region decides about a kit version
    Adopt(AdoptKit),
    /// Copy the files of a kit version into a new folder
    Export {
        /// The kit
        kit: String,
        /// Its version
        version: String,
        /// A folder that does not exist or is empty, on the node's machine
        directory: PathBuf,
    },
    /// Read the installed files of a kit version again; exit 8 on findings
    Verify {
        /// The kit
        kit: String,
        /// Its version
        version: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct AdoptKit {
    /// The kit
    kit: String,
    /// Its version
    version: String,
    /// acknowledged, adopted, localised or not-applicable
    #[arg(long, default_value = "adopted")]
    state: String,
    /// Why; needed with not-applicable
    #[arg(long, default_value = "")]
    reason: String,
}

impl KitCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let mut client = common.spoke().await?;
        match self {
            Self::Adopt(AdoptKit {
                kit,
                version,
                state,
                reason,
            }) => {
                let request = wire::AdoptKitRequest {
                    kit,
                    version,
                    state,
                    reason,
                };
                print_receipt(&client.adopt_kit(request).await?.into_inner(), common.format)?;
            }
            Self::Export {
                kit,
                version,
                directory,
            } => {
                let directory = std::path::absolute(&directory)?.display().to_string();
                let answer = client
                    .export_kit(wire::ExportKitRequest {
                        kit,
                        version,
                        directory,
                    })
                    .await?
                    .into_inner();
                let mut table = Table::of(&[("directory", "Cartella"), ("files", "File"), ("bytes", "Byte")]);
                let (files, bytes) = (Cell::count(answer.files), Cell::count(answer.bytes));
                table.push(vec![Cell::text(answer.directory), files, bytes]);
                table.print(common.format)?;
            }
            Self::Verify { kit, version } => {
                let found = client
                    .verify_kit(wire::VerifyKitRequest { kit, version })
                    .await?
                    .into_inner();
                listing(&found).print(common.format)?;
                if !found.rows.is_empty() {
                    return Ok(Exit::Findings);
                }
            }
        }
        Ok(Exit::Ok)
    }
}

/// `po …`
#[derive(Debug, Subcommand)]
pub(super) enum PoCommand {
    /// Take the Operational Plan of a YAML document as the draft
    Import {
        /// With an `operational_plan`
        file: PathBuf,
    },
    /// Submit the draft to the centre
    Submit(Override),
    /// Every version, with what the centre decided
    List,
    /// One version with its interventions
    Show {
        /// The latest, if not given
        #[arg(long, default_value_t = 0)]
        version: u32,
    },
}

#[derive(Debug, Args)]
pub(super) struct Override {
    /// Why texts that look like personal data are none; kept in the access log
    #[arg(long, default_value = "", value_name = "REASON")]
    personal_data_reason: String,
}

impl PoCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let mut client = common.spoke().await?;
        match self {
            Self::Import { file } => {
                let (file_name, yaml) = read_yaml(&file)?;
                let request = wire::ImportOperationalPlanRequest { file_name, yaml };
                let answer = client.import_operational_plan(request).await?.into_inner();
                warn(answer.warnings.as_ref());
                let mut table = Table::of(&[("version", "Versione"), ("interventions", "Interventi")]);
                table.push(vec![
                    Cell::count(answer.version.into()),
                    Cell::count(answer.interventions.into()),
                ]);
                table.print(common.format)?;
            }
            Self::Submit(Override { personal_data_reason }) => {
                let request = wire::SubmitOperationalPlanRequest { personal_data_reason };
                print_receipt(
                    &client.submit_operational_plan(request).await?.into_inner(),
                    common.format,
                )?;
            }
            Self::List => {
                let answer = client
                    .list_own_operational_plans(wire::ListOwnOperationalPlansRequest {})
                    .await?;
                listing(answer.get_ref()).print(common.format)?;
            }
            Self::Show { version } => {
                let request = wire::ShowOwnOperationalPlanRequest { version };
                let answer = client.show_own_operational_plan(request).await?.into_inner();
                print_parts(
                    common.format,
                    &[("plan", answer.plan), ("interventions", answer.interventions)],
                )?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// `pe …`
#[derive(Debug, Subcommand)]
pub(super) enum PeCommand {
    /// Take the Executive Plan of a YAML document as the draft of its year
    Import {
        /// With an `executive_plan`
        file: PathBuf,
    },
    /// Share a draft with the centre, pinned to the approved Operational Plan
    Share {
        /// The latest draft, if not given
        #[arg(long, default_value_t = 0)]
        year: u32,
        #[command(flatten)]
        reason: Override,
    },
    /// Every version
    List,
    /// One plan with its interventions and the centre's observations
    Show {
        /// The plan's year
        year: u32,
        /// The latest, if not given
        #[arg(long, default_value_t = 0)]
        version: u32,
    },
}

impl PeCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let mut client = common.spoke().await?;
        match self {
            Self::Import { file } => {
                let (file_name, yaml) = read_yaml(&file)?;
                let request = wire::ImportExecutivePlanRequest { file_name, yaml };
                let answer = client.import_executive_plan(request).await?.into_inner();
                warn(answer.warnings.as_ref());
                let mut table = Table::of(&[
                    ("year", "Anno"),
                    ("version", "Versione"),
                    ("interventions", "Interventi"),
                ]);
                table.push(vec![
                    Cell::count(answer.year.into()),
                    Cell::count(answer.version.into()),
                    Cell::count(answer.interventions.into()),
                ]);
                table.print(common.format)?;
            }
            Self::Share { year, reason } => {
                let personal_data_reason = reason.personal_data_reason;
                let request = wire::ShareExecutivePlanRequest {
                    year,
                    personal_data_reason,
                };
                print_receipt(
                    &client.share_executive_plan(request).await?.into_inner(),
                    common.format,
                )?;
            }
            Self::List => {
                let answer = client
                    .list_own_executive_plans(wire::ListOwnExecutivePlansRequest {})
                    .await?;
                listing(answer.get_ref()).print(common.format)?;
            }
            Self::Show { year, version } => {
                let request = wire::ShowOwnExecutivePlanRequest { year, version };
                let answer = client.show_own_executive_plan(request).await?.into_inner();
                let parts = [
                    ("plan", answer.plan),
                    ("interventions", answer.interventions),
                    ("observations", answer.observations),
                ];
                print_parts(common.format, &parts)?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// Italian titles of the parts of an answer.
const TITLES: &[(&str, &str)] = &[
    ("interventions", "Interventi"),
    ("observations", "Osservazioni del centro"),
    ("cells", "Celle"),
    ("distinct", "Persone formate"),
    ("findings", "Rilievi"),
    ("differences", "Differenze dall'ultima revisione inviata"),
];

/// Prints an answer of several tables: JSON as one object, CSV the largest part of it.
pub(super) fn print_parts(format: Format, parts: &[(&str, Option<wire::Listing>)]) -> anyhow::Result<()> {
    let tables: Vec<(&str, Table)> = parts
        .iter()
        .filter_map(|(name, rows)| Some((*name, listing(rows.as_ref()?))))
        .collect();
    match format {
        Format::Json => {
            let mut object = serde_json::Map::new();
            for (name, table) in &tables {
                object.insert((*name).to_owned(), serde_json::to_value(table.objects())?);
            }
            print_data(&to_json(&object))?;
        }
        Format::Csv => {
            if let Some((_, table)) = tables.get(1).or(tables.first()) {
                table.print(Format::Csv)?;
            }
        }
        Format::Table => {
            let mut text = String::new();
            for (name, table) in tables
                .iter()
                .filter(|(name, t)| *name == "plan" || !t.rows().is_empty())
            {
                if let Some((_, title)) = TITLES.iter().find(|(known, _)| known == name) {
                    text.push_str(&format!("\n{title}\n"));
                }
                text.push_str(&table.render(Format::Table));
            }
            print_data(&text)?;
        }
    }
    Ok(())
}

/// Warnings, for people, beside the data.
fn warn(warnings: Option<&wire::Listing>) {
    for row in warnings.into_iter().flat_map(|w| &w.rows) {
        if let [severity, field, problem, remedy] = row.cells.as_slice() {
            let word = if severity == "error" {
                "errore alla condivisione"
            } else {
                "avviso"
            };
            note(&format!("{word}: {field}: {problem}; {remedy}"));
        }
    }
}
