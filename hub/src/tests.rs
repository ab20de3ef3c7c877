//! A Hub and a region without a network: acts through the journals, entries carried over by hand.

use crate::{
    catalogue::{code_lists, syllabus},
    federation::{self, DECIDING_INSTITUTIONS, REPORT_DUE_DAYS},
    monitoring::report::{self, Verdict},
    plans::{pe, po, proposal},
    projector::{HubProjector, LOCAL, TABLES},
    receipt::{Receipt, reference},
    regions::{HubRegistry, INVITE},
    status::{Question, answer},
};
use raccordo_ledger::{
    cosign::{Cosigner, cosigner_name},
    note::LedgerSigner,
};
use raccordo_model::{
    code::Code,
    consolidate::{ConsolidatedRow, consolidate},
    edition::{Edition, PlanOrigin},
    entry::{AccountId, Actor},
    measure::Measure,
    node::{Federation, NodeId, RegionCode},
    operational_plan::PoVerdict,
    outcome::OutcomeRow,
    plan_file::PlanFile,
    report::{Report, ReportHead, compute, protect_small_groups},
    scope::Scope,
    syllabus::Syllabus,
    taxonomy::CodeLists,
    timestamp::Timestamp,
};
use raccordo_node::{
    Node, NodeError, account,
    clock::{Clock, ManualClock},
    identity::{
        bundle::token_hash,
        enrolment::{Joining, Registry as _},
    },
    journal::Draft,
    node::Identity,
    projection,
    random::SeededRandom,
    rebuild,
    status::RefusalKind,
};
use raccordo_proto::{
    body::{Act, FederationCreated, Observation},
    entry::leaf_from_entry,
    wire,
};
use raccordo_store::{Db, checkpoints, dump};
use std::{path::Path, sync::Arc};

const TOSCANA: &str = include_str!("../../shared/model/data/toscana-2023.yaml");
const SYLLABI: &str = include_str!("../../shared/model/data/syllabi.yaml");

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn region() -> RegionCode {
    "090".parse().unwrap()
}

fn person(number: u8, institution: &str) -> Actor {
    Actor {
        account: AccountId([number; 16]),
        institution: institution.into(),
    }
}

fn toscana() -> PlanFile {
    PlanFile::parse_yaml(TOSCANA, "toscana-2023.yaml", CodeLists::builtin()).unwrap()
}

async fn open(folder: &Path, node: NodeId, clock: Arc<ManualClock>) -> Arc<Node> {
    let db = Db::open(&format!("sqlite:{}", folder.join(format!("{node}.db")).display()))
        .await
        .unwrap();
    db.migrate(account::LOCAL).await.unwrap();
    db.migrate(LOCAL).await.unwrap();
    let federation: Federation = "prova".parse().unwrap();
    let origin = federation.origin(node);
    let seed = if node == NodeId::Hub { 1 } else { 5 };
    let identity = Identity {
        node,
        test: true,
        signer: LedgerSigner::new(&origin, &[seed; 32]),
        cosigner: Cosigner::new(&cosigner_name(&origin), &[seed + 1; 32]),
        origin,
        federation,
    };
    let random = Arc::new(SeededRandom::new(seed.into()));
    Arc::new(
        Node::open(
            db,
            identity,
            Arc::new(Anything(node)),
            clock.clone(),
            clock,
            random,
        )
        .await
        .unwrap(),
    )
}

/// The Hub's projector at the Hub; at the region, one that takes everything.
struct Anything(NodeId);

impl projection::Projector for Anything {
    fn migrations(&self) -> &'static [raccordo_store::migration::Migration] {
        HubProjector.migrations()
    }

    fn tables(&self) -> &'static [dump::Table] {
        TABLES
    }

    fn apply<'a>(
        &'a self,
        tx: &'a mut raccordo_store::Tx,
        entry: &'a raccordo_model::entry::Entry,
        act: Option<&'a Act>,
    ) -> futures::future::BoxFuture<'a, Result<(), projection::ApplyError>> {
        match self.0 {
            NodeId::Hub => HubProjector.apply(tx, entry, act),
            NodeId::Region(_) => Box::pin(async { Ok(()) }),
        }
    }
}

