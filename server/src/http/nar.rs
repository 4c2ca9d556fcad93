//! `nar/…`: the bytes themselves.

use std::{hash::Hash, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use database::{Cache, CacheId, ChunkId, ChunkLocation, NarFile, Upload};
use formats::{Compression, FileHash};
use futures::TryStreamExt;
use tokio_util::io::ReaderStream;

use super::{
    ApiError,
    asked::Asked,
    range::{self, Wanted},
    response,
    target::NarName,
};
use crate::{
    app::App,
    encode,
    kept::{Kept, Weigh},
};
use protocol::ErrorCode;

/// The NARs that were asked for by our own names, and that there was none.
pub type Nars = Kept<(CacheId, FileHash), Option<Arc<Located>>>;

/// For as many as there are chunks in some hundred gigabytes.
const NARS_BYTES: u64 = 8 << 20;
const EXPECTED_BYTES: u64 = 500;

/// A NAR, and where its chunks are.
#[derive(Debug)]
pub struct Located {
    nar: NarFile,
    chunks: Arc<[ChunkLocation]>,
}

impl Located {
    /// Looks up where the chunks are.
    pub(super) async fn of(app: &App, nar: NarFile) -> Result<Self, ApiError> {
        let chunks = app.fetch.locate(&nar).await?;
        Ok(Self { nar, chunks })
    }
}

impl Weigh for Option<Arc<Located>> {
    fn bytes(&self) -> usize {
        // The manifest has no more runs than the NAR has chunks.
        let each = size_of::<ChunkLocation>() + size_of::<ChunkId>() + size_of::<u32>();
        self.as_ref().map_or(0, |located| size_of::<Located>() + located.chunks.len() * each)
    }
}

/// Keeps NARs, by whatever they were asked for.
#[must_use]
pub fn kept<K: Eq + Hash>() -> Kept<K, Option<Arc<Located>>> {
    Kept::new(NARS_BYTES, EXPECTED_BYTES)
}

/// Serves a NAR by the name that its narinfo gives, now or in the past.
pub(super) async fn get(app: &App, cache: &Cache, name: &NarName, asked: Asked<'_>) -> Result<Response, ApiError> {
    if let Some(located) = stored(app, cache, name).await? {
        return file(app, cache, &located, asked).await;
    }
    match app.database.find_upload(cache.id, &name.file_name).await? {
        Some(upload) => Box::pin(as_uploaded(app, cache, &upload, name.compression, asked.method)).await,
        None => Err(ApiError::no_such_object()),
    }
}

/// The NAR by our own name, `<file hash>.nar.zst`, or by Attic's, `<store path hash>.nar`.
async fn stored(app: &App, cache: &Cache, name: &NarName) -> Result<Option<Arc<Located>>, ApiError> {
    let located = async |nar| match nar {
        Some(nar) => Ok::<_, ApiError>(Some(Arc::new(Box::pin(Located::of(app, nar)).await?))),
        None => Ok(None),
    };
    if let (Some(hash), Compression::Zstd) = (&name.file_hash, name.compression) {
        let look_up = async |_: &_| located(app.database.find_nar_by_file_hash(cache.id, hash).await?).await;
        return app.nars.get(&*app.database, (cache.id, *hash), look_up).await;
    }
    if let (Some(hash), Compression::None) = (&name.path_hash, name.compression) {
        return located(app.database.find_nar_by_path(cache.id, hash).await?).await;
    }
    Ok(None)
}

/// The frames, as they are stored.
pub(super) async fn file(
    app: &App,
    cache: &Cache,
    Located { nar, chunks }: &Located,
    Asked { method, headers, outbox }: Asked<'_>,
) -> Result<Response, ApiError> {
    let etag = response::etag(&nar.file_hash.nix32());
    let keep = "public, max-age=31536000, immutable";
    let cache_control = response::cache_control(cache.is_public, keep, "private, max-age=31536000, immutable");
    if response::is_unchanged(headers, &etag) {
        return Ok(response::unchanged(etag, cache_control));
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // The only version there ever is; a range of any other is answered with the whole.
    let current = text(header::IF_RANGE).is_none_or(|wanted| wanted.as_bytes() == etag.as_bytes());
    let wanted =
        if current && method == Method::GET { range::parse(text(header::RANGE), nar.file_size) } else { Wanted::All };
    let (status, range) = match wanted {
        Wanted::All => (StatusCode::OK, 0..nar.file_size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => return Ok(unsatisfiable(nar.file_size)),
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        match (app.fetch.now(chunks, &range), outbox.cloned()) {
            (Some(bytes), _) => Body::from(bytes),
            (None, Some(outbox)) => {
                let pieces = Box::pin(app.fetch.located(nar, chunks, range.clone())).await?;
                Body::from_stream(pieces.map_ok(move |piece| outbox.body(piece)))
            }
            (None, None) => Body::from_stream(Box::pin(app.fetch.located::<Bytes>(nar, chunks, range.clone())).await?),
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-nix-nar"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    // On the 206 too: without it a second cut is final for Nix.
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, cache_control);
    headers.insert(header::ETAG, etag);
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = format!("bytes {}-{}/{}", range.start, range.end - 1, nar.file_size).parse()
    {
        headers.insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

fn unsatisfiable(size: u64) -> Response {
    use axum::response::IntoResponse;
    let error = ApiError::new(ErrorCode::RangeNotSatisfiable, format!("The file has {size} bytes."));
    let mut response = error.into_response();
    if let Ok(value) = format!("bytes */{size}").parse() {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// A NAR under the name that a client put it: whoever put it keeps its narinfo with that name for a month.
///
/// The bytes are encoded again, so they are not those that were put, and there are no ranges.
async fn as_uploaded(
    app: &App,
    cache: &Cache,
    upload: &Upload,
    compression: Compression,
    method: &Method,
) -> Result<Response, ApiError> {
    let body = if method == Method::HEAD {
        // A body of unknown length: an empty one would be announced as one of 0 bytes.
        Body::from_stream(futures::stream::empty::<Result<Bytes, std::convert::Infallible>>())
    } else {
        let plain = app.fetch.plain(&upload.nar.manifest, Some(&upload.nar)).await?;
        Body::from_stream(ReaderStream::with_capacity(encode::encode(compression, plain), 64 << 10))
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-nix-nar"));
    headers.insert(header::CACHE_CONTROL, response::cache_control(cache.is_public, "public, max-age=3600", "private"));
    if compression == Compression::None {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(upload.nar.nar_size));
    }
    Ok(response)
}
