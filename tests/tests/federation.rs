//! A small federation of shipped binaries, end to end: from a published kit to a consolidated figure, by
//! the commands that people have and nothing else.

use anyhow::{Context, Result, ensure};
use raccordo_model::node::NodeId;
use raccordo_store::{Db, entries, heads};
use raccordo_tests::{
    federation::{Person, TestHub, TestSpoke, eventually, file, find, level, text},
    process::{Finished, run},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const BEGIN: &str = "2023-09-01T08:00:00Z";
/// After the end of November 2023 in Rome.
const DECEMBER: &str = "2023-12-04T08:00:00Z";
const JANUARY: &str = "2024-01-08T08:00:00Z";
const CSV_HEADER: &str = "learner,edition,profession,enrolled,started,completed,passed,ecm_credited\n";

#[test]
fn a_kit_travels_is_installed_exported_and_withdrawn() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = TestHub::start(folder.path(), BEGIN)?;
    let spoke = hub.spoke(folder.path(), "090")?;
    let publisher = hub.person("Redattrice", "MDS", &["publisher"])?;
    hub.run_as(&publisher, &["syllabus", "publish", text(&data("syllabi.yaml"))?])?
        .ok()?;
    let source = kit_folder(folder.path())?;
    let descriptor = descriptor(folder.path())?;
    let published = hub
        .run_as(
            &publisher,
            &[
                "kit",
                "publish",
                &descriptor,
                "--folder",
                text(&source)?,
                "-o",
                "json",
            ],
        )?
        .ok()?;
    ensure!(
        find(&published.json()?, "repeated").as_deref() == Some("false"),
        "{}",
        published.stdout
    );
    // The same again says so and appends nothing.
    let again = hub
        .run_as(
            &publisher,
            &[
                "kit",
                "publish",
                &descriptor,
                "--folder",
                text(&source)?,
                "-o",
                "json",
            ],
        )?
        .ok()?;
    ensure!(
        find(&again.json()?, "repeated").as_deref() == Some("true"),
        "{}",
        again.stdout
    );

    phase(&spoke, "serving")?;
    ensure!(
        rows(&spoke, &["kit", "verify", "KIT-PROVA", "1.0.0"])?.is_empty(),
        "verify finds something"
    );
    let target = folder.path().join("esportato");
    spoke
        .run(&["kit", "export", "KIT-PROVA", "1.0.0", text(&target)?])?
        .ok()?;
    ensure!(tree(&source)? == tree(&target)?, "the export is not the source");
    spoke.run(&["kit", "adopt", "KIT-PROVA", "1.0.0"])?.ok()?;

    let observer = hub.person("Osservatrice", "GDL", &["observer"])?;
    eventually("the fleet shows the kit in use and adopted", || {
        let fleet = gdl(&hub, &observer, &["fleet", "-o", "json"])?.ok()?.json()?;
        let row = of(&fleet["rows"], &[("region", "090"), ("kit", "KIT-PROVA")])
            .cloned()
            .unwrap_or_default();
        Ok(row["phase"] == "serving" && row["adoption"] == "adopted")
    })?;

    hub.run_as(
        &publisher,
        &[
            "kit",
            "withdraw",
            "KIT-PROVA",
            "1.0.0",
            "--reason",
            "un errore nel modulo 2",
        ],
    )?
    .ok()?;
    phase(&spoke, "no_longer_served")?;
    let refused = spoke.run(&["kit", "adopt", "KIT-PROVA", "1.0.0", "--state", "localised"])?;
    ensure!(
        refused.code == 5 && refused.stderr.contains("un errore nel modulo 2"),
        "{refused:?}"
    );
    Ok(())
}

