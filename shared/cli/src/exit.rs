//! Exit codes, and how a program's `main` ends with one.

use crate::{
    client::ClientError,
    config::ConfigError,
    output::{note, printable},
};
use std::{fmt, future::Future, process::ExitCode};
use tonic::{Code, Status, metadata::MetadataValue};

/// The metadata key under which a node puts what the reader can do about an error: UTF-8 bytes.
pub const REMEDY_KEY: &str = "raccordo-remedy-bin";
/// Longest text of an error, in characters; the rest is cut.
pub const TEXT_CHARS_MAX: usize = 1_024;

/// The section about exit codes of every program's help.
pub const HELP: &str = "\
Exit codes:
    0  done
    1  failure
    2  the command or its configuration is wrong
    3  partly done: some records were refused
    4  not signed in, or not allowed
    5  refused: it contradicts what is recorded
    6  the node does not answer
    7  not found
    8  findings: what was verified or rebuilt did not hold
  130  interrupted
Any other code is a failure. Data go to standard output, everything else to standard error.";

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Any other failure.
    Failure = 1,
    /// Wrong arguments or configuration; also what clap uses.
    Usage = 2,
    /// Some records were refused, the rest is done.
    Partial = 3,
    /// Authentication or authorisation.
    Authentication = 4,
    /// A conflict, or a precondition that does not hold.
    Conflict = 5,
    /// The node does not answer.
    Unreachable = 6,
    /// No such thing.
    NotFound = 7,
    /// Findings: what was verified or rebuilt did not hold.
    Findings = 8,
    /// By the user.
    Interrupted = 130,
}

impl Exit {
    /// The code for the operating system.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The code for what a node answered.
    pub fn of_status(status: &Status) -> Self {
        match status.code() {
            Code::Ok => Self::Ok,
            Code::Unauthenticated | Code::PermissionDenied => Self::Authentication,
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => Self::Conflict,
            Code::Unavailable | Code::DeadlineExceeded => Self::Unreachable,
            Code::NotFound => Self::NotFound,
            // A connection that broke off arrives as one of these, with its cause (stack.md, 3).
            Code::Cancelled | Code::Unknown if std::error::Error::source(status).is_some() => {
                Self::Unreachable
            }
            _ => Self::Failure,
        }
    }

    /// The code for an error: the first cause that has one decides.
    pub fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if let Some(failure) = cause.downcast_ref::<Failure>() {
                return failure.exit;
            }
            if let Some(status) = cause.downcast_ref::<Status>() {
                return Self::of_status(status);
            }
            if let Some(error) = cause.downcast_ref::<ClientError>() {
                return Self::of_client(error);
            }
            if cause.is::<ConfigError>() {
                return Self::Usage;
            }
        }
        Self::Failure
    }

    fn of_client(error: &ClientError) -> Self {
        match error {
            ClientError::Unreachable { .. } => Self::Unreachable,
            ClientError::Untrusted { .. }
            | ClientError::NoToken
            | ClientError::NotAToken
            | ClientError::TokenFileOpen { .. } => Self::Authentication,
            ClientError::Write { .. } => Self::Failure,
            _ => Self::Usage,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A failure that a command states itself, with its exit code and what the reader can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    text: String,
    remedy: Option<String>,
}

impl Failure {
    /// A failure without a remedy.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
            remedy: None,
        }
    }

    /// The same failure, with what the reader can do.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// `status` with what the reader can do, for [`explain`] on the other side; cut to
/// [`TEXT_CHARS_MAX`].
pub fn with_remedy(mut status: Status, remedy: &str) -> Status {
    let value = MetadataValue::from_bytes(bounded(remedy).as_bytes());
    status.metadata_mut().insert_bin(REMEDY_KEY, value);
    status
}

/// Runs a program's `main` on a runtime of its own and turns its outcome into an exit code. An
/// error is printed as `errore: …` and `rimedio: …`. Signals are left to `main`: a server drains;
/// a command is wrapped in [`interruptible`].
pub fn run<F>(main: F) -> ExitCode
where
    F: Future<Output = anyhow::Result<Exit>>,
{
    // Refused when another part of the program was first; then there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(main),
        Err(error) => Err(error.into()),
    };
    finish(outcome).into()
}

/// The exit code of `outcome`; an error is printed first.
pub fn finish(outcome: anyhow::Result<Exit>) -> Exit {
    outcome.unwrap_or_else(|error| {
        note(&explain(&error));
        Exit::of(&error)
    })
}

/// `main`, ended by Ctrl-C with [`Exit::Interrupted`].
pub async fn interruptible<F>(main: F) -> anyhow::Result<Exit>
where
    F: Future<Output = anyhow::Result<Exit>>,
{
    tokio::select! {
        outcome = main => outcome,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            note("interrotto");
            Ok(Exit::Interrupted)
        }
    }
}

/// What is printed about an error: one line, and a second one with the remedy if there is one.
pub fn explain(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut remedy = None;
    for cause in error.chain() {
        let status = cause.downcast_ref::<Status>();
        let text = match status {
            Some(status) => status_text(status),
            None => cause.to_string(),
        };
        // Transparent wrappers and texts that quote their source say the same thing twice.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        remedy = remedy.or_else(|| remedy_of(cause));
        if status.is_some() {
            break;
        }
    }
    let mut text = format!("errore: {}", bounded(&parts.join(": ")));
    if let Some(remedy) = remedy {
        text.push_str("\nrimedio: ");
        text.push_str(&bounded(&remedy));
    }
    text
}

