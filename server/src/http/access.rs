//! Who is asking, and may they.

use axum::http::{HeaderMap, header};
use database::Cache;
use protocol::{CacheName, Permission};

use super::ApiError;
use crate::{app::App, auth::Caller};

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
    let mut permissions = caller.permissions(name);
    if found.as_ref().is_some_and(|cache| cache.is_public) {
        permissions = permissions.with(Permission::Pull);
    }
    match found {
        _ if permissions.is_empty() => Err(ApiError::unauthorized()),
        Some(_) if !permissions.contains(needed) && caller.is_anonymous() => Err(ApiError::unauthorized()),
        Some(_) if !permissions.contains(needed) => Err(ApiError::forbidden()),
        Some(cache) => Ok((cache, caller)),
        None => Err(ApiError::no_such_cache()),
    }
}

/// Who is asking. A token that is malformed, expired or not ours is as good as none.
pub(super) fn caller(app: &App, headers: &HeaderMap) -> Caller {
    app.tokens.caller(headers, app.clock.now())
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
