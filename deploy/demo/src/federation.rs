//! The federation: one Hub, its Spokes, and the folder that holds everything of them.
//!
//! ```text
//! DIR/hub, DIR/spoke-090 …   data folders of the nodes
//! DIR/bundles, DIR/tokens    what is carried by hand: join bundles, tokens of people
//! DIR/inputs, DIR/kits       what people of centre and regions would have made: plans, CSV files, kits
//! DIR/logs                   commands.log, and one log per node
//! DIR/status-2023-10.csv …, DIR/demo.json
//! ```

use crate::{
    cast::Parts,
    process::{Answer, Call, PARALLEL, Program, Row, Running, Tools},
    proof::Line,
    stage::Stage,
};
use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use raccordo_model::region::Region;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Mutex as Lock,
};
use tokio::sync::Mutex;

/// The name of the federation.
pub(crate) const FEDERATION: &str = "dimostrazione";
/// Where the Hub's business clock starts.
pub(crate) const FIRST_INSTANT: &str = "2023-09-01T08:00:00Z";

/// A node, whether it serves or not.
#[derive(Debug)]
pub(crate) struct Node {
    /// `hub`, or `spoke-090`; also the name of its folder.
    pub(crate) name: String,
    /// Its data folder.
    pub(crate) data: PathBuf,
    program: Program,
    running: Mutex<Option<Running>>,
}

impl Node {
    fn new(dir: &Path, name: String, program: Program) -> Self {
        Self {
            data: dir.join(&name),
            name,
            program,
            running: Mutex::new(None),
        }
    }

    /// Serves until it is stopped or killed.
    pub(crate) async fn start(&self, tools: &Tools) -> Result<()> {
        let mut running = self.running.lock().await;
        *running = Some(Running::start(tools, self.program, &self.name, &self.data).await?);
        Ok(())
    }

    /// SIGKILL.
    pub(crate) async fn kill_9(&self) -> Result<()> {
        match self.running.lock().await.take() {
            Some(running) => running.kill_9().await,
            None => bail!("il nodo {} non è in servizio", self.name),
        }
    }

    /// SIGTERM. Whether it drained and ended well; a node that does not serve did.
    pub(crate) async fn stop(&self) -> Result<bool> {
        match self.running.lock().await.take() {
            Some(running) => running.stop().await,
            None => Ok(true),
        }
    }

    /// An address of its ready line: `api`, `exchange` or `admin`.
    pub(crate) async fn address(&self, name: &str) -> String {
        self.running
            .lock()
            .await
            .as_ref()
            .map(|r| r.address(name).to_owned())
            .unwrap_or_default()
    }
}

/// Everything that the steps of the demo share.
#[derive(Debug)]
pub(crate) struct Federation {
    /// The shipped programs.
    pub(crate) tools: Tools,
    /// Its voice.
    pub(crate) stage: Stage,
    /// The folder.
    pub(crate) dir: PathBuf,
    /// What the invented figures depend on.
    pub(crate) seed: u64,
    /// The regions, in order of code.
    pub(crate) cast: Vec<&'static Region>,
    /// Who plays which part.
    pub(crate) parts: Parts,
    /// The centre.
    pub(crate) hub: Node,
    spokes: BTreeMap<&'static str, Node>,
    /// What was tried on the way and must have been refused, or must have held.
    lines: Lock<Vec<Line>>,
    /// Identifier of the token that is revoked in the proof.
    revocable: Lock<Option<String>>,
}

impl Federation {
    /// A federation of the regions `cast` in the folder `dir`; nothing is started yet.
    pub(crate) fn new(
        tools: Tools,
        stage: Stage,
        dir: PathBuf,
        seed: u64,
        cast: Vec<&'static Region>,
    ) -> Result<Self> {
        for folder in ["bundles", "tokens", "inputs", "kits", "logs"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        let node = |code: &str| Node::new(&dir, format!("spoke-{code}"), Program::Spoke);
        let spokes = cast
            .iter()
            .map(|r| (r.code.as_str(), node(r.code.as_str())))
            .collect();
        let hub = Node::new(&dir, "hub".into(), Program::Hub);
        let parts = Parts::of(&cast);
        Ok(Self {
            tools,
            stage,
            dir,
            seed,
            cast,
            parts,
            hub,
            spokes,
            lines: Lock::default(),
            revocable: Lock::default(),
        })
    }

    /// The Spoke of a region.
    pub(crate) fn spoke(&self, code: &str) -> Result<&Node> {
        self.spokes
            .get(code)
            .with_context(|| format!("nessuna regione {code} in questa dimostrazione"))
    }

    /// Every node, the Hub first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.hub).chain(self.spokes.values())
    }

