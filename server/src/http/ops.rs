//! For people and probes.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use protocol::ErrorCode;

use super::ApiError;
use crate::{app::App, collect::CHORE, metrics as names};

/// A page for whoever looks. Depends on nothing, since probes look too.
pub(super) async fn index() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

/// The process answers.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// The database and the storage answer too.
pub(super) async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    app.database.ping().await?;
    app.fetch.ping().await.map_err(|error| ApiError::internal(&error, ErrorCode::Unavailable))?;
    Ok("ok\n")
}

/// The metrics, in Prometheus's text format.
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, ApiError> {
    let (totals, age) = app.figures.totals(&app.database).await?;
    let scrub = app.database.scrub_progress().await?;
    let quarantined = app.database.quarantined_nars().await?;
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    let gauge = |name: &'static str, value: u64| metrics::gauge!(name).set(value as f64);
    gauge(names::STORAGE_BYTES, totals.stored_bytes);
    gauge(names::PATHS, totals.paths);
    gauge(names::NAR_BYTES, totals.nar_bytes);
    gauge(names::QUARANTINED_NARS, quarantined);
    gauge(names::FIGURES_AGE, age.as_secs());
    gauge(names::SCRUB_LAST_END, u64::try_from(scrub.ended_at).unwrap_or(0));
    if let Some(run) = app.database.last_chore_run(CHORE).await? {
        gauge(names::GC_LAST_RUN, u64::try_from(run.finished_at.0).unwrap_or(0));
    }
    if let Some(limit) = app.collector.policy().max_size {
        gauge(names::STORAGE_LIMIT, limit);
    }
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((StatusCode::OK, content_type, app.metrics.render()).into_response())
}
