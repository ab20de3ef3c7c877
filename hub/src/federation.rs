//! The federation itself: `init` makes it, `federation.created` says its rules (`proj_federation`), and
//! a data folder opens as a [`Hub`].

use crate::{
    config::{CONFIG_FILE, Config, file},
    projector::{HubProjector, LOCAL},
    receipt::subject,
    regions,
};
use raccordo_cli::client::{CONTEXT_FILE, Context, write_context};
use raccordo_content::PackStore;
use raccordo_ledger::{
    cosign::{Cosigner, cosigner_name},
    note::LedgerSigner,
};
use raccordo_model::{
    entry::{Actor, Entry},
    node::{Federation, NodeId},
    scope::Scope,
    timestamp::Timestamp,
};
use raccordo_node::{
    Node, NodeError,
    account::{self, NodeKind, TokenGrant, token::TOKEN_DAYS_MAX},
    clock::{BusinessClock, Clock, SystemClock},
    identity::{
        IdentityError,
        ca::{Ca, NODE_VALIDITY_SECONDS, node_name},
        files,
        keys::{NodeSecrets, RootKey, fingerprint},
        node_file::NodeFile,
        renewal::HubRenewal,
        revocation::Revoked,
    },
    journal::Draft,
    lock::{LockError, lock},
    node::Identity,
    projection::ApplyError,
    random::{OsRandom, Random},
    session::peers::Peers,
    status::Refusal,
};
use raccordo_proto::body::{Act, FederationCreated};
use raccordo_store::{Db, StoreError, Tx};
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) const INSERT: &str =
    "INSERT INTO proj_federation (federation, test, root_key, institutions, due_days)
    VALUES ($1, $2, $3, $4, $5)";
pub(crate) const GET: &str = "SELECT institutions, due_days FROM proj_federation LIMIT 1";

/// Institutions whose people must decide on a PO together: Ministry of Health, and the Department for
/// Digital Transformation.
pub const DECIDING_INSTITUTIONS: [&str; 2] = ["MDS", "DTD"];
/// Days after the end of a month at which its report is due.
pub const REPORT_DUE_DAYS: u32 = 20;
/// The first administrator's token.
pub const TOKEN_FILE: &str = "admin.token";

/// Why a data folder was not made or opened.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Keys and certificates.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The node itself.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Chunks and manifests.
    #[error("the content store cannot be used: {0}")]
    Content(#[from] raccordo_content::PackError),
    /// The settings.
    #[error(transparent)]
    Config(#[from] raccordo_cli::config::ConfigError),
    /// The file for the commands.
    #[error(transparent)]
    Client(#[from] raccordo_cli::client::ClientError),
    /// Another process has the folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The folder is of another node, or something is not what it should be.
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

/// The rules of a federation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Institutions whose people must decide on a PO together.
    pub institutions: Vec<String>,
    /// Days after the end of a month at which its report is due.
    pub report_due_days: u32,
}

/// The rules in force.
pub async fn rules(tx: &mut Tx) -> Result<Rules, StoreError> {
    let row: Option<(String, i64)> = tx.query(GET).fetch_optional().await?;
    let (institutions, days) = row.ok_or(StoreError::Corrupt {
        table: "proj_federation",
        column: "federation",
        key: "the only row".into(),
    })?;
    Ok(Rules {
        institutions: institutions.split_whitespace().map(str::to_owned).collect(),
        report_due_days: u32::try_from(days).unwrap_or(REPORT_DUE_DAYS),
    })
}

/// Applies `federation.created`.
pub async fn apply(tx: &mut Tx, entry: &Entry, created: &FederationCreated) -> Result<(), ApplyError> {
    if entry.index != 0 {
        return Err(ApplyError::refused(
            "a federation is created by its first entry",
            "run `verify`",
        ));
    }
    tx.query(INSERT)
        .bind(created.federation.to_string())
        .bind(i64::from(created.test))
        .bind(created.root_key.to_vec())
        .bind(created.deciding_institutions.join(" "))
        .bind(i64::from(created.report_due_days))
        .execute()
        .await?;
    Ok(())
}

/// What a new federation is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub federation: Federation,
    /// Invented data and a business clock that begins here.
    pub test: Option<Timestamp>,
    /// Institution of the first administrator.
    pub institution: String,
    /// Settings that are kept in `hub.toml`.
    pub values: BTreeMap<&'static str, String>,
}

/// What `init` made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The offline root key, to be carried away.
    pub root_key: RootKey,
    /// The CA's certificate, SHA-256.
    pub ca_fingerprint: [u8; 32],
    /// The first administrator's token.
    pub token_file: PathBuf,
}

