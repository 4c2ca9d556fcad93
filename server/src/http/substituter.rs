//! What Nix asks of a cache, and what it puts there.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use database::{Cache, DEFAULT_PRIORITY, DocumentKind};
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
use crate::app::App;

/// Serves everything under `/{cache}/`, and the default cache at the root.
pub(super) async fn serve(State(app): State<App>, request: Request) -> Response {
    let Some(address) = Address::parse(request.uri().path(), request.uri().query()) else {
        return ApiError::new(ErrorCode::NotFound, "There is nothing at this address.").into_response();
    };
    let route = Route(address.target.route());
    let at_root = address.cache.is_none();
    let Some(name) = address.cache.or_else(|| app.settings.default_cache.clone()) else {
        return ApiError::new(ErrorCode::NotFound, "This server has no default cache.").into_response();
    };
    let label = CacheLabel(name.clone());
    let answered = match address.tag {
        Some(tag) => view::answer(&app, &name, &tag, address.target, Asked::of(&request)).await,
        None => answer(&app, name, at_root, address.target, request).await,
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    response.extensions_mut().insert(route);
    response.extensions_mut().insert(label);
    response
}

async fn answer(
    app: &App,
    name: CacheName,
    at_root: bool,
    target: Target,
    request: Request,
) -> Result<Response, ApiError> {
    if request.method() == Method::PUT {
        let (cache, caller) = access::cache(app, request.headers(), &name, Permission::Push).await?;
        access::takes_pushes(app, &cache).await?;
        return put::put(app, &cache, &caller, target, request).await;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Ok(allowed("GET, HEAD, PUT"));
    }
    if at_root && target == Target::CacheInfo {
        // Probed by scripts before any cache exists.
        return Ok(cache_info(&StoreDir::default(), DEFAULT_PRIORITY));
    }
    let (cache, _) = access::cache(app, request.headers(), &name, Permission::Pull).await?;
    let mut response = read(app, &cache, target, Asked::of(&request)).await?;
    if cache.is_public {
        response.headers_mut().insert(CACHE_VISIBILITY_HEADER, HeaderValue::from_static("public"));
    }
    Ok(response)
}

async fn read(app: &App, cache: &Cache, target: Target, asked: Asked<'_>) -> Result<Response, ApiError> {
    match target {
        Target::CacheInfo => Ok(cache_info(&cache.store_dir, cache.priority)),
        Target::AtticCacheInfo => attic::cache_config(app, cache, asked.headers),
        Target::NarInfo(hash) => narinfo::get(app, cache, hash, asked.headers).await,
        Target::Nar(name) => nar::get(app, cache, &name, asked).await,
        Target::Listing(hash) => document::listing(app, cache, hash).await,
        Target::Document(kind, name) => document::get(app, cache, kind, &name).await,
    }
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
