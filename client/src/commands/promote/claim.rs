//! `promote claim`

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use client::{
    api::{Api, MetadataStyle},
    nix::{CommandStore, LocalStore, StorePlace, resolve},
    promote::{Build, GatherError, Gathered, batches, deriver, evaluate, gather, nix_version},
    push::{Push, PushOptions},
    report::Silent,
};
use formats::StorePath;
use protocol::promotion::{Check, ClaimAnswer, ClaimState, Evaluation};

use super::{super::push::failure_of, show};
use crate::{
    cli::{Built, ClaimBuild},
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer, paths, size},
    target::Target,
};

/// How many paths are pushed at once.
const JOBS: NonZeroUsize = NonZeroUsize::new(5).unwrap();
/// How often a claim is asked after.
const TICK: Duration = Duration::from_secs(1);

pub(super) async fn run(given: ClaimBuild, environment: &Environment, printer: Printer) -> Result<ExitStatus, Failure> {
    let target = Target::find(given.within.cache.as_deref(), environment)?;
    let api = target.api(|_| {})?;
    let place = place(environment)?;
    let store = Arc::new(CommandStore::new("nix".into(), place.clone()));
    let (asked, working_dir) = (Arc::clone(&store), environment.working_dir.clone());
    let (wait, timeout, json, no_push) = (given.wait, given.timeout, given.json, given.no_push);
    let gathered = tokio::task::spawn_blocking(move || gathered(&given.built, &place, &working_dir, &*asked)).await;
    let gathered = gathered.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;

    if !no_push {
        push(&api, &store, &target, gathered.outputs.clone(), printer).await?;
    }
    let failed = |error| failure::api_about(&target, &error);
    send_evidence(&api, &target, &store, &gathered, printer).await?;
    let mut claim = api.file_claim(&target.cache, &gathered.claim).await.map_err(failed)?;
    printer.note(format_args!("claim {} is {}", claim.id, claim.state));
    if wait {
        claim = waited(&api, &target, claim, timeout, printer).await?;
    }
    show::claim(printer, &claim, json)?;
    match claim.state {
        ClaimState::Rejected | ClaimState::Withdrawn | ClaimState::Revoked => {
            Err(Failure::new(ExitStatus::Failed, format!("claim {} is {}", claim.id, claim.state)))
        }
        ClaimState::Stalled if wait => {
            Err(Failure::new(ExitStatus::Partly, format!("claim {} waits for something that is missing", claim.id)))
        }
        ClaimState::Filed | ClaimState::Verifying | ClaimState::Stalled | ClaimState::Clean => Ok(ExitStatus::Ok),
    }
}

/// Sends the derivations that the evidence lacks.
pub(super) async fn send_evidence(
    api: &Api,
    target: &Target,
    store: &CommandStore,
    gathered: &Gathered,
    printer: Printer,
) -> Result<(), Failure> {
    let failed = |error| failure::api_about(target, &error);
    let derivations = gathered.evidence.derivations();
    let missing = api.missing_evidence(&target.cache, derivations).await.map_err(failed)?;
    for body in batches(store, &missing) {
        api.send_evidence(&target.cache, body.map_err(|error| of(&error))?).await.map_err(failed)?;
    }
    printer.note(format_args!("{} of {} derivations sent as evidence", missing.len(), derivations.len()));
    Ok(())
}

pub(super) fn gathered(
    given: &Built,
    place: &StorePlace,
    working_dir: &Path,
    store: &dyn LocalStore,
) -> Result<Gathered, Failure> {
    let nix = Path::new("nix");
    let mut told = BTreeMap::new();
    for (name, path) in &given.outputs {
        told.insert(name.clone(), resolve(place, working_dir, path).map_err(|error| failure::resolve(&error))?);
    }
    let checks = given.checks.iter().map(|name| Check { name: name.clone(), passed: true }).collect();
    let sandbox = given.sandboxed.then_some(true);
    let build = match given.build.split_once('#') {
        Some((flake, attribute)) => {
            let found = evaluate(nix, store, flake, attribute).map_err(|error| of(&error))?;
            let evaluation = Evaluation { sandbox, ..found.evaluation };
            let source = Some((found.source, found.attribute));
            Build { derivation: found.derivation, told, source, evaluation, checks }
        }
        None => {
            let path = PathBuf::from(&given.build);
            let path = resolve(place, working_dir, &path).map_err(|error| failure::resolve(&error))?;
            let derivation =
                if path.is_derivation() { path } else { deriver(store, &path).map_err(|error| of(&error))? };
            let nix = nix_version(nix).map_err(|error| of(&error))?;
            let evaluation = Evaluation { nix, sandbox, ..Evaluation::default() };
            Build { derivation, told, source: None, evaluation, checks }
        }
    };
    gather(store, &build).map_err(|error| of(&error))
}