#[test]
fn from_a_plan_to_a_consolidated_figure() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = TestHub::start(folder.path(), BEGIN)?;
    let spoke = hub.spoke(folder.path(), "090")?;
    let other = hub.spoke(folder.path(), "140")?;
    level(&hub, &spoke)?;
    let observer = hub.person("Osservatrice", "GDL", &["observer"])?;

    // A plan that is not approved carries no Executive Plan.
    plan(&hub, &spoke)?;
    let reviewer = hub.person("Revisora", "DTD", &["reviewer"])?;
    hub.run_as(
        &reviewer,
        &[
            "pe",
            "observe",
            "090",
            "2023",
            "--text",
            "Indicare il numero dei destinatari",
        ],
    )?
    .ok()?;
    eventually("the observation arrives", || {
        Ok(spoke
            .run(&["pe", "show", "2023"])?
            .ok()?
            .stdout
            .contains("Indicare il numero dei destinatari"))
    })?;

    for clock in [
        hub.run(&["clock", "set", DECEMBER])?,
        spoke.run(&["clock", "set", DECEMBER])?,
    ] {
        clock.ok()?;
    }
    edition(&spoke, "ED-1", "2023-11-07")?;
    let outcomes = outcomes(folder.path(), "novembre.csv", "ED-1", 1..=12)?;
    spoke.run(&["outcome", "import", &outcomes])?.ok()?;
    let again = spoke
        .run(&["outcome", "import", &outcomes, "-o", "json"])?
        .ok()?
        .json()?;
    ensure!(find(&again, "accepted").as_deref() == Some("0"), "{again}");
    // One bad row, and nothing of the file is taken in.
    let bad =
        format!("{CSV_HEADER}L-90,ED-1,C1.01,2023-11-02,2023-11-07,2023-11-07,,\nL-91,ED-9,C1.01,,,,,\n");
    let refused = spoke.run(&["outcome", "import", &file(folder.path(), "sbagliato.csv", &bad)?])?;
    ensure!(
        refused.code != 0 && format!("{}{}", refused.stdout, refused.stderr).contains("ED-9"),
        "{refused:?}"
    );

    let early = spoke.run(&["report", "close", "2023-12"])?;
    ensure!(early.code == 5, "a month was closed before its end: {early:?}");
    spoke.run(&["report", "preview", "2023-11"])?.ok()?;
    spoke.run(&["report", "close", "2023-11"])?.ok()?;
    reported(&spoke, "2023-11", 1, "confirmed")?;
    ensure!(
        completed(&hub, &observer)? != Some(12),
        "a report counts before it is accepted"
    );
    verdict(&hub, &reviewer, &["report", "accept", "090", "2023-11"])?;
    reported(&spoke, "2023-11", 1, "accepted")?;
    ensure!(
        completed(&hub, &observer)? == Some(12),
        "{:?}",
        completed(&hub, &observer)?
    );

    // Unchanged figures: nothing is appended. Changed ones: a reason, and revision 2.
    let same = spoke
        .run(&["report", "close", "2023-11", "-o", "json"])?
        .ok()?
        .json()?;
    ensure!(find(&same, "repeated").as_deref() == Some("true"), "{same}");
    spoke
        .run(&[
            "outcome",
            "import",
            &self::outcomes(folder.path(), "tardi.csv", "ED-1", 13..=20)?,
        ])?
        .ok()?;
    let silent = spoke.run(&["report", "close", "2023-11"])?;
    ensure!(
        silent.code == 5 && silent.stderr.contains("--reason"),
        "{silent:?}"
    );
    spoke
        .run(&[
            "report",
            "close",
            "2023-11",
            "--reason",
            "registri consegnati in ritardo",
        ])?
        .ok()?;
    reported(&spoke, "2023-11", 2, "confirmed")?;
    ensure!(
        completed(&hub, &observer)? == Some(12),
        "a correction counts before it is accepted"
    );
    verdict(
        &hub,
        &reviewer,
        &["report", "accept", "090", "2023-11", "--revision", "2"],
    )?;
    ensure!(
        completed(&hub, &observer)? == Some(20),
        "{:?}",
        completed(&hub, &observer)?
    );

    // A correction that the centre rejects changes no figure, and its reasons come back.
    spoke
        .run(&[
            "outcome",
            "import",
            &self::outcomes(folder.path(), "ancora.csv", "ED-1", 21..=40)?,
        ])?
        .ok()?;
    spoke
        .run(&["report", "close", "2023-11", "--reason", "altri registri"])?
        .ok()?;
    reported(&spoke, "2023-11", 3, "confirmed")?;
    verdict(
        &hub,
        &reviewer,
        &[
            "report",
            "reject",
            "090",
            "2023-11",
            "--revision",
            "3",
            "--reasons",
            "registri non firmati",
        ],
    )?;
    reported(&spoke, "2023-11", 3, "rejected")?;
    ensure!(
        spoke
            .run(&["report", "list"])?
            .ok()?
            .stdout
            .contains("registri non firmati"),
        "no reasons"
    );
    ensure!(
        completed(&hub, &observer)? == Some(20),
        "{:?}",
        completed(&hub, &observer)?
    );

    // Without a token, and with a wrong one, nothing is told.
    let stranger = Person {
        account: String::new(),
        token_file: PathBuf::from(file(folder.path(), "no", "rac_no\n")?),
    };
    private(&stranger.token_file)?;
    ensure!(
        gdl(&hub, &stranger, &["status"])?.code == 4,
        "a wrong token was taken"
    );

    // The other region holds nothing of this one but the leaves of the Hub's ledger.
    level(&hub, &other)?;
    tokio::runtime::Runtime::new()?.block_on(nothing_of_another_region(&other))?;
    sound("raccordo-hub", hub)?;
    sound_spoke(spoke)
}

