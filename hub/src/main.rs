//! `raccordo-hub`: the centre of a federation.

use clap::Parser;
use raccordo_hub::cli::{Cli, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    raccordo_cli::exit::run(run(cli))
}
