//! The shipped program answers `--help` and refuses nonsense. That this test exists makes cargo build
//! the program for the system tests.

use std::process::{Command, Output};

fn program(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raccordo-gdl"));
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("the program starts")
}

#[test]
fn help_names_every_command() {
    let output = program(&["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let commands = ["status", "fleet", "whoami", "config"];
    let unnamed: Vec<_> = commands
        .iter()
        .filter(|c| !help.lines().any(|l| l.trim_start().starts_with(**c)))
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:?} in:\n{help}");
    for command in commands {
        let output = program(&[command, "--help"]);
        assert!(output.status.success(), "{command} --help: {output:?}");
    }
}

#[test]
fn a_wrong_command_line_is_said_on_stderr_with_its_code() {
    let output = program(&["nonsense"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
}
