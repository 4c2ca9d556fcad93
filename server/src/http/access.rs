//! Who is asking, and may they.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderMap, header, request::Parts},
};
use database::Cache;
use protocol::{CacheName, ErrorCode, Permission};

use super::ApiError;
use crate::{
    app::App,
    auth::{Caller, Refusal},
    kept::{Kept, Weigh},
};

/// The caches that requests name, and that there is none of a name.
pub type Caches = Kept<CacheName, Option<Arc<Cache>>>;

/// For some thousand caches.
const CACHES_BYTES: u64 = 1 << 20;
const CACHE_BYTES: usize = 400;

impl Weigh for Option<Arc<Cache>> {
    fn bytes(&self) -> usize {
        CACHE_BYTES
    }
}

/// Keeps caches.
#[must_use]
pub fn kept() -> Caches {
    Kept::new(CACHES_BYTES, CACHE_BYTES as u64)
}

/// Finds the cache and checks that the caller may do this to it.
///
/// A caller with no permission at all gets the same answer whether the cache exists or not.
pub(super) async fn cache(
    app: &App,
    headers: &HeaderMap,
    name: &CacheName,
    needed: Permission,
) -> Result<(Arc<Cache>, Caller), ApiError> {
    let caller = caller(app, headers);
    let found = app.caches.get(&*app.database, name.clone(), async |name| find(app, name).await).await?;
    allow(caller.require(needed, name, found.as_deref()), &caller)?;
    found.map(|cache| (cache, caller)).ok_or_else(ApiError::no_such_cache)
}

async fn find(app: &App, name: &CacheName) -> database::Result<Option<Arc<Cache>>> {
    Ok(app.database.find_cache(name).await?.map(Arc::new))
}

/// Turns a refusal into an answer. Somebody without a token can do something about it, so they are asked for one.
pub(super) fn allow(decision: Result<(), Refusal>, caller: &Caller) -> Result<(), ApiError> {
    match decision {
        Ok(()) => Ok(()),
        Err(Refusal::Forbidden) if caller.subject().is_some() => Err(ApiError::forbidden()),
        Err(Refusal::Forbidden | Refusal::Unauthorized) => Err(ApiError::unauthorized()),
    }
}

/// Who is asking. A token that is malformed, expired or not ours is as good as none.
pub(super) fn caller(app: &App, headers: &HeaderMap) -> Caller {
    Caller::of(headers, &app.tokens, app.clock.now())
}

/// The address that the client reached this server by, with a slash at the end.
pub(super) fn own_address(app: &App, headers: &HeaderMap) -> Result<String, ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("x-forwarded-host").or_else(|| text(header::HOST.as_str())).unwrap_or("localhost");
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
    let allowed = &app.settings.allowed_hosts;
    if host.is_empty() || !host.chars().all(valid) || !(allowed.is_empty() || allowed.iter().any(|a| a == host)) {
        let message = "This server does not go by the name in the Host header.";
        return Err(ApiError::new(ErrorCode::RequestError, message).hint("See allowed-hosts in its configuration."));
    }
    let scheme = text("x-forwarded-proto").filter(|&scheme| scheme == "https").unwrap_or("http");
    Ok(format!("{scheme}://{host}/"))
}

/// The cache that the path of a request names.
pub(super) struct InPath(pub(super) CacheName);

impl<S: Send + Sync> FromRequestParts<S> for InPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| malformed("The name of the cache is not UTF-8."))?;
        let name = text.parse().map_err(|error| malformed(&format!("{text:?} is no name of a cache: {error}")))?;
        Ok(Self(name))
    }
}

fn malformed(message: &str) -> ApiError {
    ApiError::new(ErrorCode::RequestError, message)
}
