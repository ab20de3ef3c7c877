//! Bad input at the centre: documents, keys with other content, decisions by one person, reasons, the clock.

use super::state::{Before, level, until_says};
use anyhow::Result;
use raccordo_cli::client::{self, SecretToken, node_context};
use raccordo_proto::wire::{
    Document, PublishSyllabiRequest, hub_administration_service_client::HubAdministrationServiceClient,
};
use raccordo_tests::{
    federation::{Person, TestHub, file, text},
    process::run,
};
use std::{fs, path::Path};
use tonic::Code;

pub(crate) const TOSCANA: &str = include_str!("../../../shared/model/data/toscana-2023.yaml");
pub(crate) const SYLLABI: &str = include_str!("../../../shared/model/data/syllabi.yaml");
const CODES: &str = include_str!("../../../shared/model/data/taxonomy.yaml");
pub(crate) const KIT: &str = "id: KIT-FSE-GEN\nversion: \"1.0.0\"\ntitle: { it: Kit generale }\n\
    syllabus: SYL-FSE-GEN\nsyllabus_version: \"1.0.0\"\n";

/// The centre, its people, and one region's plan in the inbox.
struct Centre {
    folder: tempfile::TempDir,
    hub: TestHub,
    publisher: Person,
    mds: Person,
    dtd: Person,
    reviewer: Person,
}

