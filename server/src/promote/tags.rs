//! Moving tags: a decision, made only over what is clean.

use database::{Cache, Claim, ClaimId, Member, Moved, NewRevision, TagRow, Verdict};
use formats::StorePathHash;
use protocol::promotion::{
    ClaimState, Finding, MoveTag, Origin, Outcome, Predicate, Revision, RevisionState, Rollback, TagName, Visibility,
};

use super::{gather::attested, judge, policies, policy::Policy};
use crate::app::App;

/// The most claims that one tag may point at.
const MAX_CLAIMS: usize = 100;

/// Why a tag was not moved.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// What is asked makes no sense.
    #[error("{0}")]
    Request(String),
    /// A claim is not clean, or may not be promoted all the same.
    #[error("claim {claim} cannot be promoted: {}", obstacles.join("; "))]
    NotClean {
        /// Which.
        claim: i64,
        /// Why not.
        obstacles: Vec<String>,
    },
    /// Somebody else moved the tag.
    #[error("the tag is at revision {0} by now")]
    Elsewhere(i64),
    /// A release that is there, or a tag of the other kind.
    #[error("the tag is a release, which is made once, or of another kind than was asked for")]
    Fixed,
    /// Something was taken back or expired at the same time.
    #[error("one of the claims, or the revision to go back to, is no longer kept")]
    Gone,
    /// There is no such tag.
    #[error("there is no such tag")]
    NoTag,
    /// The index failed.
    #[error("the index failed")]
    Database(#[from] database::Error),
}

/// A claim that may be promoted, with what was found of it.
struct Promotable {
    claim: Claim,
    verdict: Verdict,
    finding: Finding,
    is_publishable: bool,
}

/// Moves a tag onto claims, each of which must be clean under the policy in effect and satisfy what else it asks.
///
/// # Errors
/// As [`TagError`] says; nothing has changed then.
pub async fn move_to(
    app: &App,
    cache: &Cache,
    name: TagName,
    wanted: &MoveTag,
    moved_by: &str,
) -> Result<i64, TagError> {
    if wanted.claims.is_empty() || wanted.claims.len() > MAX_CLAIMS {
        return Err(TagError::Request(format!("a tag points at 1 to {MAX_CLAIMS} claims")));
    }
    let mut claims = wanted.claims.clone();
    claims.sort_unstable();
    claims.dedup();
    let policy = policies::of(app, cache.id).await?;
    let mut promotable = Vec::new();
    for id in claims {
        promotable.push(self::promotable(app, &policy, cache, ClaimId(id), wanted.visibility).await?);
    }
    let members = promotable.iter().flat_map(|one| {
        let here = one.verdict.manifest.paths.iter().filter(|path| path.origin == Origin::Cache);
        here.map(|path| Member { claim: one.claim.id, hash: *path.path.hash(), nar_hash: path.nar_hash })
    });
    let revision = Revision {
        number: 0,
        state: RevisionState::Kept,
        claims: promotable.iter().map(|one| one.claim.id.0).collect(),
        roots: promotable.iter().flat_map(|one| one.verdict.manifest.roots.iter().cloned()).collect(),
        is_publishable: promotable.iter().all(|one| one.is_publishable),
        policy_version: policy.rules.version.clone(),
        policy_digest: policy.digest,
        findings: promotable.iter().map(|one| one.finding.clone()).collect(),
        moved_by: moved_by.to_owned(),
        at: app.clock.now(),
        repeats: None,
        reason: None,
    };
    let new = NewRevision {
        cache: cache.id,
        tag: name,
        kind: wanted.kind,
        visibility: wanted.visibility,
        expected: wanted.expected,
        members: members.collect(),
        revision,
    };
    commit(app, cache, &new).await
}

