//! What is known of a path, and what could be promoted.

use axum::{Json, extract::State, http::HeaderMap};
use formats::{StorePath, StorePathHash};
use protocol::{
    CacheName, Permission,
    promotion::{Candidate, ClaimState, Explanation, Prospect},
};

use super::{Part, answer, insider, malformed};
use crate::{
    app::App,
    http::{ApiError, access::InPath},
    promote::{explain, policies, tags},
};

/// How many claims are looked through for candidates.
const CLAIMS: u32 = 200;

/// Everything that the caller may know of a path, which is named whole or by its hash part.
pub(in crate::http) async fn path(
    State(app): State<App>,
    Part(name, text): Part<String>,
    headers: HeaderMap,
) -> Result<Json<Explanation>, ApiError> {
    let (cache, caller) = insider(&app, &headers, &name).await?;
    let whole: Option<StorePath> = text.parse().ok();
    let hash: StorePathHash = match &whole {
        Some(path) => *path.hash(),
        None => text.parse().map_err(|_| malformed("That is neither a store path nor the hash part of one."))?,
    };
    let held = app.database.holdings(&hash).await?;
    let found = held.first().map(|(path, _)| path.clone());
    let claims = app.database.claims_of_path(cache.id, &hash).await?;
    let claimed = claims.first().and_then(|claim| {
        claim.claim.outputs.values().map(|output| &output.path).find(|path| *path.hash() == hash).cloned()
    });
    let path = found.or(claimed).or(whole).ok_or_else(ApiError::no_such_object)?;
    let may_see = |cache: &CacheName, is_public: bool| is_public || caller.granted(cache).contains(Permission::Pull);
    let policy = policies::of(&app, cache.id).await?;
    let mut prospects = Vec::new();
    for claim in claims.iter().filter(|claim| claim.state == ClaimState::Clean) {
        let (obstacles, is_publishable) = tags::obstacles(&app, &policy, &cache, claim.id).await?;
        prospects.push(Prospect { claim: claim.id.0, obstacles, is_publishable });
    }
    let pins = app.database.list_pins(cache.id, app.clock.now()).await?;
    let mut about = Explanation {
        held: (held.into_iter().map(|(_, one)| one)).filter(|one| may_see(&one.cache, one.is_public)).collect(),
        claims: claims.into_iter().map(answer).collect(),
        promoted: app.database.promotions_of_path(cache.id, &hash).await?,
        seen: app.database.observations(cache.id, &[hash]).await?,
        resolution: app.database.resolutions(cache.id, &[hash]).await?.pop().map(|(_, resolution)| resolution),
        pins: pins.into_iter().filter(|pin| pin.path == path).map(|pin| pin.name).collect(),
        prospects,
        path,
        words: Vec::new(),
    };
    about.words = explain::words(&about);
    Ok(Json(about))
}

/// The claims that could be promoted, and what stands in the way of the others.
pub(in crate::http) async fn candidates(
    State(app): State<App>,
    InPath(name): InPath,
    headers: HeaderMap,
) -> Result<Json<Vec<Candidate>>, ApiError> {
    let (cache, _) = insider(&app, &headers, &name).await?;
    let pointed: Vec<_> = app.database.list_tags(cache.id).await?;
    let policy = policies::of(&app, cache.id).await?;
    let mut candidates = Vec::new();
    for claim in app.database.list_claims(cache.id, None, CLAIMS).await? {
        if matches!(claim.state, ClaimState::Withdrawn | ClaimState::Revoked) {
            continue;
        }
        let (obstacles, is_publishable) = tags::obstacles(&app, &policy, &cache, claim.id).await?;
        let points = |tag: &&database::TagRow| {
            tag.current.as_ref().is_some_and(|(_, revision)| revision.claims.contains(&claim.id.0))
        };
        candidates.push(Candidate {
            claim: claim.id.0,
            attribute: claim.claim.attribute.clone(),
            outputs: claim.claim.outputs.values().map(|output| output.path.clone()).collect(),
            state: claim.state,
            is_promotable: obstacles.is_empty(),
            is_publishable: is_publishable && obstacles.is_empty(),
            obstacles,
            tags: pointed.iter().filter(points).map(|tag| tag.name.clone()).collect(),
        });
    }
    Ok(Json(candidates))
}
