//! The bearer token: kept in a file of its owner's, shown by nothing.

use super::{ClientError, context::write_private};
use std::{fmt, fs, path::Path};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 4_096;

/// A bearer token. It is shown by nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretToken(String);

impl SecretToken {
    /// The token in `text`, without the white space around it.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let text = text.trim();
        let sound = text.bytes().all(|b| b.is_ascii_graphic());
        if (8..=TOKEN_BYTES_MAX).contains(&text.len()) && sound {
            Ok(Self(text.into()))
        } else {
            Err(ClientError::NotAToken)
        }
    }

    /// The token in a file that nobody but its owner can read.
    pub fn read_file(path: &Path) -> Result<Self, ClientError> {
        let read = |source| ClientError::Read {
            path: path.into(),
            source,
        };
        let metadata = fs::metadata(path).map_err(read)?;
        check_mode(path, &metadata)?;
        if metadata.len() > 2 * TOKEN_BYTES_MAX as u64 {
            return Err(ClientError::NotAToken);
        }
        Self::parse(&fs::read_to_string(path).map_err(read)?)
    }

    /// The token itself, to be sent and to be written to its owner's file.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretToken(…)")
    }
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), ClientError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(ClientError::TokenFileOpen {
        path: path.into(),
        mode,
    })
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &fs::Metadata) -> Result<(), ClientError> {
    Ok(())
}

/// Adds the token to every call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    /// The credentials of `token`.
    pub fn new(token: &SecretToken) -> Result<Self, ClientError> {
        let text = format!("Bearer {}", token.expose());
        let mut value: MetadataValue<Ascii> = text.parse().map_err(|_| ClientError::NotAToken)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Writes a token to a file that only its owner can read, replacing it in one step.
pub fn write_token(path: &Path, token: &SecretToken) -> Result<(), ClientError> {
    let text = format!("{}\n", token.expose());
    write_private(path, text.as_bytes()).map_err(|source| ClientError::Write {
        path: path.into(),
        source,
    })
}