/// A Hub that Tuscany joined, and Tuscany.
struct World {
    clock: Arc<ManualClock>,
    hub: Arc<Node>,
    spoke: Arc<Node>,
    carried: u64,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(at("2023-09-01T08:00:00Z")));
        let hub = open(folder.path(), NodeId::Hub, clock.clone()).await;
        let spoke = open(folder.path(), NodeId::Region(region()), clock.clone()).await;
        let created = FederationCreated {
            federation: hub.identity.federation.clone(),
            test: true,
            root_key: [9; 32],
            ledger_key: hub.identity.signer.verifying_key(),
            cosigner_key: hub.identity.cosigner.verifying_key(),
            deciding_institutions: DECIDING_INSTITUTIONS.map(str::to_owned).to_vec(),
            report_due_days: REPORT_DUE_DAYS,
        };
        append(
            &hub,
            Act::FederationCreated(created),
            "federation/prova",
            Scope::Public,
        )
        .await
        .unwrap();
        let world = Self {
            clock,
            hub,
            spoke,
            carried: 0,
            _folder: folder,
        };
        world.invite("segreto", region()).await;
        HubRegistry(world.hub.clone())
            .enrol(world.joining("segreto"))
            .await
            .unwrap();
        world
    }

    async fn invite(&self, token: &str, code: RegionCode) {
        let mut tx = self.hub.db.write().await.unwrap();
        let query = tx
            .query(INVITE)
            .bind(token_hash(token).to_vec())
            .bind(code.to_string());
        let query = query
            .bind(person(1, "MDS").account.to_string())
            .bind("MDS".to_owned());
        query
            .bind(self.clock.now().0 + 1_000_000)
            .execute()
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    fn joining(&self, token: &str) -> Joining {
        Joining {
            region: region(),
            token_hash: token_hash(token),
            ledger_key: self.spoke.identity.signer.verifying_key(),
            cosigner_key: self.spoke.identity.cosigner.verifying_key(),
        }
    }

    /// Tuscany writes an entry and the Hub receives it; returns how many entries were held.
    async fn submit(&mut self, act: Act, subject: &str) -> usize {
        append(&self.spoke, act, subject, Scope::region(region()))
            .await
            .unwrap();
        let size = *self.spoke.watch_growth().borrow();
        let entries = self
            .spoke
            .entries(self.spoke.me(), self.carried, size)
            .await
            .unwrap();
        let mut tx = self.spoke.db.read().await.unwrap();
        let checkpoint = checkpoints::get(&mut tx, self.spoke.me(), size)
            .await
            .unwrap()
            .unwrap();
        let leaves = entries.iter().map(|entry| leaf_from_entry(entry, true)).collect();
        let batch = wire::Batch {
            node: region().to_string(),
            first: self.carried,
            leaves,
            checkpoint,
        };
        self.carried = size;
        let received = self.hub.receive(batch).await.unwrap();
        self.hub.cosign(NodeId::Region(region())).await.unwrap();
        received.held.len()
    }

    async fn submit_po(&mut self, version: u32) -> usize {
        let mut plan = toscana().operational_plan.unwrap();
        plan.version = version;
        self.submit(Act::PoSubmitted(plan), "po/090").await
    }

    async fn approve(&self, version: u32) {
        self.propose(version, person(1, "MDS")).await.unwrap();
        proposal::confirm(&self.hub, person(2, "DTD"), region(), version)
            .await
            .unwrap();
    }

    async fn propose(&self, version: u32, by: Actor) -> Result<Receipt, NodeError> {
        self.propose_verdict(version, by, PoVerdict::Approved, "").await
    }

    async fn propose_verdict(
        &self,
        version: u32,
        by: Actor,
        verdict: PoVerdict,
        reasons: &str,
    ) -> Result<Receipt, NodeError> {
        let decision = proposal::Decision {
            region: region(),
            version,
            verdict,
            reasons: reasons.into(),
        };
        proposal::decide(&self.hub, by, decision).await
    }

    async fn propose_record(&self, by: Actor, act: &str) -> Result<Receipt, NodeError> {
        proposal::record(
            &self.hub,
            by,
            (TOSCANA, "toscana-2023.yaml"),
            "2023-03",
            act,
            "delibera.pdf",
        )
        .await
    }

    async fn proposals(&self) -> Vec<Vec<String>> {
        let mut tx = self.hub.db.read().await.unwrap();
        proposal::list(&mut tx).await.unwrap().rows().to_vec()
    }

    /// Tuscany shares a PE that is pinned to a version of its PO; returns how many entries were held. The subject
    /// is that version's own: what is held would hold everything after it on the same subject.
    async fn share_pe(&mut self, version: u32, po_version: u32) -> usize {
        let mut plan = toscana().executive_plan.unwrap();
        (plan.version, plan.po_version) = (version, po_version);
        self.submit(Act::PeShared(plan), &format!("pe/090/{po_version}"))
            .await
    }

    async fn plans(&mut self) {
        assert_eq!(self.submit_po(1).await, 0);
        self.approve(1).await;
        assert_eq!(self.share_pe(1, 1).await, 0);
    }

    async fn status(&self) -> (u32, Vec<ConsolidatedRow>) {
        let mut tx = self.hub.db.read().await.unwrap();
        let found = answer(&mut tx, &Question::default(), self.clock.now())
            .await
            .unwrap();
        (found.regions_reporting.0, found.rows)
    }

    async fn po_state(&self, version: u32) -> String {
        let mut tx = self.hub.db.read().await.unwrap();
        po::standing(&mut tx, region(), version)
            .await
            .unwrap()
            .unwrap()
            .state
            .to_string()
    }
}

