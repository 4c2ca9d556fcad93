//! A line in the log and a count in the metrics for every request.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use metrics::{counter, histogram};
use protocol::CacheName;

use crate::{app::App, metrics as names};

/// The route of a request, told by whoever answered it: what was asked for must not become a label.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route(pub(super) &'static str);

/// The cache of a request.
#[derive(Debug, Clone)]
pub(super) struct CacheLabel(pub(super) CacheName);

/// Observes one request.
pub(super) async fn observe(State(_): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;

    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    let route = response.extensions().get::<Route>().map(|route| route.0.to_owned()).or(matched);
    let route = route.unwrap_or_else(|| "other".to_owned());
    // A name that is no cache's must not become a label either.
    let cache = response.extensions().get::<CacheLabel>().filter(|_| response.status().is_success());
    let cache = cache.map(|label| label.0.to_string()).unwrap_or_default();
    let labels = [
        ("method", method_label(&method).to_owned()),
        ("path", route.clone()),
        ("status", status.to_string()),
        ("cache", cache),
    ];
    counter!(names::HTTP_REQUESTS, &labels).increment(1);
    histogram!(names::HTTP_REQUEST_DURATION, "path" => route.clone()).record(elapsed.as_secs_f64());
    let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(target: "http", method = %method, path, status, duration_ms, "request");
    if elapsed > names::SLOW {
        counter!(names::SLOW_REQUESTS, "path" => route).increment(1);
        tracing::warn!(method = %method, path, status, duration_ms, "a slow request");
    }
    response
}

/// A method as a label. A client may make one up, and every label costs memory for ever.
fn method_label(method: &Method) -> &str {
    let known = [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS];
    if known.contains(method) { method.as_str() } else { "other" }
}