    /// A command at the Hub by a person, whose token file bears the name `who`.
    pub(crate) fn at_hub<'a>(&self, who: &str, args: impl IntoIterator<Item = &'a str>) -> Call<'_> {
        let call = self.tools.call(Program::Hub).args(args);
        call.option("--data", &self.hub.data)
            .option("--token-file", self.token(who))
    }

    /// A command at a Spoke by its first administrator.
    pub(crate) fn at_spoke<'a>(&self, code: &str, args: impl IntoIterator<Item = &'a str>) -> Call<'_> {
        let data = self.dir.join(format!("spoke-{code}"));
        self.tools.call(Program::Spoke).args(args).option("--data", data)
    }

    /// A command of the working group with the token file `token`.
    pub(crate) async fn at_gdl<'a>(
        &self,
        token: &Path,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Result<Call<'_>> {
        let context = ClientContext::read(&self.hub.data)?;
        let call = self.tools.call(Program::Gdl).args(args);
        Ok(call
            .option("--server", self.hub.address("api").await)
            .option("--server-name", &context.server_name)
            .option("--ca", &context.ca)
            .option("--token-file", token))
    }

    /// The token file of a person at the Hub.
    pub(crate) fn token(&self, who: &str) -> PathBuf {
        match who {
            "amministratore" => self.hub.data.join("admin.token"),
            _ => self.dir.join("tokens").join(format!("{who}.token")),
        }
    }

    /// Does `work` for every region, a few at a time, with a bar.
    pub(crate) async fn each(
        &self,
        label: &str,
        work: impl AsyncFn(&'static Region) -> Result<()>,
    ) -> Result<()> {
        let bar = self.stage.bar(label, self.cast.len());
        let (work, advance) = (&work, &bar);
        stream::iter(self.cast.iter().copied())
            .map(|region| async move {
                work(region)
                    .await
                    .with_context(|| format!("regione {} ({})", region.code, region.name))?;
                advance.inc(1);
                Ok::<_, anyhow::Error>(())
            })
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<()>>()
            .await?;
        bar.finish_and_clear();
        Ok(())
    }

    /// Sets the Hub's business clock.
    pub(crate) async fn hub_clock(&self, instant: &str) -> Result<()> {
        self.at_hub("amministratore", ["clock", "set", instant])
            .run()
            .await
            .map(drop)
    }

    /// Sets a Spoke's business clock.
    pub(crate) async fn spoke_clock(&self, code: &str, instant: &str) -> Result<()> {
        self.at_spoke(code, ["clock", "set", instant])
            .run()
            .await
            .map(drop)
    }

    /// Writes a file below the folder; returns its path.
    pub(crate) fn write(&self, path: &str, text: &str) -> Result<PathBuf> {
        let path = self.dir.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Remembers a line of proof.
    pub(crate) fn prove(&self, line: Line) {
        if let Ok(mut lines) = self.lines.lock() {
            lines.push(line);
        }
    }

    /// Remembers whether a command was refused for want of a right (4) or as a contradiction (5).
    pub(crate) fn prove_refused(&self, what: &str, answer: &Answer) {
        let said = answer
            .err
            .lines()
            .rfind(|l| l.starts_with("errore: "))
            .unwrap_or("errore: (nulla)");
        let held = matches!(answer.code, 4 | 5);
        let text = format!(
            "{what}: codice {}, «{}»",
            answer.code,
            said.trim_start_matches("errore: ")
        );
        self.prove(Line::new(text, held));
    }

    /// Remembers the identifier of the token that is revoked in the proof.
    pub(crate) fn set_revocable(&self, id: String) {
        if let Ok(mut revocable) = self.revocable.lock() {
            *revocable = Some(id);
        }
    }

    /// The identifier of the token that is revoked in the proof.
    pub(crate) fn revocable(&self) -> Option<String> {
        self.revocable.lock().ok()?.clone()
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.lock().map(|lines| lines.clone()).unwrap_or_default()
    }
}

/// The only row of a receipt or of a list of one.
pub(crate) fn only_row(value: serde_json::Value) -> Result<Row> {
    match value {
        serde_json::Value::Object(row) => Ok(row),
        serde_json::Value::Array(mut rows) if rows.len() == 1 => match rows.remove(0) {
            serde_json::Value::Object(row) => Ok(row),
            other => bail!("{other} non è un oggetto"),
        },
        other => bail!("una sola riga era attesa: {other}"),
    }
}

/// What `client.toml` of a node's folder says.
#[derive(Debug)]
pub(crate) struct ClientContext {
    /// Name in the node's certificate.
    pub(crate) server_name: String,
    /// The federation's CA, PEM.
    pub(crate) ca: PathBuf,
}

impl ClientContext {
    /// Reads the file; its values are written as JSON strings, which is also TOML.
    pub(crate) fn read(data: &Path) -> Result<Self> {
        let path = data.join("client.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let value = |key: &str| -> Result<String> {
            let line = text.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                (name.trim() == key).then(|| value.trim())
            });
            let line = line.with_context(|| format!("{}: manca {key}", path.display()))?;
            serde_json::from_str(line).with_context(|| format!("{}: {key}", path.display()))
        };
        Ok(Self {
            server_name: value("server_name")?,
            ca: data.join(value("ca")?),
        })
    }
}