async fn push(
    api: &Api,
    store: &Arc<CommandStore>,
    target: &Target,
    outputs: BTreeSet<StorePath>,
    printer: Printer,
) -> Result<(), Failure> {
    let failed = |error| failure::push(target, &error);
    let options =
        PushOptions { jobs: JOBS, closure: true, ignore_upstream_filter: false, metadata: MetadataStyle::Shortest };
    let begun = Push::begin(
        api.clone(),
        Arc::clone(store) as Arc<dyn LocalStore>,
        Arc::new(Silent),
        target.cache.clone(),
        options,
    )
    .await;
    let session = begun.map_err(failed)?;
    let plan = session.plan(outputs).await.map_err(failed)?;
    let report = session.apply(&plan).await;
    if let Some(failure) = failure_of(&report) {
        return Err(failure);
    }
    printer.note(format_args!("{} pushed", paths(report.uploaded().count())));
    Ok(())
}

/// Asks after a claim until nothing more happens to it by itself.
async fn waited(
    api: &Api,
    target: &Target,
    mut claim: ClaimAnswer,
    timeout: Duration,
    printer: Printer,
) -> Result<ClaimAnswer, Failure> {
    let begin = Instant::now();
    let mut told = None;
    while !(claim.state.is_settled() || claim.state == ClaimState::Stalled && claim.report.is_some()) {
        if begin.elapsed() > timeout {
            let message = format!("claim {} is still {}", claim.id, claim.state);
            return Err(Failure::new(ExitStatus::Partly, message).hint("ask again with `promote status`"));
        }
        tokio::time::sleep(TICK).await;
        let asked = api.claim(&target.cache, claim.id).await;
        claim = asked.map_err(|error| failure::api_about(target, &error))?;
        if let Some(progress) = claim.progress.filter(|progress| told != Some(*progress)) {
            told = Some(progress);
            printer.note(format_args!(
                "verifying: {} of {} paths, {} of {}",
                progress.paths,
                progress.of_paths,
                size(progress.bytes),
                size(progress.of_bytes)
            ));
        }
    }
    Ok(claim)
}

/// The base name or hash part that an argument of `explain` means.
pub(in crate::commands) fn path_of(what: &str, environment: &Environment) -> String {
    let resolved = place(environment).ok().and_then(|place| {
        let path = resolve(&place, &environment.working_dir, Path::new(what)).ok()?;
        Some(path.to_string())
    });
    // What is not on this machine may still be in the cache.
    resolved.unwrap_or_else(|| what.trim_end_matches('/').rsplit('/').next().unwrap_or(what).to_owned())
}

pub(super) fn place(environment: &Environment) -> Result<StorePlace, Failure> {
    StorePlace::new(environment.nix_store_dir.as_deref(), environment.nix_remote.as_deref())
        .map_err(|error| failure::place(&error))
}

fn of(error: &GatherError) -> Failure {
    let failure = Failure::of(ExitStatus::Failed, error);
    match error {
        GatherError::Store(error) => failure::store(error),
        GatherError::NotBuilt(_) => failure.hint("build it first, in this very store"),
        GatherError::NoDeriver(_) => failure.hint("name the .drv file instead"),
        GatherError::Start { .. } => failure.hint("is Nix installed, and `nix` in PATH?"),
        GatherError::Failed { .. }
        | GatherError::Answer { .. }
        | GatherError::Unreadable { .. }
        | GatherError::Derivation { .. }
        | GatherError::NoOutput { .. } => failure,
    }
}
