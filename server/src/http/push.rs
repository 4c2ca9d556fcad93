//! Native push: `/_flywheel/v1/caches/{cache}/…`.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use database::{Cache, CacheId};
use futures::{StreamExt, stream};
use protocol::{
    ChunkHash, ErrorCode, Permission,
    push::{Bitmap, MAX_ASKED, PathResult, PushParameters, VERSION},
};
use tokio::sync::mpsc;

use super::{
    ApiError,
    access::{self, InPath},
    attic::path_info,
    put::reader,
};
use crate::{
    app::App,
    auth::Caller,
    ingest::{IngestError, PathRefusal, PushContext, WireDigest},
};

/// How many results may wait for a client that does not read them.
const RESULTS: usize = 256;

/// Tells a client what it has to know before it pushes.
pub(super) async fn parameters(
    State(app): State<App>,
    InPath(name): InPath,
    headers: HeaderMap,
) -> Result<Json<PushParameters>, ApiError> {
    access::cache(&app, &headers, &name, Permission::Push).await?;
    Ok(Json(PushParameters {
        version: VERSION,
        chunking: app.settings.chunking,
        max_stream_bytes: app.ingest.limits().max_upload_size,
        compression_level: app.settings.compression_level,
    }))
}

/// Answers which of these chunks have to be sent.
pub(super) async fn missing_chunks(
    State(app): State<App>,
    InPath(name): InPath,
    request: Request,
) -> Result<Response, ApiError> {
    let (cache, caller) = access::cache(&app, request.headers(), &name, Permission::Push).await?;
    let body: Bytes = axum::body::to_bytes(request.into_body(), MAX_ASKED * 32).await.map_err(|_| {
        ApiError::new(
            ErrorCode::TooLarge,
            format!("The request is cut off, or asks about more than {MAX_ASKED} chunks."),
        )
    })?;
    let (digests, rest) = body.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(ApiError::new(ErrorCode::RequestError, "The body is digests, 32 bytes each."));
    }
    let hashes: Vec<ChunkHash> = digests.iter().copied().map(ChunkHash).collect();
    let readable = readable(&app, &caller, &cache).await?;
    let mut missing = Vec::with_capacity(hashes.len());
    for batch in hashes.chunks(1000) {
        let mut found = app.database.find_visible_chunks(&readable, batch).await?;
        let lacking = batch.iter().zip(&found).filter(|(_, chunk)| chunk.is_none());
        let lacking: Vec<ChunkHash> = lacking.map(|(hash, _)| *hash).collect();
        if app.ingest.hurried(&cache, &lacking).await {
            found = app.database.find_visible_chunks(&readable, batch).await?;
        }
        missing.extend(found.into_iter().map(|chunk| chunk.is_none()));
    }
    let bitmap: Bitmap = missing.into_iter().collect();
    let content_type = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((content_type, bitmap.as_bytes().to_vec()).into_response())
}

/// Takes a stream of paths. The status is that of the stream as a whole; each path has its own line.
pub(super) async fn push(State(app): State<App>, InPath(name): InPath, request: Request) -> Result<Response, ApiError> {
    let (cache, caller) = access::cache(&app, request.headers(), &name, Permission::Push).await?;
    access::takes_pushes(&app, &cache).await?;
    let readable = readable(&app, &caller, &cache).await?;
    let body = reader(&app, request.into_body(), WireDigest::default());
    let (results, mut told) = mpsc::channel(RESULTS);
    let context = context(Arc::unwrap_or_clone(cache), readable, &caller);
    let working = app.clone();
    // Not cut short when the client stops reading answers: what it has sent is worth keeping.
    let work = tokio::spawn(async move { working.ingest.push_stream(context, body, results).await });
    let Some(first) = told.recv().await else {
        // Nothing was told: the stream had no path, or failed as a whole.
        return match work.await {
            Ok(Ok(())) => Ok(lines(Body::empty())),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(IngestError::Store(crate::store::StoreError::Stopped).into()),
        };
    };
    let rest = stream::unfold(told, |mut told| async move { Some((told.recv().await?, told)) });
    let results = stream::once(async { first }).chain(rest).map(|result| Ok::<_, std::io::Error>(line(&result)));
    // A stream that fails later ends the answer early: whoever counts the lines sees it.
    let end = stream::once(async move {
        match work.await {
            Ok(Ok(())) => Ok(Bytes::new()),
            Ok(Err(error)) => Err(std::io::Error::other(error)),
            Err(error) => Err(std::io::Error::other(error)),
        }
    });
    Ok(lines(Body::from_stream(results.chain(end))))
}

fn context(cache: Cache, readable: Vec<CacheId>, caller: &Caller) -> PushContext {
    let name = cache.name.clone();
    let store_dir = cache.store_dir.clone();
    PushContext {
        cache,
        readable,
        pushed_by: caller.subject().map(str::to_owned),
        parse: Box::new(move |about| {
            if about.cache != name {
                let message = format!("The path is for the cache {}, the stream for {name}.", about.cache);
                return Err(PathRefusal::Error { code: ErrorCode::InvalidPathInfo, message });
            }
            path_info(&store_dir, about).map_err(ApiError::into_refusal)
        }),
    }
}

/// The caches whose chunks the caller may know of: the one pushed to, and those that it may pull from.
async fn readable(app: &App, caller: &Caller, cache: &Cache) -> Result<Vec<CacheId>, ApiError> {
    let caches = app.database.list_caches().await?;
    let may_read = |other: &Cache| other.id == cache.id || caller.permissions(other).contains(Permission::Pull);
    Ok(caches.iter().filter(|other| may_read(other)).map(|other| other.id).collect())
}

fn line(result: &PathResult) -> Bytes {
    let mut line = serde_json::to_vec(result).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

fn lines(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}
