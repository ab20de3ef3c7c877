//! The shipped programs as separate processes: commands that end, and nodes that serve.

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::Semaphore,
    time,
};

/// Commands at once: there may be no more than two cores.
pub(crate) const PARALLEL: usize = 4;
/// Longest time of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(180);
/// Longest time until a node serves.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time that a node gets to drain before it is killed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// One of the shipped programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// The centre.
    Hub,
    /// A region.
    Spoke,
    /// The reader of the status.
    Gdl,
}

impl Program {
    /// The name of its binary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hub => "raccordo-hub",
            Self::Spoke => "raccordo-spoke",
            Self::Gdl => "raccordo-gdl",
        }
    }
}

/// Where the programs are, and the log of every command.
#[derive(Debug)]
pub(crate) struct Tools {
    programs: PathBuf,
    logs: PathBuf,
    commands: Mutex<File>,
    slots: Semaphore,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

/// A row of a list that a command printed as JSON.
pub(crate) type Row = Map<String, Value>;

impl Tools {
    /// The programs in the folder `programs`; logs go to `logs`, which is made.
    pub(crate) fn new(programs: PathBuf, logs: PathBuf) -> Result<Self> {
        for program in [Program::Hub, Program::Spoke, Program::Gdl] {
            let path = programs.join(program.name());
            if !path.is_file() {
                bail!(
                    "{} non c'è: avviare la dimostrazione senza --skip-build",
                    path.display()
                );
            }
        }
        fs::create_dir_all(&logs)?;
        let commands = Mutex::new(File::create(logs.join("commands.log"))?);
        Ok(Self {
            programs,
            logs,
            commands,
            slots: Semaphore::new(PARALLEL),
        })
    }

    /// Where the binary of `program` is.
    pub(crate) fn path(&self, program: Program) -> PathBuf {
        self.programs.join(program.name())
    }

    /// A command of `program`, to be completed.
    pub(crate) fn call(&self, program: Program) -> Call<'_> {
        Call {
            tools: self,
            program,
            args: Vec::new(),
        }
    }

    /// The process of `program`, without what the caller's environment says about Raccordo.
    fn command(&self, program: Program) -> Command {
        let mut command = Command::new(self.path(program));
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("RACCORDO_") {
                command.env_remove(key);
            }
        }
        // A group of its own: Ctrl-C on the terminal reaches the demo only, which ends its nodes in order.
        command
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .process_group(0);
        command
    }

    fn log(&self, line: &str) {
        if let Ok(mut file) = self.commands.lock() {
            // The log is for people; a full disk shows elsewhere.
            let _ = writeln!(file, "{line}");
        }
    }
}

/// A command that is being put together.
#[derive(Debug)]
pub(crate) struct Call<'t> {
    tools: &'t Tools,
    program: Program,
    args: Vec<OsString>,
}