impl Centre {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
        let publisher = hub.person("Editrice", "MDS", &["publisher"])?;
        let mds = hub.person("Prima", "MDS", &["approver"])?;
        let dtd = hub.person("Seconda", "DTD", &["approver"])?;
        let reviewer = hub.person("Terza", "MDS", &["reviewer"])?;
        let spoke = hub.spoke(folder.path(), "090")?;
        let plan = file(folder.path(), "toscana.yaml", TOSCANA)?;
        spoke.run(&["po", "import", &plan])?.ok()?;
        spoke.run(&["po", "submit"])?.ok()?;
        until_says(
            "the plan arrives",
            || hub.run(&["po", "list", "-o", "csv"])?.ok(),
            "090,1,submitted",
        )?;
        level(&hub, &[&spoke]).await?;
        // The Spoke ends here: nothing but the cases moves the Hub from now on.
        drop(spoke);
        Ok(Self {
            folder,
            hub,
            publisher,
            mds,
            dtd,
            reviewer,
        })
    }

    fn file(&self, name: &str, content: &str) -> Result<String> {
        file(self.folder.path(), name, content)
    }

    async fn before(&self) -> Result<Before> {
        Before::of(&[&self.hub.data]).await
    }

    /// A command by a person is refused with this code and these words, and changes nothing.
    async fn refused(&self, person: &Person, arguments: &[&str], code: i32, says: &[&str]) -> Result<()> {
        let before = self.before().await?;
        before
            .refused(
                &arguments.join(" "),
                self.hub.run_as(person, arguments)?,
                code,
                says,
            )
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_centre_refuses_what_is_malformed_or_takes_a_key_twice() -> Result<()> {
    let centre = Centre::new().await?;
    code_lists(&centre).await?;
    syllabi(&centre).await?;
    kits(&centre).await?;
    plans_and_clock(&centre).await
}

async fn code_lists(centre: &Centre) -> Result<()> {
    let publish = async |name: &str, content: String, code: i32, says: &[&str]| {
        let path = centre.file(name, &content)?;
        centre
            .refused(&centre.publisher, &["codelist", "publish", &path], code, says)
            .await
    };
    publish(
        "rotte.yaml",
        "version: 2\nclusters: [\n".into(),
        1,
        &["rotte.yaml"],
    )
    .await?;
    publish("vuote.yaml", String::new(), 1, &["vuote.yaml"]).await?;
    let misspelt = CODES.replacen("constraints:", "constrains:", 1);
    publish("campo.yaml", misspelt, 1, &["campo.yaml:", "constraints"]).await?;
    let twice =
        CODES
            .replacen("{ code: POLICY,", "{ code: ACCESS,", 1)
            .replacen("version: 1", "version: 2", 1);
    publish("doppie.yaml", twice, 1, &["doppie.yaml:", "ACCESS"]).await?;
    let other = CODES.replacen("Integrazione", "Altro", 1);
    publish("altre.yaml", other, 5, &["version 1", "other content"]).await?;
    publish(
        "enormi.yaml",
        format!("version: 2\n#{}", "x".repeat(600 * 1_024)),
        1,
        &["524288"],
    )
    .await
}

async fn syllabi(centre: &Centre) -> Result<()> {
    let publish = async |name: &str, content: String, code: i32, says: &[&str]| {
        let path = centre.file(name, &content)?;
        centre
            .refused(&centre.publisher, &["syllabus", "publish", &path], code, says)
            .await
    };
    publish(
        "a.yaml",
        SYLLABI.replacen("- { id: U1,", "- { id: U1", 1),
        1,
        &["a.yaml:"],
    )
    .await?;
    publish(
        "b.yaml",
        SYLLABI.replacen("area: GENERAL", "area: GENERALE", 1),
        1,
        &["b.yaml:", "area", "GENERALE"],
    )
    .await?;
    publish(
        "c.yaml",
        SYLLABI.replacen("minutes: 30", "minutes: trenta", 1),
        1,
        &["c.yaml:", "minutes"],
    )
    .await?;
    publish(
        "d.yaml",
        SYLLABI.replacen("1.0.0", "1.0", 1),
        1,
        &["d.yaml:", "version"],
    )
    .await?;
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
        d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
    publish("bomba.yaml", bomb.into(), 1, &["bomba.yaml"]).await?;
    let long = format!("#{}\n{SYLLABI}", "x".repeat(1_024 * 1_024));
    publish("enorme.yaml", long.clone(), 2, &["1048576"]).await?;
    // By a program that does not look at the bound first.
    let mut target = node_context(&centre.hub.data)?;
    target.token = SecretToken::read_file(&centre.publisher.token_file)?;
    let mut client = HubAdministrationServiceClient::new(client::connect(&target).await?);
    let document = Some(Document {
        file_name: "enorme.yaml".into(),
        text: long,
    });
    let before = centre.before().await?;
    let got = client.publish_syllabi(PublishSyllabiRequest { document }).await;
    before
        .status(
            "a long document",
            got,
            &[Code::ResourceExhausted, Code::InvalidArgument],
            &["1048576"],
        )
        .await?;

    let sound = centre.file("syllabi.yaml", SYLLABI)?;
    centre
        .refused(
            &centre.reviewer,
            &["syllabus", "publish", &sound],
            4,
            &["publisher"],
        )
        .await?;
    centre
        .hub
        .run_as(&centre.publisher, &["syllabus", "publish", &sound])?
        .ok()?;
    let other = SYLLABI.replacen("Consenso, oscuramento, sicurezza", "Altro", 1);
    publish(
        "e.yaml",
        other,
        5,
        &["SYL-FSE-GEN@1.0.0", "hub/", "other content"],
    )
    .await?;
    // All or none: the second is new, the first is taken.
    let both = SYLLABI
        .replacen("Consenso, oscuramento, sicurezza", "Altro", 1)
        .replacen("SYL-FSE-TTT", "SYL-FSE-NEW", 1);
    publish("f.yaml", both, 5, &["SYL-FSE-GEN@1.0.0"]).await
}

async fn kits(centre: &Centre) -> Result<()> {
    let folder = centre.folder.path().join("kit");
    fs::create_dir(&folder)?;
    fs::write(folder.join("uno.txt"), "lezione uno")?;
    let folder = text(&folder)?.to_owned();
    let publish = async |name: &str, content: String, from: &str, code: i32, says: &[&str]| {
        let path = centre.file(name, &content)?;
        centre
            .refused(
                &centre.publisher,
                &["kit", "publish", &path, "--folder", from],
                code,
                says,
            )
            .await
    };
    publish(
        "k1.yaml",
        KIT.replace("version: \"1.0.0\"\nt", "version: \"1.0\"\nt"),
        &folder,
        1,
        &["k1.yaml:2", "version"],
    )
    .await?;
    publish(
        "k2.yaml",
        format!("{KIT}altro: 1\n"),
        &folder,
        1,
        &["k2.yaml:6", "altro"],
    )
    .await?;
    publish(
        "k3.yaml",
        KIT.replace("syllabus: SYL-FSE-GEN", "syllabus: SYL-NO"),
        &folder,
        5,
        &["SYL-NO@1.0.0"],
    )
    .await?;
    publish(
        "k4.yaml",
        KIT.into(),
        "/nessuna/cartella",
        2,
        &["/nessuna/cartella"],
    )
    .await?;

    let sound = centre.file("kit.yaml", KIT)?;
    centre
        .hub
        .run_as(
            &centre.publisher,
            &["kit", "publish", &sound, "--folder", &folder],
        )?
        .ok()?;
    fs::write(Path::new(&folder).join("due.txt"), "lezione due")?;
    publish(
        "k5.yaml",
        KIT.into(),
        &folder,
        5,
        &["KIT-FSE-GEN@1.0.0", "other content"],
    )
    .await?;
    let withdraw = ["kit", "withdraw", "KIT-FSE-GEN", "9.9.9", "--reason", "errori"];
    centre
        .refused(&centre.publisher, &withdraw, 7, &["KIT-FSE-GEN@9.9.9"])
        .await?;
    let withdraw = [
        "kit",
        "withdraw",
        "KIT-FSE-GEN",
        "1.0.0",
        "--reason",
        "chiedere a mario.rossi@example.it",
    ];
    centre
        .refused(&centre.publisher, &withdraw, 1, &["e-mail"])
        .await?;
    let withdraw = ["kit", "withdraw", "KIT-FSE-GEN", "uno", "--reason", "errori"];
    let before = centre.before().await?;
    before
        .refused(
            "no version",
            centre.hub.run_as(&centre.publisher, &withdraw)?,
            1,
            &["uno"],
        )
        .await
}

async fn plans_and_clock(centre: &Centre) -> Result<()> {
    let record = |path: &str, approved: &str| {
        [
            "po",
            "record-approved",
            path,
            "--approved",
            approved,
            "--act",
            "unknown",
            "--document",
            "unknown",
        ]
        .map(str::to_owned)
    };
    let broken = centre.file("piano.yaml", &TOSCANA.replacen("horizon: {", "horizon: ", 1))?;
    let sound = centre.file("buono.yaml", TOSCANA)?;
    for (path, approved, says) in [(&broken, "2023-03", "piano.yaml"), (&sound, "marzo", "marzo")] {
        let arguments = record(path, approved);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        centre.refused(&centre.mds, &arguments, 1, &[says]).await?;
    }
    let before = centre.before().await?;
    let hub = &centre.hub;
    before
        .refused(
            "clock",
            hub.run(&["clock", "set", "2023-08-01T00:00:00Z"])?,
            5,
            &["2023-0"],
        )
        .await?;
    before
        .refused("clock", hub.run(&["clock", "set", "domani"])?, 1, &["domani"])
        .await?;
    before
        .refused(
            "region",
            hub.run(&["region", "revoke", "140", "--reason", "prova"])?,
            7,
            &["140"],
        )
        .await?;
    before
        .refused(
            "token",
            hub.run(&["token", "revoke", "0000000000000000"])?,
            7,
            &["0000000000000000"],
        )
        .await?;
    let bundle = centre.folder.path().join("x.bundle");
    let invited = hub.run(&["region", "invite", "999", "--out", text(&bundle)?])?;
    before.refused("invite", invited, 7, &["999"]).await?;
    for arguments in [
        &["pe", "observe", "090", "2023", "--text", "bene"][..],
        &["report", "accept", "090", "2023-11"],
    ] {
        centre.refused(&centre.reviewer, arguments, 7, &["090"]).await?;
    }
    centre
        .hub
        .run(&["clock", "set", "2023-09-02T08:00:00Z"])?
        .ok()
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_takes_two_people_and_every_institution() -> Result<()> {
    let centre = Centre::new().await?;
    let (hub, mds, dtd) = (&centre.hub, &centre.mds, &centre.dtd);
    centre
        .refused(
            &centre.reviewer,
            &[
                "po",
                "decide",
                "090",
                "1",
                "--verdict",
                "approve",
                "--reasons",
                "si",
            ],
            4,
            &["approver"],
        )
        .await?;
    centre
        .refused(mds, &["po", "confirm", "090", "1"], 7, &["nobody proposed"])
        .await?;
    centre
        .refused(
            mds,
            &[
                "po",
                "decide",
                "090",
                "9",
                "--verdict",
                "approve",
                "--reasons",
                "si",
            ],
            7,
            &["version 9"],
        )
        .await?;
    let phone = [
        "po",
        "decide",
        "090",
        "1",
        "--verdict",
        "reject",
        "--reasons",
        "chiamare 055 4383111",
    ];
    centre.refused(mds, &phone, 1, &["telephone"]).await?;
    let code = [
        "po",
        "decide",
        "090",
        "1",
        "--verdict",
        "reject",
        "--reasons",
        "v. RSSMRA80A01H501U",
    ];
    centre.refused(mds, &code, 1, &["fiscal code"]).await?;
    let empty = [
        "po",
        "decide",
        "090",
        "1",
        "--verdict",
        "reject",
        "--reasons",
        " ",
    ];
    centre.refused(mds, &empty, 1, &["reasons"]).await?;

    hub.run_as(
        mds,
        &[
            "po",
            "decide",
            "090",
            "1",
            "--verdict",
            "approve",
            "--reasons",
            "va bene",
        ],
    )?
    .ok()?;
    let second_token = hub.another_token(&mds.account, "secondo.token")?;
    let colleague = hub.person("Collega", "MDS", &["approver"])?;
    let confirm = ["po", "confirm", "090", "1"];
    for person in [mds, &second_token] {
        centre
            .refused(person, &confirm, 4, &["two different people"])
            .await?;
    }
    centre.refused(&colleague, &confirm, 4, &["DTD"]).await?;
    let listed = hub.run(&["po", "list", "-o", "csv"])?.ok()?.stdout;
    assert!(listed.contains("090,1,submitted"), "nothing is decided: {listed}");

    hub.run_as(dtd, &confirm)?.ok()?;
    let listed = hub.run(&["po", "list", "-o", "csv"])?.ok()?.stdout;
    assert!(listed.contains("090,1,approved"), "two people decided: {listed}");
    let again = [
        "po",
        "decide",
        "090",
        "1",
        "--verdict",
        "reject",
        "--reasons",
        "ripensamento",
    ];
    centre.refused(mds, &again, 5, &["approved"]).await?;
    let help = run("raccordo-hub", &["po", "confirm", "090", "1", "--token", "rct_x"])?;
    assert_eq!(help.code, 2, "no token on the command line: {help:?}");
    Ok(())
}
