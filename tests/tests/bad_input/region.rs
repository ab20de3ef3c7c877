//! Bad input in a region: plans, editions and outcomes by row, months that are not over, the clock.

use super::{
    centre::TOSCANA,
    raw,
    state::{Before, level, number, until_says},
};
use anyhow::Result;
use futures::stream;
use raccordo_cli::client::{self, node_context};
use raccordo_proto::wire::{
    ImportEditionsRequest, ImportOperationalPlanRequest, ImportOutcomesRequest,
    spoke_administration_service_client::SpokeAdministrationServiceClient,
};
use raccordo_tests::federation::{TestHub, TestSpoke, file};
use tonic::Code;

const EDITIONS: &str = "id,intervention,start,end,kit,test";
const OUTCOMES: &str = "learner,edition,profession,enrolled,started,completed,passed,ecm_credited";

const TOO_LARGE: [Code; 3] = [Code::ResourceExhausted, Code::OutOfRange, Code::InvalidArgument];

struct Region {
    folder: tempfile::TempDir,
    hub: TestHub,
    spoke: TestSpoke,
}

impl Region {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let hub = TestHub::start(folder.path(), "2023-09-01T08:00:00Z")?;
        let spoke = hub.spoke(folder.path(), "090")?;
        Ok(Self { folder, hub, spoke })
    }

    fn file(&self, name: &str, content: &str) -> Result<String> {
        file(self.folder.path(), name, content)
    }

    async fn refused(&self, arguments: &[&str], code: i32, says: &[&str]) -> Result<()> {
        level(&self.hub, &[&self.spoke]).await?;
        let before = Before::of(&[&self.spoke.data, &self.hub.data]).await?;
        before
            .refused(&arguments.join(" "), self.spoke.run(arguments)?, code, says)
            .await
    }

    /// Importing this content is refused.
    async fn import(
        &self,
        what: [&str; 2],
        name: &str,
        content: &str,
        code: i32,
        says: &[&str],
    ) -> Result<()> {
        let path = self.file(name, content)?;
        self.refused(&[what[0], what[1], &path, "-o", "csv"], code, says)
            .await
    }

    fn good(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.spoke.run(arguments)?.ok()?.stdout)
    }

    fn take(&self, what: [&str; 2], name: &str, content: &str) -> Result<()> {
        let path = self.file(name, content)?;
        self.good(&[what[0], what[1], &path]).map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_refuses_what_is_malformed_by_line_and_row() -> Result<()> {
    let region = Region::new()?;
    operational_plans(&region).await?;
    executive_plans(&region).await?;
    editions(&region).await?;
    outcomes(&region).await?;
    months(&region).await?;
    api(&region).await
}

async fn operational_plans(region: &Region) -> Result<()> {
    let import = ["po", "import"];
    region
        .import(
            import,
            "a.yaml",
            "region: \"090\"\noperational_plan: [\n",
            1,
            &["a.yaml"],
        )
        .await?;
    region
        .import(
            import,
            "b.yaml",
            &TOSCANA.replacen("\"090\"", "\"050\"", 1),
            1,
            &["050", "090"],
        )
        .await?;
    region
        .import(
            import,
            "c.yaml",
            &TOSCANA.replacen("horizon:", "orizzonte:", 1),
            1,
            &["c.yaml:", "horizon"],
        )
        .await?;
    region
        .import(
            import,
            "d.yaml",
            &TOSCANA.replacen("level: TRAINERS", "level: MAESTRI", 1),
            1,
            &["d.yaml:", "MAESTRI"],
        )
        .await?;
    region
        .import(
            import,
            "e.yaml",
            &TOSCANA.replacen("to: 2026", "to: 2021", 1),
            1,
            &["e.yaml:", "horizon"],
        )
        .await?;
    let long = TOSCANA.replacen("Formazione dei formatori", &"x".repeat(5_000), 1);
    region
        .import(import, "f.yaml", &long, 1, &["f.yaml:", "title"])
        .await?;
    region
        .import(
            import,
            "g.yaml",
            &format!("#{}\n{TOSCANA}", "x".repeat(1_024 * 1_024)),
            2,
            &["1048576"],
        )
        .await?;
    region.import(import, "h.yaml", "", 1, &["h.yaml"]).await?;
    region.refused(&["po", "submit"], 5, &["no draft"]).await?;

    // The draft may hold what looks like a person; the ledger may not.
    let person = TOSCANA.replacen("Formazione dei formatori", "Formazione (RSSMRA80A01H501U)", 1);
    region.take(import, "i.yaml", &person)?;
    region.refused(&["po", "submit"], 5, &["fiscal code"]).await?;
    region.take(import, "toscana.yaml", TOSCANA)?;
    region.good(&["po", "submit"]).map(drop)
}

async fn executive_plans(region: &Region) -> Result<()> {
    let import = ["pe", "import"];
    region
        .import(
            import,
            "a.yaml",
            &TOSCANA.replacen("area: SPECIFIC", "area: SPECIAL", 1),
            1,
            &["a.yaml:", "SPECIAL"],
        )
        .await?;
    region
        .import(
            import,
            "b.yaml",
            &TOSCANA.replacen("TOS-2023-02", "TOS-2023-01", 1),
            1,
            &["b.yaml:", "twice"],
        )
        .await?;
    region
        .import(
            import,
            "c.yaml",
            &TOSCANA.replacen("minutes: 360", "minutes: tanti", 1),
            1,
            &["c.yaml:", "minutes"],
        )
        .await?;
    region
        .import(
            import,
            "d.yaml",
            &TOSCANA.replacen("2023-11-07", "2023-13-07", 1),
            1,
            &["d.yaml:", "start"],
        )
        .await?;
    region.take(import, "toscana.yaml", TOSCANA)?;
    region.refused(&["pe", "share"], 5, &["approved"]).await?;
    region.refused(&["pe", "share"], 5, &["Operational Plan"]).await?;

    let hub = &region.hub;
    until_says(
        "the plan arrives",
        || hub.run(&["po", "list", "-o", "csv"])?.ok(),
        "090,1,submitted",
    )?;
    let (mds, dtd) = (
        hub.person("Prima", "MDS", &["approver"])?,
        hub.person("Seconda", "DTD", &["approver"])?,
    );
    hub.run_as(
        &mds,
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
    hub.run_as(&dtd, &["po", "confirm", "090", "1"])?.ok()?;
    until_says(
        "the approval arrives",
        || region.spoke.run(&["po", "list", "-o", "csv"])?.ok(),
        "approved",
    )?;

    let foreign = TOSCANA.replacen("po_intervention: TOS-PO-03", "po_intervention: TOS-PO-09", 1);
    region.take(import, "e.yaml", &foreign)?;
    region.refused(&["pe", "share"], 5, &["TOS-PO-09"]).await?;
    let person = TOSCANA.replacen("tutors: if_needed", "tutors: \"mario.rossi@example.it\"", 1);
    region.take(import, "f.yaml", &person)?;
    region.refused(&["pe", "share"], 5, &["e-mail"]).await?;
    region.take(import, "toscana.yaml", TOSCANA)?;
    region.good(&["pe", "share"]).map(drop)
}

async fn editions(region: &Region) -> Result<()> {
    let import = ["edition", "import"];
    let rows = |rows: &str| format!("{EDITIONS}\n{rows}\n");
    let good = "E1,TOS-2023-03,2023-09-05,2023-09-20,,yes";
    for (name, content, says) in [
        (
            "a.csv",
            "id;intervention\nE1;TOS-2023-03\n".to_owned(),
            &["a.csv", "id,intervention"][..],
        ),
        (
            "b.csv",
            rows(&format!("{good}\nE2,TOS-2023-03,5 settembre,,,")),
            &["b.csv", "3", "start"],
        ),
        (
            "c.csv",
            rows(&format!("{good}\nE2,TOS-2023-99,2023-09-05,,,")),
            &["c.csv", "3", "TOS-2023-99"],
        ),
        (
            "d.csv",
            rows(&format!("{good}\nE1,TOS-2023-03,2023-09-06,,,")),
            &["d.csv", "3", "E1"],
        ),
        (
            "e.csv",
            rows(&format!("{good}\nE2,TOS-2023-03,2023-09-05,2023-09-01,,")),
            &["e.csv", "3", "end"],
        ),
        (
            "f.csv",
            rows(&format!("{good}\nE2,TOS-2023-03,2023-09-05,,KIT-NO@1.0.0,")),
            &["f.csv", "3", "KIT-NO@1.0.0"],
        ),
        (
            "g.csv",
            rows(&format!("{good}\nE2,TOS-2023-03,2023-09-05,,,forse")),
            &["g.csv", "3", "forse"],
        ),
    ] {
        region.import(import, name, &content, 1, says).await?;
    }
    let sound = rows(&format!("{good}\nE2,TOS-2023-02,2023-11-07,,,no"));
    region.take(import, "editions.csv", &sound)?;
    let other = [
        "edition",
        "add",
        "--id",
        "E1",
        "--intervention",
        "TOS-2023-03",
        "--start",
        "2023-09-06",
    ];
    region.refused(&other, 5, &["E1"]).await?;
    let unknown = [
        "edition",
        "add",
        "--id",
        "E9",
        "--intervention",
        "TOS-2024-01",
        "--start",
        "2024-09-06",
    ];
    region.refused(&unknown, 1, &["2024"]).await
}

async fn outcomes(region: &Region) -> Result<()> {
    let import = ["outcome", "import"];
    let rows = |rows: &str| format!("{OUTCOMES}\n{rows}\n");
    let good = "L1,E1,C1.01,2023-09-05,2023-09-05,2023-09-20,yes,yes";
    for (name, content, says) in [
        (
            "a.csv",
            "learner,edition\nL1,E1\n".to_owned(),
            &["a.csv", "learner,edition,profession"][..],
        ),
        (
            "b.csv",
            rows(&format!("{good}\nL2,E1,C1.01,05/09/2023,,,,")),
            &["b.csv", "3", "enrolled", "05/09/2023"],
        ),
        (
            "c.csv",
            rows(&format!("{good}\nL1,E1,C1.01,2023-09-05,,,,")),
            &["c.csv", "3", "learner", "line 2"],
        ),
        (
            "d.csv",
            rows(&format!("{good}\nL2,E7,C1.01,2023-09-05,,,,")),
            &["d.csv", "3", "edition", "E7"],
        ),
        (
            "e.csv",
            rows(&format!("{good}\nL2,E1,C1.01,2023-09-05,,2023-09-20,,")),
            &["e.csv", "3", "completed", "started"],
        ),
        (
            "f.csv",
            rows(&format!("{good}\nL2,E1,C1.01,2023-09-05,2023-09-05,,yes,")),
            &["f.csv", "3", "passed"],
        ),
        (
            "g.csv",
            rows(&format!(
                "{good}\nL2,E1,C1.01,2023-09-05,2023-09-05,2023-09-20,no,yes"
            )),
            &["g.csv", "3", "ecm_credited"],
        ),
        (
            "h.csv",
            rows(&format!("{good}\nL2,E1,C1.01,2023-09-05,2023-09-01,,,")),
            &["h.csv", "3", "started"],
        ),
        (
            "i.csv",
            rows(&format!("{good}\nL2,E1,C9.99,2023-09-05,,,,")),
            &["i.csv", "3", "profession", "C9.99"],
        ),
        (
            "l.csv",
            rows(&format!("{good}\nRSSMRA80A01H501U,E1,C1.01,2023-09-05,,,,")),
            &["l.csv", "3", "fiscal code"],
        ),
        (
            "m.csv",
            rows(&format!(
                "{good}\nL2,E2,C1.01,2023-11-07,2023-11-07,2023-11-07,yes,"
            )),
            &["m.csv", "3", "no test"],
        ),
        (
            "n.csv",
            rows(&format!("{good}\nL2,E1")),
            &["n.csv", "3", "2 columns"],
        ),
        ("o.csv", String::new(), &["o.csv", "empty"]),
    ] {
        region.import(import, name, &content, 1, says).await?;
    }
    let path = region.folder.path().join("p.csv");
    let mut bytes = rows(good).into_bytes();
    bytes.extend_from_slice(b"L\xff2,E1,C1.01,2023-09-05,,,,\n");
    std::fs::write(&path, bytes)?;
    let path = path.display().to_string();
    region
        .refused(&["outcome", "import", &path], 1, &["p.csv", "3", "UTF-8"])
        .await?;
    assert_eq!(
        number(&region.spoke.data, "SELECT COUNT(*) FROM local_outcome").await?,
        0,
        "no row slipped in"
    );

    let ten: Vec<String> = (1..=10)
        .map(|n| format!("L{n},E1,C1.01,2023-09-05,2023-09-05,2023-09-20,yes,yes"))
        .collect();
    region.take(import, "outcomes.csv", &rows(&ten.join("\n")))?;
    assert_eq!(
        number(&region.spoke.data, "SELECT COUNT(*) FROM local_outcome").await?,
        10
    );
    // A recorded fact does not change by the way; row 3 is new and does not come in either.
    let content = rows("L1,E1,C1.01,2023-09-06,2023-09-06,2023-09-20,yes,yes\nL99,E1,C1.01,2023-09-05,,,,");
    region
        .import(
            import,
            "q.csv",
            &content,
            1,
            &["q.csv", "2", "enrolled", "2023-09-05"],
        )
        .await
}

async fn months(region: &Region) -> Result<()> {
    region.hub.run(&["clock", "set", "2023-09-30T08:00:00Z"])?.ok()?;
    region.spoke.clock("2023-09-30T08:00:00Z")?;
    region
        .refused(&["report", "close", "2023-09"], 5, &["2023-09"])
        .await?;
    region
        .refused(&["report", "close", "settembre"], 1, &["settembre"])
        .await?;
    region
        .refused(&["report", "close", "2022-09"], 5, &["2022"])
        .await?;
    region
        .refused(&["clock", "set", "2023-08-01T00:00:00Z"], 5, &["2023-0"])
        .await?;
    region.hub.run(&["clock", "set", "2023-10-02T08:00:00Z"])?.ok()?;
    region.spoke.clock("2023-10-02T08:00:00Z")?;
    region.good(&["report", "close", "2023-09"])?;
    let late = format!("{OUTCOMES}\nL11,E1,C1.01,2023-09-05,2023-09-05,2023-09-20,yes,yes\n");
    region.take(["outcome", "import"], "late.csv", &late)?;
    region
        .refused(&["report", "close", "2023-09"], 5, &["reason"])
        .await?;
    let phone = ["report", "close", "2023-09", "--reason", "chiamare 055 4383111"];
    let before = Before::of(&[&region.spoke.data]).await?;
    let got = region.spoke.run(&phone)?;
    let code = got.code;
    before
        .refused("a telephone number", got, code, &["telephone"])
        .await?;
    assert!([1, 5].contains(&code), "refused: {code}");
    region
        .good(&[
            "report",
            "close",
            "2023-09",
            "--reason",
            "un partecipante in ritardo",
        ])
        .map(drop)
}

async fn api(region: &Region) -> Result<()> {
    level(&region.hub, &[&region.spoke]).await?;
    let before = Before::of(&[&region.spoke.data]).await?;
    let api = client::connect(&node_context(&region.spoke.data)?).await?;
    for path in [
        "/raccordo.v1.SpokeAdministrationService/CloseReport",
        "/raccordo.v1.NodeService/SetClock",
    ] {
        let got = raw::call(api.clone(), path, vec![0xff; 60]).await;
        before
            .status(path, got, &[Code::Internal, Code::InvalidArgument], &["decode"])
            .await?;
        let got = raw::call(api.clone(), path, vec![0; 5 * 1_024 * 1_024]).await;
        before
            .status(
                path,
                got,
                &[Code::OutOfRange, Code::ResourceExhausted],
                &["too large"],
            )
            .await?;
    }
    // Over the bounds of the documents, by a program that does not look at them first.
    let mut client = SpokeAdministrationServiceClient::new(api);
    let yaml = format!("#{}\n{TOSCANA}", "x".repeat(1_024 * 1_024));
    let request = ImportOperationalPlanRequest {
        file_name: "lungo.yaml".into(),
        yaml,
    };
    let got = client.import_operational_plan(request).await;
    before
        .status("a long document", got, &TOO_LARGE, &["1048576"])
        .await?;
    let request = ImportEditionsRequest {
        file_name: "lungo.csv".into(),
        csv: vec![b'x'; 1_024 * 1_024 + 1],
    };
    let got = client.import_editions(request).await;
    before
        .status("a long list of editions", got, &TOO_LARGE, &["1048576"])
        .await?;
    let piece = |data| ImportOutcomesRequest {
        file_name: "lungo.csv".into(),
        data,
        ..Default::default()
    };
    let got = client
        .import_outcomes(stream::iter(vec![piece(vec![b'x'; 512 * 1_024 + 1])]))
        .await;
    before
        .status("a long piece", got, &TOO_LARGE, &["524288"])
        .await?;
    let pieces: Vec<_> = (0..65).map(|_| piece(vec![b'x'; 512 * 1_024])).collect();
    let got = client.import_outcomes(stream::iter(pieces)).await;
    before
        .status("a long file", got, &TOO_LARGE, &["33554432"])
        .await?;
    region.good(&["whoami"]).map(drop)
}
