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

/// The command that must never fail, since Nix would fail the build with it.
const POST_BUILD_HOOK: &str = "post-build-hook";

/// Runs the program with the process's arguments, environment and streams.
#[must_use]
pub fn main() -> ExitCode {
    let name = cli::program_name(std::env::args_os().next().as_deref());
    let is_hook = std::env::args_os().nth(1).is_some_and(|argument| argument == POST_BUILD_HOOK);
    let matches = Cli::command().name(name).bin_name(name).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) if is_hook => {
            // With the streams gone there is nobody to tell.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => error.exit(),
    };
    let printer = Printer::new(cli.quiet);
    match run(name, cli, printer) {
        Ok(status) => status.into(),
        Err(failure) => {
            printer.failure(&failure);
            if is_hook { ExitCode::SUCCESS } else { failure.status.into() }
        }
    }
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
