//! The commands of `raccordo-hub`: noun, then verb.
//!
//! `init`, `serve`, `rebuild`, `verify` and `config` work on the data folder; everything else goes
//! through the running node's API.

mod catalogue;
mod folder;
mod monitoring;
mod plans;
mod regions;

use clap::{Parser, Subcommand};
use raccordo_cli::{
    client::{ClientArgs, NodeChannel, connect},
    exit::{Exit, Failure, HELP, interruptible},
    node::{listing, print_receipt},
    output::{Format, OutputArgs, print_data, to_json},
    people,
};
use raccordo_node::identity::node_file::NodeFile;
use raccordo_proto::wire::{
    self, hub_administration_service_client::HubAdministrationServiceClient,
    node_service_client::NodeServiceClient, status_service_client::StatusServiceClient,
};
use std::path::{Path, PathBuf};

/// Longest document that is sent, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 1_024 * 1_024;
/// Largest answer that is taken, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1_024 * 1_024;

const FIRST_STEPS: &str = "\
First steps:
  raccordo-hub init --data hub --federation prova --test
  raccordo-hub serve --data hub                    in a window of its own
  raccordo-hub account add --data hub --name \"Ada\" --institution MDS --role publisher
  raccordo-hub token issue ACCOUNT --data hub --out ada.token
  raccordo-hub region invite 090 --data hub --out 090.bundle
Set RACCORDO_HUB_DATA to leave --data out. Without --token-file a command uses the folder's own token,
which is the first administrator's.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "raccordo-hub",
    version,
    about = "The centre of a Raccordo federation",
    long_about = "The centre of a Raccordo federation: publishes the catalogue, decides on plans, judges reports, and shows \
                  the consolidated status.",
    after_help = FIRST_STEPS,
    after_long_help = format!("{FIRST_STEPS}\n\n{HELP}"),
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    /// The node's data folder
    #[arg(long, env = "RACCORDO_HUB_DATA", value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a federation: keys, certificate authority, database, first administrator
    Init(folder::Init),
    /// Run the node until SIGTERM or Ctrl-C
    Serve(folder::Serve),
    /// Drop the projections and replay the ledgers (the node must not run); exit 0 only if the digest is the same
    Rebuild,
    /// Hold the data folder against its signatures, hashes and ledgers (the node must not run); exit 8 on findings
    Verify,
    /// What is set, and where it comes from
    #[command(subcommand)]
    Config(folder::ConfigCommand),
    /// Who the token speaks for
    Whoami,
    /// People of this node
    #[command(subcommand)]
    Account(people::AccountCommand),
    /// Tokens of people
    #[command(subcommand)]
    Token(people::TokenCommand),
    /// The business clock of a test federation
    #[command(subcommand)]
    Clock(people::ClockCommand),
    /// How the exchange with the regions stands
    #[command(subcommand)]
    Sync(people::SyncCommand),
    /// The regions that take part
    #[command(subcommand)]
    Region(regions::RegionCommand),
    /// Code lists
    #[command(subcommand)]
    Codelist(catalogue::CodelistCommand),
    /// Syllabi
    #[command(subcommand)]
    Syllabus(catalogue::SyllabusCommand),
    /// Training kits
    #[command(subcommand)]
    Kit(catalogue::KitCommand),
    /// Operational Plans (Piani Operativi): decided by two different people
    #[command(subcommand)]
    Po(plans::PoCommand),
    /// Executive Plans (Piani Esecutivi): observed on, never approved
    #[command(subcommand)]
    Pe(plans::PeCommand),
    /// Monitoring reports (Rilevazioni)
    #[command(subcommand)]
    Report(monitoring::ReportCommand),
    /// The consolidated status, from accepted reports
    Status(monitoring::Status),
    /// Which kit version is in which phase in each region
    Fleet,
}

/// What every command knows.
#[derive(Debug)]
struct Common {
    data: Option<PathBuf>,
    client: ClientArgs,
    format: Format,
}

impl Common {
    fn data(&self) -> anyhow::Result<&Path> {
        self.data.as_deref().ok_or_else(|| {
            Failure::new(Exit::Usage, "manca la cartella dei dati")
                .remedy("indicare --data CARTELLA, o RACCORDO_HUB_DATA")
                .into()
        })
    }

    /// People are told on every screen that the data of a test federation are invented.
    fn say_if_test(&self) {
        let file = self.data.as_deref().and_then(|data| NodeFile::read(data).ok());
        if file.is_some_and(|file| file.test) {
            people::say_test_federation();
        }
    }

    async fn channel(&self) -> anyhow::Result<NodeChannel> {
        let channel = connect(&self.client.target(self.data.as_deref())?).await?;
        if self.data.is_none() {
            people::ask_if_test(&channel).await?;
        }
        Ok(channel)
    }

    async fn hub(&self) -> anyhow::Result<HubAdministrationServiceClient<NodeChannel>> {
        let client = HubAdministrationServiceClient::new(self.channel().await?);
        Ok(client.max_decoding_message_size(ANSWER_BYTES_MAX))
    }

