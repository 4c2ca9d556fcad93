//! What is asked of claims to a cache.

use axum::{
    Json,
    extract::{Request, State},
    http::HeaderMap,
};
use database::Act;
use protocol::{
    ErrorCode, Permission,
    promotion::{CachePolicy, SetPolicy},
};
use serde_json::{Value, json};

use super::{asking::Asking, insider, json as read_json, malformed};
use crate::{
    app::App,
    audit::Deed,
    http::{
        ApiError,
        access::{self, InPath},
    },
    promote::policies,
};

/// How many versions are told.
const VERSIONS: u32 = 1000;

/// The policy in effect: the cache's own, or the server's.
pub(in crate::http) async fn show(
    State(app): State<App>,
    InPath(name): InPath,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let (cache, _) = insider(&app, &headers, &name).await?;
    let policy = policies::of(&app, cache.id).await?;
    let newest = app.database.policies(cache.id, 1).await?.pop();
    let number = newest.as_ref().map_or(0, |newest| newest.number);
    let own = newest.filter(|newest| newest.rules.is_some());
    Ok(Json(json!({
        "version": policy.rules.version,
        "digest": policy.digest,
        "rules": policy.rules,
        "number": number,
        "set_by": own.as_ref().map(|own| &own.set_by),
        "at": own.as_ref().map(|own| own.at),
    })))
}

/// Every version of the cache's own policy, newest first.
pub(in crate::http) async fn history(
    State(app): State<App>,
    InPath(name): InPath,
    headers: HeaderMap,
) -> Result<Json<Vec<CachePolicy>>, ApiError> {
    let (cache, _) = insider(&app, &headers, &name).await?;
    Ok(Json(app.database.policies(cache.id, VERSIONS).await?))
}

/// Asks something else from now on. What was found before stays, under the policy that it was found under.
pub(in crate::http) async fn set(
    asking: Asking,
    InPath(name): InPath,
    request: Request,
) -> Result<Json<CachePolicy>, ApiError> {
    let deed = Deed::done(Act::PolicySet).on(&name);
    let work = async |app: &App, headers: &HeaderMap| {
        let (cache, caller) = access::cache(app, headers, &name, Permission::ConfigureCache).await?;
        access::takes_settings(app, &cache).await?;
        let SetPolicy { rules, expected } = read_json(request).await?;
        let number = expected.checked_add(1).filter(|number| *number > 0);
        let number = number.ok_or_else(|| malformed("A version that is expected has a number."))?;
        // Written out whole, so that what is left out means the same in a later version of the server.
        let whole = |rules| policies::read(rules).and_then(serde_json::to_value);
        let rules = rules.map(whole).transpose().map_err(|error| malformed(format!("The policy: {error}.")))?;
        let set_by = caller.subject().unwrap_or_default().to_owned();
        let policy = CachePolicy { number, rules, set_by, at: app.clock.now() };
        let newest = app.database.policies(cache.id, 1).await?.first().map_or(0, |newest| newest.number);
        if newest != expected || !app.database.set_policy(cache.id, &policy).await? {
            let message = "The policy has been changed meanwhile.";
            let hint = "Look at it again: GET policy tells its number.";
            return Err(ApiError::new(ErrorCode::PolicyChanged, message).hint(hint));
        }
        Ok(Json(policy))
    };
    asking.to(deed, work).await
}
