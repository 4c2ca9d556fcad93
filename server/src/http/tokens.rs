//! Tokens, for admins: `/_flywheel/v1/tokens`.
//!
//! A token with the permission to manage tokens makes, sees and revokes those that are for caches it has that permission on. What it
//! makes can do no more than it can itself, and lasts no longer.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, Query, Request, State},
    http::HeaderMap,
};
use database::{Act, TokenFilter, TokenMark, TokenRow};
use protocol::{
    Claims, ErrorCode, Permission, Timestamp,
    admin::{MintRequest, Minted, RevokeRequest, Revoked, TokenInfo, TokenPage},
};
use serde::Deserialize;

use super::{
    ApiError, access,
    audited::{Origin, audited, who},
    json::json,
};
use crate::{
    app::App,
    audit::{self, Deed},
    auth::{Minting, MintingError},
};

/// The longest subject that is taken.
const MAX_SUBJECT: usize = 256;
/// How many tokens are looked at for one page.
const PAGE: u32 = 500;

/// Who manages tokens, and what they may do themselves.
async fn manager(app: &App, headers: &HeaderMap) -> Result<Claims, ApiError> {
    let caller = access::caller(app, headers).await?;
    let claims = caller.claims().ok_or_else(ApiError::unauthorized)?;
    let manages = claims.scope.flywheel.caches.0.iter().any(|g| g.permissions.contains(Permission::ManageTokens));
    manages.then(|| claims.clone()).ok_or_else(ApiError::forbidden)
}

/// Whether this manager may know of a token, and revoke it.
fn is_within(manager: &Claims, row: &TokenRow) -> bool {
    manager.scope.holds_wherever(Permission::ManageTokens, &row.scope)
}

/// Makes a token.
pub(super) async fn mint(State(app): State<App>, origin: Origin, request: Request) -> Result<Json<Minted>, ApiError> {
    let headers = request.headers().clone();
    let caller = access::caller(&app, &headers).await?;
    let mut deed = Deed::done(Act::TokenMint);
    let minted = try_mint(&app, &headers, request).await;
    match &minted {
        Ok(minted) => deed = deed.object(&minted.id).detail(format!("for {}", minted.subject)),
        Err(error) => deed = deed.went_wrong(error.status().as_u16(), error.code().name()),
    }
    if minted.is_ok() || caller.subject().is_some() {
        audit::note(&*app.database, app.clock.now(), &who(&caller, &origin), deed).await;
    }
    minted.map(Json)
}

async fn try_mint(app: &App, headers: &HeaderMap, request: Request) -> Result<Minted, ApiError> {
    let manager = manager(app, headers).await?;
    let MintRequest { subject, validity, grants } = json(request).await?;
    let bad = |message: String| Err(ApiError::new(ErrorCode::RequestError, message));
    if subject.is_empty() || subject.len() > MAX_SUBJECT || subject.chars().any(char::is_control) {
        return bad(format!("A subject is a line of 1 to {MAX_SUBJECT} bytes."));
    }
    if grants.0.iter().all(|(_, permissions)| permissions.is_empty()) {
        return bad("The token would be good for nothing: it has no grants.".to_owned());
    }
    let now = app.clock.now();
    let validity = Duration::from_secs(validity);
    if validity.is_zero() || now.plus(validity) > manager.exp {
        let left = manager.exp.0.saturating_sub(now.0).max(0);
        return Err(ApiError::new(
            ErrorCode::AccessError,
            format!("Your token is good for {left} s, and makes none that lasts longer."),
        ));
    }
    let scope = grants.scope();
    if !manager.scope.covers(&scope) || !manager.scope.holds_wherever(Permission::ManageTokens, &scope) {
        let message =
            "A token makes no token that may do more than itself, or anything where it may not manage tokens.";
        return Err(ApiError::new(ErrorCode::AccessError, message));
    }
    let minting =
        Minting { subject, scope, validity, minted_by: manager.sub.clone(), parent: manager.jti.clone(), proof: None };
    minting.mint(&app.tokens, &*app.database, now).await.map_err(ApiError::from)
}

