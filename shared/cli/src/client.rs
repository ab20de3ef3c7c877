//! Where a node's API is, and a channel to it: TLS against the federation's CA, a bearer token.

mod context;
mod error;
mod token;

pub use context::{CONTEXT_FILE, Context, node_context, write_context};
pub use error::ClientError;
pub use token::{Bearer, SecretToken, TOKEN_BYTES_MAX, write_token};

use crate::config::{self, ConfigError, Origin, Resolved, Setting, Settings};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Uri},
};

/// Largest message that a client takes, in bytes; also tonic's own default.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// The settings of every client; their variables begin with `RACCORDO`.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "address",
        Some("127.0.0.1:7444"),
        "indirizzo dell'API del nodo, host:porta",
    ),
    Setting::new(
        "server_name",
        Some("hub.raccordo"),
        "nome atteso nel certificato del nodo",
    ),
    Setting::new("ca", None, "certificato della CA della federazione, PEM"),
    Setting::new(
        "token_file",
        None,
        "file con il token, leggibile solo dal proprietario",
    ),
    Setting::secret("token", "token; solo dall'ambiente"),
];

/// A node's API and who calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `host:port` of the server-TLS port.
    pub address: String,
    /// The name in the node's certificate: `hub.raccordo`, `region-090.raccordo`.
    pub server_name: String,
    /// The federation's CA, PEM.
    pub ca_pem: PathBuf,
    /// The caller's token.
    pub token: SecretToken,
}

impl Target {
    /// The target that resolved [`SETTINGS`] describe.
    pub fn from_resolved(resolved: &Resolved) -> Result<Self, ClientError> {
        let missing = |key: &str| ConfigError::Missing { key: key.into() };
        Ok(Self {
            address: resolved.require("address")?.to_owned(),
            server_name: resolved.require("server_name")?.to_owned(),
            ca_pem: resolved.get_path("ca").ok_or_else(|| missing("ca"))?,
            token: token(resolved)?,
        })
    }
}

/// The stronger of `token` and `token_file`.
fn token(resolved: &Resolved) -> Result<SecretToken, ClientError> {
    let (token, file) = (resolved.get("token"), resolved.get_path("token_file"));
    match (
        token,
        resolved.origin("token"),
        file,
        resolved.origin("token_file"),
    ) {
        (Some(_), Origin::File(path), _, _) => Err(ClientError::TokenInConfig { path: path.clone() }),
        (Some(_), Origin::Environment(_), Some(_), Origin::Environment(_)) => Err(ClientError::TokenTwice),
        (_, _, Some(file), Origin::Flag) => SecretToken::read_file(&file),
        (Some(token), ..) => SecretToken::parse(token),
        (None, _, Some(file), _) => SecretToken::read_file(&file),
        (None, _, None, _) => Err(ClientError::NoToken),
    }
}

/// The options of every command that calls a node, to be flattened into a program's arguments.
/// Tokens are never given on the command line, where other users of the machine see them.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ClientArgs {
    /// Address of the node's API [env: RACCORDO_ADDRESS] [default: 127.0.0.1:7444]
    #[arg(long, value_name = "HOST:PORT", global = true)]
    pub server: Option<String>,
    /// Name expected in the node's certificate [env: RACCORDO_SERVER_NAME]
    #[arg(long, value_name = "NAME", global = true)]
    pub server_name: Option<String>,
    /// The federation's CA certificate, PEM [env: RACCORDO_CA]
    #[arg(long, value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,
    /// File with the token, mode 0600 [env: RACCORDO_TOKEN_FILE, or RACCORDO_TOKEN for the token itself]
    #[arg(long, value_name = "FILE", global = true)]
    pub token_file: Option<PathBuf>,
}

