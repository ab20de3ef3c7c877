//! Configuration in layers: flag over environment over TOML file over default, each value with its
//! origin.
//!
//! A program lists its [`Setting`]s. A key is lower-case, with `_` between words and `.` between a
//! TOML table and its key: `database.url` is `url` under `[database]`, and `RACCORDO_HUB_DATABASE_URL`
//! with the prefix `RACCORDO_HUB`.

use crate::output::{Cell, Table};
use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Largest configuration file, in bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1_024;
/// Largest secret in a file of its own, in bytes.
pub const SECRET_BYTES_MAX: u64 = 64 * 1_024;
/// What `config show` prints instead of a secret.
pub const MASK: &str = "********";

/// One thing that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Key, see the module's text.
    pub key: &'static str,
    /// One line for people.
    pub help: &'static str,
    /// The value when no layer gives one.
    pub default: Option<&'static str>,
    /// Never shown, and may be given as the path of a file by `<VARIABLE>_FILE`.
    pub secret: bool,
}

impl Setting {
    /// A setting that may be shown.
    pub const fn new(key: &'static str, default: Option<&'static str>, help: &'static str) -> Self {
        Self {
            key,
            help,
            default,
            secret: false,
        }
    }

    /// A setting that is never shown.
    pub const fn secret(key: &'static str, help: &'static str) -> Self {
        Self {
            key,
            help,
            default: None,
            secret: true,
        }
    }
}

/// Where a value came from, from the weakest to the strongest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// No layer gives one.
    Unset,
    /// The program.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// The command line.
    Flag,
}

impl Origin {
    /// For programs: `flag`, `environment VARIABLE`, `file PATH`, `default`, `unset`.
    pub fn code(&self) -> String {
        match self {
            Self::Unset => "unset".into(),
            Self::Default => "default".into(),
            Self::File(path) => format!("file {}", path.display()),
            Self::Environment(name) => format!("environment {name}"),
            Self::Flag => "flag".into(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("non impostato"),
            Self::Default => f.write_str("predefinito"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "ambiente {name}"),
            Self::Flag => f.write_str("riga di comando"),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is no TOML, or too large, or holds something that is no value.
    #[error("il file di configurazione {path} non è valido: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// With line and column where they are known.
        reason: String,
    },
    /// The file cannot be read.
    #[error("il file {path} non si può leggere: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing of this name can be set.
    #[error("la chiave `{key}` ({origin}) non esiste; {hint}")]
    UnknownKey {
        /// As written.
        key: String,
        /// Where it is written.
        origin: Origin,
        /// The key that was probably meant, or all of them.
        hint: String,
    },
    /// Two ways of giving one value at once.
    #[error("{variable} e {variable}_FILE sono impostate insieme")]
    Twice {
        /// The variable.
        variable: String,
    },
    /// A value that is needed is not there.
    #[error("manca il valore di `{key}`")]
    Missing {
        /// The key.
        key: String,
    },
    /// A value that cannot be parsed.
    #[error("il valore di `{key}` ({origin}) non è valido: {reason}")]
    Value {
        /// The key.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// Why; never the value, which may be a secret.
        reason: String,
    },
}

impl ConfigError {
    /// What the reader can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::File { path, .. } => format!("correggere {}", path.display()),
            Self::Read { path, .. } => {
                format!("verificare che {} esista e sia leggibile", path.display())
            }
            Self::UnknownKey { .. } => "correggere o togliere la chiave".into(),
            Self::Twice { variable } => format!("togliere {variable} o {variable}_FILE"),
            Self::Missing { key } => {
                format!("impostare `{key}` per riga di comando, ambiente o file; si veda `config show`")
            }
            Self::Value { key, .. } => format!("correggere `{key}`; si veda `config show`"),
        }
    }
}

/// The settings of a program, in the order in which `config show` lists them.
#[derive(Debug, Clone)]
pub struct Settings {
    prefix: String,
    settings: Vec<Setting>,
}

impl Settings {
    /// The settings, and the prefix of their variables, for example `RACCORDO_HUB`.
    pub fn new(prefix: impl Into<String>, settings: impl IntoIterator<Item = Setting>) -> Self {
        Self {
            prefix: prefix.into(),
            settings: settings.into_iter().collect(),
        }
    }

