//! Commands that every node has, over `NodeService`: people, tokens, clock, exchange.

use crate::{
    client::{NodeChannel, SecretToken, write_token},
    exit::Exit,
    node::{SyncTables, accounts, instant, who_am_i},
    output::{Cell, Format, Table, note, print_data},
};
use clap::{Args, Subcommand};
use raccordo_proto::wire::{self, node_service_client::NodeServiceClient};
use std::path::PathBuf;

/// Says on standard error, whatever the format, that the data of a test federation are invented.
pub fn say_test_federation() {
    note("FEDERAZIONE DI PROVA: i dati sono inventati");
}

/// Asks a node that is reached without its data folder whether it is of a test federation, and says so.
pub async fn ask_if_test(channel: &NodeChannel) -> anyhow::Result<()> {
    let mut client = NodeServiceClient::new(channel.clone());
    if client.who_am_i(wire::WhoAmIRequest {}).await?.into_inner().test {
        say_test_federation();
    }
    Ok(())
}

/// `whoami`
pub async fn whoami(mut client: NodeServiceClient<NodeChannel>, format: Format) -> anyhow::Result<Exit> {
    let answer = client.who_am_i(wire::WhoAmIRequest {}).await?.into_inner();
    who_am_i(&answer).print(format)?;
    Ok(Exit::Ok)
}

/// `account …`
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Add a person
    Add(AddAccount),
    /// Everybody
    List,
}

/// `account add`
#[derive(Debug, Args)]
pub struct AddAccount {
    /// Shown on this node only
    #[arg(long)]
    name: String,
    /// Code of the institution, 2 to 20 upper-case letters and digits
    #[arg(long)]
    institution: String,
    /// At a Hub publisher, reviewer, approver, administrator, observer; at a Spoke planner, recorder, manager,
    /// administrator; may be repeated
    #[arg(long = "role", required = true)]
    roles: Vec<String>,
}

impl AccountCommand {
    /// Runs it.
    pub async fn run(
        self,
        mut client: NodeServiceClient<NodeChannel>,
        format: Format,
    ) -> anyhow::Result<Exit> {
        match self {
            Self::Add(AddAccount {
                name,
                institution,
                roles,
            }) => {
                let request = wire::AddAccountRequest {
                    name,
                    institution,
                    roles,
                };
                let answer = client.add_account(request).await?.into_inner();
                let mut table = Table::of(&[("account", "Utenza")]);
                table.push(vec![Cell::text(answer.account)]);
                table.print(format)?;
            }
            Self::List => {
                let answer = client
                    .list_accounts(wire::ListAccountsRequest {})
                    .await?
                    .into_inner();
                accounts(&answer).print(format)?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// `token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make an expiring token for an account
    Issue(IssueToken),
    /// End a token for good
    Revoke {
        /// As `token issue` printed it
        id: String,
    },
}

/// `token issue`
#[derive(Debug, Args)]
pub struct IssueToken {
    /// The account, as `account list` shows it
    account: String,
    /// Only this role of the account; may be repeated
    #[arg(long = "role")]
    roles: Vec<String>,
    /// Days of life, at most 366
    #[arg(long, default_value_t = 90)]
    days: u32,
    /// For observers: only this area; may be repeated
    #[arg(long = "area", value_name = "CODE")]
    areas: Vec<String>,
    /// For observers: only this cluster; may be repeated
    #[arg(long = "cluster", value_name = "CODE")]
    clusters: Vec<String>,
    /// Where the secret goes, mode 0600; `-` for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl TokenCommand {
    /// Runs it.
    pub async fn run(
        self,
        mut client: NodeServiceClient<NodeChannel>,
        format: Format,
    ) -> anyhow::Result<Exit> {
        match self {
            Self::Issue(IssueToken {
                account,
                roles,
                days,
                areas,
                clusters,
                out,
            }) => {
                let request = wire::IssueTokenRequest {
                    account,
                    roles,
                    valid_days: days,
                    areas,
                    clusters,
                };
                let answer = client.issue_token(request).await?.into_inner();
                if out.as_os_str() == "-" {
                    print_data(&format!("{}\n", answer.secret))?;
                    note(&format!("token {}", answer.token_id));
                } else {
                    write_token(&out, &SecretToken::parse(&answer.secret)?)?;
                    let mut table = Table::of(&[
                        ("token_id", "Token"),
                        ("expires_at", "Scade il"),
                        ("file", "File"),
                    ]);
                    let file = Cell::text(out.display().to_string());
                    table.push(vec![
                        Cell::text(answer.token_id),
                        instant(answer.expires_at_us),
                        file,
                    ]);
                    table.print(format)?;
                }
            }
            Self::Revoke { id } => {
                client
                    .revoke_token(wire::RevokeTokenRequest { token_id: id.clone() })
                    .await?;
                let mut table = Table::of(&[("token_id", "Token"), ("revoked", "Revocato")]);
                table.push(vec![Cell::text(id), Cell::Bool(true)]);
                table.print(format)?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// `clock …`
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Move the business clock of a test federation forward
    Set {
        /// RFC 3339, for example 2023-11-30T18:00:00Z
        instant: String,
    },
}

impl ClockCommand {
    /// Runs it.
    pub async fn run(
        self,
        mut client: NodeServiceClient<NodeChannel>,
        format: Format,
    ) -> anyhow::Result<Exit> {
        let Self::Set { instant } = self;
        let answer = client
            .set_clock(wire::SetClockRequest { instant })
            .await?
            .into_inner();
        let mut table = Table::of(&[("instant", "Orologio")]);
        table.push(vec![Cell::text(answer.instant)]);
        table.print(format)?;
        Ok(Exit::Ok)
    }
}

/// `sync …`
#[derive(Debug, Subcommand)]
pub enum SyncCommand {
    /// Sizes, confirmations, quarantine, fences
    Status,
}

impl SyncCommand {
    /// Runs it.
    pub async fn run(
        self,
        mut client: NodeServiceClient<NodeChannel>,
        format: Format,
    ) -> anyhow::Result<Exit> {
        let Self::Status = self;
        let answer = client.sync_status(wire::SyncStatusRequest {}).await?.into_inner();
        SyncTables::new(&answer).print(format)?;
        Ok(Exit::Ok)
    }
}
