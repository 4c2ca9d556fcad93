//! What builders saw, and how disagreement is settled.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use database::{Act, ObservedFact, PromotionFact, ResolvedFact};
use formats::{StorePath, StorePathHash};
use protocol::{
    Permission,
    promotion::{Observation, Reason, Resolution, Seen},
};
use serde_json::{Value, json};

use super::{Part, asking::Asking, json as read_json, malformed, reason};
use crate::{
    app::App,
    audit::Deed,
    http::{
        ApiError,
        access::{self, InPath},
    },
    promote::work::divergences,
};

/// The most observations in one request.
const MAX_OBSERVED: usize = 10_000;

/// Notes what a builder saw: one that need not push, since the paths are here, can still agree or disagree.
pub(in crate::http) async fn observe(
    State(app): State<App>,
    InPath(name): InPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let (cache, caller) = access::cache(&app, request.headers(), &name, Permission::Push).await?;
    let builder = caller.subject().ok_or_else(ApiError::unauthorized)?.to_owned();
    let seen: Vec<Observation> = read_json(request).await?;
    if seen.len() > MAX_OBSERVED {
        return Err(malformed(format!("One request brings {MAX_OBSERVED} observations at most.")));
    }
    access::takes_changes(&app)?;
    let now = app.clock.now();
    let fact = ObservedFact { builder: builder.clone(), seen: seen.clone(), at: now };
    app.journal.note_said(&cache.name, PromotionFact::Observed(fact)).await?;
    app.database.observe(cache.id, &builder, &seen, now).await?;
    let hashes: Vec<StorePathHash> = seen.iter().map(|one| *one.path.hash()).collect();
    let all = app.database.observations(cache.id, &hashes).await?;
    let differs = |one: &&Observation| all.iter().any(|other| disagrees(one, other));
    let disputed: Vec<&StorePath> = seen.iter().filter(differs).map(|one| &one.path).collect();
    if !disputed.is_empty() {
        divergences(&cache.name).increment(disputed.len() as u64);
        tracing::error!(cache.name = %cache.name, ?disputed, "builders disagree");
    }
    Ok(Json(json!({ "noted": seen.len(), "disputed": disputed })))
}

fn disagrees(one: &Observation, other: &Seen) -> bool {
    one.path == other.path && one.nar_hash != other.nar_hash
}

/// An admin says which NAR counts, and why.
pub(in crate::http) async fn resolve(
    asking: Asking,
    Part(name, path): Part<StorePath>,
    request: Request,
) -> Result<Response, ApiError> {
    let deed = Deed::done(Act::DivergenceResolve).on(&name).object(path.to_string());
    let work = async |app: &App, headers: &HeaderMap| {
        let (cache, caller) = access::cache(app, headers, &name, Permission::ConfigureCache).await?;
        access::takes_changes(app)?;
        let given: Resolution = read_json(request).await?;
        let seen = app.database.observations(cache.id, &[*path.hash()]).await?;
        if !seen.iter().any(|one| one.nar_hash == given.nar_hash) {
            return Err(malformed("No builder saw that NAR hash."));
        }
        let reason = reason(&Reason { reason: given.reason })?;
        let resolved_by = caller.subject().unwrap_or_default().to_owned();
        let resolution = Resolution { nar_hash: given.nar_hash, reason, resolved_by, at: app.clock.now() };
        let fact = ResolvedFact { path: path.clone(), resolution: resolution.clone() };
        app.journal.note_said(&name, PromotionFact::Resolved(fact)).await?;
        app.database.resolve(cache.id, path.hash(), &resolution).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    asking.to(deed, work).await
}
