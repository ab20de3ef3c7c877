//! `cargo demo`: a whole federation on one machine, a Hub and 21 Spokes as separate processes of the shipped
//! programs, from a published kit to a consolidated figure, and the proof that it held.
//!
//! - [`cast`]: the regions and the parts that some play; [`random`], [`outcomes`], [`kit`], [`plans`]: what is
//!   invented, by seed.
//! - [`process`], [`federation`]: processes, folders, commands; [`founding`], [`plans`], [`rollout`],
//!   [`months`]: the steps.
//! - [`proof`], with [`damage`] and [`figures`]: what is held against what; [`stay`]: what is left.
//!
//! What is not here: anything that a command of the shipped programs does. Only [`damage`] opens databases: those of
//! stopped nodes to read, and copies to damage.

mod cast;
mod damage;
mod federation;
mod figures;
mod founding;
mod kit;
mod months;
mod outcomes;
mod plans;
mod process;
mod proof;
mod random;
mod rollout;
mod stage;
mod stay;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use federation::Federation;
use process::Tools;
use raccordo_cli::{
    exit::{self, Exit},
    output::note,
};
use stage::Stage;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

/// A whole federation on this machine: a Hub and 21 Spokes, from a published kit to a consolidated figure
#[derive(Debug, Parser)]
#[command(name = "cargo demo", bin_name = "cargo demo --", version, after_help = HELP)]
struct Args {
    /// End after the proof; exit code 0 only if everything held
    #[arg(long)]
    once: bool,
    /// Keep the data in this folder, which must be empty or absent [default: a temporary one]
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// How many regions: Tuscany, then the smallest ones
    #[arg(long, value_name = "N", default_value_t = 21, value_parser = clap::value_parser!(u16).range(3..=21))]
    regions: u16,
    /// What the invented outcomes and the kit's bytes depend on
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Do not build the programs first
    #[arg(long)]
    skip_build: bool,
}

const HELP: &str = "\
Examples:
  cargo demo                                     stays up until Ctrl-C
  cargo demo -- --once                           ends with the proof
  cargo demo -- --once --dir /tmp/federation     keeps folders, CSV files and logs
  cargo demo -- --regions 3 --seed 7             a small federation, other figures
Editions, outcomes, kits and all plans but Tuscany's are invented.";

fn main() -> ExitCode {
    let args = Args::parse();
    exit::run(ended_by_signals(args))
}

/// How the steps ended.
enum Ending {
    /// With this code; nothing serves any more.
    Over(Exit),
    /// Every node serves; with this code once a person has seen enough.
    Stays(Box<Federation>, Exit),
}

/// The demo, ended by the first signal: every node ends with it, as dropping it kills its process. Once it
/// only stays up, its nodes are stopped in order.
async fn ended_by_signals(args: Args) -> Result<Exit> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut any_signal = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    };
    let ending = tokio::select! {
        ending = run(args) => ending?,
        () = any_signal() => {
            note("interrotto: tutti i nodi si fermano");
            return Ok(Exit::Interrupted);
        }
    };
    match ending {
        Ending::Over(exit) => Ok(exit),
        Ending::Stays(federation, exit) => {
            any_signal().await;
            federation.stage.phase("Si fermano tutti i nodi");
            for node in federation.nodes() {
                node.stop().await?;
            }
            Ok(exit)
        }
    }
}

async fn run(args: Args) -> Result<Ending> {
    let stage = Stage::new();
    let programs = programs()?;
    if !args.skip_build {
        build(&stage, &programs).await?;
    }
    let (dir, temporary) = match &args.dir {
        Some(dir) => (empty_folder(dir)?, None),
        None => {
            let temporary = tempfile::Builder::new().prefix("raccordo-demo-").tempdir()?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    let tools = Tools::new(programs, dir.join("logs"))?;
    let federation = Federation::new(
        tools,
        stage,
        dir.clone(),
        args.seed,
        cast::choose(args.regions.into()),
    )?;
    let outcome = play(&federation).await;
    if !args.once || !matches!(outcome, Ok(true)) {
        // Kept for those who look at a demo that stays up, or that failed.
        temporary.map(tempfile::TempDir::keep);
    }
    let held = outcome.with_context(|| {
        format!(
            "la dimostrazione si è fermata; cartelle e registri in {}",
            dir.display()
        )
    })?;
    let exit = if held { Exit::Ok } else { Exit::Failure };
    if args.once {
        let told = if held {
            "tutto ha tenuto"
        } else {
            "NON tutto ha tenuto"
        };
        federation
            .stage
            .phase(&format!("Fine: {told}, {:.0} s", federation.stage.seconds()));
        return Ok(Ending::Over(exit));
    }
    stay::serve_again(&federation).await?;
    Ok(Ending::Stays(Box::new(federation), exit))
}

/// All steps. Whether every line of the proof held.
async fn play(federation: &Federation) -> Result<bool> {
    federation
        .stage
        .phase(&format!("Dimostrazione in {}", federation.dir.display()));
    federation
        .stage
        .say("edizioni, esiti, kit e piani sono INVENTATI; vero è solo il piano della Toscana");
    founding::centre(federation).await?;
    founding::catalogue(federation).await?;
    founding::regions(federation).await?;
    plans::run(federation).await?;
    rollout::first(federation).await?;
    months::run(federation).await?;
    rollout::withdraw(federation).await?;
    stay::summarise(federation).await?;
    proof::while_served(federation).await?;
    proof::of_folders(federation).await
}

/// The folder of this program: the others are beside it.
fn programs() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own
        .parent()
        .context("il programma non è in una cartella")?
        .to_owned())
}

/// Builds the programs into `programs`, the folder that this one was built into.
async fn build(stage: &Stage, programs: &Path) -> Result<()> {
    stage.phase("Compilazione dei programmi");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--workspace", "--bins"])
        .kill_on_drop(true);
    // What `cargo run` says about this package is not for build scripts of others: they would run again, and
    // everything after them.
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&key);
        }
    }
    if programs.ends_with("release") {
        command.arg("--release");
    }
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    let status = command
        .status()
        .await
        .context("cargo non si avvia; con --skip-build non serve")?;
    if !status.success() {
        bail!("i programmi non si compilano");
    }
    Ok(())
}

/// The folder, made if it is absent; as an absolute path.
fn empty_folder(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    if fs::read_dir(dir)?.next().is_some() {
        bail!(
            "{} non è vuota: indicare una cartella vuota o che non esiste",
            dir.display()
        );
    }
    Ok(dir.canonicalize()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
        let args = Args::parse_from(["demo", "--once", "--regions", "3", "--seed", "7"]);
        assert!(args.once && args.regions == 3 && args.seed == 7 && args.dir.is_none());
        assert!(Args::try_parse_from(["demo", "--regions", "2"]).is_err());
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(empty_folder(&dir.path().join("new")).is_ok());
        assert!(empty_folder(dir.path()).is_err());
    }
}