    async fn node(&self) -> anyhow::Result<NodeServiceClient<NodeChannel>> {
        Ok(NodeServiceClient::new(self.channel().await?))
    }

    async fn status(&self) -> anyhow::Result<StatusServiceClient<NodeChannel>> {
        Ok(StatusServiceClient::new(self.channel().await?).max_decoding_message_size(ANSWER_BYTES_MAX))
    }

    fn receipt(&self, receipt: &wire::Receipt) -> anyhow::Result<Exit> {
        print_receipt(receipt, self.format)?;
        Ok(Exit::Ok)
    }

    fn listing(&self, found: &wire::Listing) -> anyhow::Result<Exit> {
        listing(found).print(self.format)?;
        Ok(Exit::Ok)
    }

    /// Facts, then rows; JSON is one object, CSV the rows alone.
    fn sheet(&self, sheet: wire::Sheet) -> anyhow::Result<Exit> {
        let (facts, rows) = (sheet.facts.unwrap_or_default(), sheet.rows.unwrap_or_default());
        let rows = listing(&rows);
        match self.format {
            Format::Csv => rows.print(Format::Csv)?,
            Format::Table => {
                listing(&facts).print(Format::Table)?;
                print_data("\n")?;
                rows.print(Format::Table)?;
            }
            Format::Json => {
                let facts: Vec<(&str, &str)> = facts
                    .rows
                    .iter()
                    .filter_map(|row| Some((row.cells.first()?.as_str(), row.cells.get(1)?.as_str())))
                    .collect();
                let mut object = serde_json::Map::new();
                for (field, value) in facts {
                    // A field that is told several times becomes a list.
                    match object.get_mut(field) {
                        None => {
                            object.insert(field.into(), value.into());
                        }
                        Some(serde_json::Value::Array(list)) => list.push(value.into()),
                        Some(one) => *one = vec![one.clone(), value.into()].into(),
                    }
                }
                object.insert("rows".into(), serde_json::to_value(rows.objects())?);
                print_data(&to_json(&object))?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// Runs a command.
pub async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let Cli {
        data,
        client,
        output,
        command,
    } = cli;
    let common = Common {
        data,
        client,
        format: output.output,
    };
    common.say_if_test();
    match command {
        // A server drains on a signal by itself.
        Command::Serve(serve) => serve.run(&common).await,
        command => interruptible(one(command, &common)).await,
    }
}

async fn one(command: Command, common: &Common) -> anyhow::Result<Exit> {
    match command {
        Command::Init(init) => init.run(common).await,
        Command::Serve(serve) => serve.run(common).await,
        Command::Rebuild => folder::rebuild(common).await,
        Command::Verify => folder::verify(common).await,
        Command::Config(command) => command.run(common),
        Command::Whoami => people::whoami(common.node().await?, common.format).await,
        Command::Account(command) => command.run(common.node().await?, common.format).await,
        Command::Token(command) => command.run(common.node().await?, common.format).await,
        Command::Clock(command) => command.run(common.node().await?, common.format).await,
        Command::Sync(command) => command.run(common.node().await?, common.format).await,
        Command::Region(command) => command.run(common).await,
        Command::Codelist(command) => command.run(common).await,
        Command::Syllabus(command) => command.run(common).await,
        Command::Kit(command) => command.run(common).await,
        Command::Po(command) => command.run(common).await,
        Command::Pe(command) => command.run(common).await,
        Command::Report(command) => command.run(common).await,
        Command::Status(status) => status.run(common).await,
        Command::Fleet => monitoring::fleet(common).await,
    }
}

/// A YAML document and the name that errors show.
fn read_document(path: &Path) -> anyhow::Result<wire::Document> {
    let failed = |why: String| {
        Failure::new(
            Exit::Usage,
            format!("il file {} non si può leggere: {why}", path.display()),
        )
        .remedy("verificare che esista, sia leggibile e non troppo lungo")
    };
    let length = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
    if length > DOCUMENT_BYTES_MAX {
        return Err(failed(format!("{length} byte, al massimo {DOCUMENT_BYTES_MAX}")).into());
    }
    let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    let file_name = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(wire::Document { file_name, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_follow_the_words() {
        for line in [
            "raccordo-hub init --data d --federation prova --test --clock 2023-09-01T08:00:00Z",
            "raccordo-hub region invite 090 --out 090.bundle --data d",
            "raccordo-hub po decide 090 1 --verdict request-changes --reasons manca -o json",
            "raccordo-hub po record-approved f.yaml --approved 2023-03 --act unknown --document unknown",
            "raccordo-hub pe observe 090 2023 --text chiaro --intervention TOS-2023-03",
            "raccordo-hub report accept 090 2023-10 --revision 2 --token-file t",
            "raccordo-hub token issue 00 --role observer --area GENERAL --cluster C1 --out -",
            "raccordo-hub kit publish kit.yaml --folder k",
            "raccordo-hub status --period 2023-11 --region 090",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
