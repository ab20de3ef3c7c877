//! The commands of `raccordo-spoke`: noun, then verb.
//!
//! `join`, `serve`, `rebuild`, `verify` and `config` work on the data folder; everything else goes
//! through the running node's API.

mod folder;
mod plans;
mod records;

use clap::{Parser, Subcommand};
use raccordo_cli::{
    client::{ClientArgs, NodeChannel, connect},
    exit::{Exit, Failure, HELP, interruptible},
    output::{Format, OutputArgs},
    people,
};
use raccordo_node::identity::node_file::NodeFile;
use raccordo_proto::wire::{
    node_service_client::NodeServiceClient,
    spoke_administration_service_client::SpokeAdministrationServiceClient,
};
use std::path::{Path, PathBuf};

/// A region's node of Raccordo: its plans, its editions, its reports.
#[derive(Debug, Parser)]
#[command(name = "raccordo-spoke", version, after_long_help = HELP, max_term_width = 100)]
struct Cli {
    /// The node's data folder
    #[arg(long, env = "RACCORDO_SPOKE_DATA", value_name = "DIR", global = true)]
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
    /// Join a federation with the bundle that the centre made, and make the data folder
    Join(folder::Join),
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
    /// How the exchange with the centre stands
    #[command(subcommand)]
    Sync(people::SyncCommand),
    /// What the centre published: code lists, syllabi, kits
    #[command(subcommand)]
    Catalogue(plans::CatalogueCommand),
    /// Kit versions and their files
    #[command(subcommand)]
    Kit(plans::KitCommand),
    /// The Operational Plan (Piano Operativo)
    #[command(subcommand)]
    Po(plans::PoCommand),
    /// The Executive Plans (Piani Esecutivi)
    #[command(subcommand)]
    Pe(plans::PeCommand),
    /// Editions of the shared Executive Plan's interventions
    #[command(subcommand)]
    Edition(records::EditionCommand),
    /// Outcomes of learners; they stay in the region
    #[command(subcommand)]
    Outcome(records::OutcomeCommand),
    /// Monthly reports
    #[command(subcommand)]
    Report(records::ReportCommand),
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
                .remedy("indicare --data CARTELLA, o RACCORDO_SPOKE_DATA")
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

    async fn spoke(&self) -> anyhow::Result<SpokeAdministrationServiceClient<NodeChannel>> {
        let client = SpokeAdministrationServiceClient::new(self.channel().await?);
        Ok(client.max_decoding_message_size(64 * 1_024 * 1_024))
    }

    async fn node(&self) -> anyhow::Result<NodeServiceClient<NodeChannel>> {
        Ok(NodeServiceClient::new(self.channel().await?))
    }
}

/// Runs the program.
pub async fn main() -> anyhow::Result<Exit> {
    let Cli {
        data,
        client,
        output,
        command,
    } = Cli::parse();
    let common = Common {
        data,
        client,
        format: output.output,
    };
    common.say_if_test();
    match command {
        // A server drains on a signal by itself.
        Command::Serve(serve) => serve.run(&common).await,
        command => interruptible(run(command, &common)).await,
    }
}

async fn run(command: Command, common: &Common) -> anyhow::Result<Exit> {
    match command {
        Command::Join(join) => join.run(common).await,
        Command::Serve(serve) => serve.run(common).await,
        Command::Rebuild => folder::rebuild(common).await,
        Command::Verify => folder::verify(common).await,
        Command::Config(command) => command.run(common),
        Command::Whoami => people::whoami(common.node().await?, common.format).await,
        Command::Account(command) => command.run(common.node().await?, common.format).await,
        Command::Token(command) => command.run(common.node().await?, common.format).await,
        Command::Clock(command) => command.run(common.node().await?, common.format).await,
        Command::Sync(command) => command.run(common.node().await?, common.format).await,
        Command::Catalogue(command) => command.run(common).await,
        Command::Kit(command) => command.run(common).await,
        Command::Po(command) => command.run(common).await,
        Command::Pe(command) => command.run(common).await,
        Command::Edition(command) => command.run(common).await,
        Command::Outcome(command) => command.run(common).await,
        Command::Report(command) => command.run(common).await,
    }
}

/// A text file of at most `most` bytes and the name that errors show.
fn read_document(path: &Path, most: u64) -> anyhow::Result<(String, Vec<u8>)> {
    let failed = |why: String| {
        Failure::new(
            Exit::Usage,
            format!("il file {} non si può leggere: {why}", path.display()),
        )
        .remedy("verificare che esista, sia leggibile e non troppo lungo")
    };
    let length = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
    if length > most {
        return Err(failed(format!("{length} byte, al massimo {most}")).into());
    }
    let bytes = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok((name, bytes))
}

/// The same, as YAML.
fn read_yaml(path: &Path) -> anyhow::Result<(String, String)> {
    let (name, bytes) = read_document(path, 1_024 * 1_024)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Failure::new(Exit::Failure, format!("{name}: non è UTF-8")).remedy("salvare il file in UTF-8")
    })?;
    Ok((name, text))
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
            "raccordo-spoke report close 2023-10 --reason tardivi -o json --data /tmp/x",
            "raccordo-spoke kit adopt KIT-A 1.0.0 --data /tmp/x",
            "raccordo-spoke edition import --data /tmp/x f.csv",
            "raccordo-spoke join --bundle b --data d --api-address 127.0.0.1:0 --admin-address 127.0.0.1:0",
            "raccordo-spoke po show --version 2",
            "raccordo-spoke pe show 2023",
            "raccordo-spoke token issue 00 --role planner --out -",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
