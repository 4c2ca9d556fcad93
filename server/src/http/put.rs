//! What `nix copy --to http://…` puts.

use axum::{
    body::{Body, BodyDataStream},
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use database::{Cache, DocumentKind};
use formats::{CacheInfo, Compression, MAX_NARINFO_BYTES, NarInfo, StorePathHash};
use protocol::ErrorCode;

use super::{
    ApiError,
    substituter::{allowed, done},
    target::{NarName, Target},
};
use crate::{
    app::App,
    auth::Caller,
    ingest::{BodyReader, PutNar, WireDigest},
};

/// Takes a file of a cache. Answers 200: Nix takes nothing else but 201 and 204 for success.
pub(super) async fn put(
    app: &App,
    cache: &Cache,
    caller: &Caller,
    target: Target,
    request: Request,
) -> Result<Response, ApiError> {
    let encoding = content_encoding(request.headers())?;
    let (parts, body) = request.into_parts();
    let _ = parts;
    match target {
        Target::CacheInfo => cache_info(app, cache, encoding, body).await?,
        Target::NarInfo(hash) => narinfo(app, cache, caller, hash, encoding, body).await?,
        Target::Nar(name) => nar(app, cache, name, encoding, body).await?,
        Target::Listing(hash) => {
            document(app, cache, DocumentKind::Listing, hash.to_string(), encoding, body).await?;
        }
        Target::Document(kind, name) => document(app, cache, kind, name, encoding, body).await?,
        Target::AtticCacheInfo => return Ok(allowed("GET, HEAD")),
    }
    Ok(done(StatusCode::OK))
}

/// How the body is encoded on top of what its name says: `nix copy --to '…?narinfo-compression=gzip'` and the like.
fn content_encoding(headers: &HeaderMap) -> Result<Compression, ApiError> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(Compression::None) };
    match value.to_str().unwrap_or_default().to_ascii_lowercase().as_str() {
        "identity" | "" => Ok(Compression::None),
        "gzip" | "x-gzip" => Ok(Compression::Gzip),
        "zst" => Ok(Compression::Zstd),
        name => name.parse().map_err(|_| {
            ApiError::new(ErrorCode::UnsupportedEncoding, format!("The content encoding {name:?} is not known here."))
                .hint("Known are gzip, zstd, br, xz and bzip2.")
        }),
    }
}

/// A body with the limits of this server.
pub(super) fn reader(app: &App, body: Body, wire: WireDigest) -> BodyReader {
    let limits = app.ingest.limits();
    let body: BodyDataStream = body.into_data_stream();
    BodyReader::new(body, limits.max_upload_size, limits.body_idle_timeout, wire)
}

/// Nix makes a cache that has no `nix-cache-info`; ours has, so there is only the store dir to compare.
async fn cache_info(app: &App, cache: &Cache, encoding: Compression, body: Body) -> Result<(), ApiError> {
    let text = small(app, encoding, body, 64 << 10).await?;
    let info = String::from_utf8(text).ok().and_then(|text| CacheInfo::parse(&text).ok());
    match info {
        Some(info) if info.store_dir == cache.store_dir => Ok(()),
        Some(info) => {
            let message = format!("This cache is for the store {}, not {}.", cache.store_dir, info.store_dir);
            Err(ApiError::new(ErrorCode::RequestError, message))
        }
        None => Err(ApiError::new(ErrorCode::RequestError, "This is no nix-cache-info.")),
    }
}

async fn nar(app: &App, cache: &Cache, name: NarName, encoding: Compression, body: Body) -> Result<(), ApiError> {
    if encoding != Compression::None {
        let message = "A NAR file is not to be encoded on top of its own compression.";
        return Err(ApiError::new(ErrorCode::UnsupportedEncoding, message));
    }
    let put = PutNar { file_name: name.file_name, compression: name.compression, file_hash: name.file_hash };
    Ok(app.ingest.put_nar(cache, put, reader(app, body, WireDigest::hashing())).await?)
}

async fn narinfo(
    app: &App,
    cache: &Cache,
    caller: &Caller,
    hash: StorePathHash,
    encoding: Compression,
    body: Body,
) -> Result<(), ApiError> {
    let text = small(app, encoding, body, MAX_NARINFO_BYTES as u64).await?;
    let narinfo = NarInfo::parse(&cache.store_dir, text)
        .map_err(|error| ApiError::new(ErrorCode::InvalidNarInfo, format!("The narinfo is malformed: {error}")))?;
    if *narinfo.info.path.hash() != hash {
        let message = format!("The narinfo is that of {}, its name says {hash}.", narinfo.info.path);
        return Err(ApiError::new(ErrorCode::InvalidNarInfo, message));
    }
    let subject = caller.subject().map(str::to_owned);
    app.ingest.put_narinfo(cache, narinfo, subject).await?;
    Ok(())
}

async fn document(
    app: &App,
    cache: &Cache,
    kind: DocumentKind,
    name: String,
    encoding: Compression,
    body: Body,
) -> Result<(), ApiError> {
    Ok(app.ingest.put_document(cache, kind, name, encoding, reader(app, body, WireDigest::default())).await?)
}

async fn small(app: &App, encoding: Compression, body: Body, limit: u64) -> Result<Vec<u8>, ApiError> {
    Ok(app.ingest.read_small(reader(app, body, WireDigest::default()), encoding, limit).await?)
}
