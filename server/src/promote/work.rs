//! The background work: verifies claims that wait, and lets go of old revisions.
//!
//! A claim is taken from the queue for a minute, which is renewed while it is worked on; if this process dies, another takes it.

use std::time::Duration;

use database::{Cache, Claim, RevisionId, TagId, Verified};
use protocol::{
    CacheName, Timestamp,
    promotion::{ClaimState, ManifestPath, Outcome, PromotionManifest, RevisionState},
};
use tokio_util::sync::CancellationToken;

use super::{
    evidence::Evidence,
    gather::{GatherError, Meter, gather},
    judge::judge,
    policies,
    policy::Policy,
};
use crate::{app::App, metrics as names};

/// For how long a claim is held without a sign of life.
const LEASE: Duration = Duration::from_secs(60);
/// How often progress is noted.
const TICK: Duration = Duration::from_secs(2);
/// How often the queue is looked at when nobody says that it has something.
const IDLE: Duration = Duration::from_secs(5);
/// How often revisions are looked through for what is too old.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(3600);
/// When a stalled claim is looked at again: at first, and at the most.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// For how long a stalled claim is looked at again.
const PATIENCE: Duration = Duration::from_secs(7 * 86_400);

/// Works until `stop` is cancelled.
pub async fn run(app: App, stop: CancellationToken) {
    begin(&app).await;
    let mut expired_at = Timestamp::default();
    loop {
        let now = app.clock.now();
        if now >= expired_at.plus(EXPIRY_INTERVAL) {
            expired_at = now;
            if let Err(error) = expire_all(&app).await {
                tracing::warn!(%error, "old revisions could not be let go");
            }
        }
        // What a process left that has ended since, or that the storage did not take.
        note(&app).await;
        let verified = tokio::select! {
            verified = step(&app) => verified,
            () = stop.cancelled() => return,
        };
        match verified {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "a claim could not be taken"),
        }
        tokio::select! {
            () = app.promote.wake.notified() => {}
            () = tokio::time::sleep(IDLE) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Has counters that alerts watch begin at nothing: an increase from no counter at all is none.
async fn begin(app: &App) {
    match app.database.list_caches().await {
        Ok(caches) => caches.iter().for_each(|cache| divergences(&cache.name).increment(0)),
        Err(error) => tracing::warn!(%error, "the caches could not be listed"),
    }
}

/// Verifies the claim that has waited longest; `false` if none waits.
///
/// # Errors
/// If the index fails; the claim is taken again when its time is over.
pub async fn step(app: &App) -> database::Result<bool> {
    let now = app.clock.now();
    let Some(claim) = app.database.take_claim(now, now.plus(LEASE)).await? else { return Ok(false) };
    let Some(cache) = app.database.find_cache(&claim.cache_name).await? else { return Ok(true) };
    let meter = Meter::default();
    let policy = policies::of(app, cache.id).await?;
    let verified = tokio::select! {
        gathered = gather(app, &policy, &cache, &claim, &meter) => verdict(app, &policy, &claim, gathered),
        () = hold(app, &claim, &meter) => return Ok(true),
    };
    let state = verified.state;
    app.database.settle_claim(claim.id, &verified).await?;
    note(app).await;
    metrics::counter!(names::CLAIMS_VERIFIED, "state" => state.as_str()).increment(1);
    note_divergence(&cache, &verified);
    tracing::info!(cache.name = %cache.name, claim.id = claim.id.0, %state, "a claim was verified");
    Ok(true)
}

/// Has the storage know of what has changed; if it does not take it now, it is told again.
async fn note(app: &App) {
    if let Err(error) = app.journal.note_promotions(&*app.database).await {
        tracing::warn!(%error, "what has changed of promotion could not be recorded in the storage yet");
    }
}

/// Notes progress until the claim is taken back.
async fn hold(app: &App, claim: &Claim, meter: &Meter) {
    loop {
        tokio::time::sleep(TICK).await;
        let until = app.clock.now().plus(LEASE);
        match app.database.note_progress(claim.id, meter.read(), until).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, "progress could not be noted"),
        }
    }
}

