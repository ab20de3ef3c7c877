//! The region's whole way, without a network: the Hub's entries are handed over as batches.

use crate::{
    adoption, catalogue, content, editions,
    federation::open_ledger,
    outcomes,
    plans::{pe, po},
    reports, statements,
    testing::{TOSCANA, actor, at, engines, hub, spoke},
};
use raccordo_model::{
    digest::ManifestDigest,
    entry::EntryRef,
    kit::{Kit, KitAdoption, KitDescriptor, KitPhase},
    node::{NodeId, RegionCode},
    operational_plan::PoVerdict,
    scope::Scope,
    taxonomy::CodeLists,
    text::Text,
    timestamp::Timestamp,
};
use raccordo_node::{Node, NodeError, clock::ManualClock, journal::Draft, rebuild, status::RefusalKind};
use raccordo_proto::{
    body::{Act, Observation},
    entry::{entry_ref_from_wire, leaf_from_entry},
    wire,
};
use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    sync::Arc,
};

struct World {
    hub: Node,
    spoke: Arc<Node>,
    clock: Arc<ManualClock>,
    folder: PathBuf,
    _whole: Arc<tempfile::TempDir>,
}

fn region() -> RegionCode {
    "090".parse().unwrap()
}

fn reference(receipt: &wire::Receipt) -> EntryRef {
    entry_ref_from_wire(receipt.entry.as_ref().unwrap()).unwrap()
}

fn refused<T: Debug>(outcome: Result<T, NodeError>) -> RefusalKind {
    match outcome.unwrap_err() {
        NodeError::Refused(refusal) => refusal.kind,
        other => panic!("{other}"),
    }
}

