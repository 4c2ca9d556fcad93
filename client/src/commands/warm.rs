//! `warm`

use std::{path::PathBuf, process::Stdio};

use tokio::process::Command;

use super::push;
use crate::{
    cli,
    environment::Environment,
    output::{ExitStatus, Failure, Printer},
};

/// Builds one thing after the other and pushes each. One that fails does not keep the others from the cache.
pub(super) async fn run(warm: cli::Warm, environment: &Environment, printer: Printer) -> Result<ExitStatus, Failure> {
    let mut failed = Vec::new();
    for installable in &warm.installables {
        printer.note(format_args!("building {installable}"));
        let done = match build(installable, &warm.nix_arg).await {
            Ok(paths) => {
                let mut pushing = cli::Push::of(warm.cache.clone(), paths);
                pushing.ignore_upstream_cache_filter = warm.ignore_upstream_cache_filter;
                push::run(pushing, environment, printer).await.map(drop)
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = done {
            // Nothing else would fare better.
            if matches!(failure.status, ExitStatus::NotAllowed | ExitStatus::Unreachable | ExitStatus::Usage) {
                return Err(failure);
            }
            printer.warning(format_args!("{installable}: {}", failure.message));
            failed.push(installable.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(ExitStatus::Ok);
    }
    let all = failed.len() == warm.installables.len();
    let status = if all { ExitStatus::Failed } else { ExitStatus::Partly };
    Err(Failure::new(status, format!("{} of {} failed: {}", failed.len(), warm.installables.len(), failed.join(", "))))
}

/// Has Nix build something; where it lies. What Nix says of it goes to standard error.
async fn build(installable: &str, arguments: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let mut nix = Command::new("nix");
    nix.args(["--extra-experimental-features", "nix-command flakes", "build", "--no-link", "--print-out-paths"]);
    nix.args(arguments).arg("--").arg(installable);
    nix.stdin(Stdio::null()).stderr(Stdio::inherit());
    let start = |error| {
        Failure::new(ExitStatus::Usage, format!("cannot run `nix`: {error}"))
            .hint("is Nix installed, and `nix` in PATH?")
    };
    let built = nix.output().await.map_err(start)?;
    if !built.status.success() {
        return Err(Failure::new(ExitStatus::Failed, "it could not be built"));
    }
    Ok(String::from_utf8_lossy(&built.stdout).lines().map(PathBuf::from).collect())
}
