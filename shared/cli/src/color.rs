//! Whether colour is on, and the few colours that there are. Colour never carries a meaning alone.

use std::io::IsTerminal;

/// What the reader asked for with `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Choice {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether colour is on for a stream. The order: the flag, `NO_COLOR`, `CLICOLOR_FORCE`, then a
/// terminal that is not `dumb` and no `CLICOLOR=0`.
pub fn enabled(choice: Choice, env: impl Fn(&str) -> Option<String>, is_terminal: bool) -> bool {
    let set = |key| env(key).is_some_and(|value| !value.is_empty());
    match choice {
        Choice::Always => true,
        Choice::Never => false,
        Choice::Auto if set("NO_COLOR") => false,
        Choice::Auto if set("CLICOLOR_FORCE") => env("CLICOLOR_FORCE").as_deref() != Some("0"),
        Choice::Auto => {
            is_terminal && env("TERM").as_deref() != Some("dumb") && env("CLICOLOR").as_deref() != Some("0")
        }
    }
}

/// Whether colour is on for standard output.
pub fn on_stdout(choice: Choice) -> Paint {
    Paint(enabled(choice, environment, std::io::stdout().is_terminal()))
}

/// Whether colour is on for standard error.
pub fn on_stderr(choice: Choice) -> Paint {
    Paint(enabled(choice, environment, std::io::stderr().is_terminal()))
}

/// A variable of the process's environment, if it is set and UTF-8.
pub fn environment(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

/// Paints texts, or leaves them as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    /// Good.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// To look at.
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// Bad.
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// A heading.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(pairs: &[(&str, &str)], is_terminal: bool) -> bool {
        let env = |key: &str| {
            pairs
                .iter()
                .find(|(k, _)| *k == key)
                .map(|(_, v)| (*v).to_owned())
        };
        enabled(Choice::Auto, env, is_terminal)
    }

    #[test]
    fn the_environment_decides_as_the_conventions_say() {
        assert!(auto(&[], true) && !auto(&[], false));
        assert!(!auto(&[("NO_COLOR", "1")], true));
        assert!(
            auto(&[("NO_COLOR", "")], true),
            "an empty NO_COLOR does not count"
        );
        assert!(auto(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!auto(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false));
        assert!(!auto(&[("TERM", "dumb")], true) && !auto(&[("CLICOLOR", "0")], true));
        assert!(enabled(Choice::Always, |_| Some("1".into()), false));
        assert!(!enabled(Choice::Never, |_| None, true));
    }

    #[test]
    fn paint_is_invisible_when_off() {
        assert_eq!(Paint(false).red("x"), "x");
        assert_eq!(Paint(true).red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
