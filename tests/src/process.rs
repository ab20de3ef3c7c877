//! The shipped binaries as processes that end with the test.

use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// How long a program may take to say that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The path of a shipped binary, beside the test's own. `cargo test --workspace` builds it because
/// its package has an integration test.
pub fn program(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the test knows its own path");
    let folder = test.ancestors().nth(2).expect("target/debug/deps/<test>");
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo test --workspace`",
        path.display()
    );
    path
}

/// An address of this machine that nobody listens on, below the ports that the system hands out.
pub fn free_address() -> Result<String> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Several test programs run at once: each begins elsewhere.
    let first = std::process::id() as u16;
    for _ in 0..1_000 {
        let port = 20_000
            + first
                .wrapping_mul(37)
                .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))
                % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(format!("127.0.0.1:{port}"));
        }
    }
    bail!("no free port")
}

/// What a finished command printed.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code; 255 when it was killed.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Finished {
    /// Fails with everything that was printed unless the code is 0.
    pub fn ok(self) -> Result<Self> {
        if self.code != 0 {
            bail!(
                "exit code {}\n--- stdout\n{}\n--- stderr\n{}",
                self.code,
                self.stdout,
                self.stderr
            );
        }
        Ok(self)
    }

    /// The data as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {}", self.stdout))
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(255),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a shipped command to its end.
pub fn run(name: &str, arguments: &[&str]) -> Result<Finished> {
    let output = command(name, arguments)
        .output()
        .with_context(|| format!("{name} {arguments:?}"))?;
    Ok(output.into())
}

/// A shipped command with an environment that is the test's own.
pub fn command(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program(name));
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .env_remove("RACCORDO_TOKEN")
        .env_remove("RACCORDO_TOKEN_FILE");
    command
}

/// A serving node; killed without mercy when dropped.
#[derive(Debug)]
pub struct Serving {
    child: Child,
    /// Where its log goes.
    pub log: PathBuf,
    /// What the ready line named: `api`, `exchange`, `admin` addresses.
    pub addresses: BTreeMap<String, String>,
}

impl Serving {
    /// Starts `name serve --data data` and waits for its ready line.
    pub fn start(name: &str, data: &Path, extra: &[&str]) -> Result<Self> {
        let log = data.join("serve.log");
        let stderr = fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut arguments = vec!["serve", "--data", data.to_str().context("a UTF-8 path")?];
        arguments.extend_from_slice(extra);
        let mut child = command(name, &arguments)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()?;
        let stdout = child.stdout.take().context("a pipe")?;
        let (send, receive) = mpsc::channel();
        // Reads on for ever so that the node never blocks on its pipe; ends with the process.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let mut serving = Self {
            child,
            log,
            addresses: BTreeMap::new(),
        };
        let line = receive.recv_timeout(READY_WITHIN).with_context(|| {
            format!(
                "{name} said nothing:\n{}",
                fs::read_to_string(&serving.log).unwrap_or_default()
            )
        })?;
        for word in line.split_whitespace() {
            if let Some((key, value)) = word.split_once('=') {
                serving.addresses.insert(key.into(), value.into());
            }
        }
        Ok(serving)
    }

    /// The address behind a name of the ready line.
    pub fn address(&self, name: &str) -> &str {
        self.addresses.get(name).map_or("", String::as_str)
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.end();
    }

    /// SIGTERM, then waits for the end; returns whether it ended with code 0.
    pub fn stop(mut self) -> Result<bool> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        Ok(self.child.wait()?.success())
    }

    /// Peak resident memory so far, in bytes (Linux: VmHWM).
    pub fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find(|l| l.starts_with("VmHWM:"))
            .context("VmHWM")?;
        let kib: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
        Ok(kib * 1_024)
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}
