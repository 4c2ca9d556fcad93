//! How much there is, for whoever looks after caches.

use axum::{Json, extract::State, http::HeaderMap};
use protocol::{ErrorCode, Permission};
use serde::Serialize;

use super::{ApiError, access};
use crate::{
    app::App,
    inspect::InspectError,
    inspect::stats::{self, CacheStats, DayStats, PathStats, PrefixStats, Totals},
};

/// The figures, as far as the caller may see them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Answer {
    taken_at: i64,
    age_seconds: i64,
    /// What is not of one cache: only for whoever may configure all.
    #[serde(flatten)]
    whole: Option<Whole>,
    caches: Vec<CacheStats>,
    largest: Vec<PathStats>,
    most_shared: Vec<PathStats>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Whole {
    totals: Totals,
    prefixes: Vec<PrefixStats>,
    growth: Vec<DayStats>,
    scrub: Scrub,
}

/// How far the scrub is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Scrub {
    running_since: Option<i64>,
    read_bytes: u64,
    found: u64,
    last_ended_at: Option<i64>,
    last_found: u64,
}

/// The figures that were last taken: of the caches that the caller may configure, and of the whole if these are all.
pub(super) async fn stats(State(app): State<App>, headers: HeaderMap) -> Result<Json<Answer>, ApiError> {
    let caller = access::caller(&app, &headers).await?;
    let caches = app.database.list_caches().await?;
    let may = |name: &protocol::CacheName| caller.granted(name).contains(Permission::ConfigureCache);
    let allowed: Vec<String> = caches.iter().filter(|c| may(&c.name)).map(|c| c.name.to_string()).collect();
    if allowed.is_empty() {
        return Err(if caller.subject().is_some() { ApiError::forbidden() } else { ApiError::unauthorized() });
    }
    let failed = |error: InspectError| ApiError::internal(&error, ErrorCode::Unavailable);
    let Some(stats) = stats::last(&*app.database).await.map_err(failed)? else {
        return Err(ApiError::new(ErrorCode::Unavailable, "The figures have not been taken yet.")
            .hint("They are taken soon after the first start, and then every flywheel.inspection.stats-interval."));
    };
    let whole = if allowed.len() == caches.len() {
        let scrub = app.database.scrub_progress().await?;
        let time = |at: i64| (at != 0).then_some(at);
        let scrub = Scrub {
            running_since: time(scrub.began_at),
            read_bytes: scrub.read_bytes,
            found: scrub.found,
            last_ended_at: time(scrub.ended_at),
            last_found: scrub.last_found,
        };
        Some(Whole { totals: stats.totals, prefixes: stats.prefixes, growth: stats.growth, scrub })
    } else {
        None
    };
    let own = |cache: &String| allowed.contains(cache);
    Ok(Json(Answer {
        taken_at: stats.taken_at,
        age_seconds: app.clock.now().0 - stats.taken_at,
        whole,
        caches: stats.caches.into_iter().filter(|stats| own(&stats.cache)).collect(),
        largest: stats.largest.into_iter().filter(|path| own(&path.cache)).collect(),
        most_shared: stats.most_shared.into_iter().filter(|path| own(&path.cache)).collect(),
    }))
}
