//! The program: `flywheel-push`, which also goes by the name of `attic`.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::{
    cli::{self, Cli},
    commands,
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer},
};

/// Runs the program with the process's arguments, environment and streams.
#[must_use]
pub fn main() -> ExitCode {
    let name = cli::program_name(std::env::args_os().next().as_deref());
    let matches = Cli::command().name(name).bin_name(name).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let printer = Printer::new(cli.quiet);
    let status = run(name, cli, printer).unwrap_or_else(|failure| {
        printer.failure(&failure);
        failure.status
    });
    status.into()
}

fn run(name: &'static str, cli: Cli, printer: Printer) -> Result<ExitStatus, Failure> {
    let environment = Environment::read()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| failure::runtime(&error))?;
    let status = runtime.block_on(commands::run(name, cli.command, environment, printer));
    // A connection that hangs must not keep the program alive.
    runtime.shutdown_background();
    status
}
