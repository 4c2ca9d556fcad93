//! The audit, for admins: `/_flywheel/v1/audit`.

use axum::{
    Json,
    extract::{Query, State},
    http::HeaderMap,
};
use database::{ActFilter, ActMark};
use protocol::{CacheName, ErrorCode, Permission, Timestamp, admin::ActPage};
use serde::Deserialize;

use super::{ApiError, access};
use crate::{app::App, audit};

/// The longest page.
const PAGE: u32 = 1000;

/// Which acts to list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only those at this time or later, in seconds since 1970.
    since: Option<i64>,
    /// Only those on this cache; who may not read all may ask for this.
    cache: Option<CacheName>,
    limit: Option<u32>,
    after: Option<String>,
}

/// Lists acts, newest first.
pub(super) async fn list(
    State(app): State<App>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Json<ActPage>, ApiError> {
    let caller = access::caller(&app, &headers).await?;
    let claims = caller.claims().ok_or_else(ApiError::unauthorized)?;
    let may = match &query.cache {
        Some(cache) => claims.scope.permissions(cache).contains(Permission::ReadAudit),
        None => claims.scope.holds_everywhere(Permission::ReadAudit),
    };
    if !may {
        return Err(ApiError::forbidden());
    }
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let after = query.after.as_deref().map(mark).transpose()?;
    let filter = ActFilter { since: query.since.map(Timestamp), cache: query.cache };
    let rows = app.database.list_acts(&filter, after, limit).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| format!("{}.{}", row.at.0, row.id));
    Ok(Json(ActPage { acts: rows.into_iter().map(audit::info).collect(), next }))
}

/// The place that a page told.
fn mark(text: &str) -> Result<ActMark, ApiError> {
    let parse = |(at, id): (&str, &str)| Some(ActMark { at: Timestamp(at.parse().ok()?), id: id.parse().ok()? });
    let malformed = || ApiError::new(ErrorCode::RequestError, "`after` is what another page told as `next`.");
    text.split_once('.').and_then(parse).ok_or_else(malformed)
}
