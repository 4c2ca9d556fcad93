//! `post-build-hook`

use client::watch;
use formats::StorePath;

use super::watch::queue_folder;
use crate::{cli, environment::Environment, output::Printer};

/// Queues what `OUT_PATHS` names. Whatever goes wrong is a warning: Nix fails the build if its hook fails.
pub(super) fn run(hook: &cli::PostBuildHook, environment: &Environment, printer: Printer) {
    let named = environment.out_paths.as_deref().unwrap_or_default();
    let paths: Vec<StorePath> = named.split_ascii_whitespace().filter_map(parse).collect();
    let folder = match queue_folder(hook.queue_dir.as_deref(), hook.cache.as_deref(), environment) {
        Ok(folder) => folder,
        Err(failure) => return printer.warning(format!("what was built is not queued: {}", failure.message)),
    };
    if let Err(error) = watch::deliver(&folder, &paths) {
        printer.warning(format!("what was built is not queued in {}: {error}", folder.display()));
    }
}

/// The hook's environment need not tell what the store dir is, so only the last part counts.
fn parse(path: &str) -> Option<StorePath> {
    path.rsplit('/').next()?.parse().ok()
}
