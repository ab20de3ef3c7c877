//! Joining a federation, and opening the data folder of a region that has.
//!
//! `join` may be repeated after a crash at any point: keys are kept, the Hub answers the same keys
//! again, and `client.toml`, written last, says that the folder is whole.

use crate::{
    adoption::scope,
    config::{CONFIG_FILE, Config, file},
    plans,
    projector::SpokeProjector,
    records,
};
use raccordo_cli::client::{CONTEXT_FILE, Context, write_context};
use raccordo_content::Installation;
use raccordo_ledger::{
    cosign::{Cosigner, cosigner_name},
    note::LedgerSigner,
};
use raccordo_model::{entry::Actor, node::NodeId, timestamp::Timestamp};
use raccordo_node::{
    Node, NodeError,
    account::{self, NodeKind, TokenGrant, token::TOKEN_DAYS_MAX},
    channel::{Dialer, ProxyDialer, TcpDialer},
    clock::{BusinessClock, Clock, SystemClock},
    identity::{
        IdentityError, bundle::Bundle, ca::node_name, files, join::join as enrol, keys::NodeSecrets,
        node_file::NodeFile, tls::NodeTls,
    },
    journal::Draft,
    lock::{LockError, lock},
    node::Identity,
    random::{OsRandom, Random},
    status::Refusal,
};
use raccordo_proto::body::Act;
use raccordo_store::{Db, StoreError, heads, keys::PublicKeys};
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::Notify;

/// Where the business clock of a test federation begins at a Spoke: before anything that it plays.
const TEST_CLOCK_START: &str = "2023-01-01T00:00:00Z";
/// The first administrator's token.
pub const TOKEN_FILE: &str = "admin.token";

