//! Listings, logs, realisations, debuginfo links.

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use database::{Cache, ChunkRuns, DocumentKind};
use formats::StorePathHash;

use super::{ApiError, response, substituter::content_type};
use crate::app::App;

/// The listing of a path: the one that was put, else the one that was made when the NAR came.
pub(super) async fn listing(app: &App, cache: &Cache, hash: StorePathHash) -> Result<Response, ApiError> {
    let kind = DocumentKind::Listing;
    let nar = app.database.find_nar_by_path(cache.id, &hash).await?.ok_or_else(ApiError::no_such_object)?;
    if let Some(document) = app.database.find_document(cache.id, kind, &hash.to_string()).await? {
        return body(app, cache, kind, &document.manifest, Some(document.size)).await;
    }
    let manifest = nar.listing.ok_or_else(ApiError::no_such_object)?;
    body(app, cache, kind, &manifest, None).await
}

/// A document, as it was put.
pub(super) async fn get(app: &App, cache: &Cache, kind: DocumentKind, name: &str) -> Result<Response, ApiError> {
    let document = app.database.find_document(cache.id, kind, name).await?.ok_or_else(ApiError::no_such_object)?;
    body(app, cache, kind, &document.manifest, Some(document.size)).await
}

async fn body(
    app: &App,
    cache: &Cache,
    kind: DocumentKind,
    manifest: &ChunkRuns,
    size: Option<u64>,
) -> Result<Response, ApiError> {
    let size = match size {
        Some(size) => size,
        None => app.database.locate_chunks(manifest).await?.iter().map(|chunk| u64::from(chunk.size)).sum(),
    };
    let mut response = Response::new(Body::from_stream(app.fetch.plain(manifest, None).await?));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(kind)));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(
        header::CACHE_CONTROL,
        response::cache_control(cache.is_public, "public, max-age=3600", "private, max-age=3600"),
    );
    Ok(response)
}
