//! Plans: Tuscany's real one, invented ones for the other regions, and their way through submission, decision
//! by two people, and sharing.

use crate::{
    cast::TOSCANA,
    federation::Federation,
    outcomes::{has_webinar, intervention},
    process::{Row, text, until},
    proof::Line,
};
use anyhow::Result;
use raccordo_model::region::Region;
use std::time::Duration;

/// Tuscany's plan, as its own presentation tells it.
const REAL: &str = include_str!("../../../shared/model/data/toscana-2023.yaml");
/// Longest wait for a plan or a decision to arrive.
const ARRIVAL: Duration = Duration::from_secs(60);

/// The two people whose decision counts, of different institutions.
pub(crate) const APPROVERS: [&str; 2] = ["approvazione-mds", "approvazione-dtd"];

/// The whole way, for every region.
pub(crate) async fn run(federation: &Federation) -> Result<()> {
    federation
        .stage
        .phase("Piani: il piano vero della Toscana, piani inventati per le altre regioni");
    submit_all(federation).await?;
    let first = waiting(federation, |_| 1).await?;
    federation
        .stage
        .say(&format!("{first} Piani Operativi arrivati al centro"));
    refuse_one_person(federation).await?;
    decide_all(federation).await?;
    share_all(federation).await?;
    observe(federation).await
}

async fn submit_all(federation: &Federation) -> Result<()> {
    federation
        .each("Piani Operativi", async |region| {
            let code = region.code.as_str();
            let yaml = if code == TOSCANA {
                REAL.to_owned()
            } else {
                invented(region, true)
            };
            let file = federation.write(&format!("inputs/{code}/piani-2023.yaml"), &yaml)?;
            federation
                .at_spoke(code, ["po", "import"])
                .arg(file)
                .run()
                .await?;
            federation.at_spoke(code, ["po", "submit"]).run().await?;
            Ok(())
        })
        .await
}

/// Waits until the Hub has the version of each region's PO that `version` says; returns how many.
async fn waiting(federation: &Federation, version: impl Fn(&str) -> u64) -> Result<usize> {
    until("i Piani Operativi al centro", ARRIVAL, async || {
        let rows = federation.at_hub(APPROVERS[0], ["po", "list"]).rows().await?;
        let here = |code: &str| {
            rows.iter()
                .any(|r| text(r, "region") == code && text(r, "version") == version(code).to_string())
        };
        Ok(federation
            .cast
            .iter()
            .all(|r| here(r.code.as_str()))
            .then_some(federation.cast.len()))
    })
    .await
}

/// One person's decision moves nothing; a second token of the same person is refused.
async fn refuse_one_person(federation: &Federation) -> Result<()> {
    let [first, _] = APPROVERS;
    decide(federation, TOSCANA, "1", "approve").await?;
    let confirm = ["po", "confirm", TOSCANA, "1"];
    let answer = federation.at_hub(first, confirm).answer().await?;
    federation.prove_refused("La stessa persona conferma la propria decisione", &answer);
    let answer = federation.at_hub(&format!("{first}-2"), confirm).answer().await?;
    federation.prove_refused("La stessa persona la conferma con un secondo token", &answer);
    let answer = federation.at_hub("redazione", confirm).answer().await?;
    federation.prove_refused("La conferma una persona senza quel ruolo", &answer);
    let answer = federation.at_spoke(TOSCANA, ["po", "list"]).rows().await?;
    let state = answer.first().map(|row| text(row, "state")).unwrap_or_default();
    let proposed = format!("Con la decisione di una sola persona il PO della Toscana resta «{state}»");
    federation.prove(Line::new(proposed, state == "submitted"));
    let answer = federation
        .at_spoke(TOSCANA, ["pe", "import"])
        .arg(inputs(federation, TOSCANA))
        .answer()
        .await?;
    if answer.code == 0 {
        let answer = federation.at_spoke(TOSCANA, ["pe", "share"]).answer().await?;
        federation.prove_refused("La Toscana condivide il PE su un PO non approvato", &answer);
    } else {
        federation.prove_refused("La Toscana prepara il PE su un PO non approvato", &answer);
    }
    Ok(())
}

