//! What a caller can decide about a failure of keys, certificates or joining.

use std::{io, path::PathBuf};

/// A failure of keys, certificates or joining. Nothing was changed, unless the text says so.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A secret that others may read.
    #[error(
        "{path} may be read by others (mode {mode:o}): run `chmod 600 {path}`, and replace what it holds if it was read"
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file that does not hold what it should.
    #[error("{path}: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A file that must not be there yet.
    #[error("{0} is there already: this node was made before, and is not made again over it")]
    Exists(PathBuf),
    /// A certificate, request or bundle from outside that is not acceptable.
    #[error("{0}")]
    Unacceptable(String),
    /// The cryptographic library refused.
    #[error("certificates: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refused.
    #[error("tls: {0}")]
    Tls(#[from] rustls::Error),
    /// The Hub refused, or was not reached.
    #[error("the Hub at {address} did not do it: {text}")]
    Hub {
        /// Where the Hub was looked for.
        address: String,
        /// What it answered, or why it was not reached, with the remedy.
        text: String,
        /// Whether trying again later may help.
        retry: bool,
    },
}

impl IdentityError {
    /// Something from outside that is not acceptable.
    pub(crate) fn unacceptable(text: impl Into<String>) -> Self {
        Self::Unacceptable(text.into())
    }
}
