//! The kit's way into every region: published, fetched, served, adopted; later a second version of which only
//! the changed parts move; in the end the first is withdrawn.

use crate::{
    cast::TOSCANA,
    federation::Federation,
    kit::{self, FIRST, KIT, SECOND, Written},
    process::{Row, text, until},
    proof::Line,
};
use anyhow::{Context as _, Result};
use std::{fs, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};

/// Longest wait until every region serves a version.
const ROLLOUT: Duration = Duration::from_secs(150);
/// When the first version is published.
const FIRST_AT: &str = "2023-09-20T08:00:00Z";

/// Version 1.0.0; one Spoke is killed in the middle of its fetch.
pub(crate) async fn first(federation: &Federation) -> Result<()> {
    federation.hub_clock(FIRST_AT).await?;
    let before = served(federation).await;
    let written = publish(federation, FIRST).await?;
    kill_in_the_middle(federation, &written).await?;
    arrive(federation, FIRST, &written).await?;
    let moved = moved_since(federation, before).await;
    if let Some(moved) = moved {
        federation.stage.say(&format!(
            "versione {FIRST}: {} mossi dal centro alle regioni",
            mib(moved)
        ));
    }
    let verified = federation
        .at_spoke(federation.parts.killed, ["kit", "verify", KIT, FIRST])
        .answer()
        .await?;
    let text = format!(
        "Il kit dello Spoke {} ucciso a metà scarico è intero",
        federation.parts.killed
    );
    federation.prove(Line::new(text, verified.code == 0));
    Ok(())
}

/// Version 1.1.0: a few pages and one member of the zip differ.
pub(crate) async fn second(federation: &Federation) -> Result<()> {
    let before = served(federation).await;
    let written = publish(federation, SECOND).await?;
    arrive(federation, SECOND, &written).await?;
    let moved = moved_since(federation, before).await;
    if let Some(moved) = moved {
        let whole = written.bytes * federation.cast.len() as u64;
        let percent = moved as f64 * 100.0 / whole as f64;
        let said = format!(
            "Versione {SECOND}: mossi {} invece di {}, {percent:.1} %",
            mib(moved),
            mib(whole)
        );
        federation.stage.say(&said);
        federation.prove(Line::new(said, moved > 0 && percent < 25.0));
    }
    let exported = federation.dir.join("kits").join(format!("esportato-{SECOND}"));
    federation
        .at_spoke(TOSCANA, ["kit", "export", KIT, SECOND])
        .arg(&exported)
        .run()
        .await?;
    let same = same_files(&written.folder, &exported)?;
    let told = format!(
        "Il kit {SECOND} esportato dalla Toscana è, byte per byte, quello pubblicato ({} file)",
        written.files
    );
    let control = same_files(&federation.dir.join("kits").join(FIRST), &exported)?;
    federation.prove(Line::new(told, same).control("la versione precedente è diversa", !control));
    fs::remove_dir_all(&exported)?;
    Ok(())
}

/// The first version is withdrawn.
pub(crate) async fn withdraw(federation: &Federation) -> Result<()> {
    federation.stage.phase(&format!("Kit {FIRST} ritirato"));
    let args = [
        "kit",
        "withdraw",
        KIT,
        FIRST,
        "--reason",
        "Sostituito dalla versione 1.1.0",
    ];
    federation.at_hub("redazione", args).run().await?;
    in_phase(federation, FIRST, "no_longer_served").await?;
    federation
        .stage
        .say(&format!("nessuna regione serve più la versione {FIRST}"));
    Ok(())
}

async fn publish(federation: &Federation, version: &str) -> Result<Written> {
    federation.stage.phase(&format!(
        "Kit {KIT} {version}: inventato, pubblicato, scaricato da ogni regione"
    ));
    let (kits, seed, owned) = (federation.dir.join("kits"), federation.seed, version.to_owned());
    let written = tokio::task::spawn_blocking(move || kit::write(&kits, &owned, seed)).await??;
    federation.stage.say(&format!(
        "{} file, {}, di cui uno zip",
        written.files,
        mib(written.bytes)
    ));
    federation
        .at_hub("redazione", ["kit", "publish"])
        .arg(&written.descriptor)
        .option("--folder", &written.folder)
        .run()
        .await?;
    Ok(written)
}