fn inputs(federation: &Federation, code: &str) -> std::path::PathBuf {
    federation.dir.join("inputs").join(code).join("piani-2023.yaml")
}

async fn decide(federation: &Federation, code: &str, version: &str, verdict: &str) -> Result<()> {
    let reasons = match verdict {
        "approve" => "Coerente con le linee guida; decisione di prova",
        _ => "Manca la formazione specifica dei medici di famiglia; richiesta di prova",
    };
    let args = [
        "po",
        "decide",
        code,
        version,
        "--verdict",
        verdict,
        "--reasons",
        reasons,
    ];
    federation.at_hub(APPROVERS[0], args).run().await.map(drop)
}

async fn confirm(federation: &Federation, code: &str, version: &str) -> Result<()> {
    federation
        .at_hub(APPROVERS[1], ["po", "confirm", code, version])
        .run()
        .await
        .map(drop)
}

async fn decide_all(federation: &Federation) -> Result<()> {
    let changes = federation.parts.changes_requested;
    federation
        .each("Decisioni", async |region| {
            let code = region.code.as_str();
            match code {
                // The first of the two people has decided already.
                TOSCANA => {}
                _ if code == changes => decide(federation, code, "1", "request-changes").await?,
                _ => decide(federation, code, "1", "approve").await?,
            }
            confirm(federation, code, "1").await
        })
        .await?;
    state_at_spoke(federation, changes, "1", "changes_requested").await?;
    let region = federation.cast.iter().find(|r| r.code.as_str() == changes);
    if let Some(region) = region {
        federation.stage.say(&format!(
            "{}: modifiche richieste, seconda versione del PO",
            region.name
        ));
        let file = federation.write(
            &format!("inputs/{changes}/piani-2023.yaml"),
            &invented(region, false),
        )?;
        federation
            .at_spoke(changes, ["po", "import"])
            .arg(file)
            .run()
            .await?;
        federation.at_spoke(changes, ["po", "submit"]).run().await?;
        waiting(federation, |code| if code == changes { 2 } else { 1 }).await?;
        decide(federation, changes, "2", "approve").await?;
        confirm(federation, changes, "2").await?;
    }
    Ok(())
}

async fn state_at_spoke(federation: &Federation, code: &str, version: &str, state: &str) -> Result<()> {
    until(
        &format!("la decisione sul PO versione {version} presso la regione {code}"),
        ARRIVAL,
        async || {
            let rows = federation.at_spoke(code, ["po", "list"]).rows().await?;
            let told = |row: &Row| text(row, "version") == version && text(row, "state") == state;
            Ok(rows.iter().any(told).then_some(()))
        },
    )
    .await
}

async fn share_all(federation: &Federation) -> Result<()> {
    federation
        .each("Piani Esecutivi", async |region| {
            let code = region.code.as_str();
            let version = if code == federation.parts.changes_requested {
                "2"
            } else {
                "1"
            };
            state_at_spoke(federation, code, version, "approved").await?;
            federation
                .at_spoke(code, ["pe", "import"])
                .arg(inputs(federation, code))
                .run()
                .await?;
            federation.at_spoke(code, ["pe", "share"]).run().await?;
            Ok(())
        })
        .await
}

/// The centre observes on Tuscany's PE, and Tuscany sees it.
async fn observe(federation: &Federation) -> Result<()> {
    until("i Piani Esecutivi al centro", ARRIVAL, async || {
        let rows = federation.at_hub("verifica", ["pe", "list"]).rows().await?;
        let here = |code: &str| rows.iter().any(|r| text(r, "region") == code);
        Ok(federation
            .cast
            .iter()
            .all(|r| here(r.code.as_str()))
            .then_some(()))
    })
    .await?;
    let observation = "Indicare come si misura la partecipazione al corso FAD (osservazione di prova)";
    let args = [
        "pe",
        "observe",
        TOSCANA,
        "2023",
        "--text",
        observation,
        "--intervention",
        "TOS-2023-03",
    ];
    federation.at_hub("verifica", args).run().await?;
    until("l'osservazione presso la Toscana", ARRIVAL, async || {
        let shown = federation.at_spoke(TOSCANA, ["pe", "show", "2023"]).run().await?;
        Ok(shown.out.contains("si misura la partecipazione").then_some(()))
    })
    .await?;
    federation
        .stage
        .say("La Toscana ha il PO approvato da due persone, il PE condiviso e un'osservazione del centro");
    Ok(())
}

