//! `raccordo-spoke`: the program of a region.

use std::process::ExitCode;

fn main() -> ExitCode {
    raccordo_cli::exit::run(raccordo_spoke::cli::main())
}
