//! The projections of both nodes on both databases: every table is declared, every statement is
//! understood, and the same acts give the same tables, from the first day on or rebuilt.

#![allow(clippy::unwrap_used, reason = "in a test a failed `unwrap` is a failed test")]

use raccordo_hub::projector::HubProjector;
use raccordo_ledger::{
    cosign::{Cosigner, cosigner_name},
    note::LedgerSigner,
};
use raccordo_model::{
    digest::ManifestDigest,
    edition::{Edition, PlanOrigin, Versioned},
    entry::{AccountId, Actor, EntryRef},
    kit::{Kit, KitAdoption, KitDescriptor, KitPhase},
    node::{Federation, NodeId, RegionCode},
    operational_plan::PoVerdict,
    outcome::parse_csv,
    plan_file::PlanFile,
    report::{ReportHead, compute},
    scope::Scope,
    syllabus::Syllabus,
    taxonomy::CodeLists,
    timestamp::Timestamp,
};
use raccordo_node::{
    Node,
    clock::ManualClock,
    journal::{Draft, Payload},
    node::Identity,
    projection::{NODE_TABLES, Projector},
    random::SeededRandom,
    rebuild,
    verify::verify,
};
use raccordo_proto::{
    body::{Act, FederationCreated, KitPhaseReached, Observation},
    entry::leaf_from_entry,
    wire::Batch,
};
use raccordo_spoke::SpokeProjector;
use raccordo_store::{Db, checkpoints, dump, heads, keys::PublicKeys, migration::Migration};
use raccordo_tests::database::engines;
use std::{collections::BTreeSet, sync::Arc};

const TOSCANA: &str = include_str!("../../shared/model/data/toscana-2023.yaml");
const SYLLABI: &str = include_str!("../../shared/model/data/syllabi.yaml");
const KIT: &str =
    "id: KIT-PROVA\nversion: \"1.0.0\"\ntitle: { it: Kit }\nsyllabus: SYL-FSE-GEN\nsyllabus_version: 1.0.0\n";

fn region() -> RegionCode {
    "090".parse().unwrap()
}

fn spoke_id() -> NodeId {
    NodeId::Region(region())
}

fn projector(of: NodeId) -> (Arc<dyn Projector>, &'static [Migration]) {
    match of {
        NodeId::Hub => (Arc::new(HubProjector), raccordo_hub::projector::LOCAL),
        me => (Arc::new(SpokeProjector { me }), raccordo_spoke::plans::LOCAL),
    }
}

fn keys(of: NodeId) -> (LedgerSigner, Cosigner, PublicKeys) {
    let federation: Federation = "prova".parse().unwrap();
    let origin = federation.origin(of);
    let seed = if of == NodeId::Hub { 1 } else { 2 };
    let signer = LedgerSigner::new(&origin, &[seed; 32]);
    let cosigner = Cosigner::new(&cosigner_name(&origin), &[seed + 10; 32]);
    let public = PublicKeys {
        node: of,
        origin,
        from_size: 0,
        ledger_key: signer.verifying_key(),
        cosigner_key: cosigner.verifying_key(),
    };
    (signer, cosigner, public)
}

