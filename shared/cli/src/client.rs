//! Where a node's API is, and a channel to it: TLS against the federation's CA, a bearer token.

use crate::config::{self, ConfigError, Origin, Resolved, Setting, Settings};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint, Uri},
};

/// Largest message that a client takes, in bytes; also tonic's own default.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// The file in a node's data folder that says how to reach its API.
pub const CONTEXT_FILE: &str = "client.toml";
/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 4_096;

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

/// Writes a token to a file that only its owner can read, replacing it in one step.
pub fn write_token(path: &Path, token: &SecretToken) -> Result<(), ClientError> {
    let text = format!("{}\n", token.expose());
    write_private(path, text.as_bytes()).map_err(|source| ClientError::Write {
        path: path.into(),
        source,
    })
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

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
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
