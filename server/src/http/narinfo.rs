//! `<hash>.narinfo`: what Nix asks most.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use database::{Cache, PathRow};
use formats::{Compression, NarInfo, StorePathHash};
use metrics::counter;

use super::{ApiError, response};
use crate::{app::App, metrics as names};

/// Answers one look-up; signs with every key of the cache.
pub(super) async fn get(
    app: &App,
    cache: &Cache,
    hash: StorePathHash,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let Some(row) = app.database.find_path(cache.id, &hash).await? else {
        counter!(names::CACHE_MISSES, "cache" => cache.name.to_string()).increment(1);
        return Err(ApiError::no_such_object());
    };
    counter!(names::CACHE_HITS, "cache" => cache.name.to_string()).increment(1);
    app.usage.note(cache.id, hash);
    let body = narinfo(cache, row).render(&cache.store_dir);
    let etag = format!("\"{}\"", &blake3::hash(body.as_bytes()).to_hex()[..32]);
    // Signatures may be added, so a narinfo is not for ever.
    let cache_control = response::cache_control(cache.is_public, "public, max-age=3600", "private, max-age=3600");
    if response::is_unchanged(headers, &etag) {
        return Ok(response::unchanged(&etag, cache_control));
    }
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/x-nix-narinfo"));
    headers.insert(header::CACHE_CONTROL, cache_control);
    response::insert_etag(headers, &etag);
    Ok(response)
}

/// The narinfo of a path as this server serves it.
fn narinfo(cache: &Cache, row: PathRow) -> NarInfo {
    let mut info = row.info;
    for key in &cache.keys {
        info.sign(&cache.store_dir, key);
    }
    NarInfo {
        info,
        url: format!("nar/{}.nar{}", row.file_hash.nix32(), Compression::Zstd.suffix()),
        compression: Compression::Zstd,
        file_hash: Some(row.file_hash),
        file_size: Some(row.file_size),
        extra: row.extra,
    }
}