/// A node whose keys, clock and salts are the same in every run.
async fn node(db: &Db, of: NodeId) -> Node {
    let (projector, local) = projector(of);
    db.migrate(local).await.unwrap();
    let (signer, cosigner, public) = keys(of);
    let federation = "prova".parse().unwrap();
    let identity = Identity {
        node: of,
        federation,
        test: true,
        origin: public.origin,
        signer,
        cosigner,
    };
    let clock = Arc::new(ManualClock::new(
        Timestamp::parse("2023-12-04T08:00:00Z").unwrap(),
    ));
    let random = Arc::new(SeededRandom::new(7));
    Node::open(db.clone(), identity, projector, clock.clone(), clock, random)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_tables_that_exist_are_the_tables_that_are_declared() {
    for of in [NodeId::Hub, spoke_id()] {
        for engine in engines("declared tables").await {
            let node = node(&engine.db, of).await;
            let declared = rebuild::tables(&node);
            let names: BTreeSet<&str> = declared.iter().map(|t| t.name).collect();
            assert_eq!(names.len(), declared.len(), "{of}: a table is declared twice");
            let mut tx = engine.db.write().await.unwrap();
            let real = dump::projection_tables(&mut tx).await.unwrap();
            assert_eq!(
                real.iter().map(String::as_str).collect::<BTreeSet<_>>(),
                names,
                "{of}"
            );
            rebuild::refuse_undeclared(&mut tx, &declared).await.unwrap();
            for left_out in 0..declared.len() {
                let mut fewer = declared.clone();
                let name = fewer.remove(left_out).name;
                let error = rebuild::refuse_undeclared(&mut tx, &fewer)
                    .await
                    .unwrap_err()
                    .to_string();
                assert!(error.contains(name), "{of}: {name}: {error}");
            }
            for table in &declared {
                tx.prepare(table.dump).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn every_statement_is_understood_by_both_databases() {
    let own = [
        (NodeId::Hub, raccordo_hub::statements::ALL.to_vec()),
        (spoke_id(), raccordo_spoke::statements::all()),
    ];
    for (of, statements) in own {
        for engine in engines("statements of the nodes").await {
            node(&engine.db, of).await;
            assert!(statements.len() > 20, "{of}: {} statements", statements.len());
            for sql in raccordo_node::statements::all()
                .into_iter()
                .chain(statements.iter().copied())
            {
                // One transaction each: PostgreSQL refuses everything after an error.
                let mut tx = engine.db.write().await.unwrap();
                if let Err(error) = tx.prepare(sql).await {
                    panic!("{of} on {}: {sql}: {error}", engine.db.engine());
                }
            }
        }
    }
}

#[tokio::test]
async fn the_same_acts_give_the_same_tables_on_both_databases() {
    let (hubs, spokes) = (engines("same acts, Hub").await, engines("same acts, Spoke").await);
    let mut digests = BTreeSet::new();
    for (at_hub, at_spoke) in hubs.iter().zip(&spokes) {
        let (hub, spoke) = (
            node(&at_hub.db, NodeId::Hub).await,
            node(&at_spoke.db, spoke_id()).await,
        );
        hub.follow(&keys(spoke_id()).2).await.unwrap();
        spoke.follow(&keys(NodeId::Hub).2).await.unwrap();
        a_federation_s_life(&hub, &spoke).await;
        let mut both = Vec::new();
        for node in [&hub, &spoke] {
            nothing_is_empty(node).await;
            let now = rebuild::digest(node).await.unwrap();
            assert_eq!(verify(node).await.unwrap().damage, []);
            let rebuilt = rebuild::rebuild(node).await.unwrap();
            assert_eq!((&rebuilt.before, &rebuilt.after), (&now, &now), "{}", node.me());
            both.push(now);
        }
        digests.insert(both);
    }
    assert_eq!(digests.len(), 1, "the databases differ: {digests:?}");
}

/// Every table has rows: a digest of empty tables would show nothing.
async fn nothing_is_empty(node: &Node) {
    for table in rebuild::tables(node) {
        let mut tx = node.db.read().await.unwrap();
        let mut rows = 0;
        dump::each_row(&mut tx, &table, |_| rows += 1).await.unwrap();
        // Only the Hub is told something here that it refuses.
        let may_be_empty = NODE_TABLES.iter().any(|t| t.name == table.name) && node.me() != NodeId::Hub;
        assert!(rows > 0 || may_be_empty, "{}: {} is empty", node.me(), table.name);
    }
}

async fn act(node: &Node, subject: &str, scope: Scope, act: Act) -> EntryRef {
    let actor = |n, institution: &str| Actor {
        account: AccountId([n; 16]),
        institution: institution.into(),
    };
    let mut acting = node.act().await.unwrap();
    let mut draft = Draft::new(
        act,
        subject.parse().unwrap(),
        scope,
        vec![actor(7, "MDS"), actor(8, "DTD")],
    );
    if let Payload::Act(Act::KitPublished(kit)) = &draft.payload {
        draft.content = vec![kit.manifest];
    }
    let entry = acting.append(draft).await.unwrap();
    acting.commit().await.unwrap();
    entry
}

/// Hands over what `to` lacks of `from`'s ledger, as a session does.
async fn carry(from: &Node, to: &Node) {
    let mut tx = to.db.read().await.unwrap();
    let held = heads::get(&mut tx, from.me()).await.unwrap().unwrap().size;
    drop(tx);
    let size = *from.watch_growth().borrow();
    let mut leaves = Vec::new();
    for entry in from.entries(from.me(), held, size).await.unwrap() {
        leaves.push(leaf_from_entry(&entry, entry.header.scope.admits(to.me())));
    }
    let mut tx = from.db.read().await.unwrap();
    let checkpoint = checkpoints::get(&mut tx, from.me(), size).await.unwrap().unwrap();
    to.receive(Batch {
        node: from.me().to_string(),
        first: held,
        leaves,
        checkpoint,
    })
    .await
    .unwrap();
}

/// One act of every kind that a table is made of, in the order of a real year.
async fn a_federation_s_life(hub: &Node, spoke: &Node) {
    let codes = CodeLists::builtin();
    let (ours, centre) = (Scope::region(region()), Scope::Centre);
    let plans = PlanFile::parse_yaml(TOSCANA, "toscana-2023.yaml", codes).unwrap();
    let (po, pe) = (plans.operational_plan.unwrap(), plans.executive_plan.unwrap());
    let kit: Versioned = "KIT-PROVA@1.0.0".parse().unwrap();

    let (_, _, public) = keys(NodeId::Hub);
    let created = FederationCreated {
        federation: "prova".parse().unwrap(),
        test: true,
        root_key: [9; 32],
        ledger_key: public.ledger_key,
        cosigner_key: public.cosigner_key,
        deciding_institutions: vec!["MDS".into(), "DTD".into()],
        report_due_days: 15,
    };
    act(
        hub,
        "federation/prova",
        Scope::Public,
        Act::FederationCreated(created),
    )
    .await;
    let (_, _, public) = keys(spoke_id());
    let enrolled = Act::RegionEnrolled {
        region: region(),
        origin: public.origin,
        ledger_key: public.ledger_key,
        cosigner_key: public.cosigner_key,
    };
    act(hub, "region/090", Scope::Public, enrolled).await;
    act(
        hub,
        "code-lists/1",
        Scope::Public,
        Act::CodeListsPublished(codes.clone()),
    )
    .await;
    for syllabus in Syllabus::parse_yaml(SYLLABI, "syllabi.yaml", codes).unwrap() {
        act(
            hub,
            "syllabus/SYL",
            Scope::Public,
            Act::SyllabusPublished(syllabus),
        )
        .await;
    }
    let descriptor = KitDescriptor::parse_yaml(KIT, "kit.yaml").unwrap();
    let published = Kit {
        descriptor,
        manifest: ManifestDigest([5; 32]),
        files: 3,
        bytes: 1_000,
    };
    act(hub, "kit/KIT-PROVA", Scope::Public, Act::KitPublished(published)).await;
    carry(hub, spoke).await;

    let opened = Act::RegionOpened {
        region: region(),
        federation: "prova".parse().unwrap(),
        test: true,
    };
    act(spoke, "region/090", ours.clone(), opened).await;
    let phase = |phase| KitPhaseReached {
        kit: kit.clone(),
        phase,
        reached_at: Timestamp(1_700_000_000_000_000),
    };
    let phases = vec![phase(KitPhase::Applied), phase(KitPhase::Serving)];
    act(spoke, "kit-phases/090", ours.clone(), Act::KitPhases(phases)).await;
    let adopted = Act::KitAdoption {
        kit: kit.clone(),
        state: KitAdoption::Adopted,
        reason: String::new(),
    };
    act(spoke, "kit/KIT-PROVA", ours.clone(), adopted).await;
    let submission = act(spoke, "po/090", ours.clone(), Act::PoSubmitted(po)).await;
    carry(spoke, hub).await;

    let decision = Act::PoDecision {
        submission,
        verdict: PoVerdict::Approved,
        reasons: "completo".into(),
    };
    act(hub, "po/090", ours.clone(), decision).await;
    carry(hub, spoke).await;
    let shared = act(spoke, "pe/090/2023", ours.clone(), Act::PeShared(pe.clone())).await;
    carry(spoke, hub).await;
    let observation = Observation {
        intervention: None,
        text: "Indicare i destinatari".into(),
    };
    let observed = Act::PeObservation {
        submission: shared,
        observations: vec![observation],
    };
    act(hub, "pe/090/2023", ours.clone(), observed).await;

    let head = ReportHead {
        region: region(),
        period: "2023-11".parse().unwrap(),
        revision: 1,
        pe_year: 2023,
        pe_version: pe.version,
        code_lists: codes.version(),
        reason: String::new(),
    };
    let intervention = &pe.interventions[1];
    let day = intervention.start.unwrap();
    let edition = Edition {
        id: "ED-1".parse().unwrap(),
        intervention: intervention.id.clone(),
        kit: None,
        syllabus: None,
        instrument: intervention.instrument.clone(),
        area: intervention.area.clone(),
        objective: intervention.objective.clone(),
        level: intervention.level.clone(),
        origin: PlanOrigin::FromPo,
        package: None,
        minutes: 180,
        start: day,
        end: day,
        ecm: false,
        test: false,
    };
    let rows: String = (0..9)
        .map(|n| format!("L-{n},ED-1,C1.01,{day},{day},{day},,\n"))
        .collect();
    let csv = format!("learner,edition,profession,enrolled,started,completed,passed,ecm_credited\n{rows}");
    let outcomes = parse_csv(csv.as_bytes(), "novembre.csv").unwrap();
    let report = compute(head, codes, &[edition], &outcomes);
    let submission = act(
        spoke,
        "report/090/2023-11",
        ours.clone(),
        Act::ReportSubmitted(report),
    )
    .await;
    // An act of the centre in a region's ledger: the Hub holds it, and what follows on its subject.
    let stolen = Act::KitWithdrawn {
        kit: kit.clone(),
        reason: "non tocca alla regione".into(),
    };
    act(spoke, "kit/KIT-RUBATO", centre.clone(), stolen).await;
    carry(spoke, hub).await;
    let accepted = Act::ReportVerdict {
        submission,
        accepted: true,
        reasons: String::new(),
    };
    act(hub, "report/090/2023-11", ours, accepted).await;
    let withdrawn = Act::KitWithdrawn {
        kit,
        reason: "un errore".into(),
    };
    act(hub, "kit/KIT-PROVA", Scope::Public, withdrawn).await;
    carry(hub, spoke).await;
}