/// Tells what is known of a token.
pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<TokenInfo>, ApiError> {
    let manager = manager(&app, &headers).await?;
    Ok(Json(info(find(&app, &manager, &id).await?)))
}

/// The token, as far as the manager may know of it.
async fn find(app: &App, manager: &Claims, id: &str) -> Result<TokenRow, ApiError> {
    let row = app.database.find_token(id).await?.filter(|row| is_within(manager, row));
    row.ok_or_else(|| ApiError::new(ErrorCode::NoSuchToken, "There is no such token, or none that you may manage."))
}

/// Which tokens to list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ListQuery {
    subject: Option<String>,
    /// Only those that end within so many seconds.
    expiring: Option<u64>,
    /// Those that are not good any more, too.
    #[serde(default)]
    all: bool,
    after: Option<String>,
}

/// Lists tokens, by when they end.
pub(super) async fn list(
    State(app): State<App>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Json<TokenPage>, ApiError> {
    let manager = manager(&app, &headers).await?;
    let now = app.clock.now();
    let filter = TokenFilter {
        subject: query.subject,
        expires_from: (!query.all).then_some(now),
        expires_before: query.expiring.map(|seconds| now.plus(Duration::from_secs(seconds))),
        with_revoked: query.all,
    };
    let after = query.after.as_deref().map(mark).transpose()?;
    let rows = app.database.list_tokens(&filter, after.as_ref(), PAGE).await?;
    let next =
        rows.last().filter(|_| rows.len() == PAGE as usize).map(|row| format!("{}.{}", row.expires_at.0, row.id));
    let tokens = rows.into_iter().filter(|row| is_within(&manager, row)).map(info).collect();
    Ok(Json(TokenPage { tokens, next }))
}

/// The place that a page told.
fn mark(text: &str) -> Result<TokenMark, ApiError> {
    let parse =
        |(time, id): (&str, &str)| Some(TokenMark { expires_at: Timestamp(time.parse().ok()?), id: id.to_owned() });
    let malformed = || ApiError::new(ErrorCode::RequestError, "`after` is what another page told as `next`.");
    text.split_once('.').and_then(parse).ok_or_else(malformed)
}

/// Revokes a token.
pub(super) async fn revoke(
    State(app): State<App>,
    Path(id): Path<String>,
    origin: Origin,
    headers: HeaderMap,
) -> Result<Json<Revoked>, ApiError> {
    let work = async {
        let manager = manager(&app, &headers).await?;
        let row = find(&app, &manager, &id).await?;
        let revoked = app.journal.revoke_token(&*app.database, &row.id, app.clock.now()).await?;
        Ok(Json(Revoked { tokens: u64::from(revoked) }))
    };
    audited(&app, &headers, &origin, Deed::done(Act::TokenRevoke).object(&id), work).await
}

/// Revokes the tokens of a subject, wherever they were made.
pub(super) async fn revoke_subject(
    State(app): State<App>,
    origin: Origin,
    request: Request,
) -> Result<Json<Revoked>, ApiError> {
    let headers = request.headers().clone();
    let manager = manager(&app, &headers).await?;
    let RevokeRequest { subject } = json(request).await?;
    let work = async {
        // What such a token may do is not known here, so this takes the permission everywhere.
        if !manager.scope.holds_everywhere(Permission::ManageTokens) {
            return Err(ApiError::forbidden());
        }
        let tokens = app.journal.revoke_subject(&*app.database, &subject, app.clock.now()).await?;
        Ok(Json(Revoked { tokens }))
    };
    let deed = Deed::done(Act::TokenRevoke).object(format!("subject {subject}"));
    audited(&app, &headers, &origin, deed, work).await
}

fn info(row: TokenRow) -> TokenInfo {
    crate::auth::token_info(row)
}

impl From<MintingError> for ApiError {
    fn from(error: MintingError) -> Self {
        match error {
            MintingError::Signing(error) => {
                Self::new(ErrorCode::NoSigningKey, error.to_string()).hint("Make tokens where the private key is.")
            }
            MintingError::Registry(error) => error.into(),
            MintingError::ProofUsed => Self::new(ErrorCode::IdentityRefused, MintingError::ProofUsed.to_string()),
        }
    }
}