async fn append(node: &Node, act: Act, subject: &str, scope: Scope) -> Result<u64, NodeError> {
    let mut acting = node.act().await?;
    let draft = Draft::new(act, subject.parse().unwrap(), scope, vec![person(1, "MDS")]);
    acting.append(draft).await?;
    Ok(acting.commit().await?.size)
}

/// Tuscany's October, with as many completions as are asked for.
fn october(revision: u32, completed: usize) -> Report {
    let day = |text: &str| text.parse().unwrap();
    let edition = Edition {
        id: "ED-1".parse().unwrap(),
        intervention: "TOS-2023-03".parse().unwrap(),
        kit: None,
        syllabus: None,
        instrument: "ONLINE.ELEARNING".parse().unwrap(),
        area: "GENERAL".parse().unwrap(),
        objective: Code::unspecified(),
        level: "STAFF".parse().unwrap(),
        origin: PlanOrigin::FromPo,
        package: None,
        minutes: 240,
        start: day("2023-10-02"),
        end: day("2023-10-31"),
        ecm: false,
        test: false,
    };
    let rows: Vec<OutcomeRow> = (0..20)
        .map(|n| OutcomeRow {
            edition: edition.id.clone(),
            learner: format!("L{n}"),
            profession: "C1.01".parse().unwrap(),
            enrolled: Some(day("2023-10-02")),
            started: Some(day("2023-10-03")),
            completed: (n < completed).then(|| day("2023-10-20")),
            passed: None,
            ecm_credited: None,
        })
        .collect();
    let head = ReportHead {
        region: region(),
        period: "2023-10".parse().unwrap(),
        revision,
        pe_year: 2023,
        pe_version: 1,
        code_lists: 1,
        reason: if revision > 1 {
            "dati tardivi".into()
        } else {
            String::new()
        },
    };
    let mut report = compute(head, CodeLists::builtin(), &[edition], &rows);
    protect_small_groups(&mut report);
    report
}

fn completed(rows: &[ConsolidatedRow]) -> Option<u64> {
    let country = rows
        .iter()
        .find(|row| row.region.is_none() && row.cluster.is_all() && row.area.is_all());
    country.and_then(|row| row.measures[&Measure::Completed].as_count())
}