    /// The variable that sets `key`.
    pub fn variable(&self, key: &str) -> String {
        let key = key.replace(['.', '-'], "_").to_uppercase();
        format!("{}_{key}", self.prefix.trim_end_matches('_'))
    }

    /// Lays the layers over one another. `file` is a path, for messages and for relative paths, and
    /// its text. Nothing is read but the files that `_FILE` variables name.
    pub fn resolve(
        &self,
        flags: &BTreeMap<&str, String>,
        env: impl Fn(&str) -> Option<String>,
        file: Option<(&Path, &str)>,
    ) -> Result<Resolved, ConfigError> {
        for key in flags.keys() {
            self.known(key, &Origin::Flag)?;
        }
        let in_file = match file {
            Some((path, text)) => self.read_toml(path, text)?,
            None => BTreeMap::new(),
        };
        let mut values = Vec::new();
        for setting in &self.settings {
            let (value, origin) = if let Some(value) = flags.get(setting.key) {
                (Some(value.clone()), Origin::Flag)
            } else if let Some((value, variable)) = self.read_environment(setting, &env)? {
                (Some(value), Origin::Environment(variable))
            } else if let (Some(value), Some((path, _))) = (in_file.get(setting.key), file) {
                (Some(value.clone()), Origin::File(path.into()))
            } else if let Some(default) = setting.default {
                (Some(default.into()), Origin::Default)
            } else {
                (None, Origin::Unset)
            };
            values.push(Value {
                setting: *setting,
                value,
                origin,
            });
        }
        Ok(Resolved { values })
    }

    fn read_environment(
        &self,
        setting: &Setting,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Result<Option<(String, String)>, ConfigError> {
        let variable = self.variable(setting.key);
        let direct = env(&variable);
        let file_key = format!("{}_file", setting.key);
        // A setting of its own may already have that name.
        if !setting.secret || self.settings.iter().any(|s| s.key == file_key) {
            return Ok(direct.map(|value| (value, variable)));
        }
        let file_variable = format!("{variable}_FILE");
        match (direct, env(&file_variable)) {
            (Some(_), Some(_)) => Err(ConfigError::Twice { variable }),
            (Some(value), None) => Ok(Some((value, variable))),
            (None, Some(path)) => Ok(Some((read_secret(Path::new(&path))?, file_variable))),
            (None, None) => Ok(None),
        }
    }

    fn read_toml(&self, path: &Path, text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
        let invalid = |reason: String| ConfigError::File {
            path: path.into(),
            reason,
        };
        if text.len() > FILE_BYTES_MAX {
            return Err(invalid(format!("supera {FILE_BYTES_MAX} byte")));
        }
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(1, |s| text[..s.start].matches('\n').count() + 1);
            invalid(format!("riga {line}: {}", error.message()))
        })?;
        let mut flat = BTreeMap::new();
        flatten("", &table, &mut flat).map_err(invalid)?;
        for key in flat.keys() {
            self.known(key, &Origin::File(path.into()))?;
        }
        Ok(flat)
    }

    fn known(&self, key: &str, origin: &Origin) -> Result<(), ConfigError> {
        if self.settings.iter().any(|s| s.key == key) {
            return Ok(());
        }
        let near = self
            .settings
            .iter()
            .map(|s| (distance(key, s.key), s.key))
            .min()
            .filter(|(distance, _)| *distance <= 3);
        let hint = match near {
            Some((_, near)) => format!("forse `{near}`?"),
            None => {
                let keys: Vec<_> = self.settings.iter().map(|s| s.key).collect();
                format!("esistono: {}", keys.join(", "))
            }
        };
        Err(ConfigError::UnknownKey {
            key: key.chars().take(100).collect(),
            origin: origin.clone(),
            hint,
        })
    }
}

/// Reads a configuration file, if it is there.
pub fn read_file(path: &Path) -> Result<Option<String>, ConfigError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX as u64 => {
            return Err(ConfigError::File {
                path: path.into(),
                reason: format!("supera {FILE_BYTES_MAX} byte"),
            });
        }
        _ => {}
    }
    fs::read_to_string(path)
        .map(Some)
        .map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })
}