/// Makes a federation in an empty data folder: keys, CA, database, first entry, first administrator.
/// `client.toml`, written last, says that the folder is whole.
pub async fn init(data: &Path, plan: Plan) -> Result<Made, FolderError> {
    if data.join(CONTEXT_FILE).exists() {
        return Err(IdentityError::Exists(data.join(CONTEXT_FILE)).into());
    }
    let (random, system) = (OsRandom, SystemClock);
    files::folder(data)?;
    files::write(
        &data.join(CONFIG_FILE),
        file(&plan.values).as_bytes(),
        files::SECRET,
    )?;
    let config = Config::load(data, &BTreeMap::new())?;
    let root_key = RootKey::create(data, &random)?;
    let secrets = NodeSecrets::create(data, &random)?;
    let ca = Ca::create(data, &plan.federation, system.now(), &random)?;
    let origin = plan.federation.origin(NodeId::Hub);
    NodeFile {
        federation: plan.federation.clone(),
        node: NodeId::Hub,
        test: plan.test.is_some(),
        origin: origin.clone(),
        hub_origin: origin,
        hub_ledger_key: secrets.ledger_public(),
        hub_cosigner_key: secrets.cosigner_public(),
        root_key_fingerprint: fingerprint(&root_key.public),
        api_address: config
            .public_api_address
            .clone()
            .unwrap_or_else(|| config.api_address.clone()),
        exchange_address: config
            .public_exchange_address
            .clone()
            .unwrap_or_else(|| config.exchange_address.clone()),
    }
    .write(data)?;
    if let Some(start) = plan.test {
        let db = open_database(data, &config).await?;
        let mut tx = db.write().await?;
        BusinessClock::starting_at(Arc::new(system), start)
            .save(&mut tx)
            .await?;
        tx.commit().await?;
        db.close().await;
    }
    let hub = Hub::open(data, config).await?;
    create(&hub, &plan, root_key.public).await?;
    hub.write_client(&hub.config.api_address)?;
    hub.node.db.close().await;
    Ok(Made {
        root_key,
        ca_fingerprint: ca.fingerprint(),
        token_file: data.join(TOKEN_FILE),
    })
}

/// The first administrator and the first entry, in one transaction.
async fn create(hub: &Hub, plan: &Plan, root_key: [u8; 32]) -> Result<(), FolderError> {
    let node = &hub.node;
    let (now, random) = (node.system_clock.now(), node.random.as_ref());
    let roles = ["administrator".to_owned()];
    let person = account::new_account(NodeKind::Hub, "Amministratore", &plan.institution, &roles, random)?;
    let mut act = node.act().await?;
    account::insert(act.tx(), &person, now).await?;
    let grant = TokenGrant {
        account: person.id,
        roles: vec![],
        areas: vec![],
        clusters: vec![],
        valid_days: TOKEN_DAYS_MAX,
    };
    let token = account::issue(act.tx(), &grant, now, random).await?;
    let created = FederationCreated {
        federation: plan.federation.clone(),
        test: plan.test.is_some(),
        root_key,
        ledger_key: hub.secrets.ledger_public(),
        cosigner_key: hub.secrets.cosigner_public(),
        deciding_institutions: DECIDING_INSTITUTIONS.map(str::to_owned).to_vec(),
        report_due_days: REPORT_DUE_DAYS,
    };
    let about = subject(format!("federation/{}", plan.federation))?;
    let actor = Actor {
        account: person.id,
        institution: person.institution,
    };
    act.append(Draft::new(
        Act::FederationCreated(created),
        about,
        Scope::Public,
        vec![actor],
    ))
    .await?;
    act.commit().await?;
    // Dying here leaves a folder without client.toml, and so without a federation: `init` elsewhere.
    files::write(
        &hub.data.join(TOKEN_FILE),
        format!("{}\n", *token.secret).as_bytes(),
        files::SECRET,
    )?;
    Ok(())
}

