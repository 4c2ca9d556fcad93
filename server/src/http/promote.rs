//! Promotion: `/_flywheel/v1/caches/{cache}/{claims,evidence,tags,…}`.

mod asking;
mod attestations;
mod check;
mod claims;
mod divergence;
mod evidence;
mod explain;
mod keys;
mod policy;
mod tags;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use database::{Cache, Claim};
use protocol::{
    CacheName, ErrorCode, Permission,
    promotion::{ClaimAnswer, Reason, TagName},
};
use serde::de::DeserializeOwned;

use super::{
    ApiError,
    access::{self, Part},
    json::json_up_to,
};
use crate::{app::App, auth::Caller, promote::tags::TagError};

/// The most JSON that a request may be.
const MAX_JSON_BYTES: usize = 8 << 20;

/// Everything below `/_flywheel/v1/caches/{cache}` that is about promotion.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/evidence", post(evidence::put))
        .route("/evidence/missing", post(evidence::missing))
        .route("/claims", get(claims::list).post(claims::file))
        .route("/claims/check", post(check::check))
        .route("/claims/{id}", get(claims::show))
        .route("/claims/{id}/attestations", get(attestations::list).post(attestations::attest))
        .route("/claims/{id}/verify", post(claims::verify))
        .route("/claims/{id}/withdraw", post(claims::withdraw))
        .route("/claims/{id}/revoke", post(claims::revoke))
        .route("/observations", post(divergence::observe))
        .route("/divergences/{path}/resolve", post(divergence::resolve))
        .route("/policy", get(policy::show).put(policy::set))
        .route("/policy/history", get(policy::history))
        .route("/promotion-keys", get(keys::list))
        .route("/promotion-keys/rotate", post(keys::rotate))
        .route("/tags", get(tags::list))
        .route("/tags/{tag}", get(tags::show).put(tags::put).delete(tags::revoke))
        .route("/tags/{tag}/history", get(tags::history))
        .route("/tags/{tag}/rollback", post(tags::rollback))
        .route("/tags/{tag}/visibility", post(tags::visibility))
        .route("/tags/{tag}/manifest", get(tags::manifest))
        .route("/tags/{tag}/store-paths", get(tags::store_paths))
        .route("/tags/{tag}/export", post(tags::export))
        .route("/tags/{tag}/receipts", get(tags::receipts))
        .route("/explain/{path}", get(explain::path))
        .route("/candidates", get(explain::candidates))
}

/// The cache, for a caller whose token lets them pull, push or promote: that anybody may pull does not open the books.
async fn insider(app: &App, headers: &HeaderMap, name: &CacheName) -> Result<(Arc<Cache>, Caller), ApiError> {
    let (cache, caller) = access::cache(app, headers, name, Permission::Pull).await?;
    let granted = caller.granted(name);
    let known = [Permission::Pull, Permission::Push, Permission::Promote].into_iter().any(|p| granted.contains(p));
    match (known, caller.subject()) {
        (true, _) => Ok((cache, caller)),
        (false, Some(_)) => Err(ApiError::forbidden()),
        (false, None) => Err(ApiError::unauthorized()),
    }
}

async fn json<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    json_up_to(request, MAX_JSON_BYTES).await
}

fn malformed(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::RequestError, message)
}

/// A reason is for people, so there must be one.
fn reason(given: &Reason) -> Result<String, ApiError> {
    let reason = given.reason.trim();
    if reason.is_empty() || reason.len() > 1000 {
        return Err(malformed("A reason of 1 to 1000 bytes is needed."));
    }
    Ok(reason.to_owned())
}

fn no_such_claim() -> ApiError {
    ApiError::new(ErrorCode::NoSuchClaim, "The cache has no claim of that number.")
}

fn no_such_tag(tag: &TagName) -> ApiError {
    ApiError::new(ErrorCode::NoSuchTag, format!("The cache has no tag {tag}."))
}

fn answer(claim: Claim) -> ClaimAnswer {
    let Claim { id, state, reason, claim, builder, filed_at, progress, report, .. } = claim;
    ClaimAnswer { id: id.0, state, reason, claim, builder, filed_at, progress, report }
}

fn created(body: impl serde::Serialize) -> Response {
    (StatusCode::CREATED, Json(body)).into_response()
}

impl From<TagError> for ApiError {
    fn from(error: TagError) -> Self {
        let code = match &error {
            TagError::Request(_) => ErrorCode::RequestError,
            TagError::NotClean { .. } => ErrorCode::NotClean,
            TagError::Elsewhere(_) => ErrorCode::TagMoved,
            TagError::Fixed | TagError::Gone => ErrorCode::TagFixed,
            TagError::NoTag => ErrorCode::NoSuchTag,
            TagError::Database(_) => {
                let TagError::Database(error) = error else { unreachable!("it was matched") };
                return error.into();
            }
        };
        let message = error.to_string();
        let mut letters = message.chars();
        let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        Self::new(code, format!("{first}{}.", letters.as_str()))
    }
}