#[test]
fn a_region_closes_a_month_while_the_centre_is_away() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut hub = TestHub::start(folder.path(), BEGIN)?;
    let spoke = hub.spoke(folder.path(), "090")?;
    level(&hub, &spoke)?;
    plan(&hub, &spoke)?;
    for clock in [
        hub.run(&["clock", "set", JANUARY])?,
        spoke.run(&["clock", "set", JANUARY])?,
    ] {
        clock.ok()?;
    }
    hub.stop()?;
    edition(&spoke, "ED-1", "2023-12-12")?;
    let outcomes = outcomes_on(folder.path(), "dicembre.csv", "ED-1", "2023-12-12", 1..=9)?;
    spoke.run(&["outcome", "import", &outcomes])?.ok()?;
    spoke.run(&["report", "close", "2023-12"])?.ok()?;
    let state = |spoke: &TestSpoke| -> Result<String> {
        let list = Value::Array(rows(spoke, &["report", "list"])?);
        Ok(
            of(&list, &[("period", "2023-12")]).context("the report")?["state"]
                .as_str()
                .unwrap_or("")
                .to_owned(),
        )
    };
    ensure!(state(&spoke)? == "sent", "{}", state(&spoke)?);
    let sync = spoke.sync()?;
    ensure!(sync.ledger("090").cosigned < sync.ledger("090").size, "{sync:?}");

    hub.serve()?;
    reported(&spoke, "2023-12", 1, "confirmed")?;
    let pending = hub
        .run(&["report", "list", "--pending", "-o", "json"])?
        .ok()?
        .json()?;
    ensure!(
        of(&pending, &[("region", "090"), ("period", "2023-12")]).is_some(),
        "{pending}"
    );
    Ok(())
}

