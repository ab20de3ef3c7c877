//! Commands about reports, the consolidated status and the fleet.

use super::Common;
use clap::{Args, Subcommand};
use raccordo_cli::{
    color::{self, Choice},
    exit::Exit,
    fleet as shown_fleet, status as shown_status,
};
use raccordo_proto::wire;

/// `report …`
#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Every report, with its verdict
    List {
        /// Only those without a verdict
        #[arg(long)]
        pending: bool,
    },
    /// One report, whole
    Show(Which),
    /// Its figures count from now on, in place of an earlier revision's
    Accept(Which),
    /// Send it back
    Reject {
        #[command(flatten)]
        which: Which,
        /// Why; the region reads it
        #[arg(long)]
        reasons: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// Three-digit code of the region
    region: String,
    /// The month, as 2023-11
    period: String,
    /// [default: the latest]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    revision: u32,
}

impl ReportCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let mut client = common.hub().await?;
        match self {
            Self::List { pending } => common.listing(
                client
                    .list_reports(wire::ListReportsRequest { pending })
                    .await?
                    .get_ref(),
            ),
            Self::Show(Which {
                region,
                period,
                revision,
            }) => {
                let request = wire::ShowReportRequest {
                    region,
                    period,
                    revision,
                };
                common.sheet(client.show_report(request).await?.into_inner())
            }
            Self::Accept(Which {
                region,
                period,
                revision,
            }) => {
                let request = wire::AcceptReportRequest {
                    region,
                    period,
                    revision,
                };
                common.receipt(client.accept_report(request).await?.get_ref())
            }
            Self::Reject {
                which:
                    Which {
                        region,
                        period,
                        revision,
                    },
                reasons,
            } => {
                let request = wire::RejectReportRequest {
                    region,
                    period,
                    revision,
                    reasons,
                };
                common.receipt(client.reject_report(request).await?.get_ref())
            }
        }
    }
}

/// `status`
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The month, as 2023-11 [default: the latest that any region reported]
    #[arg(long, value_name = "YYYY-MM", default_value = "", hide_default_value = true)]
    period: String,
    /// Three-digit code of one region [default: all]
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    region: String,
}

impl Status {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let request = wire::ConsolidatedRequest {
            period: self.period,
            region: self.region,
        };
        let answer = common.status().await?.consolidated(request).await?.into_inner();
        shown_status::print(&answer, common.format, color::on_stdout(Choice::Auto))?;
        Ok(Exit::Ok)
    }
}

/// `fleet`
pub(super) async fn fleet(common: &Common) -> anyhow::Result<Exit> {
    let answer = common
        .status()
        .await?
        .fleet(wire::FleetRequest {})
        .await?
        .into_inner();
    shown_fleet::print(&answer, common.format, color::on_stdout(Choice::Auto))?;
    Ok(Exit::Ok)
}
