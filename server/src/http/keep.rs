//! What a cache keeps: pins, deletion by hand, explanations, limits.

use std::time::Duration;

use axum::{
    Json,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use database::{Act, Cache, CacheLimits, CollectedCache, NewPin};
use formats::{StorePath, StorePathHash};
use protocol::{
    ErrorCode, Permission,
    keep::{LimitsInfo, PinInfo, PinList, PinRequest},
};
use serde::Deserialize;

use super::{
    ApiError,
    access::{self, InPath, Part},
    audited::{Origin, audited},
    json::json,
    substituter::done,
};
use crate::{
    app::App,
    audit::Deed,
    collect::{CollectError, Reach},
};

/// The longest name of a pin, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// Lists the pins of a cache.
pub(super) async fn list_pins(
    State(app): State<App>,
    InPath(name): InPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (cache, _) = access::cache(&app, &headers, &name, Permission::Pull).await?;
    let pins = app.database.list_pins(cache.id, app.clock.now()).await?;
    let pins = pins.into_iter().map(|pin| PinInfo {
        name: pin.name,
        revision: pin.revision,
        path: pin.path.to_string(),
        created_at: pin.created_at,
        expires_at: pin.expires_at,
        pinned_by: pin.pinned_by,
    });
    Ok(Json(PinList { pins: pins.collect() }).into_response())
}

/// Pins a path.
pub(super) async fn add_pin(
    State(app): State<App>,
    Part(name, pin): Part<String>,
    origin: Origin,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let deed = Deed::done(Act::PinAdd).on(&name).object(pin.clone());
    let work = async {
        let (cache, caller) = access::cache(&app, &headers, &name, Permission::Push).await?;
        access::takes_changes(&app)?;
        let valid = |c: char| c.is_ascii_alphanumeric() || "-_./+@:".contains(c);
        if pin.is_empty() || pin.len() > MAX_NAME_BYTES || !pin.chars().all(valid) {
            let message = format!("{pin:?} is no name of a pin: letters, digits and -_./+@: make one.");
            return Err(ApiError::new(ErrorCode::RequestError, message));
        }
        let wanted: PinRequest = json(request).await?;
        let now = app.clock.now();
        let new = NewPin {
            cache: cache.id,
            name: pin.clone(),
            path: store_path(&cache, &wanted.store_path)?,
            keep: wanted.keep_revisions,
            expires_at: wanted.ttl_seconds.map(|seconds| now.plus(Duration::from_secs(seconds.into()))),
            pinned_by: caller.subject().map(str::to_owned),
            now,
        };
        let revision = app.database.add_pin(&new).await?.ok_or_else(ApiError::no_such_object)?;
        app.journal.note_cache(&*app.database, &name).await?;
        Ok(Json(PinInfo {
            name: new.name,
            revision,
            path: new.path.to_string(),
            created_at: now,
            expires_at: new.expires_at,
            pinned_by: new.pinned_by,
        })
        .into_response())
    };
    audited(&app, &headers, &origin, deed, work).await
}

/// Which revision of a pin.
#[derive(Debug, Deserialize)]
pub(super) struct Revision {
    revision: Option<u32>,
}

/// Removes a pin, or one revision of it.
pub(super) async fn remove_pin(
    State(app): State<App>,
    Part(name, pin): Part<String>,
    Query(Revision { revision }): Query<Revision>,
    origin: Origin,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let deed = Deed::done(Act::PinRemove).on(&name).object(pin.clone());
    let work = async {
        let (cache, _) = access::cache(&app, &headers, &name, Permission::Delete).await?;
        access::takes_changes(&app)?;
        if app.database.remove_pin(cache.id, &pin, revision).await? == 0 {
            return Err(ApiError::no_such_object());
        }
        app.journal.note_cache(&*app.database, &name).await?;
        Ok(done(StatusCode::OK))
    };
    audited(&app, &headers, &origin, deed, work).await
}

/// What goes with a path.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[derive(Default)]
pub(super) struct Going {
    referrers: bool,
    closure: bool,
    dry_run: bool,
}

/// Deletes a path, or says what that would do.
pub(super) async fn delete_path(
    State(app): State<App>,
    Part(name, hash): Part<String>,
    Query(going): Query<Going>,
    origin: Origin,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let deed = Deed::done(Act::PathDelete).on(&name).object(hash.clone());
    let work = async {
        let (cache, _) = access::cache(&app, &headers, &name, Permission::Delete).await?;
        let hash = path_hash(&hash)?;
        let collected = collected(&app, &cache).await?;
        let reach = Reach { referrers: going.referrers, closure: going.closure };
        let done = if going.dry_run {
            app.collector.plan_deletion(&collected, &hash, reach).await?
        } else {
            access::takes_changes(&app)?;
            app.collector.delete_now(&collected, &hash, reach).await?
        };
        let done = done.ok_or_else(ApiError::no_such_object)?;
        if done.is_refused() && !going.dry_run {
            let needed = done.referrers.iter().map(ToString::to_string).chain(done.kept_by.iter().cloned());
            let needed: Vec<String> = needed.take(20).collect();
            let message = format!("The path is needed by: {}.", needed.join(", "));
            let hint = "Delete what refers to it too (?referrers=true), or remove the pin; ?dry-run=true lists all.";
            return Err(ApiError::new(ErrorCode::PathInUse, message).hint(hint));
        }
        Ok(Json(done.to_json()).into_response())
    };
    if going.dry_run { work.await } else { audited(&app, &headers, &origin, deed, work).await }
}

/// Says why a path is kept, or when it goes.
pub(super) async fn explain(
    State(app): State<App>,
    Part(name, hash): Part<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // Reads every path of the cache: not for everybody.
    let (cache, _) = access::cache(&app, &headers, &name, Permission::Push).await?;
    let collected = collected(&app, &cache).await?;
    let explained = app.collector.explain(&collected, &path_hash(&hash)?).await?;
    Ok(Json(explained.ok_or_else(ApiError::no_such_object)?.to_json()).into_response())
}

/// Tells the limits of a cache, and how much it holds.
pub(super) async fn limits(
    State(app): State<App>,
    InPath(name): InPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (cache, _) = access::cache(&app, &headers, &name, Permission::Push).await?;
    let limits = app.database.find_limits(cache.id).await?;
    let used = Some(app.database.used_bytes(cache.id).await?);
    let read_only = Some(limits.is_read_only || app.settings.read_only);
    Ok(Json(LimitsInfo { max_size: limits.max_size, quota: limits.quota, read_only, used }).into_response())
}

/// Changes those limits of a cache that the request names.
pub(super) async fn set_limits(
    State(app): State<App>,
    InPath(name): InPath,
    origin: Origin,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let deed = Deed::done(Act::CacheLimits).on(&name);
    let work = async {
        let (cache, _) = access::cache(&app, &headers, &name, Permission::ConfigureCache).await?;
        let wanted: LimitsInfo = json(request).await?;
        let before = app.database.find_limits(cache.id).await?;
        // What is read-only changes in nothing but that.
        if wanted.read_only != Some(false)
            && wanted != (LimitsInfo { read_only: wanted.read_only, ..LimitsInfo::default() })
        {
            access::takes_settings(&app, &cache).await?;
        } else if wanted.max_size.is_some() || wanted.quota.is_some() {
            access::takes_changes(&app)?;
        }
        let size = |new: Option<u64>, old: Option<u64>| new.map_or(old, |new| Some(new).filter(|&size| size > 0));
        let limits = CacheLimits {
            max_size: size(wanted.max_size, before.max_size),
            quota: size(wanted.quota, before.quota),
            is_read_only: wanted.read_only.unwrap_or(before.is_read_only),
        };
        app.database.set_limits(cache.id, &limits).await?;
        app.journal.note_cache(&*app.database, &name).await?;
        Ok(done(StatusCode::OK))
    };
    audited(&app, &headers, &origin, deed, work).await
}

fn path_hash(text: &str) -> Result<StorePathHash, ApiError> {
    text.parse().map_err(|error| {
        ApiError::new(ErrorCode::RequestError, format!("{text:?} is no hash part of a store path: {error}"))
    })
}

fn store_path(cache: &Cache, text: &str) -> Result<StorePath, ApiError> {
    cache
        .store_dir
        .parse_path(text)
        .or_else(|_| text.parse())
        .map_err(|error| ApiError::new(ErrorCode::InvalidPathInfo, format!("{text:?} is no store path: {error}")))
}

async fn collected(app: &App, cache: &Cache) -> Result<CollectedCache, ApiError> {
    app.collector.find_cache(cache.id).await?.ok_or_else(ApiError::no_such_cache)
}

impl From<CollectError> for ApiError {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Database(error) => error.into(),
            CollectError::Storage(_) | CollectError::Chore(_) => Self::internal(&error, ErrorCode::Unavailable),
        }
    }
}