/// Goes back to an earlier revision, which becomes a new one.
///
/// # Errors
/// As [`TagError`] says; nothing has changed then.
pub async fn roll_back(
    app: &App,
    cache: &Cache,
    tag: &TagRow,
    wanted: &Rollback,
    moved_by: &str,
) -> Result<i64, TagError> {
    let before = app.database.revisions(tag.id, Some(wanted.to.saturating_add(1)), 1).await?;
    let earlier = before.into_iter().map(|(_, revision)| revision).find(|revision| revision.number == wanted.to);
    let earlier = earlier.filter(|revision| revision.state == RevisionState::Kept).ok_or(TagError::Gone)?;
    // What has been found out since then counts: nobody goes back to what is in doubt by now.
    let policy = policies::of(app, cache.id).await?;
    for id in &earlier.claims {
        let claim = app.database.find_claim(cache.id, ClaimId(*id)).await?.ok_or(TagError::Gone)?;
        let verdict = app.database.find_verdict(claim.id, &earlier.policy_digest).await?.ok_or(TagError::Gone)?;
        let (finding, _) = corroboration(app, &policy, cache, &claim, &hashes(&verdict), tag.visibility).await?;
        if finding.outcome != Outcome::Passed {
            return Err(not_clean(&claim, [&finding]));
        }
    }
    let revision = Revision {
        moved_by: moved_by.to_owned(),
        at: app.clock.now(),
        repeats: Some(wanted.to),
        reason: Some(wanted.reason.clone()),
        ..earlier
    };
    let new = NewRevision {
        cache: cache.id,
        tag: tag.name.clone(),
        kind: tag.kind,
        visibility: tag.visibility,
        expected: wanted.expected,
        members: Vec::new(),
        revision,
    };
    commit(app, cache, &new).await
}

/// Every path of the closure that a verdict is about.
fn hashes(verdict: &Verdict) -> Vec<StorePathHash> {
    verdict.manifest.paths.iter().map(|path| *path.path.hash()).collect()
}

/// Changes who may see a tag's view. Only what many builders agree on becomes public.
///
/// # Errors
/// As [`TagError`] says.
pub async fn show(app: &App, cache: &Cache, tag: &TagRow, visibility: Visibility) -> Result<(), TagError> {
    if visibility == Visibility::Public
        && let Some((_, current)) = &tag.current
    {
        let policy = policies::of(app, cache.id).await?;
        for id in &current.claims {
            promotable(app, &policy, cache, ClaimId(*id), visibility).await?;
        }
    }
    match app.database.show_tag(tag.id, visibility).await? {
        true => Ok(()),
        false => Err(TagError::NoTag),
    }
}

/// What stands in the way of promoting a claim, in words; and whether it could be public.
///
/// # Errors
/// If the index fails.
pub async fn obstacles(
    app: &App,
    policy: &Policy,
    cache: &Cache,
    claim: ClaimId,
) -> database::Result<(Vec<String>, bool)> {
    match promotable(app, policy, cache, claim, Visibility::Internal).await {
        Ok(one) => Ok((Vec::new(), one.is_publishable)),
        Err(TagError::NotClean { obstacles, .. }) => Ok((obstacles, false)),
        Err(TagError::Database(error)) => Err(error),
        Err(other) => Ok((vec![other.to_string()], false)),
    }
}

async fn commit(app: &App, cache: &Cache, new: &NewRevision) -> Result<i64, TagError> {
    // What was verified may be collected by now: then the tag stays where it is.
    if let Some(lost) = lost(app, cache, &new.members).await? {
        return Err(collected(lost));
    }
    let before = app.database.find_tag(cache.id, &new.tag).await?.and_then(|tag| tag.current);
    match app.database.move_tag(new).await? {
        Moved::To(number) => {
            let Some(tag) = app.database.find_tag(cache.id, &new.tag).await? else { return Ok(number) };
            // A round of collection may have begun before the paths were promoted. What it took is not promoted.
            if let Some(lost) = lost(app, cache, &new.members).await? {
                take_back(app, new, &tag, number, before.map(|(_, revision)| revision)).await?;
                return Err(collected(lost));
            }
            super::work::expire(app, tag.id, tag.current.map(|(id, _)| id)).await?;
            Ok(number)
        }
        Moved::Elsewhere(number) => Err(TagError::Elsewhere(number)),
        Moved::Fixed => Err(TagError::Fixed),
        Moved::Gone => Err(TagError::Gone),
    }
}

/// Tells collection that these paths stay, and the first of them that is gone already.
async fn lost<'m>(app: &App, cache: &Cache, members: &'m [Member]) -> Result<Option<&'m Member>, database::Error> {
    for some in members.chunks(1000) {
        let hashes: Vec<StorePathHash> = some.iter().map(|member| member.hash).collect();
        let spared = app.database.spare_paths(cache.id, &hashes).await?;
        if let Some((member, _)) = some.iter().zip(spared).find(|(_, is_there)| !is_there) {
            return Ok(Some(member));
        }
    }
    Ok(None)
}

