//! `raccordo-gdl`: pulls the consolidated status and the fleet from the Hub with a scoped, expiring
//! token, and prints them.
//!
//! [`Cli`] is the command line, [`run`] does what it says. How things look is in `raccordo-cli`
//! (`status`, `fleet`), so that the Hub shows the same.
//!
//! What is not here: a store, figures computed by the reader, anything that writes to the Hub.

use clap::{Parser, Subcommand};
use raccordo_cli::{
    client::{self, ClientArgs, Target},
    color,
    config::Resolved,
    exit::{self, Exit, Failure},
    fleet, node,
    output::OutputArgs,
    status,
};
use raccordo_model::node::RegionCode;
use raccordo_proto::wire::{
    ConsolidatedRequest, FleetRequest, WhoAmIRequest, node_service_client::NodeServiceClient,
    status_service_client::StatusServiceClient,
};
use std::path::PathBuf;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "raccordo-gdl",
    version,
    about = "Reads the consolidated status of a Raccordo federation",
    long_about = "Reads the consolidated status of a Raccordo federation: which regions reported \
                  which figures, and which training kit is where. It asks the Hub and changes \
                  nothing. The Hub's administrator gives you three things: its address, the \
                  federation's CA certificate and a file with your token.",
    after_help = FIRST_STEPS,
    after_long_help = format!("{FIRST_STEPS}\n\n{}", exit::HELP),
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Where the Hub is.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Configuration file, TOML: address, server_name, ca, token_file [default: ~/.config/raccordo/gdl.toml]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// When to use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, global = true)]
    pub color: color::Choice,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The figures of accepted reports: a bar per region, then the numbers
    #[command(after_help = STATUS_HELP)]
    Status {
        /// Month, as 2023-11 [default: the latest one that any region reported]
        #[arg(long, value_name = "YYYY-MM", value_parser = period)]
        period: Option<String>,
        /// Three-digit code of one region [default: all]
        #[arg(long, value_name = "CODE", value_parser = region)]
        region: Option<RegionCode>,
    },
    /// Which kit version is in which phase in each region, and how the regions are connected
    #[command(after_help = FLEET_HELP)]
    Fleet,
    /// Whom the token speaks for, what it may do and when it expires
    #[command(after_help = WHOAMI_HELP)]
    Whoami,
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every setting with its value and origin; secrets masked. Asks nobody
    #[command(after_help = CONFIG_HELP)]
    Show,
}

const FIRST_STEPS: &str = "\
First steps:
  chmod 600 gdl.token
  raccordo-gdl whoami --server hub.example.it:7444 --ca ca.pem --token-file gdl.token
  raccordo-gdl status --server hub.example.it:7444 --ca ca.pem --token-file gdl.token
Write the three into ~/.config/raccordo/gdl.toml to leave them out afterwards:
  address = \"hub.example.it:7444\"
  ca = \"ca.pem\"
  token_file = \"gdl.token\"";

const STATUS_HELP: &str = "\
Examples:
  raccordo-gdl status                              the latest month, all regions
  raccordo-gdl status --region 090                 all figures of Tuscany
  raccordo-gdl status --period 2023-11 -o csv > status.csv
The CSV has one row per measure; state is number, zero, missing, suppressed or not_applicable,
and ALL names a whole dimension or the country.";

const FLEET_HELP: &str = "\
Examples:
  raccordo-gdl fleet
  raccordo-gdl fleet -o json";

const WHOAMI_HELP: &str = "\
Example:
  raccordo-gdl whoami --token-file gdl.token";

const CONFIG_HELP: &str = "\
Example:
  RACCORDO_ADDRESS=hub.example.it:7444 raccordo-gdl config show";

/// Does what the command line says.
pub async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let resolved = resolve(&cli)?;
    let format = cli.output.output;
    let paint = color::on_stdout(cli.color);
    match cli.command {
        Command::Config(ConfigCommand::Show) => resolved.show().print(format)?,
        Command::Status { period, region } => {
            let request = ConsolidatedRequest {
                period: period.unwrap_or_default(),
                region: region.map(|r| r.to_string()).unwrap_or_default(),
            };
            let channel = client::connect(&Target::from_resolved(&resolved)?).await?;
            let mut service =
                StatusServiceClient::new(channel).max_decoding_message_size(client::MESSAGE_BYTES_MAX);
            let answer = service.consolidated(request).await?.into_inner();
            status::print(&answer, format, paint)?;
        }
        Command::Fleet => {
            let channel = client::connect(&Target::from_resolved(&resolved)?).await?;
            let mut service =
                StatusServiceClient::new(channel).max_decoding_message_size(client::MESSAGE_BYTES_MAX);
            let answer = service.fleet(FleetRequest {}).await?.into_inner();
            fleet::print(&answer, format, paint)?;
        }
        Command::Whoami => {
            let channel = client::connect(&Target::from_resolved(&resolved)?).await?;
            let answer = NodeServiceClient::new(channel).who_am_i(WhoAmIRequest {}).await?;
            node::who_am_i(&answer.into_inner()).print(format)?;
        }
    }
    Ok(Exit::Ok)
}

