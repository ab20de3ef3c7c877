//! What is left in the end: `demo.json`, and, if the demo stays up, where everything is.

use crate::{
    cast::TOSCANA,
    federation::{ClientContext, FEDERATION, Federation},
    outcomes::{MONTHS, period},
    process::Program,
};
use anyhow::Result;
use raccordo_cli::output::print_data;
use serde::Serialize;
use std::path::Path;

/// For programs that look at the folder: `tests/foreign/status.py` among them. Paths are relative to it.
#[derive(Debug, Serialize)]
struct Summary {
    federation: &'static str,
    test: bool,
    invented: &'static str,
    hub_api: String,
    server_name: String,
    ca: String,
    gdl_token: String,
    seed: u64,
    periods: Vec<String>,
    regions: Vec<&'static str>,
}

/// Writes `demo.json`. The Hub must be served.
pub(crate) async fn summarise(federation: &Federation) -> Result<()> {
    let context = ClientContext::read(&federation.hub.data)?;
    let relative = |path: &Path| {
        path.strip_prefix(&federation.dir)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    let summary = Summary {
        federation: FEDERATION,
        test: true,
        invented: "editions, outcomes, kits, and every plan but that of region 090",
        hub_api: federation.hub.address("api").await,
        server_name: context.server_name,
        ca: relative(&context.ca),
        gdl_token: relative(&federation.token("gdl")),
        seed: federation.seed,
        periods: (0..MONTHS.len()).map(|m| period(m).to_string()).collect(),
        regions: federation.cast.iter().map(|r| r.code.as_str()).collect(),
    };
    federation
        .write(
            "demo.json",
            &format!("{}\n", serde_json::to_string_pretty(&summary)?),
        )
        .map(drop)
}

/// Serves every node again and says how to go on.
pub(crate) async fn serve_again(federation: &Federation) -> Result<()> {
    federation.stage.phase("Tutti i nodi di nuovo in servizio");
    federation.hub.start(&federation.tools).await?;
    federation
        .each("Spoke", async |r| {
            federation.spoke(r.code.as_str())?.start(&federation.tools).await
        })
        .await?;
    let mut text = String::from("\nIndirizzi (API dei nodi, TLS)\n");
    text.push_str(&format!(
        "  centro      {}\n",
        federation.hub.address("api").await
    ));
    for region in &federation.cast {
        let address = federation.spoke(region.code.as_str())?.address("api").await;
        text.push_str(&format!("  {} {:<7} {address}\n", region.code, region.short));
    }
    let program = |p: Program| federation.tools.path(p).display().to_string();
    let context = ClientContext::read(&federation.hub.data)?;
    let (hub, spoke) = (
        federation.hub.data.display(),
        federation.spoke(TOSCANA)?.data.display(),
    );
    text.push_str(&format!(
        "\nToken (uno per persona)\n  {}\n\nComandi di esempio\n\
         \x20 {} region list --data {hub}\n\
         \x20 {} report list --data {hub} --token-file {}\n\
         \x20 {} report list --data {spoke}\n\
         \x20 {} status --server {} --server-name {} --ca {} --token-file {}\n\n\
         Ctrl-C ferma tutto. I dati sono in {}\n",
        federation.dir.join("tokens").display(),
        program(Program::Hub),
        program(Program::Hub),
        federation.token("verifica").display(),
        program(Program::Spoke),
        program(Program::Gdl),
        federation.hub.address("api").await,
        context.server_name,
        context.ca.display(),
        federation.token("gdl").display(),
        federation.dir.display(),
    ));
    Ok(print_data(&text)?)
}
