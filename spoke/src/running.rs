//! A running Spoke whose Hub is away: everything but the exchange works, by its API over TLS.

use crate::{
    config::Config,
    federation::{Spoke, first_administrator, open_ledger},
    serve::serve,
    testing::TOSCANA,
};
use raccordo_cli::{
    client::{NodeChannel, SecretToken, connect, node_context},
    exit::Exit,
};
use raccordo_model::node::{Federation, NodeId};
use raccordo_node::{
    clock::{Clock, SystemClock},
    identity::{ca::Ca, files, keys::NodeSecrets, node_file::NodeFile, tls::write_certificate},
    random::OsRandom,
    shutdown::Shutdown,
};
use raccordo_proto::wire::{
    self, node_service_client::NodeServiceClient,
    spoke_administration_service_client::SpokeAdministrationServiceClient,
};
use std::{collections::BTreeMap, path::Path};
use tokio::sync::oneshot;
use tonic::Code;

/// A folder as `join` leaves it, with a CA of its own.
async fn folder(data: &Path) -> Spoke {
    let federation: Federation = "prova".parse().unwrap();
    let node: NodeId = "090".parse().unwrap();
    let now = SystemClock.now();
    for part in ["tls", "hub"] {
        files::folder(&data.join(part)).unwrap();
    }
    let ca = Ca::create(&data.join("hub"), &federation, now, &OsRandom).unwrap();
    let secrets = NodeSecrets::create(data, &OsRandom).unwrap();
    let request = secrets.certificate_request().unwrap();
    let issued = ca.issue(&request, node, &[], now, 3_600, &OsRandom).unwrap();
    write_certificate(&data.join("tls/ca.pem"), ca.der()).unwrap();
    write_certificate(&data.join("tls/node.pem"), &issued.der).unwrap();
    let file = NodeFile {
        origin: federation.origin(node),
        hub_origin: federation.origin(NodeId::Hub),
        federation,
        node,
        test: true,
        hub_ledger_key: crate::testing::hub_signer().0.verifying_key(),
        hub_cosigner_key: crate::testing::hub_signer().1.verifying_key(),
        root_key_fingerprint: [0; 32],
        // Nobody listens there.
        api_address: "127.0.0.1:1".into(),
        exchange_address: "127.0.0.1:1".into(),
    };
    file.write(data).unwrap();
    let spoke = Spoke::open(data, Config::load(data, &BTreeMap::new()).unwrap())
        .await
        .unwrap();
    let actor = first_administrator(&spoke).await.unwrap();
    open_ledger(&spoke.node, actor.clone()).await.unwrap();
    open_ledger(&spoke.node, actor).await.unwrap();
    spoke
}

struct Running {
    channel: NodeChannel,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    data: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let spoke = folder(data.path()).await;
        let shutdown = Shutdown::new();
        let (tell, told) = oneshot::channel();
        let task = tokio::spawn(serve(spoke, shutdown.clone(), move |listening| {
            tell.send(listening.clone()).unwrap()
        }));
        told.await.unwrap();
        let channel = connect(&node_context(data.path()).unwrap()).await.unwrap();
        Self {
            channel,
            shutdown,
            task,
            data,
        }
    }

    fn spoke(&self) -> SpokeAdministrationServiceClient<NodeChannel> {
        SpokeAdministrationServiceClient::new(self.channel.clone())
    }

    fn node(&self) -> NodeServiceClient<NodeChannel> {
        NodeServiceClient::new(self.channel.clone())
    }

    /// A client of a person with one role.
    async fn person(&self, role: &str) -> SpokeAdministrationServiceClient<NodeChannel> {
        let account = wire::AddAccountRequest {
            name: role.to_owned(),
            institution: "TOS".into(),
            roles: vec![role.to_owned()],
        };
        let account = self
            .node()
            .add_account(account)
            .await
            .unwrap()
            .into_inner()
            .account;
        let grant = wire::IssueTokenRequest {
            account,
            valid_days: 1,
            ..Default::default()
        };
        let secret = self.node().issue_token(grant).await.unwrap().into_inner().secret;
        let mut target = node_context(self.data.path()).unwrap();
        target.token = SecretToken::parse(&secret).unwrap();
        SpokeAdministrationServiceClient::new(connect(&target).await.unwrap())
    }

    async fn stop(self) -> tempfile::TempDir {
        self.shutdown.start();
        self.task.await.unwrap().unwrap();
        self.data
    }
}

fn code<T>(answer: Result<T, tonic::Status>) -> Code {
    answer.err().map_or(Code::Ok, |status| status.code())
}

