//! Who is asking, and may they.

use axum::http::{HeaderMap, header};
use database::Cache;
use protocol::{CacheName, Permission};

use super::ApiError;
use crate::{
    app::App,
    auth::{Caller, Refusal},
};

/// Finds the cache and checks that the caller may do this to it.
///
/// A caller with no permission at all gets the same answer whether the cache exists or not.
pub(super) async fn cache(
    app: &App,
    headers: &HeaderMap,
    name: &CacheName,
    needed: Permission,
) -> Result<(Cache, Caller), ApiError> {
    let caller = caller(app, headers);
    let found = app.database.find_cache(name).await?;
    allow(caller.require(needed, name, found.as_ref()), &caller)?;
    found.map(|cache| (cache, caller)).ok_or_else(ApiError::no_such_cache)
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
        return Err(ApiError::new(protocol::ErrorCode::RequestError, message).hint("See allowed-hosts in its configuration."));
    }
    let scheme = text("x-forwarded-proto").filter(|&scheme| scheme == "https").unwrap_or("http");
    Ok(format!("{scheme}://{host}/"))
}
