//! HTTP: every route on one page. Nothing outside this module imports axum.

mod access;
mod acts;
mod asked;
pub(crate) mod attic;
mod audited;
mod document;
mod error;
mod exchange;
mod json;
mod keep;
mod linger;
mod nar;
mod narinfo;
mod observe;
mod ops;
mod outbox;
mod promote;
mod push;
mod put;
mod range;
mod response;
mod serve;
mod service;
mod stats;
mod straight;
mod streams;
mod substituter;
mod target;
mod tokens;
mod view;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{delete, get, post, put},
};

use crate::app::App;

pub use access::{Caches, Standings, kept as kept_caches, kept_standings};
pub use error::ApiError;
use linger::Peer;
pub use nar::{Nars, kept as kept_nars};
pub use narinfo::{NarInfos, kept as kept_narinfos};
pub(crate) use serve::{Patience, serve};
pub(crate) use service::Service;
pub use view::{ViewNarInfos, ViewNars, Views, kept as kept_view_narinfos, kept_nars as kept_view_nars, kept_views};

/// The table of routes.
fn router(app: App) -> Router {
    Router::new()
        // For people and probes.
        .route("/", get(ops::index))
        .route("/health", get(ops::live))
        .route("/healthz", get(ops::live))
        .route("/livez", get(ops::live))
        .route("/readyz", get(ops::ready))
        .route("/metrics", get(ops::metrics))
        // For Attic's client.
        .route("/_api/v1/get-missing-paths", post(attic::get_missing_paths))
        .route("/_api/v1/upload-path", put(attic::upload_path))
        .route(
            "/_api/v1/cache-config/{cache}",
            get(attic::get_cache_config)
                .post(attic::create_cache)
                .patch(attic::configure_cache)
                .delete(attic::destroy_cache),
        )
        // For our own client.
        .route("/_flywheel/v1/caches/{cache}/push", get(push::parameters).post(push::push))
        .route("/_flywheel/v1/caches/{cache}/missing-chunks", post(push::missing_chunks))
        // For whoever looks after what a cache keeps.
        .route("/_flywheel/v1/caches/{cache}/pins", get(keep::list_pins))
        .route("/_flywheel/v1/caches/{cache}/pins/{pin}", put(keep::add_pin).delete(keep::remove_pin))
        .route("/_flywheel/v1/caches/{cache}/paths/{hash}", delete(keep::delete_path))
        .route("/_flywheel/v1/caches/{cache}/paths/{hash}/explain", get(keep::explain))
        .route("/_flywheel/v1/caches/{cache}/limits", get(keep::limits).patch(keep::set_limits))
        // For whoever looks after caches.
        .route("/_flywheel/v1/stats", get(stats::stats))
        // For CI.
        .route("/_flywheel/v1/exchange", get(exchange::offer).post(exchange::exchange))
        // For admins.
        .route("/_flywheel/v1/tokens", get(tokens::list).post(tokens::mint))
        .route("/_flywheel/v1/tokens/revoke", post(tokens::revoke_subject))
        .route("/_flywheel/v1/tokens/{id}", get(tokens::show).delete(tokens::revoke))
        .route("/_flywheel/v1/audit", get(acts::list))
        .nest("/_flywheel/v1/caches/{cache}", promote::routes())
        // For Nix: `/{cache}/…`, and the default cache at the root.
        .fallback(substituter::serve)
        .method_not_allowed_fallback(substituter::method_not_allowed)
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(app.clone(), observe::observe))
        .layer(middleware::from_fn(linger::watch))
        .with_state(app)
}