/// Why a data folder was not made or opened.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Keys, certificates, joining.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The node itself.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Files of content.
    #[error("the content folder cannot be used: {0}")]
    Content(#[from] raccordo_content::InstallError),
    /// The settings.
    #[error(transparent)]
    Config(#[from] raccordo_cli::config::ConfigError),
    /// The file for the commands.
    #[error(transparent)]
    Client(#[from] raccordo_cli::client::ClientError),
    /// Another process has the folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The folder is of another node.
    #[error("{0}")]
    Other(String),
}

impl From<StoreError> for FolderError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

impl From<Refusal> for FolderError {
    fn from(refusal: Refusal) -> Self {
        Self::Node(refusal.into())
    }
}

/// An open data folder of a region.
pub struct Spoke {
    /// The folder.
    pub data: PathBuf,
    /// Its settings.
    pub config: Config,
    /// What the node knows of itself and of the Hub.
    pub file: NodeFile,
    /// Ledgers, database, projections.
    pub node: Arc<Node>,
    /// The business clock of a test federation.
    pub business: Option<Arc<BusinessClock>>,
    /// The keys.
    pub secrets: Arc<NodeSecrets>,
    /// Certificate and CA.
    pub tls: NodeTls,
    /// Content that is here.
    pub content: Installation,
    /// Tells the content worker of local changes.
    pub nudge: Arc<Notify>,
}

impl Spoke {
    /// Opens the folder of a region that has joined.
    pub async fn open(data: &Path, config: Config) -> Result<Self, FolderError> {
        let file = NodeFile::read(data)?;
        if file.node == NodeId::Hub {
            let text = format!(
                "{} is the folder of a Hub, not of a region: use raccordo-hub",
                data.display()
            );
            return Err(FolderError::Other(text));
        }
        let secrets = Arc::new(NodeSecrets::open(data)?);
        let tls = NodeTls::open(data, &secrets)?;
        let db = Db::open(&config.store).await?;
        let system: Arc<dyn Clock> = Arc::new(SystemClock);
        let (node, business) = open_node(db, &file, &secrets, system, Arc::new(OsRandom)).await?;
        Ok(Self {
            content: Installation::open(&crate::content::root(data))?,
            data: data.to_path_buf(),
            config,
            file,
            node,
            business,
            secrets,
            tls,
            nudge: Arc::new(Notify::new()),
        })
    }

    /// Makes this process the only one that works on the folder (see [`raccordo_node::lock`]).
    pub fn lock(&self) -> Result<File, FolderError> {
        Ok(lock(&self.data)?)
    }

    /// How the Hub is reached.
    pub fn dialer(&self) -> Arc<dyn Dialer> {
        dialer(&self.config)
    }

    /// `host:port` of the Hub's exchange.
    pub fn exchange_address(&self) -> &str {
        self.config
            .exchange_address
            .as_deref()
            .unwrap_or(&self.file.exchange_address)
    }

    /// Says in `client.toml` how the commands of this folder reach the API.
    pub fn write_client(&self, address: &str) -> Result<(), FolderError> {
        let context = Context {
            address: address.to_owned(),
            server_name: node_name(self.file.node),
            ca: "tls/ca.pem".into(),
            token_file: TOKEN_FILE.into(),
        };
        Ok(write_context(&self.data, &context)?)
    }
}

fn dialer(config: &Config) -> Arc<dyn Dialer> {
    match &config.proxy {
        Some(proxy) => Arc::new(ProxyDialer { proxy: proxy.clone() }),
        None => Arc::new(TcpDialer),
    }
}

/// The node over a database, following the Hub's ledger with the keys that joining brought.
pub(crate) async fn open_node(
    db: Db,
    file: &NodeFile,
    secrets: &NodeSecrets,
    system: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<(Arc<Node>, Option<Arc<BusinessClock>>), NodeError> {
    db.migrate(account::LOCAL).await?;
    db.migrate(plans::LOCAL).await?;
    let business = if file.test {
        Some(business_clock(&db, system.clone()).await?)
    } else {
        None
    };
    let clock: Arc<dyn Clock> = match &business {
        Some(clock) => clock.clone(),
        None => system.clone(),
    };
    let identity = Identity {
        node: file.node,
        federation: file.federation.clone(),
        test: file.test,
        origin: file.origin.clone(),
        signer: LedgerSigner::new(&file.origin, secrets.ledger_seed()),
        cosigner: Cosigner::new(&cosigner_name(&file.origin), secrets.cosigner_seed()),
    };
    let projector = Arc::new(SpokeProjector { me: file.node });
    let node = Node::open(db, identity, projector, clock, system, random).await?;
    node.follow(&PublicKeys {
        node: NodeId::Hub,
        origin: file.hub_origin.clone(),
        from_size: 0,
        ledger_key: file.hub_ledger_key,
        cosigner_key: file.hub_cosigner_key,
    })
    .await?;
    Ok((Arc::new(node), business))
}

async fn business_clock(db: &Db, system: Arc<dyn Clock>) -> Result<Arc<BusinessClock>, StoreError> {
    if let Some(clock) = BusinessClock::load(db, system.clone()).await? {
        return Ok(Arc::new(clock));
    }
    let start = Timestamp::parse(TEST_CLOCK_START).unwrap_or(Timestamp(0));
    let clock = BusinessClock::starting_at(system, start);
    let mut tx = db.write().await?;
    clock.save(&mut tx).await?;
    tx.commit().await?;
    Ok(Arc::new(clock))
}

/// What joining left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The region.
    pub node: NodeId,
    /// The federation.
    pub federation: String,
    /// Whether it is a test federation.
    pub test: bool,
    /// The first administrator's token.
    pub token_file: PathBuf,
}

/// Joins the region of a bundle to its federation and makes `data` its folder; `values` are kept in
/// `spoke.toml`.
pub async fn join(
    bundle: &Path,
    data: &Path,
    values: &BTreeMap<&str, String>,
) -> Result<Joined, FolderError> {
    if data.join(CONTEXT_FILE).exists() {
        return Err(IdentityError::Exists(data.join(CONTEXT_FILE)).into());
    }
    let mut bundle = Bundle::read(bundle)?;
    files::folder(data)?;
    files::write(&data.join(CONFIG_FILE), file(values).as_bytes(), files::SECRET)?;
    let config = Config::load(data, &BTreeMap::new())?;
    if let Some(address) = &config.hub_api_address {
        bundle.api_address = address.clone();
    }
    if NodeFile::path(data).exists() {
        // An earlier attempt was enrolled and did not come to its end.
        let found = NodeFile::read(data)?;
        if found.node != NodeId::Region(bundle.region) {
            let text = format!(
                "{} is the folder of {}, the bundle is for {}",
                data.display(),
                found.node,
                bundle.region
            );
            return Err(FolderError::Other(text));
        }
    } else {
        enrol(&bundle, data, dialer(&config), &OsRandom, &SystemClock).await?;
    }
    let spoke = Spoke::open(data, config).await?;
    let actor = first_administrator(&spoke).await?;
    open_ledger(&spoke.node, actor).await?;
    spoke.write_client(&spoke.config.api_address)?;
    spoke.node.db.close().await;
    Ok(Joined {
        node: spoke.file.node,
        federation: spoke.file.federation.to_string(),
        test: spoke.file.test,
        token_file: data.join(TOKEN_FILE),
    })
}

/// The first administrator, with every role of a Spoke, and the token that the commands use.
pub(crate) async fn first_administrator(spoke: &Spoke) -> Result<Actor, FolderError> {
    let node = &spoke.node;
    let mut tx = node.db.write().await?;
    let account = match account::list(&mut tx).await?.into_iter().next() {
        Some(account) => account,
        None => {
            let roles = ["administrator", "planner", "recorder", "manager"].map(String::from);
            let institution = records::institution(node.me());
            let random = node.random.as_ref();
            let account =
                account::new_account(NodeKind::Spoke, "Amministratore", &institution, &roles, random)?;
            account::insert(&mut tx, &account, node.system_clock.now()).await?;
            account
        }
    };
    let grant = TokenGrant {
        account: account.id,
        roles: vec![],
        areas: vec![],
        clusters: vec![],
        valid_days: TOKEN_DAYS_MAX,
    };
    let token = account::issue(&mut tx, &grant, node.system_clock.now(), node.random.as_ref()).await?;
    tx.commit().await?;
    // Dying here leaves a token that nobody knows; the next attempt makes another.
    files::write(
        &spoke.data.join(TOKEN_FILE),
        format!("{}\n", *token.secret).as_bytes(),
        files::SECRET,
    )?;
    Ok(Actor {
        account: account.id,
        institution: account.institution,
    })
}

/// Appends the first entry of a region's ledger, once.
pub async fn open_ledger(node: &Node, actor: Actor) -> Result<(), NodeError> {
    let Some(region) = node.me().region() else {
        return Ok(());
    };
    let mut act = node.act().await?;
    if heads::get(act.tx(), node.me())
        .await?
        .is_some_and(|head| head.size > 0)
    {
        return Ok(());
    }
    let body = Act::RegionOpened {
        region,
        federation: node.identity.federation.clone(),
        test: node.identity.test,
    };
    let subject = records::subject(format_args!("region/{region}"))?;
    act.append(Draft::new(body, subject, scope(node.me()), vec![actor]))
        .await?;
    act.commit().await?;
    Ok(())
}