fn verdict(app: &App, policy: &Policy, claim: &Claim, gathered: Result<Evidence, GatherError>) -> Verified {
    let now = app.clock.now();
    let again = || {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(claim.attempts.min(16))).min(LONGEST_PAUSE);
        (now < claim.filed_at.plus(PATIENCE)).then(|| now.plus(pause))
    };
    let evidence = match gathered {
        Ok(evidence) => evidence,
        Err(error) => {
            tracing::warn!(claim.id = claim.id.0, %error, "a claim could not be verified");
            let reason = Some(format!("it could not be verified: {error}"));
            return Verified { state: ClaimState::Stalled, reason, report: None, manifest: None, due_at: again(), now };
        }
    };
    let manifest = manifest(&evidence);
    let digest = match manifest.digest() {
        Ok(digest) => digest,
        Err(error) => {
            let reason = Some(format!("its manifest could not be written: {error}"));
            return Verified { state: ClaimState::Stalled, reason, report: None, manifest: None, due_at: None, now };
        }
    };
    let report = judge(policy, &evidence, digest, now);
    let is_refuted = report.obstacles().any(|finding| finding.outcome == Outcome::Failed);
    if report.is_clean() || is_refuted {
        let state = if is_refuted { ClaimState::Rejected } else { ClaimState::Clean };
        return Verified { state, reason: None, report: Some(report), manifest: Some(manifest), due_at: None, now };
    }
    let state = ClaimState::Stalled;
    Verified { state, reason: None, report: Some(report), manifest: None, due_at: again(), now }
}

/// The closure as it was verified.
fn manifest(evidence: &Evidence) -> PromotionManifest {
    let paths = evidence.closure.paths.values().map(|(info, origin)| ManifestPath {
        path: info.path.clone(),
        nar_hash: info.nar_hash,
        nar_size: info.nar_size,
        references: info.references.clone(),
        ca: info.ca,
        origin: origin.clone(),
    });
    PromotionManifest {
        store_dir: evidence.store_dir.clone(),
        roots: evidence.claim.outputs.values().map(|output| output.path.clone()).collect(),
        paths: paths.collect(),
    }
}

/// How often builders were seen to disagree about something in a cache.
pub(crate) fn divergences(cache: &CacheName) -> metrics::Counter {
    metrics::counter!(names::DIVERGENCES, "cache" => cache.to_string())
}

/// Counts claims about whose outputs builders disagree, for somebody to be alarmed.
fn note_divergence(cache: &Cache, verified: &Verified) {
    let findings = verified.report.iter().flat_map(|report| &report.findings);
    let diverges = findings.flat_map(|finding| &finding.problems).any(|problem| problem.code == "divergence");
    if diverges {
        divergences(&cache.name).increment(1);
        tracing::error!(cache.name = %cache.name, "builders disagree about an output; it is not promoted until that is settled");
    }
}

async fn expire_all(app: &App) -> database::Result<()> {
    for cache in app.database.list_caches().await? {
        for tag in app.database.list_tags(cache.id).await? {
            expire(app, tag.id, tag.current.map(|(id, _)| id)).await?;
        }
    }
    Ok(())
}

/// Lets go of revisions that are neither among the newest nor recent enough.
///
/// # Errors
/// If the index fails.
pub async fn expire(app: &App, tag: TagId, current: Option<RevisionId>) -> database::Result<()> {
    let now = app.clock.now();
    let revisions = app.database.revisions(tag, None, 1000).await?;
    let mut superseded_at = now;
    let mut kept = 0;
    for (id, revision) in revisions {
        if revision.state == RevisionState::Kept && Some(id) != current {
            kept += 1;
            let is_old = superseded_at.plus(app.promote.keep_for) <= now;
            if kept > app.promote.keep_revisions && is_old {
                app.database.end_revision(id, RevisionState::Expired, None).await?;
            }
        }
        superseded_at = revision.at;
    }
    Ok(())
}
