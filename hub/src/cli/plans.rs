//! Commands about the regions' plans.

use super::{Common, read_document};
use clap::{Subcommand, ValueEnum};
use raccordo_cli::exit::Exit;
use raccordo_proto::wire;
use std::path::PathBuf;

/// `po …`
#[derive(Debug, Subcommand)]
pub(super) enum PoCommand {
    /// Every version of every plan, with its state
    List,
    /// One version, whole
    Show {
        /// Three-digit code of the region
        region: String,
        /// [default: the latest]
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        version: u32,
    },
    /// First person: take in a plan that was approved before the system existed
    #[command(after_help = "Example:\n  \
        raccordo-hub po record-approved toscana-2023.yaml --approved 2023-03 --act unknown --document unknown")]
    RecordApproved {
        /// YAML with the section `operational_plan`
        file: PathBuf,
        /// When it was approved, as far as it is known: 2023, 2023-03 or 2023-03-15
        #[arg(long, value_name = "DATE")]
        approved: String,
        /// Number of the act, or `unknown`
        #[arg(long)]
        act: String,
        /// The document, or `unknown`
        #[arg(long)]
        document: String,
    },
    /// First person: propose a decision about a submitted version
    Decide {
        /// Three-digit code of the region
        region: String,
        /// The version
        version: u32,
        /// The decision
        #[arg(long, value_enum)]
        verdict: Verdict,
        /// Why; may be left out with an approval only
        #[arg(long, default_value = "")]
        reasons: String,
    },
    /// Second, different person: confirm what the first proposed; the entry names both
    Confirm {
        /// Three-digit code of the region
        region: String,
        /// The version
        version: u32,
    },
    /// What waits for a second person
    Proposals,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Verdict {
    Approve,
    RequestChanges,
    Reject,
}

impl PoCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let mut client = common.hub().await?;
        match self {
            Self::List => common.listing(
                client
                    .list_operational_plans(wire::ListOperationalPlansRequest {})
                    .await?
                    .get_ref(),
            ),
            Self::Show { region, version } => {
                let request = wire::ShowOperationalPlanRequest { region, version };
                common.sheet(client.show_operational_plan(request).await?.into_inner())
            }
            Self::RecordApproved {
                file,
                approved,
                act,
                document,
            } => {
                let request = wire::RecordApprovedOperationalPlanRequest {
                    document: Some(read_document(&file)?),
                    approved,
                    act_number: act,
                    document_name: document,
                };
                common.receipt(client.record_approved_operational_plan(request).await?.get_ref())
            }
            Self::Decide {
                region,
                version,
                verdict,
                reasons,
            } => {
                let verdict = match verdict {
                    Verdict::Approve => wire::PoVerdict::Approved,
                    Verdict::RequestChanges => wire::PoVerdict::ChangesRequested,
                    Verdict::Reject => wire::PoVerdict::Rejected,
                };
                let verdict = verdict.into();
                let request = wire::DecideOperationalPlanRequest {
                    region,
                    version,
                    verdict,
                    reasons,
                };
                common.receipt(client.decide_operational_plan(request).await?.get_ref())
            }
            Self::Confirm { region, version } => {
                let request = wire::ConfirmOperationalPlanRequest { region, version };
                common.receipt(client.confirm_operational_plan(request).await?.get_ref())
            }
            Self::Proposals => common.listing(
                client
                    .list_proposals(wire::ListProposalsRequest {})
                    .await?
                    .get_ref(),
            ),
        }
    }
}

/// `pe …`
#[derive(Debug, Subcommand)]
pub(super) enum PeCommand {
    /// Every shared version
    List,
    /// The latest version of a year, with the observations on it
    Show {
        /// Three-digit code of the region
        region: String,
        /// The year
        year: u32,
    },
    /// Send an observation on the latest version of a year
    Observe {
        /// Three-digit code of the region
        region: String,
        /// The year
        year: u32,
        /// What the centre says
        #[arg(long)]
        text: String,
        /// The intervention that it is about [default: the whole plan]
        #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
        intervention: String,
    },
}

impl PeCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let mut client = common.hub().await?;
        match self {
            Self::List => common.listing(
                client
                    .list_executive_plans(wire::ListExecutivePlansRequest {})
                    .await?
                    .get_ref(),
            ),
            Self::Show { region, year } => {
                let request = wire::ShowExecutivePlanRequest { region, year };
                common.sheet(client.show_executive_plan(request).await?.into_inner())
            }
            Self::Observe {
                region,
                year,
                text,
                intervention,
            } => {
                let observations = vec![wire::Observation { intervention, text }];
                let request = wire::ObserveExecutivePlanRequest {
                    region,
                    year,
                    observations,
                };
                common.receipt(client.observe_executive_plan(request).await?.get_ref())
            }
        }
    }
}