impl ClientArgs {
    /// These options over the environment over `file` (for example a node's [`CONTEXT_FILE`]; one
    /// that does not exist counts as empty) over the defaults.
    pub fn resolve(
        &self,
        env: impl Fn(&str) -> Option<String>,
        file: Option<&Path>,
    ) -> Result<Resolved, ClientError> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
        let flags: BTreeMap<&str, String> = [
            ("address", self.server.clone()),
            ("server_name", self.server_name.clone()),
            ("ca", path(&self.ca)),
            ("token_file", path(&self.token_file)),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| (key, value)))
        .collect();
        let text = file.map(config::read_file).transpose()?.flatten();
        let layer = file.zip(text.as_deref());
        Ok(settings().resolve(&flags, env, layer)?)
    }

    /// The node to call from a program that may have a data folder with a [`CONTEXT_FILE`].
    pub fn target(&self, data_dir: Option<&Path>) -> Result<Target, ClientError> {
        let file = data_dir.map(|dir| dir.join(CONTEXT_FILE));
        Target::from_resolved(&self.resolve(crate::color::environment, file.as_deref())?)
    }
}

/// The settings of every client.
pub fn settings() -> Settings {
    Settings::new("RACCORDO", SETTINGS.iter().copied())
}

/// What generated clients are made of: `StatusServiceClient::new(channel)`.
pub type NodeChannel = InterceptedService<Channel, Bearer>;

/// Connects to a node's API. TLS is checked before this returns; the token, by the first call.
pub async fn connect(target: &Target) -> Result<NodeChannel, ClientError> {
    let bearer = Bearer::new(&target.token)?;
    Ok(InterceptedService::new(
        connect_anonymously(target).await?,
        bearer,
    ))
}

async fn connect_anonymously(target: &Target) -> Result<Channel, ClientError> {
    let connector = TlsConnector::from(Arc::new(tls(&target.ca_pem)?));
    let name = ServerName::try_from(target.server_name.clone())
        .map_err(|_| ClientError::NotAServerName(target.server_name.clone()))?;
    let address = target.address.clone();
    let not_an_address = || ClientError::NotAnAddress(address.clone());
    if address
        .rsplit_once(':')
        .is_none_or(|(_, port)| port.parse::<u16>().is_err())
    {
        return Err(not_an_address());
    }
    // `http` with an `https` origin: tonic must not bring TLS of its own (stack.md, section 3).
    let origin: Uri = format!("https://{}", target.server_name)
        .parse()
        .map_err(|_| ClientError::NotAServerName(target.server_name.clone()))?;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| not_an_address())?
        .origin(origin)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .http2_adaptive_window(true);
    let dialled = address.clone();
    let dial = tower::service_fn(move |_: Uri| {
        let (connector, name, address) = (connector.clone(), name.clone(), dialled.clone());
        async move {
            let tcp = TcpStream::connect(&address).await?;
            tcp.set_nodelay(true)?;
            Ok::<_, io::Error>(TokioIo::new(connector.connect(name, tcp).await?))
        }
    });
    endpoint
        .connect_with_connector(dial)
        .await
        .map_err(|error| refusal(address, &error))
}

fn tls(ca_pem: &Path) -> Result<rustls::ClientConfig, ClientError> {
    let pem = fs::read(ca_pem).map_err(|source| ClientError::Read {
        path: ca_pem.into(),
        source,
    })?;
    let not_a_ca = || ClientError::NotACa { path: ca_pem.into() };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots
            .add(certificate.map_err(|_| not_a_ca())?)
            .map_err(|_| not_a_ca())?;
    }
    if roots.is_empty() {
        return Err(not_a_ca());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| not_a_ca())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// The last cause says most; a wrong certificate is another matter than silence.
fn refusal(address: String, error: &(dyn std::error::Error + 'static)) -> ClientError {
    let mut last = error;
    let mut untrusted = false;
    loop {
        untrusted |= matches!(
            last.downcast_ref::<rustls::Error>(),
            Some(rustls::Error::InvalidCertificate(_))
        );
        // An io::Error hides what it wraps from `source`.
        let inner = last
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|e| e as &(dyn std::error::Error + 'static));
        match inner.or_else(|| last.source()) {
            Some(next) => last = next,
            None => break,
        }
    }
    let reason = last.to_string();
    if untrusted {
        ClientError::Untrusted { address, reason }
    } else {
        ClientError::Unreachable { address, reason }
    }
}

#[cfg(test)]
mod tests;