#[tokio::test]
async fn a_region_works_while_the_hub_is_away() {
    let running = Running::start().await;
    let who = running
        .node()
        .who_am_i(wire::WhoAmIRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (who.node.as_str(), who.institution.as_str(), who.test),
        ("090", "TOS", true)
    );
    let clock = wire::SetClockRequest {
        instant: "2023-09-01T08:00:00Z".into(),
    };
    running.node().set_clock(clock).await.unwrap();

    // Nobody else works on the folder meanwhile.
    let folder = running.data.path();
    let second = Spoke::open(folder, Config::load(folder, &BTreeMap::new()).unwrap())
        .await
        .unwrap();
    assert!(second.lock().is_err());

    let mut spoke = running.spoke();
    let yaml = TOSCANA.to_owned();
    let import = wire::ImportOperationalPlanRequest {
        file_name: "t.yaml".into(),
        yaml: yaml.clone(),
    };
    assert_eq!(
        spoke
            .import_operational_plan(import)
            .await
            .unwrap()
            .into_inner()
            .version,
        1
    );
    let submit = wire::SubmitOperationalPlanRequest::default();
    let receipt = spoke.submit_operational_plan(submit).await.unwrap().into_inner();
    assert_eq!((receipt.ledger_size, receipt.repeated), (2, false));
    let status = running
        .node()
        .sync_status(wire::SyncStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    let own = status.ledgers.iter().find(|l| l.node == "090").unwrap();
    assert_eq!(
        (own.size, own.applied, own.cosigned, own.connected),
        (2, 2, 0, false)
    );

    let import = wire::ImportExecutivePlanRequest {
        file_name: "t.yaml".into(),
        yaml,
    };
    spoke.import_executive_plan(import).await.unwrap();
    let refused = spoke
        .share_executive_plan(wire::ShareExecutivePlanRequest::default())
        .await
        .unwrap_err();
    assert_eq!(Exit::of_status(&refused), Exit::Conflict);
    let _folder = running.stop().await;
    assert!(second.lock().is_ok());
}

#[tokio::test]
async fn bad_input_gets_a_clear_error_and_changes_nothing() {
    let running = Running::start().await;
    let mut spoke = running.spoke();
    let yaml = TOSCANA.replace("level: TRAINERS", "level: BOSSES");
    let import = wire::ImportOperationalPlanRequest {
        file_name: "p.yaml".into(),
        yaml,
    };
    let refused = spoke.import_operational_plan(import).await.unwrap_err();
    let text = refused.message();
    assert!(
        text.contains("p.yaml:") && text.contains("BOSSES") && text.contains("level"),
        "{text}"
    );
    assert_eq!(refused.code(), Code::InvalidArgument);
    let huge = wire::ImportOperationalPlanRequest {
        file_name: "p.yaml".into(),
        yaml: "x".repeat(2 << 20),
    };
    assert_ne!(code(spoke.import_operational_plan(huge).await), Code::Ok);

    let piece = |data: Vec<u8>| wire::ImportOutcomesRequest {
        file_name: "e.csv".into(),
        data,
        ..Default::default()
    };
    let wrong = b"learner;edition\n".to_vec();
    let answer = spoke
        .import_outcomes(tokio_stream::iter([piece(wrong)]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.errors_total, answer.accepted), (1, 0));
    let too_long = piece(vec![0; crate::grpc::PIECE_BYTES_MAX + 1]);
    assert_eq!(
        code(spoke.import_outcomes(tokio_stream::iter([too_long])).await),
        Code::ResourceExhausted
    );
    let month = wire::CloseReportRequest {
        period: "2023-13".into(),
        reason: String::new(),
    };
    assert_eq!(code(spoke.close_report(month).await), Code::InvalidArgument);
    let kit = wire::AdoptKitRequest {
        kit: "KIT-A".into(),
        version: "1.0.0".into(),
        ..Default::default()
    };
    assert_eq!(code(spoke.adopt_kit(kit).await), Code::NotFound);
    let relative = wire::ExportKitRequest {
        kit: "KIT-A".into(),
        version: "1.0.0".into(),
        directory: "x".into(),
    };
    assert_eq!(code(spoke.export_kit(relative).await), Code::InvalidArgument);

    let sheet = b"id,intervention,start,end,kit,test\nE1,NOWHERE,2023-10-02,,,\n".to_vec();
    let editions = wire::ImportEditionsRequest {
        file_name: "ed.csv".into(),
        csv: sheet,
    };
    let answer = spoke.import_editions(editions).await.unwrap().into_inner();
    assert_eq!(
        answer.errors.unwrap().rows[0].cells[..3],
        ["ed.csv", "2", "start"].map(String::from)
    );
    assert!(
        spoke
            .list_editions(wire::ListEditionsRequest { year: 0 })
            .await
            .unwrap()
            .into_inner()
            .rows
            .is_empty()
    );
    running.stop().await;
}

#[tokio::test]
async fn each_act_needs_its_role() {
    let running = Running::start().await;
    let mut planner = running.person("planner").await;
    let mut recorder = running.person("recorder").await;
    let mut manager = running.person("manager").await;
    let submit = wire::SubmitOperationalPlanRequest::default;
    let import = || wire::ImportOperationalPlanRequest {
        file_name: "t.yaml".into(),
        yaml: TOSCANA.into(),
    };
    let outcomes = || tokio_stream::iter([wire::ImportOutcomesRequest::default()]);
    let close = || wire::CloseReportRequest {
        period: "2023-10".into(),
        reason: String::new(),
    };

    assert_eq!(
        code(recorder.import_operational_plan(import()).await),
        Code::PermissionDenied
    );
    assert_eq!(code(planner.import_operational_plan(import()).await), Code::Ok);
    assert_eq!(
        code(planner.submit_operational_plan(submit()).await),
        Code::PermissionDenied
    );
    assert_eq!(code(manager.submit_operational_plan(submit()).await), Code::Ok);
    assert_eq!(
        code(planner.import_outcomes(outcomes()).await),
        Code::PermissionDenied
    );
    assert_eq!(code(recorder.import_outcomes(outcomes()).await), Code::Ok);
    assert_eq!(code(recorder.close_report(close()).await), Code::PermissionDenied);
    // Without a shared plan there is nothing to report.
    assert_eq!(
        code(manager.close_report(close()).await),
        Code::FailedPrecondition
    );
    for client in [&mut planner, &mut recorder, &mut manager] {
        assert_eq!(
            code(client.list_catalogue(wire::ListCatalogueRequest {}).await),
            Code::Ok
        );
    }
    let nobody = wire::AddAccountRequest {
        name: "X".into(),
        institution: "TOS".into(),
        roles: vec!["publisher".into()],
    };
    assert_eq!(
        code(running.node().add_account(nobody).await),
        Code::InvalidArgument
    );
    running.stop().await;
}