impl World {
    /// One world per engine.
    async fn each(test: &str) -> Vec<Self> {
        let mut worlds = Vec::new();
        let whole = Arc::new(tempfile::tempdir().unwrap());
        let folder = whole.path();
        for (number, db) in engines(folder, test).await.into_iter().enumerate() {
            let folder = if number == 0 {
                folder.to_path_buf()
            } else {
                folder.join("other")
            };
            std::fs::create_dir_all(&folder).unwrap();
            let clock = at("2023-09-01T08:00:00Z");
            let hub = hub(&folder, clock.clone()).await;
            let spoke = spoke(&folder, db, clock.clone()).await;
            open_ledger(&spoke, actor()).await.unwrap();
            worlds.push(Self {
                hub,
                spoke,
                clock,
                folder,
                _whole: whole.clone(),
            });
        }
        worlds
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn now(&self, text: &str) {
        self.clock.set(Timestamp::parse(text).unwrap());
    }

    /// The Hub says something, and the Spoke receives it.
    async fn hub_says(&self, body: Act, subject: &str, scope: Scope) -> EntryRef {
        let mut act = self.hub.act().await.unwrap();
        let draft = Draft::new(body, subject.parse().unwrap(), scope, vec![actor()]);
        let entry = act.append(draft).await.unwrap();
        let committed = act.commit().await.unwrap();
        let entries = self
            .hub
            .entries(NodeId::Hub, entry.index, committed.size)
            .await
            .unwrap();
        let batch = wire::Batch {
            node: "hub".into(),
            first: entry.index,
            leaves: entries
                .iter()
                .map(|e| leaf_from_entry(e, e.header.scope.admits(self.spoke.me())))
                .collect(),
            checkpoint: committed.note,
        };
        let received = self.spoke.receive(batch).await.unwrap();
        assert!(received.held.is_empty(), "{:?}", received.held);
        entry
    }

    async fn kit(&self, version: &str) {
        let kit = Kit {
            descriptor: KitDescriptor {
                kit: format!("KIT-FSE-GEN@{version}").parse().unwrap(),
                title: Text {
                    it: "FSE 2.0".into(),
                    en: String::new(),
                    de: String::new(),
                },
                syllabus: "SYL-GEN@1.0.0".parse().unwrap(),
            },
            manifest: ManifestDigest([9; 32]),
            files: 1,
            bytes: 10,
        };
        self.hub_says(Act::KitPublished(kit), "kit/KIT-FSE-GEN", Scope::Public)
            .await;
    }

    /// The PO is approved and the PE shared.
    async fn planned(&self) {
        po::import(&self.spoke, TOSCANA, "t.yaml").await.unwrap();
        let sent = po::submit(&self.spoke, actor(), "").await.unwrap();
        self.decide(reference(&sent), PoVerdict::Approved).await;
        pe::import(&self.spoke, TOSCANA, "t.yaml").await.unwrap();
        pe::share(&self.spoke, actor(), 0, "").await.unwrap();
    }

    async fn decide(&self, submission: EntryRef, verdict: PoVerdict) {
        let body = Act::PoDecision {
            submission,
            verdict,
            reasons: "di prova".into(),
        };
        self.hub_says(body, "po/090", Scope::region(region())).await;
    }

    async fn edition(&self, id: &str, intervention: &str, start: &str, end: &str) {
        let new = editions::parse(&[id, intervention, start, end, "KIT-FSE-GEN@1.0.0"], 0, "").unwrap();
        let added = editions::add(&self.spoke, vec![(1, new)]).await.unwrap();
        assert_eq!((added.accepted, added.errors), (1, vec![]));
    }

    async fn outcomes(&self, rows: &[&str]) -> outcomes::Imported {
        self.import(rows, false).await
    }

    async fn import(&self, rows: &[&str], correct: bool) -> outcomes::Imported {
        let text = format!(
            "{}\n{}\n",
            raccordo_model::outcome::COLUMNS.join(","),
            rows.join("\n")
        );
        outcomes::import(&self.spoke, text.into_bytes(), "esiti.csv", correct)
            .await
            .unwrap()
    }

    async fn reports(&self) -> Vec<Vec<String>> {
        let mut tx = self.spoke.db.read().await.unwrap();
        let listed = reports::list(&mut tx, self.spoke.me()).await.unwrap();
        listed.rows.into_iter().map(|r| r.cells).collect()
    }

    async fn same_after_rebuild(&self) {
        let rebuilt = rebuild::rebuild(&self.spoke).await.unwrap();
        assert_eq!(rebuilt.before, rebuilt.after);
        assert!(rebuilt.entries > 1);
    }
}

#[tokio::test]
async fn a_plan_waits_for_its_approval_and_a_repeated_act_appends_nothing() {
    for world in World::each("a_plan_waits_for_its_approval_and_a_repeated_act_appends_nothing").await {
        plans(&world).await;
    }
}

async fn plans(world: &World) {
    let (spoke, clock) = (&world.spoke, "2023-09-02T08:00:00Z");
    world.now(clock);
    assert_eq!(
        refused(po::submit(spoke, actor(), "").await),
        RefusalKind::Precondition
    );
    po::import(spoke, TOSCANA, "t.yaml").await.unwrap();
    pe::import(spoke, TOSCANA, "t.yaml").await.unwrap();
    assert_eq!(
        refused(pe::share(spoke, actor(), 0, "").await),
        RefusalKind::Precondition
    );
    let sent = po::submit(spoke, actor(), "").await.unwrap();
    let again = po::submit(spoke, actor(), "").await.unwrap();
    assert!(!sent.repeated && again.repeated && reference(&sent) == reference(&again));
    po::import(spoke, TOSCANA, "t.yaml").await.unwrap();
    assert!(po::submit(spoke, actor(), "").await.unwrap().repeated);
    assert_eq!(
        refused(pe::share(spoke, actor(), 0, "").await),
        RefusalKind::Precondition
    );

    world.decide(reference(&sent), PoVerdict::ChangesRequested).await;
    po::import(spoke, TOSCANA, "t.yaml").await.unwrap();
    let second = po::submit(spoke, actor(), "").await.unwrap();
    assert!(!second.repeated);
    world.decide(reference(&second), PoVerdict::Approved).await;
    let shared = pe::share(spoke, actor(), 2023, "").await.unwrap();
    assert!(pe::share(spoke, actor(), 0, "").await.unwrap().repeated);
    let body = Act::PeObservation {
        submission: reference(&shared),
        observations: vec![Observation {
            intervention: None,
            text: "bene".into(),
        }],
    };
    world.hub_says(body, "pe/090/2023", Scope::region(region())).await;

    let mut tx = spoke.db.read().await.unwrap();
    let shown = pe::show(&mut tx, spoke.me(), 2023, 0).await.unwrap();
    assert_eq!(
        shown.plan.unwrap().rows[0].cells[..4],
        ["2023", "1", "analysed", "2"].map(String::from)
    );
    assert_eq!(shown.observations.unwrap().rows[0].cells[2], "bene");
    let states: Vec<_> = po::versions(&mut tx, spoke.me())
        .await
        .unwrap()
        .iter()
        .map(|v| (v.version, v.state.as_str()))
        .collect();
    assert_eq!(states, [(1, "changes_requested"), (2, "approved")]);
    drop(tx);
    world.same_after_rebuild().await;
}

#[tokio::test]
async fn personal_data_stay_unless_a_person_says_why() {
    for world in World::each("personal_data_stay_unless_a_person_says_why").await {
        personal_data(&world).await;
    }
}

async fn personal_data(world: &World) {
    let with = TOSCANA.replace(
        "\"Formazione dei formatori\", level",
        "\"Formazione: tel. 055 4383111\", level",
    );
    assert_ne!(with, TOSCANA);
    let answer = po::import(&world.spoke, &with, "t.yaml").await.unwrap();
    assert_eq!(answer.warnings.unwrap().rows.len(), 1);
    assert_eq!(
        refused(po::submit(&world.spoke, actor(), " ").await),
        RefusalKind::Precondition
    );
    assert!(
        po::submit(&world.spoke, actor(), "numero del centralino")
            .await
            .is_ok()
    );
    let wrong = TOSCANA.replace("region: \"090\"", "region: \"080\"");
    assert_eq!(
        refused(po::import(&world.spoke, &wrong, "t.yaml").await),
        RefusalKind::InvalidInput
    );
    assert_eq!(
        refused(po::import(&world.spoke, "a: [", "t.yaml").await),
        RefusalKind::InvalidInput
    );
}

#[tokio::test]
async fn outcomes_are_taken_in_once_and_a_corrected_month_marks_the_later_ones() {
    for world in World::each("outcomes_are_taken_in_once_and_a_corrected_month_marks_the_later_ones").await {
        months(&world).await;
    }
}

async fn months(world: &World) {
    world
        .hub_says(
            Act::CodeListsPublished(CodeLists::builtin().clone()),
            "code_lists/1",
            Scope::Public,
        )
        .await;
    world.kit("1.0.0").await;
    world.planned().await;
    world
        .edition("E1", "TOS-2023-03", "2023-10-02", "2023-12-20")
        .await;
    world.now("2023-11-02T08:00:00Z");

    let rows = [
        "L1,E1,C1.01,2023-10-02,2023-10-03,2023-10-09,,yes",
        "L2,E1,C2.06,2023-10-02,2023-10-03,,,",
    ];
    let first = world.outcomes(&rows).await;
    assert_eq!((first.accepted, first.unchanged), (2, 0));
    let again = world.outcomes(&rows).await;
    assert_eq!((again.accepted, again.unchanged), (0, 2));
    // One bad row among good ones: nothing is taken in.
    let bad = [
        "L3,E1,C1.01,2023-10-02,,,,",
        "L1,E1,C1.01,2023-10-02,,,,",
        "L4,E9,C1.01,2023-10-02,,,,",
    ];
    let errors = world.outcomes(&bad[..2]).await.errors.unwrap();
    assert_eq!(
        (
            errors.total,
            errors.shown[0].line,
            errors.shown[0].column.as_str()
        ),
        (1, 3, "started")
    );
    assert_eq!(
        world.outcomes(&bad[2..]).await.errors.unwrap().shown[0].column,
        "edition"
    );

    let month = "2023-10".parse().unwrap();
    let close = async |period, reason| reports::close(&world.spoke, actor(), period, reason).await;
    let sent = close(month, "").await.unwrap();
    assert!(!sent.repeated && close(month, "").await.unwrap().repeated);
    assert_eq!(
        refused(close("2023-11".parse().unwrap(), "").await),
        RefusalKind::Precondition
    );
    world.now("2023-12-02T08:00:00Z");
    close("2023-11".parse().unwrap(), "").await.unwrap();

    // Late facts of October: a second revision, with a reason; November is to be sent again.
    assert_eq!(
        world
            .outcomes(&["L2,E1,C2.06,2023-10-02,2023-10-03,2023-10-20,,"])
            .await
            .accepted,
        1
    );
    assert_eq!(refused(close(month, "").await), RefusalKind::Precondition);
    assert_eq!(
        refused(close(month, "chiamare 055 4383111").await),
        RefusalKind::Precondition
    );
    let second = close(month, "dati tardivi").await.unwrap();
    assert!(
        !second.repeated && second.text.contains("revisione 2"),
        "{}",
        second.text
    );
    let marks: Vec<_> = world
        .reports()
        .await
        .into_iter()
        .map(|r| (r[0].clone(), r[1].clone(), r[4].clone()))
        .collect();
    let mark =
        |period: &str, revision: &str, mark: &str| (period.to_owned(), revision.to_owned(), mark.to_owned());
    assert_eq!(
        marks,
        [
            mark("2023-10", "1", ""),
            mark("2023-10", "2", ""),
            mark("2023-11", "1", "da rinviare")
        ]
    );
    close("2023-11".parse().unwrap(), "come ottobre").await.unwrap();
    assert!(world.reports().await.iter().all(|r| r[4].is_empty()));

    // A stated correction replaces a fact.
    assert!(
        world
            .outcomes(&["L2,E1,C2.06,2023-10-02,2023-10-03,2023-10-21,,"])
            .await
            .errors
            .is_some()
    );
    assert_eq!(
        world
            .import(&["L2,E1,C2.06,2023-10-02,2023-10-03,2023-10-21,,"], true)
            .await
            .accepted,
        1
    );

    let verdict = Act::ReportVerdict {
        submission: reference(&second),
        accepted: false,
        reasons: "mancano righe".into(),
    };
    world
        .hub_says(verdict, "report/090/2023-10", Scope::region(region()))
        .await;
    let listed = world.reports().await;
    assert_eq!(
        (listed[1][3].as_str(), listed[1][11].as_str()),
        ("rejected", "mancano righe")
    );
    assert_eq!(listed[0][3], "sent");
    world.same_after_rebuild().await;
}

#[tokio::test]
async fn phases_are_announced_once_and_together() {
    for world in World::each("phases_are_announced_once_and_together").await {
        phases(&world).await;
    }
}

async fn phases(world: &World) {
    world.kit("1.0.0").await;
    world.kit("1.1.0").await;
    let store = raccordo_content::Installation::open(&content::root(world.folder())).unwrap();
    let before = world.spoke.act().await.unwrap().commit().await.unwrap().size;
    assert_eq!(content::look(&world.spoke, &store).await.unwrap().fetch.len(), 2);
    content::look(&world.spoke, &store).await.unwrap();
    let after = world.spoke.act().await.unwrap().commit().await.unwrap().size;
    assert_eq!(after, before + 1);
    let kits = catalogue::kits(&mut world.spoke.db.read().await.unwrap())
        .await
        .unwrap();
    assert!(kits.values().all(|k| k.phase() == Some(KitPhase::Applied)));

    let id = "KIT-FSE-GEN@1.0.0".parse().unwrap();
    let adopt = async |state| adoption::adopt(&world.spoke, actor(), &id, state, "").await;
    assert!(!adopt(KitAdoption::Adopted).await.unwrap().repeated);
    assert!(adopt(KitAdoption::Adopted).await.unwrap().repeated);
    let withdrawn = Act::KitWithdrawn {
        kit: id.clone(),
        reason: "errore".into(),
    };
    world.hub_says(withdrawn, "kit/KIT-FSE-GEN", Scope::Public).await;
    assert_eq!(
        refused(adopt(KitAdoption::Localised).await),
        RefusalKind::Precondition
    );
    let told = content::look(&world.spoke, &store).await.unwrap().announce;
    assert_eq!(told.len(), 1);
    assert!(
        content::look(&world.spoke, &store)
            .await
            .unwrap()
            .announce
            .is_empty()
    );
    let kits = catalogue::kits(&mut world.spoke.db.read().await.unwrap())
        .await
        .unwrap();
    assert_eq!(kits[&id].phase(), Some(KitPhase::NoLongerServed));
    world.same_after_rebuild().await;
}

#[tokio::test]
async fn every_statement_is_understood() {
    for world in World::each("every_statement_is_understood").await {
        statements_of(&world).await;
    }
}

async fn statements_of(world: &World) {
    let mut tx = world.spoke.db.read().await.unwrap();
    for sql in statements::all() {
        tx.prepare(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}
