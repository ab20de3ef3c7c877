//! Commands about what the centre publishes.

use super::{Common, read_document};
use anyhow::Context as _;
use clap::Subcommand;
use raccordo_cli::{
    exit::{Exit, Failure},
    node::{print_receipt, receipt},
    output::{Format, Table},
    progress::{Unit, bar},
};
use raccordo_proto::wire::{self, publish_kit_response::Step};
use std::path::PathBuf;

/// `codelist …`
#[derive(Debug, Subcommand)]
pub(super) enum CodelistCommand {
    /// Publish a version of all code lists
    Publish {
        /// YAML
        file: PathBuf,
    },
    /// Every published version
    List,
}

impl CodelistCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let mut client = common.hub().await?;
        match self {
            Self::Publish { file } => {
                let request = wire::PublishCodeListsRequest {
                    document: Some(read_document(&file)?),
                };
                common.receipt(client.publish_code_lists(request).await?.get_ref())
            }
            Self::List => common.listing(
                client
                    .list_code_lists(wire::ListCodeListsRequest {})
                    .await?
                    .get_ref(),
            ),
        }
    }
}

/// `syllabus …`
#[derive(Debug, Subcommand)]
pub(super) enum SyllabusCommand {
    /// Publish every syllabus of a document, all or none
    Publish {
        /// YAML, a list of syllabi
        file: PathBuf,
    },
    /// Every published version
    List,
}

impl SyllabusCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let mut client = common.hub().await?;
        match self {
            Self::Publish { file } => {
                let request = wire::PublishSyllabiRequest {
                    document: Some(read_document(&file)?),
                };
                let answer = client.publish_syllabi(request).await?.into_inner();
                if common.format == Format::Table {
                    for one in &answer.receipts {
                        print_receipt(one, common.format)?;
                    }
                } else {
                    let mut rows = receipt(&wire::Receipt::default());
                    rows = Table::new(rows.columns().to_vec());
                    for one in &answer.receipts {
                        receipt(one).rows().iter().for_each(|row| rows.push(row.clone()));
                    }
                    rows.print(common.format)?;
                }
                Ok(Exit::Ok)
            }
            Self::List => common.listing(client.list_syllabi(wire::ListSyllabiRequest {}).await?.get_ref()),
        }
    }
}

/// `kit …`
#[derive(Debug, Subcommand)]
pub(super) enum KitCommand {
    /// Publish the files of a folder as a kit version
    #[command(
        after_help = "Example:\n  raccordo-hub kit publish kit.yaml --folder kit-1.0.0\n\
        The running node reads the folder on its own machine."
    )]
    Publish {
        /// The kit's descriptor, YAML: id, version, title, syllabus, syllabus_version
        descriptor: PathBuf,
        /// The folder with the kit's files
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
    },
    /// A version that must no longer be used; nothing is deleted
    Withdraw {
        /// The kit
        id: String,
        /// Its version
        version: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Every published version
    List,
}

impl KitCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        match self {
            Self::Publish { descriptor, folder } => publish(common, descriptor, folder).await,
            Self::Withdraw { id, version, reason } => {
                let request = wire::WithdrawKitRequest {
                    kit: id,
                    version,
                    reason,
                };
                common.receipt(common.hub().await?.withdraw_kit(request).await?.get_ref())
            }
            Self::List => common.listing(
                common
                    .hub()
                    .await?
                    .list_kits(wire::ListKitsRequest {})
                    .await?
                    .get_ref(),
            ),
        }
    }
}

async fn publish(common: &Common, descriptor: PathBuf, folder: PathBuf) -> anyhow::Result<Exit> {
    let folder = folder.canonicalize().map_err(|e| {
        Failure::new(
            Exit::Usage,
            format!("la cartella {} non si può leggere: {e}", folder.display()),
        )
        .remedy("verificare --folder")
    })?;
    let folder = folder
        .to_str()
        .context("il nome della cartella non è UTF-8")?
        .to_owned();
    let request = wire::PublishKitRequest {
        descriptor: Some(read_document(&descriptor)?),
        folder,
    };
    let mut steps = common.hub().await?.publish_kit(request).await?.into_inner();
    let shown = bar("pubblicazione", 0, Unit::Bytes);
    while let Some(step) = steps.message().await? {
        match step.step {
            Some(Step::Progress(progress)) => {
                shown.set_length(progress.bytes_total);
                shown.set_position(progress.bytes_done);
            }
            Some(Step::Receipt(receipt)) => {
                shown.finish_and_clear();
                return common.receipt(&receipt);
            }
            None => {}
        }
    }
    Err(Failure::new(
        Exit::Unreachable,
        "la pubblicazione si è interrotta senza risposta",
    )
    .remedy("ripetere il comando: ciò che è già scritto non si ripete")
    .into())
}