#[tokio::test]
async fn from_a_plan_to_a_consolidated_figure_and_the_same_after_a_rebuild() {
    let mut world = World::new().await;
    let hub = world.hub.clone();
    let publisher = person(3, "MDS");
    code_lists::publish(&hub, publisher.clone(), CodeLists::builtin().yaml(), "t.yaml")
        .await
        .unwrap();
    syllabus::publish(&hub, publisher, SYLLABI, "s.yaml")
        .await
        .unwrap();
    world.plans().await;
    let observation = Observation {
        intervention: None,
        text: "indicare le date".into(),
    };
    pe::observe(&hub, person(4, "MDS"), region(), 2023, vec![observation])
        .await
        .unwrap();

    assert_eq!(
        world
            .submit(Act::ReportSubmitted(october(1, 10)), "report/090/2023-10")
            .await,
        0
    );
    let judge = |revision, verdict| {
        report::judge(
            &hub,
            person(4, "MDS"),
            region(),
            "2023-10".parse().unwrap(),
            revision,
            verdict,
        )
    };
    let early = judge(0, Verdict::Accept).await.unwrap_err();
    assert!(early.to_string().contains("not over"), "{early}");
    assert_eq!(world.status().await.0, 0);
    world.clock.set(at("2023-11-05T08:00:00Z"));
    judge(0, Verdict::Accept).await.unwrap();
    assert_eq!(completed(&world.status().await.1), Some(10));

    // A correction counts only once it is accepted, and takes its predecessor's place.
    assert_eq!(
        world
            .submit(Act::ReportSubmitted(october(2, 14)), "report/090/2023-10")
            .await,
        0
    );
    assert_eq!(completed(&world.status().await.1), Some(10));
    judge(2, Verdict::Accept).await.unwrap();
    let (reporting, rows) = world.status().await;
    assert_eq!((reporting, completed(&rows)), (1, Some(14)));
    // What is kept rolled up consolidates to what the whole report does.
    assert_eq!(rows, consolidate(&[(region(), october(2, 14))].into()));
    assert!(judge(1, Verdict::Accept).await.unwrap().repeated);

    let rebuilt = rebuild::rebuild(&hub).await.unwrap();
    assert_eq!(rebuilt.before, rebuilt.after);
    assert_eq!(completed(&world.status().await.1), Some(14));
}

#[tokio::test]
async fn a_decision_takes_two_different_people() {
    let mut world = World::new().await;
    world.submit_po(1).await;
    let refused = |error: NodeError| match error {
        NodeError::Refused(refusal) => refusal.kind,
        other => panic!("{other}"),
    };
    let confirm = |by| proposal::confirm(&world.hub, by, region(), 1);
    assert_eq!(
        refused(confirm(person(2, "DTD")).await.unwrap_err()),
        RefusalKind::NotFound
    );
    let first = world.propose(1, person(1, "MDS")).await.unwrap();
    assert!(first.entry.is_none() && !first.repeated);
    assert!(world.propose(1, person(1, "MDS")).await.unwrap().repeated);
    let size = first.size;
    for by in [person(1, "MDS"), person(1, "DTD"), person(2, "MDS")] {
        assert_eq!(refused(confirm(by).await.unwrap_err()), RefusalKind::Forbidden);
    }
    assert_eq!(world.po_state(1).await, "submitted");
    let done = confirm(person(2, "DTD")).await.unwrap();
    assert_eq!(
        (done.size, world.po_state(1).await),
        (size + 1, "approved".into())
    );
    let again = confirm(person(2, "DTD")).await.unwrap();
    assert!(again.repeated && again.entry == done.entry && again.size == done.size);
    assert_eq!(
        refused(world.propose(1, person(1, "MDS")).await.unwrap_err()),
        RefusalKind::Precondition
    );
    // The next version, approved, takes its place; to that one an earlier plan may still be pinned.
    assert_eq!(world.submit_po(2).await, 0);
    world.approve(2).await;
    assert_eq!(
        (world.po_state(1).await, world.po_state(2).await),
        ("superseded".into(), "approved".into())
    );
    assert_eq!(world.share_pe(1, 1).await, 0);
    // What the journal refuses, no entry can do either.
    let mut tx = world.hub.db.read().await.unwrap();
    let submission = reference(&mut tx, NodeId::Region(region()), 0).await.unwrap();
    drop(tx);
    let alone = Act::PoDecision {
        submission,
        verdict: PoVerdict::Rejected,
        reasons: "da soli".into(),
    };
    assert!(
        append(&world.hub, alone, "po/090", Scope::region(region()))
            .await
            .is_err()
    );
}

