//! Which policy a cache goes by: its own, as an admin has set it over the API, or the server's.

use database::{CacheId, Error, Result};
use serde_json::Value;

use super::policy::{Policy, Rules};
use crate::app::App;

/// The policy in effect for a cache.
///
/// # Errors
/// If the index fails; or if it holds rules that this version does not understand, so that nothing is judged by half of them.
pub async fn of(app: &App, cache: CacheId) -> Result<Policy> {
    match app.database.policies(cache, 1).await?.pop().and_then(|newest| newest.rules) {
        None => Ok(app.promote.policy.clone()),
        Some(rules) => read(rules).map(Policy::new).map_err(|error| Error::Inconsistent {
            table: "promotion_policy",
            column: "rules",
            what: error.to_string(),
        }),
    }
}

/// Reads rules in the form that a policy file has as JSON.
///
/// # Errors
/// If there is a key that there is not, or a value that does not fit its key.
pub fn read(rules: Value) -> serde_json::Result<Rules> {
    serde_json::from_value(rules)
}
