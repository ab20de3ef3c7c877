//! What a region signed and the rules do not allow: stored and confirmed, as anything that verifies, but held
//! or refused by the Hub, with a reason that reaches the region; the rest goes on.

use super::{
    peer::{Region, Writing},
    state::{Before, number, size},
    wire::{joined, opened},
};
use anyhow::{Result, ensure};
use raccordo_model::{
    kind::Criticality,
    measure::{CellValue, Measure},
    plan_file::PlanFile,
    report::{Dims, Report, ReportHead},
    taxonomy::CodeLists,
};
use raccordo_proto::{
    body::Act,
    entry::encode_header,
    wire::{Nack, RetryClass},
};
use raccordo_tests::federation::TestHub;
use std::collections::BTreeMap;

const TOSCANA: &str = include_str!("../../../shared/model/data/toscana-2023.yaml");

fn plans() -> Result<PlanFile> {
    let text = TOSCANA.replace("\"090\"", "\"140\"");
    Ok(PlanFile::parse_yaml(&text, "molise.yaml", CodeLists::builtin())?)
}

fn one(nacks: Vec<Nack>, what: &str, says: &[&str]) -> Result<()> {
    let [nack] = nacks.as_slice() else {
        anyhow::bail!("{what}: one refusal was expected: {nacks:?}")
    };
    for say in says {
        ensure!(nack.text.contains(say), "{what}: does not say `{say}`: {nack:?}");
    }
    ensure!(
        !nack.remedy.is_empty() && nack.retry == RetryClass::Never as i32,
        "{what}: {nack:?}"
    );
    Ok(())
}

async fn quarantined(hub: &TestHub) -> Result<i64> {
    number(&hub.data, "SELECT COUNT(*) FROM proj_quarantine").await
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_entries_that_break_a_rule_are_held_with_a_reason() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = TestHub::start(folder.path(), "2023-12-01T08:00:00Z")?;
    let mut region = joined(&hub, folder.path(), "140")?;
    let PlanFile {
        operational_plan: Some(po),
        executive_plan: Some(pe),
        ..
    } = plans()?
    else {
        anyhow::bail!("the plan of Tuscany has both parts")
    };
    // A body that speaks for another region.
    let first = region.entry("region/140", &opened(&region, "090")?)?;
    one(
        region.append(&[first]).await?.nacks()?,
        "another region",
        &["140", "090"],
    )?;
    let mut foreign = po.clone();
    foreign.region = "090".parse()?;
    let entry = region.entry("po/090", &Act::PoSubmitted(foreign))?;
    one(
        region.append(&[entry]).await?.nacks()?,
        "another region's plan",
        &["140", "090"],
    )?;
    let listed = hub.run(&["po", "list", "-o", "csv"])?.ok()?.stdout;
    ensure!(!listed.contains("090"), "no plan of 090: {listed}");

    // An act of the Hub in a region's ledger, and a body that is no body.
    let act = Act::RegionRevoked {
        region: "090".parse()?,
        reason: "prova".into(),
    };
    let entry = region.entry("region/090", &act)?;
    one(
        region.append(&[entry]).await?.nacks()?,
        "an act of the Hub",
        &["region.revoked"],
    )?;
    let mut entry = region.entry("kit/KIT-1", &Act::KitPhases(Vec::new()))?;
    entry.body = vec![0xff; 30];
    let nacks = region.append(&[entry]).await?.nacks()?;
    ensure!(nacks.iter().all(|n| n.code == "invalid_body"), "{nacks:?}");
    one(nacks, "no body", &[])?;

    // A kind that nobody knows: passed over where it may be, held where it must not be.
    let mut header = region.header("altro/1", "x.unknown".parse()?)?;
    header.criticality = Criticality::Optional;
    let entry = Writing {
        header: encode_header(&header),
        body: b"?".to_vec(),
    };
    ensure!(
        region.append(&[entry]).await?.nacks()?.is_empty(),
        "an optional kind is passed over"
    );
    header.criticality = Criticality::Critical;
    let entry = Writing {
        header: encode_header(&header),
        body: b"?".to_vec(),
    };
    let nacks = region.append(&[entry]).await?.nacks()?;
    let told = nacks
        .iter()
        .map(|n| (n.code.as_str(), n.retry))
        .collect::<Vec<_>>();
    ensure!(
        told == [("unknown_kind", RetryClass::AfterUpgrade as i32)],
        "{nacks:?}"
    );

    // A PE on a PO that is not approved; the PO itself is sound and goes on.
    let entry = region.entry("po/140", &Act::PoSubmitted(po.clone()))?;
    ensure!(
        region.append(&[entry]).await?.nacks()?.is_empty(),
        "a sound plan is taken"
    );
    let mut early = pe.clone();
    early.year = 2024;
    for intervention in &mut early.interventions {
        (intervention.start, intervention.end) = (None, None);
    }
    let entry = region.entry("pe/140/2024", &Act::PeShared(early))?;
    one(
        region.append(&[entry]).await?.nacks()?,
        "a PE too early",
        &["not approved"],
    )?;
    ensure!(
        quarantined(&hub).await? == 6,
        "each is in quarantine, and nothing else"
    );
    let shown = hub.run(&["sync", "status", "-o", "json"])?.ok()?.json()?["quarantine"].to_string();
    ensure!(
        shown.contains("not approved") && shown.contains("invalid_body"),
        "{shown}"
    );

    approve(&hub, "140")?;
    let entry = region.entry("pe/140/2023", &Act::PeShared(pe.clone()))?;
    ensure!(
        region.append(&[entry]).await?.nacks()?.is_empty(),
        "a sound PE is taken"
    );
    counts(&hub, &mut region).await?;

    // The same version of the plan with other content: the first one stays.
    let mut other = po;
    other.interventions[0].title = "Altro".into();
    let entry = region.entry("po/140", &Act::PoSubmitted(other))?;
    one(
        region.append(&[entry]).await?.nacks()?,
        "the same version",
        &["version 1"],
    )?;
    let shown = hub.run(&["po", "show", "140", "--version", "1"])?.ok()?.stdout;
    ensure!(shown.contains("approved") && !shown.contains("Altro"), "{shown}");
    ensure!(
        u64::try_from(size(&hub.data, "140").await?)? == region.size(),
        "everything signed is stored"
    );
    Ok(())
}

