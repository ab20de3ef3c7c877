//! What this crate's tests share: the plan of Tuscany, and a Spoke's node without a network.

use crate::{federation::open_node, projector::SpokeProjector};
use raccordo_ledger::{
    cosign::{Cosigner, cosigner_name},
    note::LedgerSigner,
};
use raccordo_model::{
    entry::{AccountId, Actor},
    node::{Federation, NodeId},
    plan_file::PlanFile,
    taxonomy::CodeLists,
    timestamp::Timestamp,
};
use raccordo_node::{
    Node, account,
    clock::ManualClock,
    identity::{keys::NodeSecrets, node_file::NodeFile},
    node::Identity,
    random::SeededRandom,
};
use raccordo_store::Db;
use std::{io::Write as _, path::Path, sync::Arc};

pub(crate) const TOSCANA: &str = include_str!("../../shared/model/data/toscana-2023.yaml");

pub(crate) fn toscana() -> PlanFile {
    PlanFile::parse_yaml(TOSCANA, "toscana-2023.yaml", CodeLists::builtin()).unwrap()
}

pub(crate) fn actor() -> Actor {
    Actor {
        account: AccountId([7; 16]),
        institution: "TOS".into(),
    }
}

fn federation() -> Federation {
    "prova".parse().unwrap()
}

/// The Hub's identity, for a test that writes the Hub's ledger by hand.
pub(crate) fn hub_signer() -> (LedgerSigner, Cosigner) {
    let origin = federation().origin(NodeId::Hub);
    (
        LedgerSigner::new(&origin, &[1; 32]),
        Cosigner::new(&cosigner_name(&origin), &[2; 32]),
    )
}

/// A Hub that only keeps a ledger.
pub(crate) async fn hub(folder: &Path, clock: Arc<ManualClock>) -> Node {
    let db = Db::open(&format!("sqlite:{}", folder.join("hub.db").display()))
        .await
        .unwrap();
    db.migrate(account::LOCAL).await.unwrap();
    let (signer, cosigner) = hub_signer();
    let origin = federation().origin(NodeId::Hub);
    let identity = Identity {
        node: NodeId::Hub,
        federation: federation(),
        test: true,
        origin,
        signer,
        cosigner,
    };
    // Its tables are of no interest here: a projector of a region that does not exist.
    let projector = Arc::new(SpokeProjector {
        me: "999".parse().unwrap(),
    });
    let random = Arc::new(SeededRandom::new(1));
    Node::open(db, identity, projector, clock.clone(), clock, random)
        .await
        .unwrap()
}

/// The Spoke of Tuscany over an empty database, with its keys in `folder`; its clocks are the one given.
pub(crate) async fn spoke(folder: &Path, db: Db, clock: Arc<ManualClock>) -> Arc<Node> {
    let secrets = NodeSecrets::open_or_create(&folder.join("spoke"), &SeededRandom::new(2)).unwrap();
    let node: NodeId = "090".parse().unwrap();
    let (signer, cosigner) = hub_signer();
    let file = NodeFile {
        origin: federation().origin(node),
        hub_origin: federation().origin(NodeId::Hub),
        federation: federation(),
        node,
        test: false,
        hub_ledger_key: signer.verifying_key(),
        hub_cosigner_key: cosigner.verifying_key(),
        root_key_fingerprint: [0; 32],
        api_address: "127.0.0.1:1".into(),
        exchange_address: "127.0.0.1:2".into(),
    };
    open_node(db, &file, &secrets, clock, Arc::new(SeededRandom::new(3)))
        .await
        .unwrap()
        .0
}

/// Empty databases: SQLite always, PostgreSQL where `RACCORDO_TEST_POSTGRES` names a server. Without
/// one this is said loudly, and fails with `RACCORDO_REQUIRE_POSTGRES`, as in `raccordo-tests`.
pub(crate) async fn engines(folder: &Path, test: &str) -> Vec<Db> {
    let mut engines = vec![
        Db::open(&format!("sqlite:{}", folder.join("spoke.db").display()))
            .await
            .unwrap(),
    ];
    match std::env::var("RACCORDO_TEST_POSTGRES") {
        Ok(server) => engines.push(postgres(&server, folder).await),
        Err(_) => {
            let required = std::env::var("RACCORDO_REQUIRE_POSTGRES").is_ok();
            assert!(!required, "{test}: RACCORDO_TEST_POSTGRES names no server");
            let _ = writeln!(std::io::stderr(), "SKIPPED on PostgreSQL: {test}");
        }
    }
    engines
}

async fn postgres(server: &str, folder: &Path) -> Db {
    let unique = folder.file_name().unwrap().to_str().unwrap().to_lowercase();
    let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
    let schema = format!("s_{unique}_{}", std::process::id());
    let admin = sqlx::PgPool::connect(server).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
        .execute(&admin)
        .await
        .unwrap();
    admin.close().await;
    let separator = if server.contains('?') { '&' } else { '?' };
    Db::open(&format!("{server}{separator}options[search_path]={schema}"))
        .await
        .unwrap()
}

pub(crate) fn at(text: &str) -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::parse(text).unwrap()))
}