fn kind_of(outcome: Result<Receipt, NodeError>) -> RefusalKind {
    match outcome.unwrap_err() {
        NodeError::Refused(refusal) => refusal.kind,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn only_its_author_replaces_a_proposal_that_waits() {
    let mut world = World::new().await;
    world.submit_po(1).await;
    world.propose(1, person(1, "MDS")).await.unwrap();
    let reject = |by| world.propose_verdict(1, by, PoVerdict::Rejected, "manca la base");
    match reject(person(2, "DTD")).await.unwrap_err() {
        NodeError::Refused(refusal) => {
            assert_eq!(refusal.kind, RefusalKind::Conflict);
            assert!(
                refusal.text.contains("waits") && refusal.remedy.contains("po confirm 090 1"),
                "{refusal}"
            );
        }
        other => panic!("{other}"),
    }
    assert_eq!(
        kind_of(world.propose(1, person(2, "DTD")).await),
        RefusalKind::Precondition
    );
    assert_eq!(world.proposals().await[0][3], "approvazione");
    assert!(!reject(person(1, "MDS")).await.unwrap().repeated);
    let waiting = world.proposals().await;
    assert_eq!((waiting.len(), waiting[0][3].as_str()), (1, "rifiuto"));
    assert_eq!(waiting[0][8..], ["", "", "", ""]);
    proposal::confirm(&world.hub, person(2, "DTD"), region(), 1)
        .await
        .unwrap();
    assert_eq!(world.po_state(1).await, "rejected");
}

#[tokio::test]
async fn a_proposed_record_is_listed_whole_and_does_not_outlive_its_version() {
    let mut world = World::new().await;
    world.propose_record(person(1, "MDS"), "DGR 12").await.unwrap();
    assert_eq!(
        kind_of(world.propose_record(person(2, "DTD"), "DGR 13").await),
        RefusalKind::Conflict
    );
    let count = toscana()
        .operational_plan
        .unwrap()
        .interventions
        .len()
        .to_string();
    let waiting = world.proposals().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0][8..], ["2023-03", "DGR 12", "delibera.pdf", &count]);
    // The region was faster: its version is decided about, and the record that waited is no obstacle.
    world.submit_po(1).await;
    world.propose(1, person(2, "DTD")).await.unwrap();
    proposal::confirm(&world.hub, person(1, "MDS"), region(), 1)
        .await
        .unwrap();
    assert_eq!(
        (world.po_state(1).await, world.proposals().await.len()),
        ("approved".into(), 0)
    );
}

#[tokio::test]
async fn a_version_that_was_sent_back_never_counts_as_approved() {
    let mut world = World::new().await;
    let judged = [
        (1, PoVerdict::ChangesRequested, "changes_requested"),
        (2, PoVerdict::Rejected, "rejected"),
    ];
    for (version, verdict, _) in judged {
        assert_eq!(world.submit_po(version).await, 0);
        let by = person(1, "MDS");
        world
            .propose_verdict(version, by, verdict, "da rivedere")
            .await
            .unwrap();
        proposal::confirm(&world.hub, person(2, "DTD"), region(), version)
            .await
            .unwrap();
    }
    assert_eq!(world.submit_po(3).await, 0);
    world.approve(3).await;
    for (version, _, state) in judged {
        assert_eq!(world.po_state(version).await, state);
        assert_eq!(world.share_pe(1, version).await, 1, "pinned to {state}");
    }
    assert_eq!(world.share_pe(1, 3).await, 0);
    let rebuilt = rebuild::rebuild(&world.hub).await.unwrap();
    assert_eq!(rebuilt.before, rebuilt.after);
}

#[tokio::test]
async fn the_same_key_again_is_a_repetition_or_a_conflict() {
    let world = World::new().await;
    let publish = |text: String| async move {
        (
            syllabus::publish(&world.hub, person(3, "MDS"), &text, "s.yaml").await,
            world,
        )
    };
    let (first, world) = publish(SYLLABI.to_owned()).await;
    let first = first.unwrap();
    assert!(first.iter().all(|receipt| !receipt.repeated));
    let again = syllabus::publish(&world.hub, person(3, "MDS"), SYLLABI, "s.yaml")
        .await
        .unwrap();
    assert!(
        again
            .iter()
            .zip(&first)
            .all(|(again, first)| again.repeated && again.entry == first.entry)
    );
    assert_eq!(again[0].size, first[1].size);
    let title = Syllabus::parse_yaml(SYLLABI, "s.yaml", CodeLists::builtin())
        .unwrap()
        .remove(1)
        .title
        .it;
    let changed = SYLLABI.replacen(&title, "Un altro titolo", 1);
    assert_ne!(changed, SYLLABI);
    match syllabus::publish(&world.hub, person(3, "MDS"), &changed, "s.yaml")
        .await
        .unwrap_err()
    {
        NodeError::Refused(refusal) => assert_eq!(refusal.kind, RefusalKind::Conflict),
        other => panic!("{other}"),
    }
    let size = *world.hub.watch_growth().borrow();
    assert_eq!(size, first[1].size);
}