fn approve(hub: &TestHub, code: &str) -> Result<()> {
    let (mds, dtd) = (
        hub.person("Prima", "MDS", &["approver"])?,
        hub.person("Seconda", "DTD", &["approver"])?,
    );
    hub.run_as(
        &mds,
        &[
            "po",
            "decide",
            code,
            "1",
            "--verdict",
            "approve",
            "--reasons",
            "va bene",
        ],
    )?
    .ok()?;
    hub.run_as(&dtd, &["po", "confirm", code, "1"])?.ok().map(drop)
}

/// Counts that break invariant 9 (enrolled ≥ started ≥ completed ≥ passed ≥ credited), small groups that are not
/// protected: signed, they reach the inbox, and cannot be accepted. Rejected, the next revision can.
async fn counts(hub: &TestHub, region: &mut Region) -> Result<()> {
    let reviewer = hub.person("Terza", "MDS", &["reviewer"])?;
    let observer = hub.person("Quarta", "MDS", &["observer"])?;
    let status = |hub: &TestHub| {
        Ok::<_, anyhow::Error>(
            hub.run_as(&observer, &["status", "--period", "2023-11", "-o", "csv"])?
                .ok()?
                .stdout,
        )
    };
    let cases = [
        (1, [10, 11, 9, 8, 0], 9, "started is 11, more than enrolled (10)"),
        (2, [10, 9, 11, 8, 0], 9, "completed is 11, more than started (9)"),
        (3, [10, 9, 8, 9, 0], 8, "passed is 9, more than completed (8)"),
        (4, [10, 9, 3, 2, 0], 3, "below 5"),
        (5, [10, 9, 8, 7, 0], 9, "9 people cannot have 8 completions"),
    ];
    for (revision, figures, people, says) in cases {
        let entry = region.entry(
            "report/140/2023-11",
            &Act::ReportSubmitted(report(revision, figures, people)?),
        )?;
        ensure!(
            region.append(&[entry]).await?.nacks()?.is_empty(),
            "a report is taken into the inbox"
        );
        let (before, shown) = (Before::of(&[&hub.data]).await?, status(hub)?);
        let number = revision.to_string();
        let accept = [
            "report",
            "accept",
            "140",
            "2023-11",
            "--revision",
            number.as_str(),
        ];
        before
            .refused("counts", hub.run_as(&reviewer, &accept)?, 5, &[says])
            .await?;
        ensure!(status(hub)? == shown, "no figure of it counts");
        let reject = [
            "report",
            "reject",
            "140",
            "2023-11",
            "--revision",
            number.as_str(),
            "--reasons",
            "conteggi",
        ];
        hub.run_as(&reviewer, &reject)?.ok()?;
    }
    let entry = region.entry(
        "report/140/2023-11",
        &Act::ReportSubmitted(report(6, [10, 9, 8, 7, 0], 8)?),
    )?;
    region.append(&[entry]).await?.nacks()?;
    hub.run_as(&reviewer, &["report", "accept", "140", "2023-11"])?
        .ok()?;
    let shown = status(hub)?;
    ensure!(shown.contains("140"), "the sound revision counts: {shown}");

    // One judgement, not two; and the same revision with other figures is none.
    let before = Before::of(&[&hub.data]).await?;
    let again = ["report", "reject", "140", "2023-11", "--reasons", "ripensamento"];
    before
        .refused(
            "a second verdict",
            hub.run_as(&reviewer, &again)?,
            5,
            &["judged before"],
        )
        .await?;
    let entry = region.entry(
        "report/140/2023-11",
        &Act::ReportSubmitted(report(6, [20, 9, 8, 7, 0], 8)?),
    )?;
    one(
        region.append(&[entry]).await?.nacks()?,
        "the same revision",
        &["revision 6", "other figures"],
    )?;
    ensure!(status(hub)? == shown, "the accepted figures stay");
    Ok(())
}

