//! The evidence: derivations, which no address ever gives out.

use axum::{
    Json,
    extract::{Request, State},
};
use database::DocumentKind;
use formats::{Derivation, MAX_DERIVATION_BYTES, StorePath};
use protocol::{ErrorCode, Permission, promotion::EvidenceQuestion};
use serde_json::{Value, json};

use super::{json as read_json, malformed};
use crate::{
    app::App,
    http::{
        ApiError,
        access::{self, InPath},
        json::body_up_to,
    },
};

/// The most evidence that one request may bring: the largest derivation and its name.
const MAX_BYTES: usize = MAX_DERIVATION_BYTES + (1 << 20);
/// The most derivations that one question may be about.
const MAX_ASKED: usize = 10_000;

/// Which of these derivations have to be sent.
pub(in crate::http) async fn missing(
    State(app): State<App>,
    InPath(name): InPath,
    request: Request,
) -> Result<Json<EvidenceQuestion>, ApiError> {
    let (cache, _) = access::cache(&app, request.headers(), &name, Permission::Push).await?;
    let asked: EvidenceQuestion = read_json(request).await?;
    if asked.derivations.len() > MAX_ASKED {
        return Err(malformed(format!("One question is about {MAX_ASKED} derivations at most.")));
    }
    let mut missing = Vec::new();
    for path in asked.derivations {
        let known = app.database.find_document(cache.id, DocumentKind::Derivation, &path.to_string()).await?;
        if known.is_none() {
            missing.push(path);
        }
    }
    Ok(Json(EvidenceQuestion { derivations: missing }))
}

/// Takes derivations: for each a line with its base name and its length, and then its bytes.
pub(in crate::http) async fn put(
    State(app): State<App>,
    InPath(name): InPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let (cache, _) = access::cache(&app, request.headers(), &name, Permission::Push).await?;
    access::takes_pushes(&app, &cache).await?;
    let body = body_up_to(request, MAX_BYTES).await?;
    let mut rest = &body[..];
    let mut documents = Vec::new();
    while !rest.is_empty() {
        let (path, bytes, after) = next(rest).ok_or_else(|| malformed("Expected NAME LENGTH and so many bytes."))?;
        rest = after;
        let invalid = |what: String| ApiError::new(ErrorCode::InvalidDerivation, format!("{path}: {what}"));
        let derivation = Derivation::parse(&cache.store_dir, bytes)
            .map_err(|error| invalid(format!("not a derivation: {error}")))?;
        // The name says what is in it, so evidence cannot be exchanged later.
        let own = derivation.store_path(&cache.store_dir, path.name());
        if own.is_ok_and(|own| own != path) {
            return Err(invalid("these bytes do not have that name".to_owned()));
        }
        documents.push((path.to_string(), bytes.to_vec()));
    }
    let count = documents.len();
    app.ingest.keep_documents(&cache, DocumentKind::Derivation, documents).await?;
    Ok(Json(json!({ "kept": count })))
}

fn next(bytes: &[u8]) -> Option<(StorePath, &[u8], &[u8])> {
    let end = bytes.iter().take(300).position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    let (name, length) = line.split_once(' ')?;
    let path: StorePath = name.parse().ok()?;
    let length: usize = length.parse().ok()?;
    let (bytes, rest) = bytes[end + 1..].split_at_checked(length)?;
    path.is_derivation().then_some((path, bytes, rest))
}