#[derive(Debug, Clone)]
struct Value {
    setting: Setting,
    value: Option<String>,
    origin: Origin,
}

/// Every setting with its value and origin.
#[derive(Clone)]
pub struct Resolved {
    values: Vec<Value>,
}

impl fmt::Debug for Resolved {
    /// Keys and origins; no values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.values.iter().map(|v| (v.setting.key, &v.origin)))
            .finish()
    }
}

impl Resolved {
    /// The value, if one is set. An empty text counts as a value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.find(key)?.value.as_deref()
    }

    /// Where the value came from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.find(key).map_or(&Origin::Unset, |v| &v.origin)
    }

    /// The value, which must be there.
    pub fn require(&self, key: &str) -> Result<&str, ConfigError> {
        self.get(key)
            .ok_or_else(|| ConfigError::Missing { key: key.into() })
    }

    /// The value as a path. One from a file is relative to the file's folder.
    pub fn get_path(&self, key: &str) -> Option<PathBuf> {
        let value = self.find(key)?;
        let path = PathBuf::from(value.value.as_deref()?);
        Some(match (&value.origin, path.is_relative()) {
            (Origin::File(file), true) => file.parent().map_or(path.clone(), |dir| dir.join(&path)),
            _ => path,
        })
    }

    /// The value as a whole number.
    pub fn get_u64(&self, key: &str) -> Result<Option<u64>, ConfigError> {
        self.parse(key)
    }

    /// The value as yes or no: `true` or `false`.
    pub fn get_bool(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.parse(key)
    }

    /// The value, parsed.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&self, key: &str) -> Result<Option<T>, ConfigError> {
        let parse = |text: &str| {
            text.parse().map_err(|error: T::Err| ConfigError::Value {
                key: key.into(),
                origin: self.origin(key).clone(),
                reason: error.to_string(),
            })
        };
        self.get(key).map(parse).transpose()
    }

    /// `config show`: key, value, origin, help; secrets masked.
    pub fn show(&self) -> Table {
        let mut table = Table::of(&[
            ("key", "Chiave"),
            ("value", "Valore"),
            ("origin", "Origine"),
            ("help", "Significato"),
        ]);
        for value in &self.values {
            let shown = match &value.value {
                Some(_) if value.setting.secret => Cell::text(MASK),
                Some(text) => Cell::text(text),
                None => Cell::Empty,
            };
            table.push(vec![
                Cell::text(value.setting.key),
                shown,
                Cell::code(value.origin.code(), value.origin.to_string()),
                Cell::text(value.setting.help),
            ]);
        }
        table
    }

    fn find(&self, key: &str) -> Option<&Value> {
        self.values.iter().find(|v| v.setting.key == key)
    }
}

fn read_secret(path: &Path) -> Result<String, ConfigError> {
    let read = |source| ConfigError::Read {
        path: path.into(),
        source,
    };
    if fs::metadata(path).map_err(read)?.len() > SECRET_BYTES_MAX {
        return Err(ConfigError::File {
            path: path.into(),
            reason: format!("supera {SECRET_BYTES_MAX} byte"),
        });
    }
    let text = fs::read_to_string(path).map_err(read)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn flatten(prefix: &str, table: &toml::Table, flat: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (key, value) in table {
        let key = match prefix {
            "" => key.clone(),
            prefix => format!("{prefix}.{key}"),
        };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, flat)?,
            other => {
                let text = scalar(other).ok_or_else(|| {
                    format!("`{key}` deve essere un testo, un numero, true o false, o una lista di questi")
                })?;
                flat.insert(key, text);
            }
        }
    }
    Ok(())
}

/// A value as the text that the other layers would give; a list is joined by commas.
fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(value) => Some(value.to_string()),
        toml::Value::Datetime(instant) => Some(instant.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(scalar).collect();
            items.map(|items| items.join(","))
        }
        toml::Value::Table(_) => None,
    }
}

/// Levenshtein distance, over at most 60 characters of each.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(60).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(60).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