/// The Operational Plan is submitted and approved by two people, the Executive Plan shared.
fn plan(hub: &TestHub, spoke: &TestSpoke) -> Result<()> {
    let document = text(&data("toscana-2023.yaml"))?.to_owned();
    spoke.run(&["po", "import", &document])?.ok()?;
    spoke.run(&["po", "submit"])?.ok()?;
    spoke.run(&["pe", "import", &document])?.ok()?;
    let early = spoke.run(&["pe", "share"])?;
    ensure!(
        early.code == 5,
        "an Executive Plan was shared without an approved plan: {early:?}"
    );
    let listed = |what: &str| hub.run(&[what, "list", "-o", "json"])?.ok()?.json();
    eventually("the PO arrives", || {
        Ok(of(&listed("po")?, &[("region", "090")]).is_some())
    })?;

    let first = hub.person("Approvatrice", "MDS", &["approver"])?;
    let second = hub.person("Approvatore", "DTD", &["approver"])?;
    hub.run_as(
        &first,
        &[
            "po",
            "decide",
            "090",
            "1",
            "--verdict",
            "approve",
            "--reasons",
            "completo",
        ],
    )?
    .ok()?;
    let token = hub.another_token(&first.account, "altro.token")?;
    let alone = hub.run_as(&token, &["po", "confirm", "090", "1"])?;
    ensure!(alone.code != 0, "one person decided with two tokens: {alone:?}");
    hub.run_as(&second, &["po", "confirm", "090", "1"])?.ok()?;
    eventually("the approval arrives", || {
        let list = Value::Array(rows(spoke, &["po", "list"])?);
        Ok(of(&list, &[("version", "1")]).is_some_and(|row| row["state"] == "approved"))
    })?;

    spoke.run(&["pe", "share"])?.ok()?;
    eventually("the PE arrives", || {
        Ok(of(&listed("pe")?, &[("region", "090")]).is_some())
    })
}

fn edition(spoke: &TestSpoke, id: &str, day: &str) -> Result<()> {
    let arguments = [
        "edition",
        "add",
        "--id",
        id,
        "--intervention",
        "TOS-2023-02",
        "--start",
        day,
    ];
    let with_objective = [&arguments[..], &["--objective", "POLICY"]].concat();
    spoke.run(&with_objective)?.ok().map(drop)
}

fn outcomes(
    folder: &Path,
    name: &str,
    edition: &str,
    learners: std::ops::RangeInclusive<u32>,
) -> Result<String> {
    outcomes_on(folder, name, edition, "2023-11-07", learners)
}

fn outcomes_on(
    folder: &Path,
    name: &str,
    edition: &str,
    day: &str,
    learners: std::ops::RangeInclusive<u32>,
) -> Result<String> {
    let rows: String = learners
        .map(|n| format!("L-{n},{edition},C1.01,2023-11-02,{day},{day},,\n"))
        .collect();
    file(folder, name, &format!("{CSV_HEADER}{rows}"))
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/model/data")
        .join(name)
}

/// Three files, one of them in a folder, one larger than a chunk.
fn kit_folder(folder: &Path) -> Result<PathBuf> {
    let source = folder.join("kit");
    fs::create_dir_all(source.join("moduli"))?;
    fs::write(source.join("indice.html"), "<h1>FSE 2.0</h1>")?;
    fs::write(source.join("moduli/vuoto.txt"), "")?;
    let large: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    fs::write(source.join("moduli/lezione 1.mp4"), large)?;
    Ok(source)
}

fn descriptor(folder: &Path) -> Result<String> {
    let content = "id: KIT-PROVA\nversion: \"1.0.0\"\ntitle: { it: Kit di prova }\nsyllabus: SYL-FSE-GEN\n\
        syllabus_version: \"1.0.0\"\n";
    file(folder, "kit.yaml", content)
}

/// Every file below a folder.
fn tree(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = PathBuf::from(path.file_name().context("a name")?);
        if path.is_dir() {
            found.extend(
                tree(&path)?
                    .into_iter()
                    .map(|(below, bytes)| (name.join(below), bytes)),
            );
        } else {
            found.insert(name, fs::read(&path)?);
        }
    }
    Ok(found)
}

fn rows(spoke: &TestSpoke, arguments: &[&str]) -> Result<Vec<Value>> {
    let answer = spoke.run(&[arguments, &["-o", "json"]].concat())?.ok()?.json()?;
    Ok(answer.as_array().cloned().unwrap_or_else(|| vec![answer]))
}

/// The first row of a list whose fields have these values.
fn of<'v>(list: &'v Value, fields: &[(&str, &str)]) -> Option<&'v Value> {
    let is = |value: &Value, text: &str| {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        shown == text
    };
    list.as_array()?
        .iter()
        .find(|row| fields.iter().all(|(name, text)| is(&row[*name], text)))
}

