//! One program in three roles: benchmark, server, client.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

/// The variable that gives a process its role.
const ROLE: &str = "FLYWHEEL_BENCH_ROLE";

/// Runs as server or client if the process was started to be that, else as `benchmark`.
pub fn in_its_role(benchmark: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    match std::env::var(ROLE).as_deref() {
        Ok("server") => server::cli::main(),
        Ok("client") => client::program::main(),
        _ => match benchmark() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Where a program comes from.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    /// Another server than the one that is built in.
    pub server: Option<PathBuf>,
    /// Another client than the one that is built in.
    pub client: Option<PathBuf>,
}

impl Programs {
    /// The server, to be completed.
    ///
    /// # Errors
    /// If nobody knows where this program lies.
    pub fn server(&self) -> std::io::Result<Command> {
        program(self.server.as_ref(), "server")
    }

    /// The client, to be completed.
    ///
    /// # Errors
    /// If nobody knows where this program lies.
    pub fn client(&self) -> std::io::Result<Command> {
        program(self.client.as_ref(), "client")
    }
}

fn program(other: Option<&PathBuf>, role: &str) -> std::io::Result<Command> {
    Ok(match other {
        Some(path) => Command::new(path),
        None => {
            let mut command = Command::new(std::env::current_exe()?);
            command.env(ROLE, role);
            command
        }
    })
}
