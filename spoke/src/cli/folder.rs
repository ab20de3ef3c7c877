//! Commands on the data folder.

use super::Common;
use crate::{
    config::{self, Config},
    federation::{self, Spoke},
    serve,
};
use clap::{Args, Subcommand};
use raccordo_cli::{
    exit::{Exit, Failure},
    output::{Cell, Table, note, print_data},
    people,
};
use raccordo_node::{
    rebuild as rebuilding,
    shutdown::Shutdown,
    telemetry::{LogFormat, Telemetry, TelemetryConfig},
    verify as verifying,
};
use std::{collections::BTreeMap, path::PathBuf};

/// `join`
#[derive(Debug, Args)]
pub(super) struct Join {
    /// The join bundle that the centre made for this region
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Where the API will listen; port 0: any
    #[arg(long, value_name = "HOST:PORT")]
    api_address: Option<String>,
    /// Where metrics will be shown; port 0: any
    #[arg(long, value_name = "HOST:PORT")]
    admin_address: Option<String>,
    /// Where the Hub's exchange is reached, instead of where the bundle says
    #[arg(long, value_name = "HOST:PORT")]
    exchange_address: Option<String>,
    /// Where the Hub's API is reached, instead of where the bundle says
    #[arg(long, value_name = "HOST:PORT")]
    hub_api_address: Option<String>,
    /// HTTP proxy (CONNECT) on the way to the Hub
    #[arg(long, value_name = "HOST:PORT")]
    proxy: Option<String>,
    /// Database, instead of node.db in the folder
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

impl Join {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let values: BTreeMap<&str, String> = [
            ("api_address", self.api_address),
            ("admin_address", self.admin_address),
            ("exchange_address", self.exchange_address),
            ("hub_api_address", self.hub_api_address),
            ("proxy", self.proxy),
            ("store", self.store),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| (key, value)))
        .collect();
        let joined = federation::join(&self.bundle, common.data()?, &values).await?;
        if joined.test {
            people::say_test_federation();
        }
        let mut table = Table::of(&[
            ("region", "Regione"),
            ("federation", "Federazione"),
            ("test", "Di prova"),
            ("token_file", "Token"),
        ]);
        table.push(vec![
            Cell::text(joined.node.to_string()),
            Cell::text(joined.federation),
            Cell::Bool(joined.test),
            Cell::text(joined.token_file.display().to_string()),
        ]);
        table.print(common.format)?;
        Ok(Exit::Ok)
    }
}

/// `serve`
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where the API listens; port 0: any
    #[arg(long, value_name = "HOST:PORT")]
    api_address: Option<String>,
    /// Where metrics are shown; port 0: any
    #[arg(long, value_name = "HOST:PORT")]
    admin_address: Option<String>,
}

impl Serve {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let flags = [
            ("api_address", self.api_address),
            ("admin_address", self.admin_address),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (key, value)))
            .collect();
        let data = common.data()?;
        let config = Config::load(data, &flags)?;
        let spoke = Spoke::open(data, config.clone()).await?;
        let telemetry = Telemetry::start(&TelemetryConfig {
            service: "raccordo-spoke",
            node: spoke.file.node.to_string(),
            federation: spoke.file.federation.to_string(),
            format: if config.log_json {
                LogFormat::Json
            } else {
                LogFormat::Human
            },
            filter: config.log,
            otlp: config.otlp,
        })?;
        if spoke.file.test {
            tracing::warn!("a test federation: the data are invented");
        }
        let outcome = serve::serve(spoke, Shutdown::new(), |listening| {
            // A reader that is gone does not stop the node.
            let _ = print_data(&format!(
                "pronto api={} admin={}\n",
                listening.api, listening.admin
            ));
        })
        .await;
        telemetry.shutdown().await;
        outcome.map(|()| Exit::Ok)
    }
}

async fn open(common: &Common) -> anyhow::Result<Spoke> {
    let data = common.data()?;
    Ok(Spoke::open(data, Config::load(data, &BTreeMap::new())?).await?)
}

/// `rebuild`
pub(super) async fn rebuild(common: &Common) -> anyhow::Result<Exit> {
    let spoke = open(common).await?;
    let _lock = spoke
        .lock()
        .map_err(|e| Failure::new(Exit::Conflict, e.to_string()).remedy("fermare il nodo, poi riprovare"))?;
    let rebuilt = rebuilding::rebuild(&spoke.node).await?;
    spoke.node.db.close().await;
    let same = rebuilt.before == rebuilt.after;
    let mut text = format!("voci {}\nprima {}\n", rebuilt.entries, rebuilt.before);
    text.push_str(&format!("digest {}\n", rebuilt.after));
    print_data(&text)?;
    if !same {
        note("le proiezioni erano diverse da quelle che danno i registri: ora sono giuste");
    }
    Ok(if same { Exit::Ok } else { Exit::Findings })
}

/// `verify`
pub(super) async fn verify(common: &Common) -> anyhow::Result<Exit> {
    let spoke = open(common).await?;
    let seen = verifying::verify(&spoke.node).await?;
    spoke.node.db.close().await;
    let mut text = String::new();
    for (ledger, entries) in &seen.ledgers {
        text.push_str(&format!("registro {ledger}: {entries} voci\n"));
    }
    text.push_str(&format!(
        "checkpoint {} · cosegnature {} · corpi {}\ndigest {}\n",
        seen.checkpoints, seen.cosignatures, seen.bodies, seen.digest
    ));
    for damage in &seen.damage {
        text.push_str(&format!("{}: {}\n", damage.item, damage.problem));
    }
    print_data(&text)?;
    Ok(if seen.damage.is_empty() {
        Exit::Ok
    } else {
        Exit::Findings
    })
}

/// `config …`
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Every setting with its value and origin; secrets are masked
    Show,
}

impl ConfigCommand {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let Self::Show = self;
        config::resolve(common.data()?, &BTreeMap::new())?
            .show()
            .print(common.format)?;
        Ok(Exit::Ok)
    }
}
