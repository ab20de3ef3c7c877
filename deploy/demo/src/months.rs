//! Three months of editions in every region: imported, reported, sent, and judged at the centre. On the way the
//! Hub is killed, a report is rejected and corrected, a month is corrected late, a region keeps silent.

use crate::{
    cast::TOSCANA,
    federation::{Federation, only_row},
    kit::{FIRST, KIT, SECOND},
    outcomes::{MONTHS, Story, period},
    process::{Row, text, until},
    proof::Line,
    rollout,
};
use anyhow::{Context as _, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Longest wait for reports or verdicts to arrive.
const ARRIVAL: Duration = Duration::from_secs(90);
/// Index of November.
const NOVEMBER: usize = 1;

/// The three months; between the first and the second the kit's second version arrives.
pub(crate) async fn run(federation: &Federation) -> Result<()> {
    let parts = &federation.parts;
    let stories: BTreeMap<&str, Story> = federation
        .cast
        .iter()
        .map(|region| {
            let code = region.code.as_str();
            let mut late = Vec::new();
            late.extend((code == parts.corrects_late).then_some(0));
            late.extend((code == parts.rejected).then_some(NOVEMBER));
            (code, Story::invent(region, federation.seed, &late))
        })
        .collect();
    let rows: usize = stories.values().map(Story::rows).sum();
    let editions: usize = stories.values().map(Story::edition_count).sum();
    for month in 0..MONTHS.len() {
        if month == NOVEMBER {
            rollout::second(federation).await?;
        }
        federation.stage.phase(&format!(
            "Mese {}: edizioni ed esiti INVENTATI, rilevazioni",
            period(month)
        ));
        if month == 0 {
            let seed = federation.seed;
            federation.stage.say(&format!(
                "{editions} edizioni e {rows} righe di esiti nei tre mesi, seme {seed}"
            ));
        }
        // The centre's clock goes first: what it cosigns is never older than what was recorded.
        federation.hub_clock(&after(month, 2)).await?;
        record(federation, &stories, month).await?;
        let sent = close(federation, &stories, month).await?;
        judge(federation, &stories, month, sent).await?;
    }
    Ok(())
}

/// Eight o'clock of a day of the month after.
fn after(month: usize, day: i8) -> String {
    let end = period(month).last_day();
    match end.tomorrow() {
        Ok(first) => format!("{}-{day:02}T08:00:00Z", first.strftime("%Y-%m")),
        Err(_) => unreachable!("the months are those of 2023"),
    }
}

/// Editions and outcomes of the month go in by CSV.
async fn record(federation: &Federation, stories: &BTreeMap<&str, Story>, month: usize) -> Result<()> {
    let version = if month < NOVEMBER { FIRST } else { SECOND };
    federation
        .each("Importazioni", async |region| {
            let code = region.code.as_str();
            let story = stories.get(code).context("nessuna storia")?;
            let folder = format!("inputs/{code}/{}", period(month));
            let editions = story.editions_csv(month, KIT, version);
            let editions = federation.write(&format!("{folder}-edizioni.csv"), &editions)?;
            let outcomes = federation.write(&format!("{folder}-esiti.csv"), &story.outcomes_csv(month))?;
            federation.spoke_clock(code, &after(month, 2)).await?;
            federation
                .at_spoke(code, ["edition", "import"])
                .arg(editions)
                .run()
                .await?;
            federation
                .at_spoke(code, ["outcome", "import"])
                .arg(&outcomes)
                .run()
                .await?;
            if code == TOSCANA && month == 0 {
                prove_repeated_import(federation, &outcomes).await?;
            }
            Ok(())
        })
        .await
}

/// The same file twice changes nothing: the report that it gives is the same.
async fn prove_repeated_import(federation: &Federation, outcomes: &std::path::Path) -> Result<()> {
    let preview = ["report", "preview", "2023-10", "-o", "json"];
    let before = federation.at_spoke(TOSCANA, preview).run().await?.out;
    federation
        .at_spoke(TOSCANA, ["outcome", "import"])
        .arg(outcomes)
        .run()
        .await?;
    let after = federation.at_spoke(TOSCANA, preview).run().await?.out;
    federation.prove(Line::new(
        "Lo stesso file di esiti importato due volte non cambia l'anteprima".into(),
        before == after,
    ));
    Ok(())
}

/// Every region but the silent one closes the month; in October the Hub is killed meanwhile. Returns what
/// must arrive: (region, period, revision).
async fn close(
    federation: &Federation,
    stories: &BTreeMap<&str, Story>,
    month: usize,
) -> Result<BTreeSet<(String, String, u64)>> {
    let parts = &federation.parts;
    let silent = match month {
        0 => parts.silent_in_october,
        2 => parts.silent_in_december,
        _ => "",
    };
    let month_text = period(month).to_string();
    let mut sent = BTreeSet::new();
    if month == NOVEMBER {
        sent.extend(correct_october(federation, stories).await?);
    }
    let closed = AtomicUsize::new(0);
    let quarter = federation.cast.len().div_ceil(4);
    federation
        .each("Rilevazioni", async |region| {
            let code = region.code.as_str();
            if code == silent {
                return Ok(());
            }
            if code == TOSCANA {
                federation
                    .at_spoke(code, ["report", "preview", &month_text])
                    .run()
                    .await?;
            }
            federation
                .at_spoke(code, ["report", "close", &month_text])
                .run()
                .await?;
            let nth = closed.fetch_add(1, Ordering::SeqCst) + 1;
            if month == 0 && nth == quarter {
                federation.hub.kill_9().await?;
                federation.stage.say(&format!(
                    "kill -9 del centro mentre arrivano le rilevazioni, dopo {nth} chiusure"
                ));
            }
            Ok(())
        })
        .await?;
    if month == 0 {
        let closed = closed.load(Ordering::SeqCst);
        federation.stage.say(&format!("le regioni hanno continuato senza centro: {closed} mesi chiusi; centro riavviato sulla stessa porta"));
        federation.hub.start(&federation.tools).await?;
    }
    let regions = federation
        .cast
        .iter()
        .map(|r| r.code.to_string())
        .filter(|code| code != silent);
    sent.extend(regions.map(|code| (code, month_text.clone(), 1)));
    if !silent.is_empty() {
        federation.stage.say(&format!(
            "la regione {silent} non invia la rilevazione di {month_text}"
        ));
    }
    Ok(sent)
}

/// A region that had forgotten some rows corrects October: a second revision, with its reason.
async fn correct_october(
    federation: &Federation,
    stories: &BTreeMap<&str, Story>,
) -> Result<Option<(String, String, u64)>> {
    let code = federation.parts.corrects_late;
    let Some(csv) = stories.get(code).and_then(|s| s.late_csv(0)) else {
        return Ok(None);
    };
    let file = federation.write(&format!("inputs/{code}/2023-10-tardivi.csv"), &csv)?;
    federation
        .at_spoke(code, ["outcome", "import"])
        .arg(file)
        .run()
        .await?;
    let reason = "Esiti di ottobre consegnati in ritardo da un'azienda sanitaria";
    let close = ["report", "close", "2023-10", "--reason", reason];
    federation.at_spoke(code, close).run().await?;
    federation
        .stage
        .say(&format!("la regione {code} corregge ottobre: revisione 2"));
    let again = only_row(federation.at_spoke(code, close).json().await?)?;
    let repeated = text(&again, "repeated") == "true";
    federation.prove(Line::new(
        "Chiudere di nuovo con le stesse cifre non aggiunge alcuna voce".into(),
        repeated,
    ));
    Ok(Some((code.into(), "2023-10".into(), 2)))
}

/// The reviewer waits for the reports and accepts them; one of November is rejected first.
async fn judge(
    federation: &Federation,
    stories: &BTreeMap<&str, Story>,
    month: usize,
    sent: BTreeSet<(String, String, u64)>,
) -> Result<()> {
    federation.hub_clock(&after(month, 3)).await?;
    arrived(federation, &sent).await?;
    federation
        .stage
        .say(&format!("{} rilevazioni arrivate al centro", sent.len()));
    let rejected = (month == NOVEMBER).then_some(federation.parts.rejected);
    let bar = federation.stage.bar("Esiti delle rilevazioni", sent.len());
    for (code, period, revision) in &sent {
        if rejected == Some(code.as_str()) && *revision == 1 {
            continue;
        }
        accept(federation, code, period, *revision).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(code) = rejected {
        reject_and_correct(federation, stories, code, month).await?;
    }
    verdict_at_spoke(federation, TOSCANA, &period(month).to_string(), "accepted").await?;
    federation
        .stage
        .say("accettate dal centro; la Toscana vede l'esito");
    Ok(())
}

async fn accept(federation: &Federation, code: &str, period: &str, revision: u64) -> Result<()> {
    let revision = revision.to_string();
    let args = ["report", "accept", code, period, "--revision", &revision];
    federation.at_hub("verifica", args).run().await.map(drop)
}

async fn arrived(federation: &Federation, sent: &BTreeSet<(String, String, u64)>) -> Result<()> {
    until("le rilevazioni al centro", ARRIVAL, async || {
        let rows = federation.at_hub("verifica", ["report", "list"]).rows().await?;
        let here: BTreeSet<_> = rows
            .iter()
            .filter_map(|r| {
                Some((
                    text(r, "region"),
                    text(r, "period"),
                    text(r, "revision").parse().ok()?,
                ))
            })
            .collect();
        Ok(sent.is_subset(&here).then_some(()))
    })
    .await
}

async fn verdict_at_spoke(federation: &Federation, code: &str, period: &str, state: &str) -> Result<()> {
    until(
        &format!("l'esito di {period} presso la regione {code}"),
        ARRIVAL,
        async || {
            let rows = federation.at_spoke(code, ["report", "list"]).rows().await?;
            let told = |row: &Row| text(row, "period") == period && text(row, "state") == state;
            Ok(rows.iter().any(told).then_some(()))
        },
    )
    .await
}

async fn reject_and_correct(
    federation: &Federation,
    stories: &BTreeMap<&str, Story>,
    code: &str,
    month: usize,
) -> Result<()> {
    let period = period(month).to_string();
    let reasons = "Mancano gli esiti delle ultime edizioni: completare e rinviare (rifiuto di prova)";
    federation
        .at_hub(
            "verifica",
            [
                "report",
                "reject",
                code,
                &period,
                "--reasons",
                reasons,
                "--revision",
                "1",
            ],
        )
        .run()
        .await?;
    verdict_at_spoke(federation, code, &period, "rejected").await?;
    let csv = stories
        .get(code)
        .and_then(|s| s.late_csv(month))
        .context("nessuna riga da correggere")?;
    let file = federation.write(&format!("inputs/{code}/{period}-mancanti.csv"), &csv)?;
    federation
        .at_spoke(code, ["outcome", "import"])
        .arg(file)
        .run()
        .await?;
    let reason = "Aggiunti gli esiti che mancavano";
    federation
        .at_spoke(code, ["report", "close", &period, "--reason", reason])
        .run()
        .await?;
    arrived(
        federation,
        &BTreeSet::from([(code.to_owned(), period.clone(), 2)]),
    )
    .await?;
    accept(federation, code, &period, 2).await?;
    federation.stage.say(&format!(
        "la rilevazione della regione {code} è stata rifiutata, corretta e accettata"
    ));
    Ok(())
}