fn phase(spoke: &TestSpoke, phase: &str) -> Result<()> {
    eventually(&format!("the kit is {phase}"), || {
        let list = Value::Array(rows(spoke, &["catalogue", "list"])?);
        Ok(of(&list, &[("id", "KIT-PROVA")]).is_some_and(|row| row["phase"] == phase))
    })
}

fn reported(spoke: &TestSpoke, period: &str, revision: u64, state: &str) -> Result<()> {
    eventually(&format!("revision {revision} of {period} is {state}"), || {
        let list = Value::Array(rows(spoke, &["report", "list"])?);
        let revision = revision.to_string();
        Ok(
            of(&list, &[("period", period), ("revision", &revision)])
                .is_some_and(|row| row["state"] == state),
        )
    })
}

/// A verdict on a report; its revision has arrived, as it is confirmed.
fn verdict(hub: &TestHub, reviewer: &Person, arguments: &[&str]) -> Result<()> {
    hub.run_as(reviewer, arguments)?.ok().map(drop)
}

/// What the consolidated status of November says of the region's completed learners.
fn completed(hub: &TestHub, observer: &Person) -> Result<Option<u64>> {
    let answer = gdl(hub, observer, &["status", "--period", "2023-11", "-o", "csv"])?.ok()?;
    for line in answer.stdout.lines() {
        let cells: Vec<&str> = line.split(',').collect();
        if let ["2023-11", "090", "ALL", "ALL", "completed", _, value, ..] = cells[..] {
            return Ok(value.parse().ok());
        }
    }
    Ok(None)
}

fn gdl(hub: &TestHub, person: &Person, arguments: &[&str]) -> Result<Finished> {
    let client: toml::Table = toml::from_str(&fs::read_to_string(hub.data.join("client.toml"))?)?;
    let name = client["server_name"].as_str().context("server_name")?;
    let ca = hub.data.join("tls/ca.pem");
    let common = [
        "--server",
        hub.address("api"),
        "--server-name",
        name,
        "--ca",
        text(&ca)?,
        "--token-file",
        text(&person.token_file)?,
    ];
    run("raccordo-gdl", &[arguments, &common].concat())
}

fn private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

/// Every body that a Spoke holds of the Hub's ledger is addressed to it, and it holds no ledger of
/// another region.
async fn nothing_of_another_region(spoke: &TestSpoke) -> Result<()> {
    let db = Db::open(&format!("sqlite:{}", spoke.data.join("node.db").display())).await?;
    let mut tx = db.read().await?;
    let me: NodeId = spoke.region.parse()?;
    let ledgers = heads::list(&mut tx).await?;
    ensure!(
        ledgers.iter().all(|(node, _)| [NodeId::Hub, me].contains(node)),
        "{ledgers:?}"
    );
    let (mut held, mut withheld) = (0, 0);
    for stored in entries::range(&mut tx, NodeId::Hub, 0, 10_000).await? {
        let body = stored.body.is_some();
        let entry = raccordo_node::node::parse(stored)?;
        ensure!(
            body == entry.header.scope.admits(me),
            "entry hub/{}: body {body}",
            entry.index
        );
        if body { held += 1 } else { withheld += 1 }
    }
    ensure!(
        held > 0 && withheld > 0,
        "{held} bodies held, {withheld} withheld: nothing was shown"
    );
    Ok(())
}

fn sound(program: &str, mut hub: TestHub) -> Result<()> {
    hub.stop()?;
    run(program, &["verify", "--data", text(&hub.data)?])?.ok()?;
    run(program, &["rebuild", "--data", text(&hub.data)?])?
        .ok()
        .map(drop)
}

fn sound_spoke(mut spoke: TestSpoke) -> Result<()> {
    spoke.stop()?;
    run("raccordo-spoke", &["verify", "--data", text(&spoke.data)?])?.ok()?;
    run("raccordo-spoke", &["rebuild", "--data", text(&spoke.data)?])?
        .ok()
        .map(drop)
}
