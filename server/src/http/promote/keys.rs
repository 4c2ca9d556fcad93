//! The promotion keys of a cache, which sign its views and nothing else.

use axum::{Json, extract::State, http::HeaderMap};
use database::{Act, Cache};
use formats::{KeyName, SecretKey};
use protocol::{ErrorCode, Permission, promotion::PromotionKeys};

use super::asking::{Asking, changed};
use crate::{
    app::App,
    audit::Deed,
    http::{
        ApiError,
        access::{self, InPath},
    },
};

/// How many keys sign at a time: the new one, and the one before it until everybody trusts the new one.
const KEPT_KEYS: usize = 2;

/// The public halves. They are made when they are first asked for.
pub(in crate::http) async fn list(
    State(app): State<App>,
    InPath(name): InPath,
    headers: HeaderMap,
) -> Result<Json<PromotionKeys>, ApiError> {
    let (cache, _) = access::cache(&app, &headers, &name, Permission::Pull).await?;
    Ok(Json(public(&keys(&app, &cache).await?)))
}

/// Signs with one more key from now on, beside the one before.
pub(in crate::http) async fn rotate(asking: Asking, InPath(name): InPath) -> Result<Json<PromotionKeys>, ApiError> {
    let deed = Deed::done(Act::PromotionKeyRotate).on(&name);
    let work = async |app: &App, headers: &HeaderMap| {
        let (cache, _) = access::cache(app, headers, &name, Permission::ConfigureCache).await?;
        access::takes_changes(app)?;
        let mut keys = keys(app, &cache).await?;
        let number = keys.first().and_then(|key| key.name().as_str().rsplit_once('-')?.1.parse().ok()).unwrap_or(0_u32);
        keys.insert(0, SecretKey::generate(key_name(&cache, number.saturating_add(1))?, rand::random()));
        keys.truncate(KEPT_KEYS);
        app.database.set_promotion_keys(cache.id, &keys).await?;
        Ok(Json(public(&keys)))
    };
    asking.to(deed, work).await
}

/// The secret keys, newest first.
pub(super) async fn keys(app: &App, cache: &Cache) -> Result<Vec<SecretKey>, ApiError> {
    let fresh = SecretKey::generate(key_name(cache, 1)?, rand::random());
    changed(app, async || Ok(app.database.promotion_keys(cache.id, &fresh).await?)).await
}

fn key_name(cache: &Cache, number: u32) -> Result<KeyName, ApiError> {
    let name = format!("{}-promoted-{number}", cache.name).parse();
    name.map_err(|error| ApiError::new(ErrorCode::InvalidKey, format!("The key cannot be named: {error}.")))
}

fn public(keys: &[SecretKey]) -> PromotionKeys {
    PromotionKeys { keys: keys.iter().map(SecretKey::public_key).collect() }
}