fn report(
    revision: u32,
    [enrolled, started, completed, passed, credited]: [u64; 5],
    people: u64,
) -> Result<Report> {
    let dims = Dims {
        cluster: "C1".parse()?,
        profession: "C1.01".parse()?,
        area: "GENERAL".parse()?,
        objective: "UNSPECIFIED".parse()?,
        instrument: "ONLINE.ELEARNING".parse()?,
        level: "STAFF".parse()?,
        origin: raccordo_model::edition::PlanOrigin::FromPo,
        package: None,
        kit: None,
    };
    let measures = BTreeMap::from([
        (Measure::Editions, CellValue::count(1)),
        (Measure::MinutesDelivered, CellValue::count(240 * completed)),
        (Measure::Enrolled, CellValue::count(enrolled)),
        (Measure::Started, CellValue::count(started)),
        (Measure::Completed, CellValue::count(completed)),
        (Measure::Passed, CellValue::count(passed)),
        (Measure::EcmCredited, CellValue::count(credited)),
    ]);
    let margins = [
        ("ALL", "ALL"),
        ("C1", "ALL"),
        ("ALL", "GENERAL"),
        ("C1", "GENERAL"),
    ];
    let mut distinct = BTreeMap::new();
    for (cluster, area) in margins {
        distinct.insert((cluster.parse()?, area.parse()?), CellValue::count(people));
    }
    Ok(Report {
        head: ReportHead {
            region: "140".parse()?,
            period: "2023-11".parse()?,
            revision,
            pe_year: 2023,
            pe_version: 1,
            code_lists: 1,
            reason: if revision > 1 {
                "correzione".into()
            } else {
                String::new()
            },
        },
        cells: BTreeMap::from([(dims, measures)]),
        distinct,
    })
}
