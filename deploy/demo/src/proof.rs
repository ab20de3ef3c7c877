//! The proof: every line is computed from what the demo left, and has a control that shows that the opposite
//! would have been seen.

use crate::{
    cast::TOSCANA,
    damage::{self, At, Damage, Holdings},
    federation::{Federation, Node},
    figures::{self, Figure},
    outcomes::{MONTHS, period},
    process::{Answer, PARALLEL, Program},
};
use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use raccordo_cli::output::print_data;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// One line of the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    text: String,
    held: bool,
    controls: Vec<(String, bool)>,
}

impl Line {
    /// A claim, and whether it holds.
    pub(crate) fn new(text: String, held: bool) -> Self {
        Self {
            text,
            held,
            controls: Vec::new(),
        }
    }

    /// What must be seen if the claim did not hold, and whether it was.
    pub(crate) fn control(mut self, text: impl Into<String>, seen: bool) -> Self {
        self.controls.push((text.into(), seen));
        self
    }

    /// Whether the claim holds and every control was seen.
    pub(crate) fn all_held(&self) -> bool {
        self.held && self.controls.iter().all(|(_, seen)| *seen)
    }

    fn print(&self) -> Result<()> {
        let sign = |good| if good { "✓" } else { "✗" };
        let mut text = format!("  {} {}\n", sign(self.held), self.text);
        for (control, seen) in &self.controls {
            text.push_str(&format!("      {} controllo: {control}\n", sign(*seen)));
        }
        Ok(print_data(&text)?)
    }
}

/// What only a served Hub can show: who may read the status. Leaves the CSV files of the months and prints the table.
pub(crate) async fn while_served(federation: &Federation) -> Result<()> {
    federation
        .stage
        .phase("Stato consolidato, come lo legge il gruppo di lavoro");
    for month in 0..MONTHS.len() {
        let period = period(month).to_string();
        let call = federation
            .at_gdl(
                &federation.token("gdl"),
                ["status", "--period", &period, "-o", "csv"],
            )
            .await?;
        federation.write(&format!("status-{period}.csv"), &call.run().await?.out)?;
    }
    prove_tokens(federation).await?;
    let shown = period(MONTHS.len() - 1).to_string();
    let call = federation
        .at_gdl(&federation.token("gdl"), ["status", "--period", &shown])
        .await?;
    Ok(print_data(&format!("\n{}\n", call.run().await?.out))?)
}

/// The status needs a token, and the right one.
async fn prove_tokens(federation: &Federation) -> Result<()> {
    let good = federation.token("gdl");
    let wrong = federation.dir.join("tokens").join("gdl-sbagliato.token");
    let text = fs::read_to_string(&good)?;
    // A character in the middle: the last one of base64 may not count.
    let middle = text.trim().len() / 2;
    let altered = text.chars().enumerate().map(|(i, c)| match (i == middle, c) {
        (true, 'A') => 'B',
        (true, _) => 'A',
        (false, c) => c,
    });
    let altered: String = altered.collect();
    fs::copy(&good, &wrong)?;
    fs::write(&wrong, altered)?;
    let answer = |token: PathBuf| async move { federation.at_gdl(&token, ["status"]).await?.answer().await };
    let refused = |answer: &Answer| answer.code == 4 && answer.out.is_empty();
    let revoked = federation.token("gdl-revocato");
    let before = answer(revoked.clone()).await?;
    let id = federation
        .revocable()
        .context("il token da revocare non ha un identificativo")?;
    federation
        .at_hub("amministratore", ["token", "revoke", &id])
        .run()
        .await?;
    let after = answer(revoked).await?;
    let absent = answer(federation.dir.join("tokens").join("nessuno.token")).await?;
    let altered = answer(wrong).await?;
    let right = answer(good).await?;
    let line = Line::new(
        "Lo stato è rifiutato a chi presenta un token sbagliato".into(),
        refused(&altered),
    );
    federation.prove(line.control(
        "con quello giusto risponde",
        right.code == 0 && !right.out.is_empty(),
    ));
    let line = Line::new("… e a chi ha un token revocato".into(), refused(&after));
    federation.prove(line.control("prima della revoca rispondeva", before.code == 0));
    let line = Line::new(
        "… e senza token non si chiede nulla".into(),
        absent.code != 0 && absent.out.is_empty(),
    );
    federation.prove(line);
    Ok(())
}

