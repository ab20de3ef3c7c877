//! Commands on the data folder.

use super::Common;
use crate::{
    config::{self, Config},
    federation::{self, Hub, Plan},
    serve,
};
use clap::{Args, Subcommand};
use raccordo_cli::{
    exit::{Exit, Failure},
    output::{Cell, Table, note, print_data},
    people,
};
use raccordo_model::{node::Federation, timestamp::Timestamp};
use raccordo_node::{
    rebuild as rebuilding,
    shutdown::Shutdown,
    telemetry::{LogFormat, Telemetry, TelemetryConfig},
    verify as verifying,
};
use std::{collections::BTreeMap, net::TcpListener};

/// Where the business clock of a test federation begins unless told otherwise.
const TEST_CLOCK_START: &str = "2023-09-01T08:00:00Z";

/// `init`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    raccordo-hub init --data hub --federation fse-formazione --host hub.example.it\n  \
    raccordo-hub init --data prova --federation prova --test --clock 2023-09-01T08:00:00Z")]
pub(super) struct Init {
    /// Name of the federation: 3 to 40 lower-case letters, digits and hyphens
    #[arg(long, value_name = "NAME")]
    federation: Federation,
    /// A test federation: invented data and a business clock, said in the first entry and on every screen
    #[arg(long)]
    test: bool,
    /// Where the business clock begins (with --test) [default: 2023-09-01T08:00:00Z]
    #[arg(long, value_name = "INSTANT", requires = "test")]
    clock: Option<String>,
    /// Where the API will listen (server TLS); port 0: a free one, chosen now
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7444")]
    api_address: String,
    /// Where the exchange will listen (mutual TLS); port 0: a free one, chosen now
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7443")]
    exchange_address: String,
    /// Where metrics will be shown; port 0: a free one, chosen now
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7445")]
    admin_address: String,
    /// Another name or address of this machine, for the certificate; may be repeated. The first is the one
    /// that join bundles carry
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Institution of the first administrator
    #[arg(long, value_name = "CODE", default_value = "MDS")]
    institution: String,
    /// Database, instead of node.db in the folder
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

impl Init {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let usage = |text: String| Failure::new(Exit::Usage, text);
        let start = self.clock.as_deref().unwrap_or(TEST_CLOCK_START);
        let start = Timestamp::parse(start).map_err(|e| usage(e.to_string()).remedy("correggere --clock"))?;
        let mut values = BTreeMap::from([
            ("api_address", fixed(self.api_address)?),
            ("exchange_address", fixed(self.exchange_address)?),
            ("admin_address", fixed(self.admin_address)?),
        ]);
        if let Some(host) = self.hosts.first() {
            for (key, of) in [
                ("public_api_address", "api_address"),
                ("public_exchange_address", "exchange_address"),
            ] {
                let port = values[of].rsplit_once(':').map_or("0", |(_, port)| port);
                values.insert(key, format!("{host}:{port}"));
            }
            values.insert("hosts", self.hosts.join(" "));
        }
        values.extend(self.store.map(|store| ("store", store)));
        let plan = Plan {
            federation: self.federation.clone(),
            test: self.test.then_some(start),
            institution: self.institution,
            values,
        };
        let made = federation::init(common.data()?, plan).await?;
        note(&format!(
            "chiave radice in {}: portarla via ora, tenerla in due luoghi non in rete, e cancellarla qui",
            made.root_key.path.display()
        ));
        if self.test {
            people::say_test_federation();
        }
        let mut table = Table::of(&[
            ("federation", "Federazione"),
            ("test", "Di prova"),
            ("ca_fingerprint", "Impronta della CA"),
            ("token_file", "Token"),
        ]);
        let hex = made
            .ca_fingerprint
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        table.push(vec![
            Cell::text(self.federation.to_string()),
            Cell::Bool(self.test),
            Cell::text(hex),
            Cell::text(made.token_file.display().to_string()),
        ]);
        table.print(common.format)?;
        Ok(Exit::Ok)
    }
}

/// Port 0 becomes a free port now: regions must find the Hub where they found it yesterday.
fn fixed(address: String) -> anyhow::Result<String> {
    if !address.ends_with(":0") {
        return Ok(address);
    }
    Ok(TcpListener::bind(&address)?.local_addr()?.to_string())
}

/// `serve`
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where the API listens; port 0: any
    #[arg(long, value_name = "HOST:PORT")]
    api_address: Option<String>,
    /// Where the exchange listens; port 0: any
    #[arg(long, value_name = "HOST:PORT")]
    exchange_address: Option<String>,
    /// Where metrics are shown; port 0: any
    #[arg(long, value_name = "HOST:PORT")]
    admin_address: Option<String>,
}

impl Serve {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let flags = [
            ("api_address", self.api_address),
            ("exchange_address", self.exchange_address),
            ("admin_address", self.admin_address),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (key, value)))
            .collect();
        let data = common.data()?;
        let config = Config::load(data, &flags)?;
        let hub = Hub::open(data, config.clone()).await?;
        let telemetry = Telemetry::start(&TelemetryConfig {
            service: "raccordo-hub",
            node: "hub".into(),
            federation: hub.file.federation.to_string(),
            format: if config.log_json {
                LogFormat::Json
            } else {
                LogFormat::Human
            },
            filter: config.log,
            otlp: config.otlp,
        })?;
        if hub.file.test {
            tracing::warn!("a test federation: the data are invented");
        }
        let outcome = serve::serve(hub, Shutdown::new(), |listening| {
            let ready = format!(
                "pronto api={} exchange={} admin={}\n",
                listening.api, listening.exchange, listening.admin
            );
            // A reader that is gone does not stop the node.
            let _ = print_data(&ready);
        })
        .await;
        telemetry.shutdown().await;
        outcome.map(|()| Exit::Ok)
    }
}

async fn open(common: &Common) -> anyhow::Result<Hub> {
    let data = common.data()?;
    Ok(Hub::open(data, Config::load(data, &BTreeMap::new())?).await?)
}

/// `rebuild`
pub(super) async fn rebuild(common: &Common) -> anyhow::Result<Exit> {
    let hub = open(common).await?;
    let _lock = hub
        .lock()
        .map_err(|e| Failure::new(Exit::Conflict, e.to_string()).remedy("fermare il nodo, poi riprovare"))?;
    let rebuilt = rebuilding::rebuild(&hub.node).await?;
    hub.node.db.close().await;
    let same = rebuilt.before == rebuilt.after;
    print_data(&format!(
        "voci {}\nprima {}\ndigest {}\n",
        rebuilt.entries, rebuilt.before, rebuilt.after
    ))?;
    if !same {
        note("le proiezioni erano diverse da quelle che danno i registri: ora sono giuste");
    }
    Ok(if same { Exit::Ok } else { Exit::Findings })
}

/// `verify`
pub(super) async fn verify(common: &Common) -> anyhow::Result<Exit> {
    let hub = open(common).await?;
    let mut seen = verifying::verify(&hub.node).await?;
    hub.node.db.close().await;
    match hub.packs.verify().await {
        Ok(chunks) => note(&format!("pezzi di contenuto {chunks}")),
        Err(error) => seen.damage.push(verifying::Damage {
            item: "content".into(),
            problem: error.to_string(),
        }),
    }
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