/// The invented plans of a region. `scant`: the first try of the region that is asked for changes.
fn invented(region: &Region, scant: bool) -> String {
    let (code, short, id) = (region.code, &region.short, |n| intervention(region, n));
    let specific_po = if scant && code.as_str() == "140" {
        String::new()
    } else {
        format!("    - {{ id: {short}-PO-03, title: \"Formazione specifica per MMG/PLS\", level: STAFF }}\n")
    };
    let specific_origin = if specific_po.is_empty() {
        "origin: additional, reason: \"Non ancora nel Piano Operativo\"".to_owned()
    } else {
        format!("origin: from_po, po_intervention: {short}-PO-03")
    };
    let webinar = if has_webinar(region) {
        format!(
            "    - {{ id: {}, title: \"Webinar per gli sportelli CUP\", level: STAFF, area: TECHNICAL, objective: PERSONALISATION, \
             target: [C3.02], instrument: EVENT.WEBINAR, minutes: 60, origin: additional, \
             reason: \"Richiesto dalle aziende sanitarie dopo l'approvazione del Piano Operativo\" }}\n",
            id(4)
        )
    } else {
        String::new()
    };
    format!(
        "# Piani INVENTATI dalla dimostrazione: non sono di {name}.\n\
         region: \"{code}\"\n\
         operational_plan:\n\
         \x20 horizon: {{ from: 2023, to: 2026 }}\n\
         \x20 proposed: \"2023-09\"\n\
         \x20 basis: [\"Decreto 8 agosto 2022\"]\n\
         \x20 interventions:\n\
         \x20   - {{ id: {short}-PO-01, title: \"Formazione dei formatori\", level: TRAINERS }}\n\
         \x20   - {{ id: {short}-PO-02, title: \"Formazione generale sul FSE 2.0\", level: STAFF }}\n\
         {specific_po}\
         executive_plan:\n\
         \x20 year: 2023\n\
         \x20 interventions:\n\
         \x20   - {{ id: {one}, title: \"Formazione dei formatori\", level: TRAINERS, area: GENERAL, objective: POLICY, target: [C2, C3], \
         audience: 24, instrument: TRADITIONAL.RES, minutes: 360, origin: from_po, po_intervention: {short}-PO-01 }}\n\
         \x20   - {{ id: {two}, title: \"Formazione generale, corso FAD\", level: STAFF, area: GENERAL, objective: ACCESS, target: [C1, C2, C3], \
         audience: unknown, instrument: ONLINE.ELEARNING, minutes: 240, ecm: true, origin: from_po, po_intervention: {short}-PO-02 }}\n\
         \x20   - {{ id: {three}, title: \"Formazione specifica per MMG/PLS\", level: STAFF, area: SPECIFIC, objective: INTEGRATION, target: [C1.01, C1.02], \
         instrument: TRADITIONAL.FSC, minutes: 120, after: [{two}], {specific_origin} }}\n\
         {webinar}",
        name = region.name,
        one = id(1),
        two = id(2),
        three = id(3),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast;
    use raccordo_model::{executive_plan::check_against_po, plan_file::PlanFile, taxonomy::CodeLists};

    #[test]
    fn invented_plans_hold_and_their_interventions_are_in_them() {
        for region in cast::choose(21) {
            for scant in [true, false] {
                let yaml = invented(region, scant);
                let file = PlanFile::parse_yaml(&yaml, "p.yaml", CodeLists::builtin()).unwrap();
                assert_eq!((file.region, file.warnings), (region.code, vec![]));
                let (po, pe) = (file.operational_plan.unwrap(), file.executive_plan.unwrap());
                assert_eq!(check_against_po(&pe, &po), []);
                assert!(po.personal_data().is_empty() && pe.personal_data().is_empty());
                assert_eq!(
                    po.interventions.len(),
                    if scant && region.code.as_str() == "140" {
                        2
                    } else {
                        3
                    }
                );
            }
        }
    }
}
