//! Who is asking, and may they.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderMap, header, request::Parts},
};
use database::{Cache, Standing, TokenRef};
use protocol::{CacheName, Claims, ErrorCode, Permission};

use super::ApiError;
use crate::{
    app::App,
    auth::{Caller, Refusal, credentials},
    kept::{Kept, Weigh},
    quota::Closed,
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

/// What the registry knows of the tokens that were used, by what names them.
///
/// Nothing that is kept is ever out of date: so a token that is revoked, here or by another process, is refused at once.
pub type Standings = Kept<[u8; 32], Standing>;

/// For some thousand tokens.
const STANDINGS_BYTES: u64 = 1 << 20;
const STANDING_BYTES: usize = 64;

impl Weigh for Standing {
    fn bytes(&self) -> usize {
        STANDING_BYTES
    }
}

/// Keeps what is known of tokens.
#[must_use]
pub fn kept_standings() -> Standings {
    Kept::new(STANDINGS_BYTES, STANDING_BYTES as u64)
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
    let find = app.caches.get(&*app.database, name.clone(), async |name| Box::pin(find(app, name)).await);
    let (found, caller) = match bearer(app, headers) {
        None => (find.await?, everybody(app)),
        Some(claims) => {
            let (found, standing) = Box::pin(async { tokio::try_join!(find, standing(app, &claims)) }).await?;
            (found, admit(app, claims, standing))
        }
    };
    allow(caller.require(needed, name, found.as_deref()), &caller)?;
    found.map(|cache| (cache, caller)).ok_or_else(ApiError::no_such_cache)
}

async fn find(app: &App, name: &CacheName) -> database::Result<Option<Arc<Cache>>> {
    Ok(app.database.find_cache(name).await?.map(Arc::new))
}

/// Refuses if the whole server takes nothing in.
pub(super) fn takes_changes(app: &App) -> Result<(), ApiError> {
    if app.settings.read_only { Err(ApiError::new(ErrorCode::ReadOnly, "This server is read-only.")) } else { Ok(()) }
}

/// Refuses if the settings of a cache are to stay as they are: it, or the whole server, is read-only.
pub(super) async fn takes_settings(app: &App, cache: &Cache) -> Result<(), ApiError> {
    takes_changes(app)?;
    if app.database.find_limits(cache.id).await?.is_read_only { Err(read_only(cache)) } else { Ok(()) }
}

fn read_only(cache: &Cache) -> ApiError {
    ApiError::new(ErrorCode::ReadOnly, format!("The cache {} is read-only.", cache.name))
}

/// Refuses if the cache takes nothing in: it, or the whole server, is read-only, or it is full.
pub(super) async fn takes_pushes(app: &App, cache: &Cache) -> Result<(), ApiError> {
    takes_changes(app)?;
    match app.quotas.check(&*app.database, cache, app.clock.now()).await? {
        Ok(()) => Ok(()),
        Err(Closed::ReadOnly) => Err(read_only(cache)),
        Err(Closed::Full { quota, used }) => {
            let message = format!("The cache {} holds {used} bytes, and may hold {quota}.", cache.name);
            let hint = "Ask an admin to raise the quota, or to collect what is not used.";
            Err(ApiError::new(ErrorCode::QuotaExceeded, message).hint(hint))
        }
    }
}

/// Turns a refusal into an answer. Somebody without a token can do something about it, so they are asked for one.
pub(super) fn allow(decision: Result<(), Refusal>, caller: &Caller) -> Result<(), ApiError> {
    match decision {
        Ok(()) => Ok(()),
        Err(Refusal::Forbidden) if caller.subject().is_some() => Err(ApiError::forbidden()),
        Err(Refusal::Forbidden | Refusal::Unauthorized) => Err(ApiError::unauthorized()),
    }
}

/// Who is asking. A token that is malformed, expired, revoked or not ours is as good as none.
pub(super) async fn caller(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let Some(claims) = bearer(app, headers) else { return Ok(everybody(app)) };
    let standing = standing(app, &claims).await?;
    Ok(admit(app, claims, standing))
}

/// What the registry knows of a token: one statement, unless the index is as it was when the same token was last asked for.
async fn standing(app: &App, claims: &Claims) -> database::Result<Standing> {
    let token = TokenRef::from(claims);
    let asked = *blake3::hash(format!("{token:?}").as_bytes()).as_bytes();
    app.standings.get(&*app.database, asked, async |_| app.database.token_standing(&token).await).await
}

/// What the token in these headers says, if it is signed and not expired; the log says what is wrong with another.
fn bearer(app: &App, headers: &HeaderMap) -> Option<Claims> {
    let verified = app.tokens.verify(&credentials(headers)?, app.clock.now());
    verified.inspect_err(|error| tracing::debug!(%error, "ignored a token")).ok()
}

/// The bearer of such a token, as the registry knows it.
fn admit(app: &App, claims: Claims, standing: Standing) -> Caller {
    let caller = match standing {
        Standing::Revoked => {
            tracing::debug!(subject = claims.sub, id = claims.jti, "ignored a revoked token");
            Caller::anonymous()
        }
        Standing::Unregistered if app.settings.require_registered => {
            tracing::debug!(subject = claims.sub, id = claims.jti, "ignored a token that is not in the registry");
            Caller::anonymous()
        }
        Standing::Registered | Standing::Unregistered => {
            if let (Standing::Registered, Some(id)) = (standing, &claims.jti) {
                app.usage.note_token(id);
            }
            Caller::bearing(claims)
        }
    };
    caller.among(app.settings.everybody.clone())
}

/// Somebody without a token.
fn everybody(app: &App) -> Caller {
    Caller::anonymous().among(app.settings.everybody.clone())
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
        let name = text.parse().map_err(|error| malformed(format!("{text:?} is no name of a cache: {error}")))?;
        Ok(Self(name))
    }
}

/// The cache that the path of a request names, and what it names beside the cache.
pub(super) struct Part<T>(pub(super) CacheName, pub(super) T);

impl<S: Send + Sync, T: std::str::FromStr<Err: std::fmt::Display>> FromRequestParts<S> for Part<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((cache, part)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| malformed("The address is not UTF-8."))?;
        let name = cache.parse().map_err(|error| malformed(format!("{cache:?} is no name of a cache: {error}")))?;
        let part = part.parse().map_err(|error| malformed(format!("{part:?} in the address: {error}")))?;
        Ok(Self(name, part))
    }
}

fn malformed(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::RequestError, message)
}