/// What the folders show once every node is stopped. Whether every line of the demo held.
pub(crate) async fn of_folders(federation: &Federation) -> Result<bool> {
    federation
        .stage
        .phase("Prova: nodi fermi, si controllano le cartelle");
    let mut drained = true;
    for node in federation.nodes() {
        drained &= node.stop().await?;
    }
    let count = federation.cast.len() + 1;
    federation.prove(Line::new(
        format!("I {count} nodi si sono fermati in ordine (SIGTERM)"),
        drained,
    ));
    let digests = verify_all(federation).await?;
    rebuild(federation, &digests).await?;
    let hub = damage::holdings(&federation.hub.data).await?;
    compare_ledgers(federation, &hub).await?;
    damaged_copies(federation, &hub).await?;
    smuggled_body(federation).await?;
    prove_figures(federation)?;
    let lines = federation.lines();
    print_data("Prova\n")?;
    for line in &lines {
        line.print()?;
    }
    let failed = lines.iter().filter(|l| !l.all_held()).count();
    let said = match failed {
        0 => format!("Tutte le {} righe della prova tengono.\n", lines.len()),
        _ => format!("{failed} righe su {} NON tengono.\n", lines.len()),
    };
    print_data(&said)?;
    Ok(failed == 0)
}

async fn verify(federation: &Federation, program: Program, folder: &Path) -> Result<Answer> {
    federation
        .tools
        .call(program)
        .args(["verify", "--data"])
        .arg(folder)
        .answer()
        .await
}

/// The digests, 64 hexadecimal digits each, that a program printed after the word.
fn digests(answer: &Answer) -> BTreeSet<String> {
    answer
        .out
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| w.len() == 64 && w.bytes().all(|b| b.is_ascii_hexdigit()))
        .map(str::to_owned)
        .collect()
}

/// The shipped `verify` on every folder. The digests, by node.
async fn verify_all(federation: &Federation) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let check = |node: &'_ Node| {
        let (program, data, name) = (program_of(federation, node), node.data.clone(), node.name.clone());
        async move { Ok::<_, anyhow::Error>((name, verify(federation, program, &data).await?)) }
    };
    let calls: Vec<_> = federation.nodes().map(check).collect();
    let answers: Vec<(String, Answer)> = stream::iter(calls)
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    let bad: Vec<_> = answers.iter().filter(|(_, a)| a.code != 0).collect();
    let mut text = format!(
        "verify: {} cartelle su {} senza rilievi",
        answers.len() - bad.len(),
        answers.len()
    );
    if let Some((name, answer)) = bad.first() {
        text.push_str(&format!("; {name}: {}", first_line(answer)));
    }
    federation.prove(Line::new(text, bad.is_empty()));
    Ok(answers
        .iter()
        .map(|(name, answer)| (name.clone(), digests(answer)))
        .collect())
}

fn program_of(federation: &Federation, node: &Node) -> Program {
    if node.name == federation.hub.name {
        Program::Hub
    } else {
        Program::Spoke
    }
}

