//! How the commands of a node's folder reach its API.

use super::{ClientError, Target, settings};
use crate::config;
use std::{
    collections::BTreeMap,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

/// The file in a node's data folder that says how to reach its API.
pub const CONTEXT_FILE: &str = "client.toml";

/// What `init` and `join` leave for the first administrator of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// `host:port` of the server-TLS port.
    pub address: String,
    /// The name in the node's certificate.
    pub server_name: String,
    /// The CA, PEM; relative to the data folder.
    pub ca: PathBuf,
    /// The administrator's token file, mode 0600; relative to the data folder.
    pub token_file: PathBuf,
}

/// Writes `<data>/client.toml`, replacing it in one step.
pub fn write_context(data_dir: &Path, context: &Context) -> Result<(), ClientError> {
    let path = data_dir.join(CONTEXT_FILE);
    let text = format!(
        "# How the commands of this folder reach the node's API.\n\
         address = {}\nserver_name = {}\nca = {}\ntoken_file = {}\n",
        toml_string(&context.address),
        toml_string(&context.server_name),
        toml_string(&context.ca.display().to_string()),
        toml_string(&context.token_file.display().to_string()),
    );
    write_private(&path, text.as_bytes()).map_err(|source| ClientError::Write { path, source })
}

/// The target that `<data>/client.toml` describes; flags and environment have no say.
pub fn node_context(data_dir: &Path) -> Result<Target, ClientError> {
    let path = data_dir.join(CONTEXT_FILE);
    let Some(text) = config::read_file(&path)? else {
        return Err(ClientError::NoContext { path });
    };
    let flags = BTreeMap::new();
    Target::from_resolved(&settings().resolve(&flags, |_| None, Some((&path, &text)))?)
}

/// JSON's escapes are also TOML's.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

/// Writes a file that only its owner can read, replacing it in one step.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)
}
