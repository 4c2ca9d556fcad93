//! `push`

mod outcome;

pub(in crate::commands) use outcome::failure as failure_of;

use std::{
    collections::BTreeSet,
    io::{self, BufRead},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use client::{
    api::MetadataStyle,
    nix::{CommandStore, LocalStore, StorePlace, resolve},
    push::{ProtocolChoice, Push, PushOptions, Tuning},
    report::{Reporter, Silent},
};
use formats::StorePath;

use crate::{
    cli,
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer},
    progress,
    target::Target,
};

pub(super) async fn run(push: cli::Push, environment: &Environment, printer: Printer) -> Result<ExitStatus, Failure> {
    let start = Instant::now();
    let tuning = tuning(&push);
    let (cache, mut arguments) = cache_and_paths(push.cache, push.paths, environment);
    let target = Target::find(cache.as_deref(), environment)?;
    if push.stdin {
        arguments.extend(lines_of_stdin()?);
    } else if arguments.is_empty() && !push.all_valid {
        printer.warning("no paths are given, so there is nothing to send");
    }
    let place = StorePlace::new(environment.nix_store_dir.as_deref(), environment.nix_remote.as_deref())
        .map_err(|error| failure::place(&error))?;
    let mut roots = resolve_all(&place, &environment.working_dir, &arguments)?;

    let api = target.api(|settings| settings.retry.attempts = push.attempts)?;
    let store_dir = place.store_dir().clone();
    let store = Arc::new(CommandStore::new("nix".into(), place));
    if push.all_valid {
        let asked = Arc::clone(&store);
        let valid = tokio::task::spawn_blocking(move || all_valid(asked.as_ref())).await;
        roots.extend(valid.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?);
    }
    let reporter: Arc<dyn Reporter> = if push.dry_run { Arc::new(Silent) } else { progress::reporter(printer) };
    let options = PushOptions {
        jobs: push.jobs,
        closure: !push.no_closure,
        ignore_upstream_filter: push.ignore_upstream_cache_filter,
        metadata: if push.force_preamble { MetadataStyle::Preamble } else { MetadataStyle::Shortest },
    };
    let failed = |error| failure::push(&target, &error);
    let session =
        Push::begin(api, store, Arc::clone(&reporter), target.cache.clone(), options).await.map_err(failed)?;
    let session = session.tuned(tuning).excluding(push.exclude);
    let plan = session.plan(roots).await.map_err(failed)?;

    let survey = match push.explain && push.dry_run {
        true => session.survey(&plan).await.map_err(failed)?,
        false => None,
    };
    if push.explain && !(push.json && push.dry_run) {
        let line = |line| if push.json { printer.note(line) } else { printer.data(line) };
        outcome::explain(&plan, survey.as_ref(), line);
    }
    if push.dry_run {
        if push.json {
            printer.data(outcome::plan_json(&plan, survey.as_ref(), &store_dir));
        } else {
            printer.data(outcome::plan_line(&plan, survey.as_ref()));
        }
        return Ok(ExitStatus::Ok);
    }

    let report = session.apply(&plan).await;
    drop((session, reporter));
    if push.json {
        printer.data(outcome::report_json(&plan, &report, &store_dir, start.elapsed()));
    }
    printer.note(outcome::report_line(&plan, &report, start.elapsed()));
    match outcome::failure(&report) {
        None => Ok(ExitStatus::Ok),
        Some(failure) => Err(failure),
    }
}

fn tuning(push: &cli::Push) -> Tuning {
    Tuning {
        protocol: match push.protocol {
            cli::Protocol::Auto => ProtocolChoice::Auto,
            cli::Protocol::Native => ProtocolChoice::Native,
            cli::Protocol::Attic => ProtocolChoice::Attic,
        },
        max_request_bytes: push.max_request_size,
        compression_jobs: push.compression_jobs,
        level: push.level,
        limit_rate: push.limit_rate,
        ..Tuning::default()
    }
}

/// Every path of the local store that is valid: what lies in its folder, as far as Nix knows of it.
fn all_valid(store: &dyn LocalStore) -> Result<Vec<StorePath>, Failure> {
    let folder = store.folder();
    let unreadable =
        |error: io::Error| Failure::new(ExitStatus::Failed, format!("cannot read {}: {error}", folder.display()));
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        // Whatever else lies there, such as locks and links, is no store path.
        found.extend(entry.map_err(unreadable)?.file_name().to_str().and_then(|name| name.parse::<StorePath>().ok()));
    }
    let valid = store.registrations(&found).map_err(|error| failure::store(&error))?;
    Ok(valid.into_keys().collect())
}

/// Tells the cache from the paths. No cache's name has a slash, so a first argument with one is a path, and the cache is that of
/// the environment.
fn cache_and_paths(
    first: Option<String>,
    mut paths: Vec<PathBuf>,
    environment: &Environment,
) -> (Option<String>, Vec<PathBuf>) {
    match first {
        Some(path) if path.contains('/') && environment.cache.is_some() => {
            paths.insert(0, path.into());
            (None, paths)
        }
        first => (first, paths),
    }
}

fn lines_of_stdin() -> Result<Vec<PathBuf>, Failure> {
    let lines: Result<Vec<String>, io::Error> = io::stdin().lock().lines().collect();
    let lines =
        lines.map_err(|error| Failure::new(ExitStatus::Failed, format!("cannot read standard input: {error}")))?;
    Ok(lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).map(PathBuf::from).collect())
}

fn resolve_all(place: &StorePlace, working_dir: &Path, arguments: &[PathBuf]) -> Result<BTreeSet<StorePath>, Failure> {
    arguments
        .iter()
        .map(|argument| resolve(place, working_dir, argument).map_err(|error| failure::resolve(&error)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_argument_is_the_cache_unless_it_can_only_be_a_path() {
        let with = Environment { cache: Some("ci".into()), ..Environment::default() };
        let without = Environment::default();
        let split = |first: &str, environment| {
            let (cache, paths) = cache_and_paths(Some(first.to_owned()), vec!["b".into()], environment);
            (cache, paths.len())
        };
        assert_eq!(split("main", &with), (Some("main".into()), 1));
        assert_eq!(split("./result", &with), (None, 2));
        assert_eq!(split("./result", &without), (Some("./result".into()), 1));
    }
}
