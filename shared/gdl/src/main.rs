//! raccordo-gdl: the working group's reader of the consolidated status.

use clap::Parser;
use raccordo_cli::exit;
use raccordo_gdl::{Cli, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    exit::run(exit::interruptible(run(cli)))
}
