//! What can be set at a Spoke: flag over environment (`RACCORDO_SPOKE_…`) over `<data>/spoke.toml`
//! over default.

use raccordo_cli::{
    color::environment,
    config::{self, ConfigError, Resolved, Setting, Settings},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The file in the data folder.
pub const CONFIG_FILE: &str = "spoke.toml";

const SETTINGS: &[Setting] = &[
    Setting::new(
        "api_address",
        Some("127.0.0.1:0"),
        "indirizzo dell'API, host:porta; porta 0: una libera",
    ),
    Setting::new(
        "admin_address",
        Some("127.0.0.1:0"),
        "indirizzo delle metriche, host:porta; porta 0: una libera",
    ),
    Setting::new(
        "exchange_address",
        None,
        "dove si raggiunge il Hub per lo scambio, se non come detto da lui",
    ),
    Setting::new(
        "hub_api_address",
        None,
        "dove si raggiunge il Hub per i certificati, se non come detto da lui",
    ),
    Setting::secret("proxy", "proxy HTTP (CONNECT) verso il Hub, host:porta"),
    Setting::secret(
        "store",
        "base dati: sqlite:PERCORSO o postgres://…; altrimenti node.db nella cartella",
    ),
    Setting::new(
        "log",
        None,
        "che cosa scrivere nel log, per esempio info,raccordo_spoke=debug",
    ),
    Setting::new("log_format", Some("human"), "human o json"),
    Setting::secret("otlp", "collettore OTLP (gRPC) delle tracce"),
];

/// The settings of a Spoke.
pub fn settings() -> Settings {
    Settings::new("RACCORDO_SPOKE", SETTINGS.iter().copied())
}

/// The settings of a data folder, with `flags` over everything.
pub fn resolve(data: &Path, flags: &BTreeMap<&str, String>) -> Result<Resolved, ConfigError> {
    let path = data.join(CONFIG_FILE);
    let text = config::read_file(&path)?;
    settings().resolve(
        flags,
        environment,
        text.as_deref().map(|text| (path.as_path(), text)),
    )
}

/// The values, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the API listens.
    pub api_address: String,
    /// Where metrics are shown.
    pub admin_address: String,
    /// Overrides where the Hub's exchange is.
    pub exchange_address: Option<String>,
    /// Overrides where the Hub's API is.
    pub hub_api_address: Option<String>,
    /// HTTP proxy on the way to the Hub.
    pub proxy: Option<String>,
    /// `sqlite:PATH` or `postgres://…`.
    pub store: String,
    /// Directives of the log.
    pub log: Option<String>,
    /// Whether log lines are JSON.
    pub log_json: bool,
    /// Collector of traces.
    pub otlp: Option<String>,
}

impl Config {
    /// The configuration of a data folder.
    pub fn load(data: &Path, flags: &BTreeMap<&str, String>) -> Result<Self, ConfigError> {
        let resolved = resolve(data, flags)?;
        let text = |key| resolved.get(key).filter(|t| !t.is_empty()).map(str::to_owned);
        let json = match resolved.get("log_format") {
            Some("human") | None => false,
            Some("json") => true,
            Some(_) => {
                return Err(ConfigError::Value {
                    key: "log_format".into(),
                    origin: resolved.origin("log_format").clone(),
                    reason: "human o json".into(),
                });
            }
        };
        Ok(Self {
            api_address: resolved.require("api_address")?.to_owned(),
            admin_address: resolved.require("admin_address")?.to_owned(),
            exchange_address: text("exchange_address"),
            hub_api_address: text("hub_api_address"),
            proxy: text("proxy"),
            store: text("store").unwrap_or_else(|| format!("sqlite:{}", database(data).display())),
            log: text("log"),
            log_json: json,
            otlp: text("otlp"),
        })
    }
}

/// The embedded database of a data folder.
pub fn database(data: &Path) -> PathBuf {
    data.join("node.db")
}

/// The text of a `spoke.toml` that holds these values.
pub fn file(values: &BTreeMap<&str, String>) -> String {
    let mut text = String::from("# Written by `raccordo-spoke join`; see `raccordo-spoke config show`.\n");
    for (key, value) in values {
        // JSON's strings are TOML's too.
        text.push_str(&format!("{key} = {}\n", serde_json::Value::from(value.as_str())));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_join_writes_is_read_again_and_flags_win() {
        let folder = tempfile::tempdir().unwrap();
        let written = BTreeMap::from([
            ("api_address", "127.0.0.1:7001".to_owned()),
            ("log_format", "json".to_owned()),
        ]);
        std::fs::write(folder.path().join(CONFIG_FILE), file(&written)).unwrap();
        let config = Config::load(folder.path(), &BTreeMap::new()).unwrap();
        assert_eq!(
            (config.api_address.as_str(), config.log_json),
            ("127.0.0.1:7001", true)
        );
        assert!(config.store.starts_with("sqlite:") && config.store.ends_with("node.db"));
        let flags = BTreeMap::from([("api_address", "127.0.0.1:7002".to_owned())]);
        assert_eq!(
            Config::load(folder.path(), &flags).unwrap().api_address,
            "127.0.0.1:7002"
        );
        let wrong = BTreeMap::from([("log_format", "xml".to_owned())]);
        assert!(Config::load(folder.path(), &wrong).is_err());
    }
}