fn first_line(answer: &Answer) -> String {
    let text = format!("{}\n{}", answer.out, answer.err);
    text.lines()
        .find(|l| !l.trim().is_empty())
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The projections from nothing have the digest that they had.
async fn rebuild(federation: &Federation, before: &BTreeMap<String, BTreeSet<String>>) -> Result<()> {
    for node in [&federation.hub, federation.spoke(TOSCANA)?] {
        let program = program_of(federation, node);
        let answer = federation
            .tools
            .call(program)
            .args(["rebuild", "--data"])
            .arg(&node.data)
            .answer()
            .await?;
        let told = digests(&answer);
        let same = answer.code == 0 && told.len() == 1 && before.get(&node.name) == Some(&told);
        let shown = told
            .first()
            .map(|d| d.chars().take(16).collect::<String>())
            .unwrap_or_default();
        federation.prove(Line::new(
            format!("rebuild di {}: stessa impronta di prima, {shown}…", node.name),
            same,
        ));
    }
    Ok(())
}

/// After all kills, the centre holds every region's ledger to its last entry, and every region the centre's.
async fn compare_ledgers(federation: &Federation, hub: &Holdings) -> Result<()> {
    let mut differs = Vec::new();
    let mut entries = 0;
    let own = hub.heads.iter().find(|(ledger, ..)| ledger == "hub").cloned();
    for region in &federation.cast {
        let code = region.code.as_str();
        let spoke = damage::holdings(&federation.spoke(code)?.data).await?;
        let head =
            |holdings: &Holdings, ledger: &str| holdings.heads.iter().find(|(l, ..)| l == ledger).cloned();
        if head(hub, code).is_none() || head(hub, code) != head(&spoke, code) || head(&spoke, "hub") != own {
            differs.push(code.to_owned());
        }
        entries += head(hub, code).map_or(0, |(_, size, _)| size);
    }
    let size = own.map_or(0, |(_, size, _)| size);
    let mut text = format!(
        "Dopo i kill -9 nulla è perso né doppio: {} registri regionali ({entries} voci) e quello del centro ({size} voci) \
         hanno ovunque la stessa radice",
        federation.cast.len()
    );
    if !differs.is_empty() {
        text.push_str(&format!("; NON per: {}", differs.join(", ")));
    }
    federation.prove(Line::new(text, differs.is_empty()));
    Ok(())
}

/// On copies of the Hub's folder: each damage is refused, and named.
async fn damaged_copies(federation: &Federation, hub: &Holdings) -> Result<()> {
    let at = hub
        .reports
        .iter()
        .find(|(ledger, _)| ledger == TOSCANA)
        .context("nessuna rilevazione della Toscana al centro")?;
    let named = format!("{}/{}", at.0, at.1);
    let cases = [
        (Damage::None, "una copia intatta è accettata", String::new()),
        (
            Damage::FlippedByte,
            "un bit cambiato in una rilevazione",
            named.clone(),
        ),
        (
            Damage::MissingBody,
            "il corpo di una rilevazione tolto",
            named.clone(),
        ),
        (Damage::DeletedEntry, "una rilevazione cancellata", named.clone()),
        (
            Damage::MissingFigure,
            "le cifre di una regione tolte dalle tabelle",
            "projections".to_owned(),
        ),
    ];
    let results = stream::iter(cases.into_iter().enumerate())
        .map(|(nth, (what, text, name))| async move {
            let folder = tempfile::Builder::new()
                .prefix(&format!(".copia-{nth}-"))
                .tempdir_in(&federation.dir)?;
            let copy = folder.path().join("hub");
            damage::copy_folder(&federation.hub.data, &copy)?;
            damage::damage(&copy, what, at).await?;
            let answer = verify(federation, Program::Hub, &copy).await?;
            Ok::<_, anyhow::Error>((text, name, answer))
        })
        .buffered(PARALLEL)
        .try_collect::<Vec<_>>()
        .await?;
    let mut results = results.into_iter();
    let intact = results.next().is_some_and(|(.., answer)| answer.code == 0);
    let mut line = Line::new(
        "verify accetta una copia intatta del centro e rifiuta, per nome, ogni danno".into(),
        intact,
    );
    for (text, name, answer) in results {
        let told = format!("{}\n{}", answer.out, answer.err);
        let found = told.lines().find(|l| l.contains(&name)).map(str::trim);
        line = line.control(
            format!(
                "{text}: codice {}, «{}»",
                answer.code,
                found.unwrap_or("(non nominato)")
            ),
            answer.code == 8 && found.is_some(),
        );
    }
    federation.prove(line);
    Ok(())
}

/// No region holds a body that is another's; one put into a copy of its folder is found.
async fn smuggled_body(federation: &Federation) -> Result<()> {
    let code = federation.parts.silent_in_october;
    let data = &federation.spoke(code)?.data;
    let own = damage::holdings(data).await?;
    let Some(index) = own.withheld.last() else {
        federation.prove(Line::new(
            format!("La regione {code} non legge i corpi riservati ad altri: nessuno è riservato"),
            false,
        ));
        return Ok(());
    };
    let at: At = ("hub".into(), *index);
    let folder = tempfile::Builder::new()
        .prefix(".copia-")
        .tempdir_in(&federation.dir)?;
    let copy = folder.path().join("spoke");
    damage::copy_folder(data, &copy)?;
    damage::smuggle(&federation.hub.data, &copy, &at).await?;
    let answer = verify(federation, Program::Spoke, &copy).await?;
    let others = own
        .heads
        .iter()
        .filter(|(ledger, ..)| ledger != "hub" && ledger != code)
        .count();
    let text = format!(
        "La regione {code} ha {others} registri di altre regioni e nessuno dei {} corpi del centro riservati ad altri",
        own.withheld.len()
    );
    let named = format!("hub/{index}");
    let told = format!("{}\n{}", answer.out, answer.err);
    let found = told
        .lines()
        .find(|l| l.contains(&named))
        .map(str::trim)
        .unwrap_or("(non nominato)");
    let seen = answer.code == 8 && told.contains(&named);
    federation.prove(Line::new(text, others == 0).control(
        format!("uno messo nella copia: codice {}, «{found}»", answer.code),
        seen,
    ));
    Ok(())
}

/// Totals are the sums of their parts, and every kind of cell occurs.
fn prove_figures(federation: &Federation) -> Result<()> {
    let mut months: Vec<(String, Vec<Figure>)> = Vec::new();
    for month in 0..MONTHS.len() {
        let period = period(month).to_string();
        let figures = figures::read(&federation.dir.join(format!("status-{period}.csv")))?;
        months.push((period, figures));
    }
    for (period, figures) in &months {
        let (compared, differs) = figures::compare_totals(figures);
        let mut text =
            format!("{period}: i {compared} totali nazionali sono la somma delle regioni confermate");
        if let Some(differs) = &differs {
            text.push_str(&format!("; NON {differs}"));
        }
        let (_, noticed) = figures::compare_totals(&figures::altered(figures));
        let control = format!(
            "un totale aumentato di uno si nota: {}",
            noticed.as_deref().unwrap_or("no")
        );
        federation
            .prove(Line::new(text, differs.is_none() && compared > 0).control(control, noticed.is_some()));
    }
    let states: BTreeSet<&str> = months.iter().flat_map(|(_, f)| figures::states(f)).collect();
    let all = ["missing", "not_applicable", "number", "suppressed", "zero"];
    let listed: Vec<_> = states.iter().copied().collect();
    federation.prove(Line::new(
        format!("Stati delle celle: {}", listed.join(", ")),
        states.iter().eq(all.iter()),
    ));
    let total = federation.cast.len();
    for (month, silent, freshness) in [
        (0, federation.parts.silent_in_october, "missing"),
        (2, federation.parts.silent_in_december, "stale"),
    ] {
        let Some((period, figures)) = months.get(month) else {
            continue;
        };
        let confirmed = figures::regions(figures, "confirmed").len();
        // With fewer regions the others are missing too.
        let taking_part = |code: &&str| federation.cast.iter().any(|r| r.code.as_str() == *code);
        let told: BTreeSet<&str> = figures::regions(figures, freshness)
            .into_iter()
            .filter(taking_part)
            .collect();
        // No figure of another month stands beside those of the month.
        let figures_of_it = figures.iter().filter(|f| f.region == silent && f.value.is_some());
        let alone = figures_of_it.count() == 0;
        let text = format!(
            "{period}: {confirmed} regioni su {total} confermate; {silent} non ha inviato ed è «{freshness}», senza cifre"
        );
        let held = confirmed == total - 1 && told == BTreeSet::from([silent]) && alone;
        federation.prove(Line::new(text, held));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_only_with_its_controls() {
        let line = |held, seen| Line::new("a".into(), held).control("b", seen).all_held();
        assert!(line(true, true));
        assert!(!line(true, false) && !line(false, true));
    }

    #[test]
    fn digests_are_found_in_any_text() {
        let digest = "ab".repeat(32);
        let out = format!("digest {digest}\ndigest {digest}\nradice {}\n", "x".repeat(64));
        let answer = Answer {
            code: 0,
            out,
            err: String::new(),
        };
        assert_eq!(digests(&answer), BTreeSet::from([digest]));
    }
}
