//! Tags: moved, looked at, taken back, exported.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use database::{Act, Cache, ClaimId, RevisionId, TagRow};
use protocol::{
    CacheName, ErrorCode, Permission,
    promotion::{
        Envelope, ExportRequest, MoveTag, Reason, Receipt, Revision, RevisionState, Rollback, Tag, TagName, Visibility,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Part, asking::Asking, created, insider, json as read_json, keys, malformed, no_such_tag, reason};
use crate::{
    app::App,
    audit::Deed,
    auth::Caller,
    http::{
        ApiError,
        access::{self, InPath},
    },
    promote::{
        export::{self, Member},
        tags as promote,
    },
};

/// Every tag of the cache.
pub(in crate::http) async fn list(
    State(app): State<App>,
    InPath(name): InPath,
    headers: HeaderMap,
) -> Result<Json<Vec<Tag>>, ApiError> {
    let (cache, _) = insider(&app, &headers, &name).await?;
    let tags = app.database.list_tags(cache.id).await?;
    Ok(Json(tags.into_iter().map(public).collect()))
}

/// One tag.
pub(in crate::http) async fn show(
    State(app): State<App>,
    Part(name, tag): Part<TagName>,
    headers: HeaderMap,
) -> Result<Json<Tag>, ApiError> {
    let (_, tag) = visible(&app, &headers, &name, &tag).await?;
    Ok(Json(public(tag)))
}

/// Moves a tag, or makes it.
pub(in crate::http) async fn put(
    asking: Asking,
    Part(name, tag): Part<TagName>,
    request: Request,
) -> Result<Response, ApiError> {
    let deed = Deed::done(Act::TagMove).on(&name).object(tag.to_string());
    let work = async |app: &App, headers: &HeaderMap| {
        let (cache, caller) = access::cache(app, headers, &name, Permission::Promote).await?;
        access::takes_changes(app)?;
        let wanted: MoveTag = read_json(request).await?;
        let number = promote::move_to(app, &cache, tag.clone(), &wanted, subject(&caller)).await?;
        // The key that the view is signed with is there from the first revision on.
        keys::keys(app, &cache).await?;
        Ok(created(json!({ "tag": tag, "revision": number })))
    };
    asking.to(deed, work).await
}

/// Goes back to an earlier revision of a channel.
pub(in crate::http) async fn rollback(
    asking: Asking,
    Part(name, tag): Part<TagName>,
    request: Request,
) -> Result<Response, ApiError> {
    let deed = Deed::done(Act::TagRollback).on(&name).object(tag.to_string());
    let work = async |app: &App, headers: &HeaderMap| {
        let (cache, caller, row) = mine(app, headers, &name, &tag).await?;
        let wanted: Rollback = read_json(request).await?;
        let wanted = Rollback { reason: reason(&Reason { reason: wanted.reason })?, ..wanted };
        let number = promote::roll_back(app, &cache, &row, &wanted, subject(&caller)).await?;
        Ok(created(json!({ "tag": tag, "revision": number })))
    };
    asking.to(deed, work).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    visibility: Visibility,
}

/// Changes who may substitute from a view.
pub(in crate::http) async fn visibility(
    asking: Asking,
    Part(name, tag): Part<TagName>,
    request: Request,
) -> Result<Response, ApiError> {
    let deed = Deed::done(Act::TagShow).on(&name).object(tag.to_string());
    let work = async |app: &App, headers: &HeaderMap| {
        let (cache, _, row) = mine(app, headers, &name, &tag).await?;
        let shown: Shown = read_json(request).await?;
        promote::show(app, &cache, &row, shown.visibility).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    asking.to(deed, work).await
}

/// Takes back the revision that a tag points at: its view is empty from now on.
pub(in crate::http) async fn revoke(
    asking: Asking,
    Part(name, tag): Part<TagName>,
    request: Request,
) -> Result<Response, ApiError> {
    let deed = Deed::done(Act::TagRevoke).on(&name).object(tag.to_string());
    let work = async |app: &App, headers: &HeaderMap| {
        let (_, _, row) = mine(app, headers, &name, &tag).await?;
        let reason = reason(&read_json(request).await?)?;
        let (current, _) = row.current.ok_or_else(|| no_such_tag(&tag))?;
        app.database.end_revision(current, RevisionState::Revoked, Some(&reason)).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    asking.to(deed, work).await
}

/// Every position that a tag ever had, newest first.
pub(in crate::http) async fn history(
    State(app): State<App>,
    Part(name, tag): Part<TagName>,
    headers: HeaderMap,
) -> Result<Json<Vec<Revision>>, ApiError> {
    let (cache, _) = insider(&app, &headers, &name).await?;
    let row = app.database.find_tag(cache.id, &tag).await?.ok_or_else(|| no_such_tag(&tag))?;
    let revisions = app.database.revisions(row.id, None, 1000).await?;
    Ok(Json(revisions.into_iter().map(|(_, revision)| revision).collect()))
}

/// The manifest of what a tag points at, in its canonical form.
pub(in crate::http) async fn manifest(
    State(app): State<App>,
    Part(name, tag): Part<TagName>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (cache, row) = visible(&app, &headers, &name, &tag).await?;
    let (_, revision) = current(&tag, row.current)?;
    let manifest = export::manifest(&members(&app, &cache, &revision).await?).ok_or_else(|| no_such_tag(&tag))?;
    let text = manifest.to_json().map_err(|error| malformed(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// The roots that a tag points at, a full path each.
pub(in crate::http) async fn store_paths(
    State(app): State<App>,
    Part(name, tag): Part<TagName>,
    headers: HeaderMap,
) -> Result<String, ApiError> {
    let (cache, row) = visible(&app, &headers, &name, &tag).await?;
    let (_, revision) = current(&tag, row.current)?;
    let members = members(&app, &cache, &revision).await?;
    let roots: BTreeSet<_> = members.iter().flat_map(|member| &member.manifest.roots).collect();
    Ok(roots.into_iter().map(|root| cache.store_dir.join(root) + "\n").collect())
}

/// What leaves, and the receipt for it.
#[derive(Debug, Serialize)]
struct Bundle {
    receipt: Receipt,
    manifest: Value,
    provenance: Vec<Envelope>,
    sbom: Value,
}

/// Gives out what is promoted and public, and nothing else, and notes that it left.
pub(in crate::http) async fn export(
    asking: Asking,
    Part(name, tag): Part<TagName>,
    request: Request,
) -> Result<Response, ApiError> {
    let deed = Deed::done(Act::TagExport).on(&name).object(tag.to_string());
    let work = async |app: &App, headers: &HeaderMap| {
        let (cache, caller, row) = mine(app, headers, &name, &tag).await?;
        let wanted: ExportRequest = read_json(request).await?;
        if wanted.surface.is_empty() || wanted.surface.len() > 100 {
            return Err(malformed("The surface is a word of 1 to 100 bytes."));
        }
        let (_, revision) = current(&tag, row.current)?;
        if row.visibility != Visibility::Public {
            let message = format!("{tag} is {}; only what is promoted and public is exported.", row.visibility);
            return Err(ApiError::new(ErrorCode::NotPublic, message).hint("Make the tag public first."));
        }
        let members = members(app, &cache, &revision).await?;
        let manifest = export::manifest(&members).ok_or_else(|| no_such_tag(&tag))?;
        let json_error = |error: serde_json::Error| malformed(error.to_string());
        let keys = keys::keys(app, &cache).await?;
        let key = keys.first().ok_or_else(|| malformed("The cache has no promotion key."))?;
        let provenance = export::provenance(&name, &tag, &revision, &members, key).map_err(json_error)?;
        let receipt = Receipt {
            id: 0,
            revision: revision.number,
            surface: wanted.surface,
            url: wanted.url,
            manifest_digest: manifest.digest().map_err(json_error)?,
            exported_by: subject(&caller).to_owned(),
            at: app.clock.now(),
        };
        let receipt = app.database.record_receipt(row.id, &receipt).await?;
        let sbom = export::sbom(&name, &tag, &revision, &manifest);
        let manifest = serde_json::to_value(&manifest).map_err(json_error)?;
        Ok(created(Bundle { receipt, manifest, provenance, sbom }))
    };
    asking.to(deed, work).await
}

/// What left of a tag.
pub(in crate::http) async fn receipts(
    State(app): State<App>,
    Part(name, tag): Part<TagName>,
    headers: HeaderMap,
) -> Result<Json<Vec<Receipt>>, ApiError> {
    let (cache, _) = insider(&app, &headers, &name).await?;
    let row = app.database.find_tag(cache.id, &tag).await?.ok_or_else(|| no_such_tag(&tag))?;
    Ok(Json(app.database.receipts(row.id).await?))
}

/// A tag for somebody who may see its view.
async fn visible(
    app: &App,
    headers: &HeaderMap,
    name: &CacheName,
    tag: &TagName,
) -> Result<(Arc<Cache>, TagRow), ApiError> {
    if let Some(cache) = app.database.find_cache(name).await?
        && let Some(row) = app.database.find_tag(cache.id, tag).await?
        && row.visibility == Visibility::Public
    {
        return Ok((Arc::new(cache), row));
    }
    let (cache, _) = access::cache(app, headers, name, Permission::Pull).await?;
    let row = app.database.find_tag(cache.id, tag).await?.ok_or_else(|| no_such_tag(tag))?;
    Ok((cache, row))
}

/// A tag for somebody who may move it.
async fn mine(
    app: &App,
    headers: &HeaderMap,
    name: &CacheName,
    tag: &TagName,
) -> Result<(Arc<Cache>, Caller, TagRow), ApiError> {
    let (cache, caller) = access::cache(app, headers, name, Permission::Promote).await?;
    access::takes_changes(app)?;
    let row = app.database.find_tag(cache.id, tag).await?.ok_or_else(|| no_such_tag(tag))?;
    Ok((cache, caller, row))
}

fn current(tag: &TagName, current: Option<(RevisionId, Revision)>) -> Result<(RevisionId, Revision), ApiError> {
    current.ok_or_else(|| {
        ApiError::new(ErrorCode::NotPromoted, format!("{tag} points at nothing: what it pointed at was taken back."))
    })
}

/// The claims of a revision with their closures, as they were decided on; those that were taken back since are left out.
async fn members(app: &App, cache: &Cache, revision: &Revision) -> Result<Vec<Member>, ApiError> {
    let mut members = Vec::new();
    for id in &revision.claims {
        let claim = app.database.find_claim(cache.id, ClaimId(*id)).await?;
        let Some(claim) = claim.filter(|claim| claim.state == protocol::promotion::ClaimState::Clean) else { continue };
        if let Some(verdict) = app.database.find_verdict(claim.id, &revision.policy_digest).await? {
            members.push(Member { claim, report: verdict.report, manifest: verdict.manifest });
        }
    }
    Ok(members)
}

fn subject(caller: &Caller) -> &str {
    caller.subject().unwrap_or_default()
}

fn public(row: TagRow) -> Tag {
    Tag { name: row.name, kind: row.kind, visibility: row.visibility, current: row.current.map(|(_, one)| one) }
}