/// Kills a Spoke with SIGKILL once a part of the kit is there, and starts it again.
async fn kill_in_the_middle(federation: &Federation, written: &Written) -> Result<()> {
    let code = federation.parts.killed;
    let spoke = federation.spoke(code)?;
    let content = spoke.data.join("content");
    let began = bytes_below(&content);
    let enough = written.bytes / 20;
    let there = until("i primi byte del kit", ROLLOUT, async || {
        let there = bytes_below(&content).saturating_sub(began);
        Ok((there > enough).then_some(there))
    })
    .await?;
    spoke.kill_9().await?;
    federation.stage.say(&format!(
        "kill -9 dello Spoke {code} a metà scarico ({} su disco); riavviato",
        mib(there)
    ));
    spoke.start(&federation.tools).await
}

/// Waits until every region serves the version, and has the planners adopt it.
async fn arrive(federation: &Federation, version: &str, written: &Written) -> Result<()> {
    in_phase(federation, version, "serving").await?;
    federation
        .each("Adozioni", async |region| {
            federation
                .at_spoke(region.code.as_str(), ["kit", "adopt", KIT, version])
                .run()
                .await
                .map(drop)
        })
        .await?;
    federation.stage.say(&format!(
        "{} regioni servono la versione {version} ({} ciascuna) e l'hanno adottata",
        federation.cast.len(),
        mib(written.bytes)
    ));
    Ok(())
}

/// Bytes of content that the Hub served since `before`; none if its metrics do not tell.
async fn moved_since(federation: &Federation, before: Option<u64>) -> Option<u64> {
    let moved = served(federation).await?.saturating_sub(before.unwrap_or(0));
    (moved > 0).then_some(moved)
}

/// Waits until every region says that the version is in the phase.
async fn in_phase(federation: &Federation, version: &str, phase: &str) -> Result<()> {
    let bar = federation
        .stage
        .bar(&format!("Kit {version}"), federation.cast.len());
    until(
        &format!("la fase {phase} del kit {version}"),
        ROLLOUT,
        async || {
            let rows = fleet(federation).await?;
            let told = |row: &&Row| text(row, "version") == version && text(row, "phase") == phase;
            let there = rows.iter().filter(told).count();
            bar.set_position(there as u64);
            Ok((there == federation.cast.len()).then_some(()))
        },
    )
    .await?;
    bar.finish_and_clear();
    Ok(())
}

/// Who has which kit version in which phase, as the working group sees it.
async fn fleet(federation: &Federation) -> Result<Vec<Row>> {
    let call = federation.at_gdl(&federation.token("gdl"), ["fleet"]).await?;
    let answer = call.json().await?;
    let rows = answer
        .get("rows")
        .and_then(|rows| rows.as_array())
        .context("fleet senza righe")?;
    Ok(rows.iter().filter_map(|row| row.as_object().cloned()).collect())
}

/// Bytes of content that the Hub served since it started, by its metrics.
async fn served(federation: &Federation) -> Option<u64> {
    let address = federation.hub.address("admin").await;
    let ask = async {
        let mut stream = TcpStream::connect(&address).await.ok()?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let line = answer
            .lines()
            .find(|l| l.starts_with("raccordo_content_bytes_served_total"))?;
        line.rsplit_once(' ')?.1.trim().parse::<f64>().ok()
    };
    Some(time::timeout(Duration::from_secs(5), ask).await.ok()?? as u64)
}

/// The length of all files below a folder; a file that vanishes meanwhile counts nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(told) if told.is_dir() => bytes_below(&entry.path()),
            Ok(told) => told.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Whether two folders hold the same files with the same bytes.
fn same_files(left: &Path, right: &Path) -> Result<bool> {
    let names = |folder: &Path| -> Result<Vec<_>> {
        let mut names: Vec<_> = fs::read_dir(folder)?
            .map(|e| e.map(|e| e.file_name()))
            .collect::<Result<_, _>>()?;
        names.sort();
        Ok(names)
    };
    let listed = names(left)?;
    if listed != names(right)? {
        return Ok(false);
    }
    for name in listed {
        let (a, b) = (left.join(&name), right.join(&name));
        let same = if a.is_dir() && b.is_dir() {
            same_files(&a, &b)?
        } else {
            fs::read(a)? == fs::read(b)?
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Bytes for people.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)).replace('.', ",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_compared_by_name_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for folder in [&a, &b] {
            fs::create_dir_all(folder.join("sub")).unwrap();
            fs::write(folder.join("sub/x"), b"1234").unwrap();
        }
        assert!(same_files(&a, &b).unwrap());
        assert_eq!(bytes_below(&a), 4);
        fs::write(b.join("sub/x"), b"1235").unwrap();
        assert!(!same_files(&a, &b).unwrap());
        fs::write(b.join("sub/x"), b"1234").unwrap();
        fs::write(b.join("y"), b"").unwrap();
        assert!(!same_files(&a, &b).unwrap());
        assert_eq!(mib(3 << 19), "1,5 MiB");
    }
}
