//! Every kind of act survives the wire, and none that lacks what it needs is taken in.

#![allow(clippy::unwrap_used)] // a test: what is not as it should be stops it

use prost::Message;
use raccordo_model::{
    digest::{LeafHash, ManifestDigest},
    entry::EntryRef,
    kind::KnownKind,
    kit::{Kit, KitAdoption, KitDescriptor, KitPhase},
    node::NodeId,
    operational_plan::PoVerdict,
    plan_file::PlanFile,
    report::{ReportHead, compute},
    syllabus::Syllabus,
    taxonomy::CodeLists,
    timestamp::Timestamp,
};
use raccordo_proto::{
    body::{Act, FederationCreated, KitPhaseReached, Observation},
    wire,
};
use std::collections::BTreeSet;

fn every_act() -> Vec<Act> {
    let codes = CodeLists::builtin();
    let plans = include_str!("../../shared/model/data/toscana-2023.yaml");
    let plans = PlanFile::parse_yaml(plans, "toscana.yaml", codes).unwrap();
    let syllabi = include_str!("../../shared/model/data/syllabi.yaml");
    let syllabus = Syllabus::parse_yaml(syllabi, "syllabi.yaml", codes)
        .unwrap()
        .remove(0);
    let (po, pe) = (plans.operational_plan.unwrap(), plans.executive_plan.unwrap());
    let submission = EntryRef {
        node: NodeId::Region(po.region),
        index: 3,
        leaf_hash: LeafHash([5; 32]),
    };
    let kit = "id: KIT\nversion: 1.0.0\ntitle: {it: Kit}\nsyllabus: SYL\nsyllabus_version: 1.0.0";
    let descriptor = KitDescriptor::parse_yaml(kit, "kit.yaml").unwrap();
    let version = descriptor.kit.clone();
    let head = ReportHead {
        region: po.region,
        period: "2023-11".parse().unwrap(),
        revision: 1,
        pe_year: 2023,
        pe_version: 1,
        code_lists: 1,
        reason: String::new(),
    };
    let reason = || "motivo".to_owned();
    vec![
        Act::FederationCreated(FederationCreated {
            federation: "fse-prova".parse().unwrap(),
            test: true,
            root_key: [1; 32],
            ledger_key: [2; 32],
            cosigner_key: [3; 32],
            deciding_institutions: vec!["MDS".into(), "DTD".into()],
            report_due_days: 20,
        }),
        Act::RegionEnrolled {
            region: po.region,
            origin: "raccordo/fse-prova/090".parse().unwrap(),
            ledger_key: [4; 32],
            cosigner_key: [5; 32],
        },
        Act::RegionRevoked {
            region: po.region,
            reason: reason(),
        },
        Act::RegionOpened {
            region: po.region,
            federation: "fse-prova".parse().unwrap(),
            test: true,
        },
        Act::CodeListsPublished(codes.clone()),
        Act::SyllabusPublished(syllabus),
        Act::KitPublished(Kit {
            descriptor,
            manifest: ManifestDigest([6; 32]),
            files: 2,
            bytes: 7,
        }),
        Act::KitWithdrawn {
            kit: version.clone(),
            reason: reason(),
        },
        Act::PoSubmitted(po.clone()),
        Act::PoRecorded {
            plan: po.clone(),
            approved: "2023-03".parse().unwrap(),
            act_number: "unknown".into(),
            document: "unknown".into(),
        },
        Act::PoDecision {
            submission,
            verdict: PoVerdict::ChangesRequested,
            reasons: reason(),
        },
        Act::PeShared(pe.clone()),
        Act::PeObservation {
            submission,
            observations: vec![
                Observation {
                    intervention: None,
                    text: "nel complesso".into(),
                },
                Observation {
                    intervention: Some(pe.interventions[0].id.clone()),
                    text: reason(),
                },
            ],
        },
        Act::ReportSubmitted(compute(head, codes, &[], &[])),
        Act::ReportVerdict {
            submission,
            accepted: true,
            reasons: String::new(),
        },
        Act::KitPhases(vec![KitPhaseReached {
            kit: version.clone(),
            phase: KitPhase::Serving,
            reached_at: Timestamp(1),
        }]),
        Act::KitAdoption {
            kit: version,
            state: KitAdoption::Adopted,
            reason: String::new(),
        },
        Act::EntryWaived {
            entry: submission,
            reason: reason(),
        },
        Act::EntryErased {
            index: 4,
            reason: reason(),
        },
        Act::KeyRotated {
            ledger_key: [8; 32],
            cosigner_key: [9; 32],
        },
        Act::LedgerSuccession {
            lost_from: 7,
            lost_to: 9,
            root_signature: [1; 64],
            last_checkpoint: "raccordo/fse-prova/hub\n7\n…\n".into(),
        },
    ]
}

#[test]
fn every_kind_of_act_survives_the_wire() {
    let acts = every_act();
    let kinds: BTreeSet<KnownKind> = acts.iter().map(Act::kind).collect();
    assert_eq!(kinds.len(), KnownKind::ALL.len(), "each kind is tried");
    for act in acts {
        assert_eq!(Act::decode(act.kind(), &act.encode()), Ok(act));
    }
}

#[test]
fn an_empty_or_cut_body_is_no_act() {
    for act in every_act() {
        // An empty batch of phases says nothing and is harmless.
        if act.kind() != KnownKind::KitPhases {
            let error = Act::decode(act.kind(), &[]).unwrap_err();
            assert!(!error.field.is_empty() && !error.message.is_empty(), "{error}");
        }
        let bytes = act.encode();
        assert!(
            Act::decode(act.kind(), &bytes[..bytes.len() - 1]).is_err(),
            "{act:?}"
        );
    }
}

#[test]
fn a_refusal_needs_reasons() {
    let reference = |act: &Act| wire::PoDecision::decode(act.encode().as_slice()).unwrap();
    let act = every_act()
        .into_iter()
        .find(|act| act.kind() == KnownKind::PoDecision)
        .unwrap();
    let mut decision = reference(&act);
    decision.reasons = " ".into();
    let error = Act::decode(KnownKind::PoDecision, &decision.encode_to_vec()).unwrap_err();
    assert_eq!(error.field, "reasons");
    decision.verdict = wire::PoVerdict::Approved.into();
    assert!(Act::decode(KnownKind::PoDecision, &decision.encode_to_vec()).is_ok());
    decision.verdict = 0;
    let error = Act::decode(KnownKind::PoDecision, &decision.encode_to_vec()).unwrap_err();
    assert_eq!(error.field, "verdict");
}
