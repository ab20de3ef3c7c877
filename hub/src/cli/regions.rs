//! Commands about the regions that take part.

use super::Common;
use clap::Subcommand;
use raccordo_cli::{
    exit::Exit,
    node::instant,
    output::{Cell, Table},
};
use raccordo_node::identity::files;
use raccordo_proto::wire;
use std::path::PathBuf;

/// `region …`
#[derive(Debug, Subcommand)]
pub(super) enum RegionCommand {
    /// Make a join bundle with a one-time token, to be carried to the region by hand
    #[command(after_help = "Example:\n  raccordo-hub region invite 090 --out 090.bundle --days 7")]
    Invite {
        /// Three-digit code of the region
        code: String,
        /// Where the bundle goes, mode 0600: whoever reads it can join as the region
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Days of life, at most 30
        #[arg(long, default_value_t = 7)]
        days: u32,
    },
    /// Every region, with how it stands
    List,
    /// End a region's access
    Revoke {
        /// Three-digit code of the region
        code: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

impl RegionCommand {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let mut client = common.hub().await?;
        match self {
            Self::Invite { code, out, days } => {
                let request = wire::InviteRegionRequest {
                    region: code.clone(),
                    valid_days: days,
                };
                let answer = client.invite_region(request).await?.into_inner();
                // With its whole path the file has a folder, whose entry is made durable too.
                let out = std::path::absolute(out)?;
                if let Some(folder) = out.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                files::write(&out, answer.bundle.as_bytes(), files::SECRET)?;
                let mut table = Table::of(&[
                    ("region", "Regione"),
                    ("file", "Invito"),
                    ("expires_at", "Scade il"),
                    ("ca_fingerprint", "Impronta della CA"),
                ]);
                table.push(vec![
                    Cell::text(code),
                    Cell::text(out.display().to_string()),
                    instant(answer.expires_at_us),
                    Cell::text(hex::encode(answer.ca_fingerprint)),
                ]);
                table.print(common.format)?;
                Ok(Exit::Ok)
            }
            Self::List => common.listing(client.list_regions(wire::ListRegionsRequest {}).await?.get_ref()),
            Self::Revoke { code, reason } => {
                let request = wire::RevokeRegionRequest { region: code, reason };
                common.receipt(client.revoke_region(request).await?.get_ref())
            }
        }
    }
}
