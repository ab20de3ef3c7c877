//! The beginning: the Hub, the people of the centre, the catalogue, and the regions that join.

use crate::{
    federation::{FEDERATION, FIRST_INSTANT, Federation, only_row},
    plans::APPROVERS,
    process::{Program, text, until},
};
use anyhow::{Context as _, Result};
use std::{net::TcpListener, time::Duration};

const TAXONOMY: &str = include_str!("../../../shared/model/data/taxonomy.yaml");
const SYLLABI: &str = include_str!("../../../shared/model/data/syllabi.yaml");
/// When the regions begin to work.
const JOINED: &str = "2023-09-04T08:00:00Z";
/// Longest wait until every region has what the centre published.
const CATALOGUE: Duration = Duration::from_secs(60);

/// The people of the centre: name of the token file, institution, role.
const PEOPLE: [(&str, &str, &str); 5] = [
    ("redazione", "MDS", "publisher"),
    ("verifica", "MDS", "reviewer"),
    (APPROVERS[0], "MDS", "approver"),
    (APPROVERS[1], "DTD", "approver"),
    ("gdl", "GDL", "observer"),
];

/// Founds the centre and serves it.
pub(crate) async fn centre(federation: &Federation) -> Result<()> {
    federation
        .stage
        .phase("Centro: chiavi, certificati, primo registro; federazione di PROVA");
    let [api, exchange, admin] = free_addresses()?;
    let hub = &federation.hub;
    federation
        .tools
        .call(Program::Hub)
        .args([
            "init",
            "--federation",
            FEDERATION,
            "--test",
            "--clock",
            FIRST_INSTANT,
        ])
        .option("--api-address", &api)
        .option("--exchange-address", &exchange)
        .option("--admin-address", &admin)
        .option("--data", &hub.data)
        .run()
        .await?;
    hub.start(&federation.tools).await?;
    for (name, institution, role) in PEOPLE {
        let shown = format!("{name} ({institution})");
        let args = [
            "account",
            "add",
            "--name",
            &shown,
            "--institution",
            institution,
            "--role",
            role,
        ];
        let row = only_row(federation.at_hub("amministratore", args).json().await?)?;
        let account = text(&row, "account");
        issue(federation, &account, name).await?;
        if name == APPROVERS[0] {
            issue(federation, &account, &format!("{name}-2")).await?;
        }
        if name == "gdl" {
            let id = issue(federation, &account, "gdl-revocato").await?;
            federation.set_revocable(id);
        }
    }
    let people = PEOPLE.map(|(name, ..)| name).join(", ");
    federation.stage.say(&format!(
        "centro in servizio su {api}; persone: amministratore, {people}"
    ));
    Ok(())
}

/// A token of a person, in its file. Returns its identifier.
async fn issue(federation: &Federation, account: &str, name: &str) -> Result<String> {
    let path = federation.token(name);
    let call = federation.at_hub("amministratore", ["token", "issue", account, "--days", "30"]);
    let row = only_row(call.option("--out", &path).json().await?)?;
    path.is_file()
        .then_some(())
        .with_context(|| format!("il token non è in {}", path.display()))?;
    Ok(text(&row, "token_id"))
}

/// Publishes the code lists and the two syllabi.
pub(crate) async fn catalogue(federation: &Federation) -> Result<()> {
    federation.stage.phase("Catalogo: liste di codici e due syllabi");
    let codes = federation.write("inputs/taxonomy.yaml", TAXONOMY)?;
    let syllabi = federation.write("inputs/syllabi.yaml", SYLLABI)?;
    federation
        .at_hub("redazione", ["codelist", "publish"])
        .arg(codes)
        .run()
        .await?;
    federation
        .at_hub("redazione", ["syllabus", "publish"])
        .arg(syllabi)
        .run()
        .await?;
    Ok(())
}

/// Every region is invited, joins with keys of its own, and serves.
pub(crate) async fn regions(federation: &Federation) -> Result<()> {
    let count = federation.cast.len();
    federation.stage.phase(&format!(
        "Regioni: {count} inviti, {count} Spoke ciascuno con cartella, chiavi e certificato"
    ));
    federation
        .each("Adesioni", async |region| {
            let code = region.code.as_str();
            let bundle = federation.dir.join("bundles").join(format!("{code}.bundle"));
            let spoke = federation.spoke(code)?;
            federation
                .at_hub("amministratore", ["region", "invite", code])
                .option("--out", &bundle)
                .run()
                .await?;
            let join = federation
                .tools
                .call(Program::Spoke)
                .arg("join")
                .option("--bundle", &bundle);
            let loopback = ["--api-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"];
            join.option("--data", &spoke.data).args(loopback).run().await?;
            spoke.start(&federation.tools).await
        })
        .await?;
    federation.hub_clock(JOINED).await?;
    federation
        .each("Orologi", async |region| {
            let code = region.code.as_str();
            federation.spoke_clock(code, JOINED).await?;
            until("il catalogo del centro", CATALOGUE, async || {
                let shown = federation
                    .at_spoke(code, ["catalogue", "list", "-o", "json"])
                    .run()
                    .await?;
                Ok(["SYL-FSE-GEN", "SYL-FSE-TTT"]
                    .iter()
                    .all(|id| shown.out.contains(id))
                    .then_some(()))
            })
            .await
        })
        .await?;
    federation.stage.say(&format!(
        "{count} regioni collegate, con le liste di codici e i syllabi"
    ));
    Ok(())
}

/// Three free addresses. They stay those of the Hub when it is started again, as the join bundles name them.
fn free_addresses() -> Result<[String; 3]> {
    let listeners = [
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    ];
    let mut addresses = [String::new(), String::new(), String::new()];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr()?.to_string();
    }
    Ok(addresses)
}
