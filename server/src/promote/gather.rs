//! Gathers the evidence of a claim: derivations, the closure, and what is in its bytes.

mod ahead;
mod closure;
mod derivations;
mod scan;
mod secrets;
mod upstream;

use std::sync::atomic::{AtomicU64, Ordering};

use database::{Cache, Claim};
use formats::StorePathHash;
use protocol::promotion::{Origin, Progress, TestResult};

use super::{
    evidence::{Attested, Evidence},
    policy::Policy,
};
use crate::{app::App, fetch::FetchError};

pub use ahead::gather_ahead;
pub use upstream::Upstreams;

/// Why evidence could not be gathered; trying again may help.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The index failed.
    #[error("the index failed")]
    Database(#[from] database::Error),
    /// The storage failed.
    #[error("stored bytes could not be read")]
    Fetch(#[from] FetchError),
    /// No connection to an upstream can be made at all.
    #[error("HTTP cannot be set up")]
    Http(#[from] reqwest::Error),
    /// The server stops.
    #[error("the server is shutting down")]
    Stopped,
}

/// How far the gathering is, for whoever asks.
#[derive(Debug, Default)]
pub struct Meter {
    paths: AtomicU64,
    of_paths: AtomicU64,
    bytes: AtomicU64,
    of_bytes: AtomicU64,
}

impl Meter {
    /// What it shows.
    #[must_use]
    pub fn read(&self) -> Progress {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            paths: read(&self.paths),
            of_paths: read(&self.of_paths),
            bytes: read(&self.bytes),
            of_bytes: read(&self.of_bytes),
        }
    }
}

/// Gathers all that the predicates look at.
///
/// # Errors
/// If the index or the storage is away. What is missing or damaged is no error but evidence.
pub async fn gather(
    app: &App,
    policy: &Policy,
    cache: &Cache,
    claim: &Claim,
    meter: &Meter,
) -> Result<Evidence, GatherError> {
    let rules = &policy.rules;
    let derivations = derivations::read(app, cache, &claim.claim.derivation, &rules.derivation).await?;
    let roots = claim.claim.outputs.values().map(|output| output.path.clone()).collect();
    let closure = closure::walk(app, policy, cache, roots).await?;
    let here: Vec<_> = closure.paths.values().filter(|(_, origin)| *origin == Origin::Cache).collect();
    meter.of_paths.store(here.len() as u64, Ordering::Relaxed);
    meter.of_bytes.store(here.iter().map(|(info, _)| info.nar_size).sum(), Ordering::Relaxed);
    let here: Vec<_> = here.into_iter().map(|(info, _)| info.clone()).collect();
    let scans = if closure.is_too_large { Default::default() } else { scan::all(app, cache, here, meter).await? };
    let hashes: Vec<StorePathHash> = closure.paths.keys().map(|path| *path.hash()).collect();
    let mut asked = hashes;
    asked.extend(claim.claim.outputs.values().map(|output| *output.path.hash()));
    asked.sort_unstable();
    asked.dedup();
    Ok(Evidence {
        store_dir: cache.store_dir.clone(),
        claim: claim.claim.clone(),
        builder: claim.builder.clone(),
        derivations,
        closure,
        scans,
        attested: attested(app, policy, claim).await?,
        seen: app.database.observations(cache.id, &asked).await?,
        resolutions: app.database.resolutions(cache.id, &asked).await?,
    })
}

/// What others attest of the claim, and by which keys of the policy.
///
/// # Errors
/// If the index fails.
pub async fn attested(app: &App, policy: &Policy, claim: &Claim) -> database::Result<Vec<Attested>> {
    let mut attested = Vec::new();
    for sent in app.database.attestations(claim.id).await? {
        let signed_by = sent.envelope.signed_by(&policy.rules.checks.keys);
        // What it is about was seen when it came.
        let Ok(statement) = TestResult::read(&sent.envelope, &claim.claim) else { continue };
        attested.extend(statement.checks().map(|(name, passed)| Attested {
            name: name.to_owned(),
            passed,
            signed_by: signed_by.clone(),
        }));
    }
    Ok(attested)
}
