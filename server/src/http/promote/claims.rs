//! Claims: filed by builders, verified by the server, taken back by either side.

use axum::{
    Json,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use database::{Act, Cache, Claim, ClaimId, NewClaim};
use formats::Sha256;
use protocol::{
    ErrorCode, Permission,
    promotion::{Builder, ClaimAnswer, ClaimRequest, ClaimState},
};
use serde::Deserialize;

use super::{
    Part, answer,
    asking::{Asking, changed},
    insider, json as read_json, malformed, no_such_claim, reason,
};
use crate::{
    app::App,
    audit::Deed,
    auth::Caller,
    http::{
        ApiError,
        access::{self, InPath},
    },
    metrics as names,
    promote::work::divergences,
};

/// The most outputs that a claim may have.
const MAX_OUTPUTS: usize = 100;

/// Files a claim. The same claim by the same builder is the same claim.
pub(in crate::http) async fn file(
    State(app): State<App>,
    InPath(name): InPath,
    request: Request,
) -> Result<Response, ApiError> {
    let (cache, caller) = access::cache(&app, request.headers(), &name, Permission::Push).await?;
    let claim: ClaimRequest = read_json(request).await?;
    well_formed(&claim)?;
    let builder = builder(&caller)?;
    let said = serde_json::to_vec(&(&claim, &builder)).map_err(|error| malformed(error.to_string()))?;
    let new = NewClaim { cache: cache.id, digest: Sha256::digest_of(&said), claim, builder, now: app.clock.now() };
    access::takes_changes(&app)?;
    // Also for one that is there already: the answer before may have failed because the storage was away.
    let (claim, is_new) = changed(&app, async || Ok(app.database.file_claim(&new).await?)).await?;
    // Counters that alerts watch are there before there is anything to count.
    divergences(&cache.name).increment(0);
    if is_new {
        metrics::counter!(names::CLAIMS_FILED, "cache" => cache.name.to_string()).increment(1);
        app.promote.wake.notify_one();
    }
    let status = if is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(answer(claim))).into_response())
}

/// Refuses what cannot be a claim.
pub(super) fn well_formed(claim: &ClaimRequest) -> Result<(), ApiError> {
    if claim.outputs.is_empty() || claim.outputs.len() > MAX_OUTPUTS || !claim.derivation.is_derivation() {
        let message = format!("A claim has a derivation and 1 to {MAX_OUTPUTS} outputs.");
        return Err(ApiError::new(ErrorCode::InvalidClaim, message));
    }
    Ok(())
}

/// Who builds: what the token says, and nothing that the claim says. What everybody may do says nothing of anybody.
pub(super) fn builder(caller: &Caller) -> Result<Builder, ApiError> {
    let subject = caller.subject().ok_or_else(ApiError::unauthorized)?.to_owned();
    let (issuer, repository, reference) = job(&subject);
    Ok(Builder { subject, issuer, repository, reference })
}

/// The rule, repository and ref in the subject of a token that was exchanged for a job's identity: `rule/repo:o/r:ref:refs/heads/main`
/// as GitHub writes it, `rule/project_path:g/p:ref_type:branch:ref:main` as GitLab does.
fn job(subject: &str) -> (Option<String>, Option<String>, Option<String>) {
    let Some((rule, identity)) = subject.split_once('/') else { return (None, None, None) };
    let after = |rest: &str| rest.strip_prefix("ref:").map(str::to_owned);
    if let Some((repository, rest)) = identity.strip_prefix("repo:").and_then(|rest| rest.split_once(':')) {
        return (Some(rule.to_owned()), Some(repository.to_owned()), after(rest));
    }
    if let Some((project, rest)) = identity.strip_prefix("project_path:").and_then(|rest| rest.split_once(':')) {
        let kind = rest.strip_prefix("ref_type:").and_then(|rest| rest.split_once(":ref:"));
        let reference = kind.map(|(kind, name)| match kind {
            "tag" => format!("refs/tags/{name}"),
            _ => format!("refs/heads/{name}"),
        });
        return (Some(rule.to_owned()), Some(project.to_owned()), reference);
    }
    (None, None, None)
}

#[derive(Debug, Deserialize)]
pub(in crate::http) struct Page {
    before: Option<i64>,
    limit: Option<u32>,
}

