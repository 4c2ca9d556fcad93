//! What Nix asks of a cache, and what it puts there.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use database::{DEFAULT_PRIORITY, DocumentKind};
use formats::{CacheInfo, StoreDir};
use protocol::{CacheName, ErrorCode, Permission, attic::CACHE_VISIBILITY_HEADER};

use super::{
    ApiError, access,
    asked::Asked,
    attic, document, nar, narinfo,
    observe::{CacheLabel, Route},
    put, response,
    target::{Address, Target},
    view,
};
use crate::{app::App, kept::as_of_one_state};

/// An answer, and what it is counted by.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) route: Route,
    /// The cache that was named, if it may become a label.
    pub(super) cache: Option<CacheLabel>,
}

/// Serves everything under `/{cache}/`, and the default cache at the root.
pub(super) async fn serve(State(app): State<App>, request: Request) -> Response {
    let Some(address) = Address::parse(request.uri().path(), request.uri().query()) else {
        return ApiError::new(ErrorCode::NotFound, "There is nothing at this address.").into_response();
    };
    let Answer { mut response, route, cache } = if reads(request.method()) {
        read(&app, address, Asked::of(&request)).await
    } else {
        write(&app, address, request).await
    };
    response.extensions_mut().insert(route);
    if let Some(cache) = cache {
        response.extensions_mut().insert(cache);
    }
    response
}

/// Whether a request with this method asks for a file.
pub(super) fn reads(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Answers a question for a file.
///
/// Every connection has the room for this, and each request goes over all of it: so what is rare or long is boxed, here and in what
/// is called.
pub(super) async fn read(app: &App, address: Address, asked: Asked<'_>) -> Answer {
    let route = Route(address.target.route());
    let at_root = address.cache.is_none();
    let (name, response) = match named(app, address.cache) {
        Err(error) => (None, Err(error)),
        Ok(name) => {
            let answered = as_of_one_state(async {
                match address.tag {
                    Some(tag) => Box::pin(view::answer(app, &name, &tag, address.target, asked)).await,
                    None => plain(app, &name, at_root, address.target, asked).await,
                }
            })
            .await;
            (Some(CacheLabel(name)), answered)
        }
    };
    Answer { response: response.unwrap_or_else(ApiError::into_response), route, cache: name }
}

/// Takes a file, if the method is the right one.
async fn write(app: &App, address: Address, request: Request) -> Answer {
    let route = Route(address.target.route());
    let is_view = address.tag.is_some();
    let (name, response) = match named(app, address.cache) {
        Err(error) => (None, Err(error)),
        Ok(name) if is_view => (Some(name), Ok(allowed("GET, HEAD"))),
        Ok(name) if request.method() != Method::PUT => (Some(name), Ok(allowed("GET, HEAD, PUT"))),
        Ok(name) => {
            let taken = take(app, &name, address.target, request).await;
            (Some(name), taken)
        }
    };
    Answer { response: response.unwrap_or_else(ApiError::into_response), route, cache: name.map(CacheLabel) }
}

/// The cache that is meant.
fn named(app: &App, name: Option<CacheName>) -> Result<CacheName, ApiError> {
    let name = name.or_else(|| app.settings.default_cache.clone());
    name.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "This server has no default cache."))
}

async fn take(app: &App, name: &CacheName, target: Target, request: Request) -> Result<Response, ApiError> {
    let (cache, caller) = access::cache(app, request.headers(), name, Permission::Push).await?;
    access::takes_pushes(app, &cache).await?;
    put::put(app, &cache, &caller, target, request).await
}

/// Answers a question for a file of a cache that is seen through no tag.
async fn plain(
    app: &App,
    name: &CacheName,
    at_root: bool,
    target: Target,
    asked: Asked<'_>,
) -> Result<Response, ApiError> {
    if at_root && target == Target::CacheInfo {
        // Probed by scripts before any cache exists.
        return Ok(cache_info(&StoreDir::default(), DEFAULT_PRIORITY));
    }
    let (cache, _) = access::cache(app, asked.headers, name, Permission::Pull).await?;
    let mut response = match target {
        Target::CacheInfo => cache_info(&cache.store_dir, cache.priority),
        Target::AtticCacheInfo => attic::cache_config(app, &cache, asked.headers)?,
        Target::NarInfo(hash) => narinfo::get(app, &cache, hash, asked.headers).await?,
        Target::Nar(name) => Box::pin(nar::get(app, &cache, &name, asked)).await?,
        Target::Listing(hash) => Box::pin(document::listing(app, &cache, hash)).await?,
        Target::Document(kind, name) => Box::pin(document::get(app, &cache, kind, &name)).await?,
    };
    if cache.is_public {
        response.headers_mut().insert(CACHE_VISIBILITY_HEADER, HeaderValue::from_static("public"));
    }
    Ok(response)
}

pub(super) fn cache_info(store_dir: &StoreDir, priority: i32) -> Response {
    let info = CacheInfo { store_dir: store_dir.clone(), want_mass_query: true, priority };
    response::text("text/x-nix-cache-info", info.render())
}

/// Says that the method is none of those of a route; the router adds which those are.
pub(super) async fn method_not_allowed() -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, "This method does not go with this address.")
}

/// Says that only `methods` go with a file of a cache.
pub(super) fn allowed(methods: &'static str) -> Response {
    let error = ApiError::new(ErrorCode::MethodNotAllowed, "This method does not go with this address.");
    let mut response = error.into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

/// An answer without a body.
pub(super) fn done(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The content type of a document.
pub(super) fn content_type(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Log | DocumentKind::Derivation => "text/plain; charset=utf-8",
        DocumentKind::Listing | DocumentKind::Realisation | DocumentKind::BuildTrace | DocumentKind::DebugInfo => {
            "application/json"
        }
    }
}