impl Call<'_> {
    /// One more argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// An option and its value.
    pub(crate) fn option(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.arg(name).arg(value)
    }

    /// Runs it to its end, whatever its exit code.
    pub(crate) async fn answer(self) -> Result<Answer> {
        let _slot = self.tools.slots.acquire().await?;
        let shown = self.shown();
        let began = Instant::now();
        let mut command = self.tools.command(self.program);
        let output = time::timeout(COMMAND_TIMEOUT, command.args(&self.args).output())
            .await
            .with_context(|| format!("dopo {} s senza risposta: {shown}", COMMAND_TIMEOUT.as_secs()))?
            .with_context(|| format!("non si avvia: {shown}"))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let answer = Answer {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        let told = if answer.err.trim().is_empty() {
            String::new()
        } else {
            format!("\n{}", answer.err.trim_end())
        };
        self.tools.log(&format!(
            "{:5.2} s  {:>3}  {shown}{told}",
            began.elapsed().as_secs_f64(),
            answer.code
        ));
        Ok(answer)
    }

    /// Runs it; anything but exit code 0 is an error that quotes the program.
    pub(crate) async fn run(self) -> Result<Answer> {
        let shown = self.shown();
        let answer = self.answer().await?;
        if answer.code != 0 {
            let said = if answer.err.trim().is_empty() {
                answer.out.trim()
            } else {
                answer.err.trim()
            };
            bail!("codice {} da: {shown}\n{said}", answer.code);
        }
        Ok(answer)
    }

    /// Runs it with JSON as its output.
    pub(crate) async fn json(self) -> Result<Value> {
        let shown = self.shown();
        let answer = self.option("-o", "json").run().await?;
        serde_json::from_str(&answer.out)
            .with_context(|| format!("non è JSON: {shown}\n{}", answer.out.trim()))
    }

    /// Runs it with a list as its output.
    pub(crate) async fn rows(self) -> Result<Vec<Row>> {
        let shown = self.shown();
        match self.json().await? {
            Value::Array(rows) => Ok(rows
                .into_iter()
                .filter_map(|row| row.as_object().cloned())
                .collect()),
            _ => bail!("non è una lista: {shown}"),
        }
    }

    fn shown(&self) -> String {
        let args: Vec<_> = self
            .args
            .iter()
            .map(|a| a.to_string_lossy().into_owned())
            .collect();
        format!("{} {}", self.program.name(), args.join(" "))
    }
}

/// A cell of a row as text; empty if there is none.
pub(crate) fn text(row: &Row, column: &str) -> String {
    match row.get(column) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Asks until the answer comes, with growing pauses; an error of `probe` ends it.
pub(crate) async fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(150);
    loop {
        if let Some(found) = probe().await? {
            return Ok(found);
        }
        if began.elapsed() > limit {
            bail!("dopo {} s ancora in attesa: {what}", limit.as_secs());
        }
        time::sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(1_000));
    }
}

/// A node that serves. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Addresses of the ready line, by name: `api`, `exchange`, `admin`.
    addresses: Vec<(String, String)>,
}

impl Running {
    /// Starts `program serve` on the folder `data` and waits for its ready line. What it says is added
    /// to `logs/<node>.log`.
    pub(crate) async fn start(tools: &Tools, program: Program, node: &str, data: &Path) -> Result<Self> {
        let path = tools.logs.join(format!("{node}.log"));
        let log = File::options().create(true).append(true).open(&path)?;
        let copy = log.try_clone()?;
        let mut child = tools
            .command(program)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} non si avvia", program.name()))?;
        let out = child.stdout.take().context("il processo non ha uscita")?;
        let mut lines = BufReader::new(out).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(rest) = line.strip_prefix("pronto") {
                    return Ok::<_, std::io::Error>(Some(rest.to_owned()));
                }
            }
            Ok(None)
        };
        let refused = || format!("il nodo {node} non si è avviato; si veda {}", path.display());
        let ready = time::timeout(READY_TIMEOUT, ready)
            .await
            .with_context(refused)??
            .with_context(refused)?;
        let addresses = ready
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .map(|(name, address)| (name.to_owned(), address.to_owned()))
            .collect();
        tokio::spawn(async move {
            let mut copy = copy;
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = writeln!(copy, "{line}");
            }
        });
        Ok(Self { child, addresses })
    }

    /// The address of this name in the ready line; empty if it was not told.
    pub(crate) fn address(&self, name: &str) -> &str {
        self.addresses
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, address)| address)
    }

    /// SIGKILL: the process has no chance to tidy up.
    pub(crate) async fn kill_9(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// SIGTERM and, if it does not drain in time, SIGKILL. Whether it drained.
    pub(crate) async fn stop(mut self) -> Result<bool> {
        let pid = self
            .child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        match time::timeout(DRAIN_TIMEOUT, self.child.wait()).await {
            Ok(status) => Ok(status?.success()),
            Err(_) => {
                self.child.kill().await?;
                Ok(false)
            }
        }
    }
}
