//! Why a call cannot be made, and what the reader can do.

use crate::config::ConfigError;
use std::{io, path::PathBuf};

/// A call cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file cannot be read.
    #[error("il file {path} non si può leggere: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("il file {path} non si può scrivere: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read the token.
    #[error("il file del token {path} è leggibile da altri (modo {mode:04o})")]
    TokenFileOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// No token.
    #[error("manca il token")]
    NoToken,
    /// Two tokens in the environment.
    #[error("RACCORDO_TOKEN e RACCORDO_TOKEN_FILE sono impostate insieme")]
    TokenTwice,
    /// A token in the configuration file.
    #[error("il file di configurazione {path} contiene un token")]
    TokenInConfig {
        /// The file.
        path: PathBuf,
    },
    /// Not a token.
    #[error("il token non è valido: da 8 a 4096 caratteri stampabili, senza spazi")]
    NotAToken,
    /// The folder has no context file.
    #[error("{path} non esiste")]
    NoContext {
        /// The file.
        path: PathBuf,
    },
    /// Not `host:port`.
    #[error("`{0}` non è un indirizzo: scrivere host:porta")]
    NotAnAddress(String),
    /// Not a name of a certificate.
    #[error("`{0}` non è un nome di server")]
    NotAServerName(String),
    /// No certificate in the CA file.
    #[error("il file {path} non contiene un certificato PEM valido")]
    NotACa {
        /// The file.
        path: PathBuf,
    },
    /// The node's certificate is not the one expected.
    #[error("il nodo {address} non è quello atteso: {reason}")]
    Untrusted {
        /// The node.
        address: String,
        /// What rustls found.
        reason: String,
    },
    /// Nobody answers.
    #[error("il nodo {address} non risponde: {reason}")]
    Unreachable {
        /// The node.
        address: String,
        /// The last cause.
        reason: String,
    },
}

impl ClientError {
    /// What the reader can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Config(error) => error.remedy(),
            Self::Read { path, .. } => format!("verificare che {} esista e sia leggibile", path.display()),
            Self::Write { path, .. } => format!("verificare i permessi della cartella di {}", path.display()),
            Self::TokenFileOpen { path, .. } => format!("chmod 600 {}", path.display()),
            Self::NoToken => "indicare --token-file, o RACCORDO_TOKEN_FILE".into(),
            Self::TokenTwice => "togliere una delle due variabili".into(),
            Self::TokenInConfig { .. } => {
                "scriverlo in un file proprio (modo 0600) e indicare token_file".into()
            }
            Self::NotAToken => "copiare di nuovo il token, o chiederne uno nuovo all'amministratore".into(),
            Self::NoContext { .. } => "indicare la cartella del nodo, creata da `init` o `join`".into(),
            Self::NotAnAddress(_) => "per esempio 127.0.0.1:7444".into(),
            Self::NotAServerName(_) => "per esempio hub.raccordo o region-090.raccordo".into(),
            Self::NotACa { .. } => "chiedere all'amministratore il file ca.pem della federazione".into(),
            Self::Untrusted { .. } => {
                "verificare --ca e --server-name; se sono giusti, non proseguire e avvisare l'amministratore"
                    .into()
            }
            Self::Unreachable { .. } => {
                "verificare che il nodo sia avviato (`serve`) e che l'indirizzo sia giusto".into()
            }
        }
    }
}
