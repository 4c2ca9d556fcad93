//! What others attest about a claim, in envelopes that they have signed.

use axum::{
    Json,
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
};
use database::{AttestedFact, PromotionFact};
use protocol::{
    ErrorCode, Permission,
    promotion::{ClaimState, Envelope, SentAttestation, TestResult},
};
use serde_json::json;

use super::{Part, asking::changed, claims, created, insider};
use crate::{
    app::App,
    http::{ApiError, access, json::json_up_to},
    promote::policies,
};

/// The longest envelope, in bytes.
const MAX_ENVELOPE_BYTES: usize = 256 << 10;
/// The most envelopes about one claim.
const MAX_ENVELOPES: usize = 50;

/// Takes an envelope in, and has the claim verified again.
pub(in crate::http) async fn attest(
    State(app): State<App>,
    Part(name, id): Part<i64>,
    request: Request,
) -> Result<Response, ApiError> {
    let (cache, caller) = access::cache(&app, request.headers(), &name, Permission::Push).await?;
    let sent_by = caller.subject().ok_or_else(ApiError::unauthorized)?.to_owned();
    access::takes_changes(&app)?;
    let claim = claims::find(&app, &cache, id).await?;
    if matches!(claim.state, ClaimState::Withdrawn | ClaimState::Revoked) {
        return Err(claims::retracted(&claim));
    }
    let envelope: Envelope = json_up_to(request, MAX_ENVELOPE_BYTES).await?;
    let statement = TestResult::read(&envelope, &claim.claim)
        .map_err(|error| ApiError::new(ErrorCode::InvalidAttestation, format!("No attestation of this: {error}.")))?;
    let before = app.database.attestations(claim.id).await?;
    if before.len() >= MAX_ENVELOPES && !before.iter().any(|sent| sent.envelope == envelope) {
        let message = format!("A claim has {MAX_ENVELOPES} attestations at most.");
        return Err(ApiError::new(ErrorCode::InvalidAttestation, message));
    }
    let policy = policies::of(&app, cache.id).await?;
    let counts = envelope.signed_by(&policy.rules.checks.keys);
    let checks: Vec<_> = statement.checks().map(|(name, passed)| json!({ "name": name, "passed": passed })).collect();
    let sent = SentAttestation { envelope, sent_by, at: app.clock.now() };
    let fact = AttestedFact { claim: claim.id.0, sent: sent.clone() };
    app.journal.note_said(&cache.name, PromotionFact::Attested(fact)).await?;
    changed(&app, async || {
        app.database.attest(claim.id, &sent).await?;
        Ok(app.database.requeue_claim(claim.id, app.clock.now()).await?)
    })
    .await?;
    app.promote.wake.notify_one();
    Ok(created(json!({ "checks": checks, "signed_by": counts })))
}

/// Every envelope about a claim, oldest first.
pub(in crate::http) async fn list(
    State(app): State<App>,
    Part(name, id): Part<i64>,
    headers: HeaderMap,
) -> Result<Json<Vec<SentAttestation>>, ApiError> {
    let (cache, _) = insider(&app, &headers, &name).await?;
    let claim = claims::find(&app, &cache, id).await?;
    Ok(Json(app.database.attestations(claim.id).await?))
}