fn remedy_of(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        failure.remedy.clone()
    } else if let Some(status) = cause.downcast_ref::<Status>() {
        status_remedy(status)
    } else if let Some(error) = cause.downcast_ref::<ClientError>() {
        Some(error.remedy())
    } else {
        cause.downcast_ref::<ConfigError>().map(ConfigError::remedy)
    }
}

fn status_text(status: &Status) -> String {
    if Exit::of_status(status) == Exit::Unreachable && std::error::Error::source(status).is_some() {
        return "la connessione con il nodo si è interrotta".into();
    }
    match status.message() {
        "" => format!("il nodo ha risposto {:?}", status.code()),
        text => text.into(),
    }
}

/// The remedy that the node sent, or a general one.
fn status_remedy(status: &Status) -> Option<String> {
    let sent = status
        .metadata()
        .get_bin(REMEDY_KEY)
        .and_then(|value| value.to_bytes().ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .filter(|text| !text.trim().is_empty());
    let general = || match (status.code(), Exit::of_status(status)) {
        (Code::Unauthenticated, _) => Some("chiedere un nuovo token all'amministratore"),
        (Code::PermissionDenied, _) => Some("usare il token di una persona che ha il ruolo richiesto"),
        (Code::DeadlineExceeded, _) => Some("riprovare; se si ripete, verificare lo stato del nodo"),
        (_, Exit::Unreachable) => Some("verificare che il nodo sia avviato e riprovare"),
        _ => None,
    };
    sent.or_else(|| general().map(Into::into))
}

/// What came over a wire is cut and cannot steer the terminal.
fn bounded(text: &str) -> String {
    let text = printable(text.trim());
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn every_status_has_its_documented_code() {
        let table = [
            (Code::Unauthenticated, 4),
            (Code::PermissionDenied, 4),
            (Code::AlreadyExists, 5),
            (Code::FailedPrecondition, 5),
            (Code::Aborted, 5),
            (Code::Unavailable, 6),
            (Code::DeadlineExceeded, 6),
            (Code::NotFound, 7),
            (Code::InvalidArgument, 1),
            (Code::Internal, 1),
            (Code::ResourceExhausted, 1),
            (Code::Unknown, 1),
        ];
        for (code, exit) in table {
            assert_eq!(Exit::of_status(&Status::new(code, "")).code(), exit, "{code:?}");
        }
        let cut = Status::from_error(Box::new(std::io::Error::other("reset")));
        assert_eq!(Exit::of_status(&cut), Exit::Unreachable, "{cut:?}");
        for exit in [0, 1, 2, 3, 4, 5, 6, 7, 8, 130] {
            assert!(
                HELP.lines()
                    .any(|l| l.trim_start().starts_with(&format!("{exit}  "))),
                "{exit}"
            );
        }
    }

    #[test]
    fn a_code_is_found_under_any_context() {
        let status: anyhow::Result<()> = Err(Status::not_found("il kit non esiste").into());
        let error = status
            .context("pubblicazione")
            .context("kit publish")
            .unwrap_err();
        assert_eq!(Exit::of(&error), Exit::NotFound);
        assert_eq!(
            explain(&error),
            "errore: kit publish: pubblicazione: il kit non esiste"
        );
        let config = ConfigError::Missing { key: "ca".into() };
        let error = anyhow::Error::from(ClientError::from(config));
        assert_eq!(Exit::of(&error), Exit::Usage);
        let lines: Vec<_> = explain(&error).lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "errore: manca il valore di `ca`");
        assert!(lines[1].starts_with("rimedio: impostare `ca`"), "{lines:?}");
        assert_eq!(Exit::of(&anyhow::anyhow!("altro")), Exit::Failure);
        let failure = Failure::new(Exit::Findings, "2 rilievi").remedy("correggerli");
        let error = anyhow::Error::from(failure);
        assert_eq!(Exit::of(&error), Exit::Findings);
        assert_eq!(explain(&error), "errore: 2 rilievi\nrimedio: correggerli");
    }

    #[test]
    fn the_node_s_remedy_beats_the_general_one() {
        let status = Status::unauthenticated("token scaduto");
        let general = explain(&status.clone().into());
        assert!(general.contains("rimedio: chiedere un nuovo token"), "{general}");
        let status = with_remedy(status, "rinnovarlo così");
        assert_eq!(
            explain(&status.into()),
            "errore: token scaduto\nrimedio: rinnovarlo così"
        );
    }

    #[test]
    fn a_node_cannot_flood_or_steer_the_terminal() {
        let text = explain(&Status::internal(format!("\u{1b}]0;{}", "x".repeat(5_000))).into());
        assert!(text.chars().count() <= TEXT_CHARS_MAX + 20 && !text.contains('\u{1b}'));
    }

    #[test]
    fn causes_that_repeat_are_said_once() {
        let inner = anyhow::anyhow!("disco pieno");
        let error = inner.context("scrittura: disco pieno");
        assert_eq!(explain(&error), "errore: scrittura: disco pieno");
    }
}