#[tokio::test]
async fn what_breaks_a_rule_is_held_and_the_rest_goes_on() {
    let mut world = World::new().await;
    // Another region's scope.
    let mut foreign = toscana().operational_plan.unwrap();
    foreign.region = "140".parse().unwrap();
    assert_eq!(world.submit(Act::PoSubmitted(foreign), "po/140").await, 1);
    // A version that leaves one out.
    assert_eq!(world.submit_po(1).await, 0);
    // A PE on a PO that is not approved.
    let plan = toscana().executive_plan.unwrap();
    assert_eq!(world.submit(Act::PeShared(plan), "pe/090/2023").await, 1);
    // The Hub's acts are not a region's.
    let withdrawn = Act::KitWithdrawn {
        kit: "KIT@1.0.0".parse().unwrap(),
        reason: "no".into(),
    };
    assert_eq!(world.submit(withdrawn, "kit/KIT").await, 1);
    // A revision out of order; the same revision with other figures; the same again.
    assert_eq!(
        world
            .submit(Act::ReportSubmitted(october(2, 9)), "report/090/a")
            .await,
        1
    );
    assert_eq!(
        world
            .submit(Act::ReportSubmitted(october(1, 9)), "report/090/b")
            .await,
        0
    );
    assert_eq!(
        world
            .submit(Act::ReportSubmitted(october(1, 9)), "report/090/c")
            .await,
        0
    );
    assert_eq!(
        world
            .submit(Act::ReportSubmitted(october(1, 8)), "report/090/d")
            .await,
        1
    );
    let rebuilt = rebuild::rebuild(&world.hub).await.unwrap();
    assert_eq!(rebuilt.before, rebuilt.after);
}

#[tokio::test]
async fn a_token_enrols_once_and_a_lost_answer_is_given_again() {
    let world = World::new().await;
    let registry = HubRegistry(world.hub.clone());
    let size = *world.hub.watch_growth().borrow();
    let again = registry.enrol(world.joining("segreto")).await.unwrap();
    assert_eq!(again.origin.as_str(), "raccordo/prova/090");
    let stolen = Joining {
        ledger_key: [8; 32],
        ..world.joining("segreto")
    };
    assert_eq!(
        registry.enrol(stolen).await.unwrap_err().kind,
        RefusalKind::Unauthenticated
    );
    assert_eq!(
        registry.enrol(world.joining("altro")).await.unwrap_err().kind,
        RefusalKind::Unauthenticated
    );
    world.invite("secondo", region()).await;
    let other = Joining {
        ledger_key: [8; 32],
        ..world.joining("secondo")
    };
    assert_eq!(
        registry.enrol(other).await.unwrap_err().kind,
        RefusalKind::Conflict
    );
    assert_eq!(*world.hub.watch_growth().borrow(), size);
}

#[tokio::test]
async fn a_revoked_region_is_not_answered_again() {
    let world = World::new().await;
    let revoked = Act::RegionRevoked {
        region: region(),
        reason: "chiavi rubate".into(),
    };
    append(&world.hub, revoked, "region/090", Scope::Public)
        .await
        .unwrap();
    let refusal = HubRegistry(world.hub.clone())
        .enrol(world.joining("segreto"))
        .await
        .unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Precondition);
    assert!(refusal.text.contains("revoked"), "{refusal}");
}

#[tokio::test]
async fn every_statement_is_understood_and_every_table_is_digested() {
    let world = World::new().await;
    let mut tx = world.hub.db.read().await.unwrap();
    for sql in crate::statements::ALL {
        tx.prepare(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    let declared: Vec<_> = rebuild::tables(&world.hub);
    rebuild::refuse_undeclared(&mut tx, &declared).await.unwrap();
    for table in &declared {
        tx.prepare(table.dump).await.unwrap();
    }
    assert_eq!(
        federation::rules(&mut tx).await.unwrap().institutions,
        DECIDING_INSTITUTIONS
    );
}