fn collected(lost: &Member) -> TagError {
    let obstacle = format!("P5: {} was collected since it was verified: push it again", lost.hash);
    TagError::NotClean { claim: lost.claim.0, obstacles: vec![obstacle] }
}

/// Ends a revision that is not whole, and has the tag point where it did before.
async fn take_back(
    app: &App,
    new: &NewRevision,
    tag: &TagRow,
    number: i64,
    before: Option<Revision>,
) -> Result<(), database::Error> {
    let revision = app.database.revisions(tag.id, Some(number.saturating_add(1)), 1).await?;
    let Some((id, _)) = revision.into_iter().find(|(_, revision)| revision.number == number) else { return Ok(()) };
    let reason = "paths of it were collected while it was promoted";
    app.database.end_revision(id, RevisionState::Revoked, Some(reason)).await?;
    if let Some(before) = before {
        let revision = Revision {
            repeats: Some(before.number),
            reason: Some(format!("revision {number} could not be kept")),
            moved_by: new.revision.moved_by.clone(),
            at: app.clock.now(),
            ..before
        };
        let again = NewRevision { expected: number, revision, members: Vec::new(), ..new.clone() };
        app.database.move_tag(&again).await?;
    }
    Ok(())
}

async fn promotable(
    app: &App,
    policy: &Policy,
    cache: &Cache,
    id: ClaimId,
    visibility: Visibility,
) -> Result<Promotable, TagError> {
    let claim = app.database.find_claim(cache.id, id).await?;
    let claim = claim.ok_or_else(|| TagError::Request(format!("there is no claim {}", id.0)))?;
    let refuse = |obstacles: Vec<String>| Err(TagError::NotClean { claim: id.0, obstacles });
    if claim.state != ClaimState::Clean {
        let findings: Vec<&Finding> = claim.report.iter().flat_map(protocol::promotion::Report::obstacles).collect();
        let mut obstacles = vec![format!("it is {}", claim.state)];
        obstacles.extend(words(findings));
        return refuse(obstacles);
    }
    let Some(verdict) = app.database.find_verdict(id, &policy.digest).await? else {
        return refuse(vec!["it was verified under another policy: have it verified again".to_owned()]);
    };
    let besides = [Predicate::TrustedBuilder, Predicate::EligibleClass];
    let failed = besides.iter().filter_map(|one| verdict.report.finding(*one)).filter(|f| f.outcome != Outcome::Passed);
    let mut failed: Vec<&Finding> = failed.chain(verdict.report.obstacles()).collect();
    let checks = judge::validated(&policy.rules.checks, &claim.claim, &attested(app, policy, &claim).await?);
    if checks.outcome != Outcome::Passed {
        failed.push(&checks);
    }
    let (finding, is_publishable) = corroboration(app, policy, cache, &claim, &hashes(&verdict), visibility).await?;
    if finding.outcome != Outcome::Passed {
        failed.push(&finding);
    }
    if !failed.is_empty() {
        return refuse(words(failed));
    }
    Ok(Promotable { claim, verdict, finding, is_publishable })
}

/// P10 as it is now, for that visibility; and whether it would hold for a public tag.
async fn corroboration(
    app: &App,
    policy: &Policy,
    cache: &Cache,
    claim: &Claim,
    hashes: &[StorePathHash],
    visibility: Visibility,
) -> Result<(Finding, bool), database::Error> {
    let rules = &policy.rules.corroboration;
    let seen = app.database.observations(cache.id, hashes).await?;
    let resolutions = app.database.resolutions(cache.id, hashes).await?;
    let roots: Vec<_> = claim.claim.outputs.values().map(|output| output.path.clone()).collect();
    let judged = |needed| judge::corroborated(needed, &roots, &seen, &resolutions);
    let public = judged(rules.public_builders.max(rules.builders));
    let is_publishable = public.outcome == Outcome::Passed;
    let finding = if visibility == Visibility::Public { public } else { judged(rules.builders) };
    Ok((finding, is_publishable))
}

fn not_clean<'f>(claim: &Claim, findings: impl IntoIterator<Item = &'f Finding>) -> TagError {
    TagError::NotClean { claim: claim.id.0, obstacles: words(findings) }
}

/// Each problem, with the number of its predicate.
fn words<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Vec<String> {
    let said = findings.into_iter().flat_map(|finding| {
        finding.problems.iter().map(move |problem| format!("{}: {}", finding.predicate, problem.message))
    });
    said.collect()
}