/// The options over the environment over the configuration file over the defaults. A file that is
/// named must exist; the usual one need not.
fn resolve(cli: &Cli) -> anyhow::Result<Resolved> {
    let file = match &cli.config {
        Some(path) if !path.exists() => {
            let text = format!("il file di configurazione {} non esiste", path.display());
            return Err(Failure::new(Exit::Usage, text)
                .remedy("correggere --config")
                .into());
        }
        Some(path) => Some(path.clone()),
        None => usual_config(color::environment),
    };
    Ok(cli.client.resolve(color::environment, file.as_deref())?)
}

/// `$XDG_CONFIG_HOME/raccordo/gdl.toml`, or `~/.config/raccordo/gdl.toml`.
fn usual_config(env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |key| env(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("raccordo/gdl.toml"))
}

fn region(text: &str) -> Result<RegionCode, String> {
    text.parse()
        .map_err(|error: raccordo_model::node::NameError| error.to_string())
}

/// A month as `2023-11`.
fn period(text: &str) -> Result<String, String> {
    let sound = text.split_once('-').is_some_and(|(year, month)| {
        let digits = |t: &str, n: usize| t.len() == n && t.bytes().all(|b| b.is_ascii_digit());
        digits(year, 4) && digits(month, 2) && ("01"..="12").contains(&month)
    });
    if sound {
        Ok(text.into())
    } else {
        Err("write a month as 2023-11".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use raccordo_cli::output::Format;

    #[test]
    fn the_command_line_is_sound_and_explained() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command
            .get_subcommands()
            .filter(|c| !matches!(c.get_name(), "help" | "config"))
        {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.contains("raccordo-gdl "),
                "{} has no example",
                sub.get_name()
            );
        }
        let long = command.render_long_help().to_string();
        assert!(
            long.contains("First steps") && long.contains("130  interrupted"),
            "{long}"
        );
        assert!(
            long.contains("--token-file") && !long.contains("--token <"),
            "no token in argv"
        );
    }

    #[test]
    fn options_may_follow_the_command() {
        let cli = Cli::parse_from([
            "raccordo-gdl",
            "status",
            "--region",
            "090",
            "-o",
            "csv",
            "--ca",
            "x",
        ]);
        assert_eq!(cli.output.output, Format::Csv);
        assert_eq!(cli.client.ca, Some("x".into()));
        assert!(matches!(
            cli.command,
            Command::Status {
                region: Some(_),
                period: None
            }
        ));
    }

    #[test]
    fn a_wrong_month_or_region_is_refused_before_the_hub_is_asked() {
        for bad in [
            "2023",
            "2023-13",
            "2023-00",
            "23-11",
            "2023-1",
            "2023-11-01",
            "abcd-11",
        ] {
            assert!(period(bad).is_err(), "{bad}");
        }
        assert!(period("2023-11").is_ok());
        assert!(Cli::try_parse_from(["raccordo-gdl", "status", "--region", "Toscana"]).is_err());
    }

    #[test]
    fn the_usual_file_is_where_others_look_for_it() {
        let home = |key: &str| (key == "HOME").then(|| "/home/a".to_owned());
        assert_eq!(
            usual_config(home),
            Some("/home/a/.config/raccordo/gdl.toml".into())
        );
        let xdg = |key: &str| (key != "HOME").then(|| "/x".to_owned());
        assert_eq!(usual_config(xdg), Some("/x/raccordo/gdl.toml".into()));
        assert_eq!(usual_config(|_| None), None);
    }

    #[test]
    fn a_named_file_must_exist() {
        let cli = Cli::parse_from(["raccordo-gdl", "--config", "/nowhere.toml", "fleet"]);
        let error = resolve(&cli).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Usage);
        assert!(exit::explain(&error).contains("/nowhere.toml"));
    }
}
