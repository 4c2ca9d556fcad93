//! Identities for tokens: `/_flywheel/v1/exchange`.

use axum::{
    Json,
    extract::{Request, State},
};
use database::Act;
use metrics::counter;
use protocol::{
    ErrorCode,
    admin::{ExchangeOffer, ExchangeRequest, Minted},
};

use super::{ApiError, audited::Origin, json::json};
use crate::{
    app::App,
    audit::{self, Deed, Who},
    auth::{Minting, MintingError},
    metrics as names,
};

/// Tells what an identity must be for.
pub(super) async fn offer(State(app): State<App>) -> Result<Json<ExchangeOffer>, ApiError> {
    app.exchange.offer().map(Json).ok_or_else(nothing)
}

/// Takes an identity, and gives a token for it.
pub(super) async fn exchange(
    State(app): State<App>,
    origin: Origin,
    request: Request,
) -> Result<Json<Minted>, ApiError> {
    app.exchange.offer().ok_or_else(nothing)?;
    let ExchangeRequest { identity } = json(request).await?;
    let now = app.clock.now();
    let trusted = match app.exchange.trust(&identity, now).await {
        Ok(trusted) => trusted,
        Err(error) if error.may_pass() => {
            count("unavailable", "");
            tracing::warn!(%error, "an identity could not be checked");
            return Err(ApiError::new(ErrorCode::Unavailable, "The identity cannot be checked at the moment."));
        }
        Err(reason) => {
            count("refused", "");
            // Not in the audit: everybody with an account at the issuer can make this happen.
            tracing::warn!(%reason, "an identity was refused");
            return Err(refused());
        }
    };
    let rule = trusted.rule;
    let minted_by = format!("rule {}", rule.name);
    let minting = Minting {
        subject: trusted.subject.clone(),
        scope: rule.grants.scope(),
        validity: rule.lifetime.0,
        minted_by: minted_by.clone(),
        parent: None,
        proof: trusted.proof,
    };
    let minted = match minting.mint(&app.tokens, &*app.database, now).await {
        Ok(minted) => minted,
        Err(MintingError::ProofUsed) => {
            count("refused", &rule.name);
            tracing::warn!(
                rule = rule.name,
                subject = trusted.subject,
                "an identity was refused: it was exchanged before"
            );
            return Err(refused());
        }
        Err(error @ (MintingError::Signing(_) | MintingError::Registry(_))) => return Err(error.into()),
    };
    count("done", &rule.name);
    let who = Who { subject: minted.subject.clone(), token: None, address: origin.address() };
    let deed = Deed::done(Act::TokenExchange).object(&minted.id).detail(minted_by);
    audit::note(&*app.database, now, &who, deed).await;
    Ok(Json(minted))
}

fn count(outcome: &'static str, rule: &str) {
    counter!(names::EXCHANGES, "outcome" => outcome, "rule" => rule.to_owned()).increment(1);
}

/// The same for every reason: it is in the log.
fn refused() -> ApiError {
    ApiError::new(ErrorCode::IdentityRefused, "This identity is not trusted here.")
        .hint("The server's log says why; its rules are in its configuration.")
}

fn nothing() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "This server exchanges no identities.")
}
