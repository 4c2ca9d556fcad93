//! `promote check`

use std::sync::Arc;

use client::nix::{CommandStore, LocalStore};
use protocol::promotion::{CheckRequest, CheckedPath, Outcome};

use super::{claim, show};
use crate::{
    cli::CheckBuild,
    environment::Environment,
    failure,
    output::{ExitStatus, Failure, Printer},
    target::Target,
};

pub(super) async fn run(given: CheckBuild, environment: &Environment, printer: Printer) -> Result<ExitStatus, Failure> {
    let target = Target::find(given.within.cache.as_deref(), environment)?;
    let api = target.api(|_| {})?;
    let place = claim::place(environment)?;
    let store = Arc::new(CommandStore::new("nix".into(), place.clone()));
    let (asked, working_dir) = (Arc::clone(&store), environment.working_dir.clone());
    let work = tokio::task::spawn_blocking(move || {
        let gathered = claim::gathered(&given.built, &place, &working_dir, &*asked)?;
        let closure = asked.closure(&gathered.outputs).map_err(|error| failure::store(&error))?;
        Ok::<_, Failure>((gathered, closure))
    });
    let (gathered, closure) = work.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    claim::send_evidence(&api, &target, &store, &gathered, printer).await?;
    let closure = closure.into_iter().map(|info| CheckedPath {
        path: info.path,
        nar_hash: info.nar_hash,
        nar_size: info.nar_size,
        references: info.references,
        signatures: info.signatures,
    });
    let asked = CheckRequest { claim: gathered.claim, closure: closure.collect() };
    let report = api.check_claim(&target.cache, &asked).await.map_err(|error| failure::api_about(&target, &error))?;
    match given.json {
        true => show::json(printer, &report)?,
        false => show::findings(printer, &report),
    }
    let failed = report.findings.iter().filter(|finding| finding.outcome == Outcome::Failed);
    let failed: Vec<&str> = failed.map(|finding| finding.predicate.code()).collect();
    match failed.is_empty() {
        true => Ok(ExitStatus::Ok),
        false => {
            Err(Failure::new(ExitStatus::Failed, format!("it cannot be promoted as it is: {}", failed.join(", "))))
        }
    }
}
