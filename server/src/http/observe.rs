//! A line in the log and a count in the metrics for every request.

use std::{borrow::Cow, cell::RefCell, collections::HashMap, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, Uri},
    middleware::Next,
    response::Response,
};
use metrics::{Counter, Histogram, counter, histogram};
use protocol::CacheName;

use crate::{app::App, metrics as names};

/// The route of a request, told by whoever answered it: what was asked for must not become a label.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route(pub(super) &'static str);

/// The cache of a request.
#[derive(Debug, Clone)]
pub(super) struct CacheLabel(pub(super) CacheName);

/// What a request is counted by.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Labels {
    method: &'static str,
    route: Cow<'static, str>,
    status: u16,
    /// A name that is no cache's must not become a label.
    cache: Option<CacheName>,
}

impl Labels {
    fn handles(&self) -> (Counter, Histogram) {
        let cache = self.cache.as_ref().map(CacheName::to_string).unwrap_or_default();
        let route = self.route.to_string();
        let labels = [
            ("method", self.method.to_owned()),
            ("path", route.clone()),
            ("status", self.status.to_string()),
            ("cache", cache),
        ];
        (counter!(names::HTTP_REQUESTS, &labels), histogram!(names::HTTP_REQUEST_DURATION, "path" => route))
    }
}

thread_local! {
    /// To find a metric by its labels takes longer than to count. There are as many of these as there are metrics.
    static HANDLES: RefCell<HashMap<Labels, (Counter, Histogram)>> = RefCell::default();
}

/// Observes one request.
pub(super) async fn observe(State(_): State<App>, request: Request, next: Next) -> Response {
    let observed = Observed::begin(request.method(), request.uri());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    let route = match (response.extensions().get::<Route>(), matched) {
        (Some(route), _) => Cow::Borrowed(route.0),
        (None, Some(matched)) => Cow::Owned(matched.as_str().to_owned()),
        (None, None) => Cow::Borrowed("other"),
    };
    let cache = response.extensions_mut().remove::<CacheLabel>();
    observed.end(&response, route, cache);
    response
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Observed {
    started: Instant,
    method: Method,
    uri: Uri,
}

impl Observed {
    /// From now on.
    pub(super) fn begin(method: &Method, uri: &Uri) -> Self {
        Self { started: Instant::now(), method: method.clone(), uri: uri.clone() }
    }

    /// Writes the line, and counts.
    pub(super) fn end(self, response: &Response, route: Cow<'static, str>, cache: Option<CacheLabel>) {
        let elapsed = self.started.elapsed();
        let cache = cache.filter(|_| response.status().is_success());
        let status = response.status().as_u16();
        let labels = Labels { method: method_label(&self.method), route, status, cache: cache.map(|label| label.0) };
        let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let (method, path) = (&self.method, self.uri.path());
        tracing::info!(target: "http", method = %method, path, status, duration_ms, "request");
        if elapsed > names::SLOW {
            counter!(names::SLOW_REQUESTS, "path" => labels.route.to_string()).increment(1);
            tracing::warn!(method = %method, path, status, duration_ms, "a slow request");
        }
        HANDLES.with_borrow_mut(|handles| {
            let (requests, durations) = handles.entry(labels).or_insert_with_key(Labels::handles);
            requests.increment(1);
            durations.record(elapsed.as_secs_f64());
        });
    }
}

/// A method as a label. A client may make one up, and every label costs memory for ever.
fn method_label(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|known| method == known).unwrap_or("other")
}