/// Claims, newest first.
pub(in crate::http) async fn list(
    State(app): State<App>,
    InPath(name): InPath,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Result<Json<Vec<ClaimAnswer>>, ApiError> {
    let (cache, _) = insider(&app, &headers, &name).await?;
    let limit = page.limit.unwrap_or(50).clamp(1, 200);
    let claims = app.database.list_claims(cache.id, page.before.map(ClaimId), limit).await?;
    Ok(Json(claims.into_iter().map(answer).collect()))
}

/// One claim, with all that was found of it.
pub(in crate::http) async fn show(
    State(app): State<App>,
    Part(name, id): Part<i64>,
    headers: HeaderMap,
) -> Result<Json<ClaimAnswer>, ApiError> {
    let (cache, _) = insider(&app, &headers, &name).await?;
    Ok(Json(answer(find(&app, &cache, id).await?)))
}

/// Has a claim verified again, as the policy is now.
pub(in crate::http) async fn verify(
    State(app): State<App>,
    Part(name, id): Part<i64>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (cache, _) = access::cache(&app, &headers, &name, Permission::Push).await?;
    access::takes_changes(&app)?;
    let claim = find(&app, &cache, id).await?;
    if !app.database.requeue_claim(claim.id, app.clock.now()).await? {
        return Err(retracted(&claim));
    }
    app.promote.wake.notify_one();
    Ok(StatusCode::ACCEPTED.into_response())
}

/// A builder takes back what it claimed.
pub(in crate::http) async fn withdraw(
    State(app): State<App>,
    Part(name, id): Part<i64>,
    request: Request,
) -> Result<Response, ApiError> {
    let (cache, caller) = access::cache(&app, request.headers(), &name, Permission::Push).await?;
    access::takes_changes(&app)?;
    let claim = find(&app, &cache, id).await?;
    if caller.subject() != Some(claim.builder.subject.as_str()) {
        return Err(ApiError::forbidden());
    }
    let reason = reason(&read_json(request).await?)?;
    changed(&app, async || retract(&app, &claim, ClaimState::Withdrawn, &reason).await).await
}

/// A promoter takes a claim back: its closure leaves every view at once.
pub(in crate::http) async fn revoke(
    asking: Asking,
    Part(name, id): Part<i64>,
    request: Request,
) -> Result<Response, ApiError> {
    let deed = Deed::done(Act::ClaimRevoke).on(&name).object(id.to_string());
    let work = async |app: &App, headers: &HeaderMap| {
        let (cache, _) = access::cache(app, headers, &name, Permission::Promote).await?;
        access::takes_changes(app)?;
        let claim = find(app, &cache, id).await?;
        let reason = reason(&read_json(request).await?)?;
        retract(app, &claim, ClaimState::Revoked, &reason).await
    };
    asking.to(deed, work).await
}

pub(super) async fn find(app: &App, cache: &Cache, id: i64) -> Result<Claim, ApiError> {
    app.database.find_claim(cache.id, ClaimId(id)).await?.ok_or_else(no_such_claim)
}

async fn retract(app: &App, claim: &Claim, state: ClaimState, reason: &str) -> Result<Response, ApiError> {
    match app.database.retract_claim(claim.id, state, reason).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(retracted(claim)),
    }
}

pub(super) fn retracted(claim: &Claim) -> ApiError {
    ApiError::new(ErrorCode::InvalidClaim, format!("Claim {} was taken back before.", claim.id.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_read_from_subjects() {
        let read = |subject: &str| {
            let (rule, repository, reference) = job(subject);
            [rule, repository, reference].map(Option::unwrap_or_default).join(" ")
        };
        assert_eq!(read("gh/repo:o/r:ref:refs/heads/main"), "gh o/r refs/heads/main");
        assert_eq!(read("gh/repo:o/r:pull_request"), "gh o/r ");
        assert_eq!(read("gl/project_path:g/s/p:ref_type:tag:ref:v1"), "gl g/s/p refs/tags/v1");
        assert_eq!(read("gl/project_path:g/p:ref_type:branch:ref:main"), "gl g/p refs/heads/main");
        assert_eq!(read("ci"), "  ");
    }
}