/// An open data folder of a Hub.
pub struct Hub {
    /// The folder.
    pub data: PathBuf,
    /// Its settings.
    pub config: Config,
    /// What the node knows of itself.
    pub file: NodeFile,
    /// Ledgers, database, projections.
    pub node: Arc<Node>,
    /// The business clock of a test federation.
    pub business: Option<Arc<BusinessClock>>,
    /// The keys.
    pub secrets: Arc<NodeSecrets>,
    /// Issues certificates.
    pub ca: Arc<Ca>,
    /// Chunks and manifests.
    pub packs: PackStore,
    /// Who may no longer come in.
    pub revoked: Arc<Revoked>,
    /// Who is connected.
    pub peers: Arc<Peers>,
}

impl Hub {
    /// Makes this process the only one that works on the folder (see [`raccordo_node::lock`]).
    pub fn lock(&self) -> Result<File, FolderError> {
        Ok(lock(&self.data)?)
    }

    /// Opens a data folder that [`init`] made.
    pub async fn open(data: &Path, config: Config) -> Result<Self, FolderError> {
        let file = NodeFile::read(data)?;
        if file.node != NodeId::Hub {
            return Err(FolderError::Other(format!(
                "{} is the folder of region {}",
                data.display(),
                file.node
            )));
        }
        let secrets = Arc::new(NodeSecrets::open(data)?);
        let ca = Arc::new(Ca::open(data, &file.federation)?);
        let db = open_database(data, &config).await?;
        let system: Arc<dyn Clock> = Arc::new(SystemClock);
        let business = match file.test {
            true => BusinessClock::load(&db, system.clone()).await?.map(Arc::new),
            false => None,
        };
        let clock: Arc<dyn Clock> = match &business {
            Some(clock) => clock.clone(),
            None => system.clone(),
        };
        let random: Arc<dyn Random> = Arc::new(OsRandom);
        let node = Arc::new(open_node(db, &file, &secrets, clock, system, random).await?);
        let mut tx = node.db.read().await?;
        let gone = regions::revoked(&mut tx).await?;
        drop(tx);
        Ok(Self {
            packs: PackStore::local(&data.join("content")).await?,
            revoked: Arc::new(Revoked::new(gone.into_iter().map(NodeId::Region))),
            peers: Arc::new(Peers::default()),
            data: data.into(),
            config,
            file,
            node,
            business,
            secrets,
            ca,
        })
    }

    /// Writes `client.toml`: how this folder's commands reach the API.
    pub fn write_client(&self, api_address: &str) -> Result<(), FolderError> {
        Ok(write_context(
            &self.data,
            &Context {
                address: api_address.into(),
                server_name: node_name(NodeId::Hub),
                ca: "tls/ca.pem".into(),
                token_file: TOKEN_FILE.into(),
            },
        )?)
    }

    /// What issues and renews the Hub's own certificate.
    pub fn renewal(&self) -> HubRenewal {
        HubRenewal {
            data: self.data.clone(),
            federation: self.file.federation.clone(),
            ca: self.ca.clone(),
            secrets: self.secrets.clone(),
            hosts: self.config.hosts.clone(),
            validity_seconds: NODE_VALIDITY_SECONDS,
            system: self.node.system_clock.clone(),
            random: self.node.random.clone(),
        }
    }
}

async fn open_database(data: &Path, config: &Config) -> Result<Db, FolderError> {
    files::folder(data)?;
    let db = Db::open(&config.store).await?;
    db.migrate(account::LOCAL).await?;
    Ok(db)
}

/// Opens a Hub's node over a database.
pub async fn open_node(
    db: Db,
    file: &NodeFile,
    secrets: &NodeSecrets,
    clock: Arc<dyn Clock>,
    system: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Node, NodeError> {
    db.migrate(LOCAL).await?;
    let identity = Identity {
        node: NodeId::Hub,
        federation: file.federation.clone(),
        test: file.test,
        origin: file.origin.clone(),
        signer: LedgerSigner::new(&file.origin, secrets.ledger_seed()),
        cosigner: Cosigner::new(&cosigner_name(&file.origin), secrets.cosigner_seed()),
    };
    Node::open(db, identity, Arc::new(HubProjector), clock, system, random).await
}
