//! A caller, and what they may do to a cache.

use std::sync::Arc;

use database::Cache;
use protocol::{CacheName, Claims, Permission, Permissions, Scope};

/// Who makes a request.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    claims: Option<Claims>,
    /// What the configuration lets everybody do.
    everybody: Option<Arc<Scope>>,
}

/// Why a caller may not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// They may do nothing at all to the cache, and must not learn whether it exists.
    #[error("unauthorized")]
    Unauthorized,
    /// They may do other things to the cache, but not this.
    #[error("this token may not do that to this cache")]
    Forbidden,
}

impl Caller {
    /// Somebody without a token.
    #[must_use]
    pub const fn anonymous() -> Self {
        Self { claims: None, everybody: None }
    }

    /// The bearer of a token that was verified.
    #[must_use]
    pub const fn bearing(claims: Claims) -> Self {
        Self { claims: Some(claims), everybody: None }
    }

    /// The same caller, who may also do what everybody may.
    #[must_use]
    pub fn among(self, everybody: Option<Arc<Scope>>) -> Self {
        Self { everybody, ..self }
    }

    /// What the caller's token says.
    #[must_use]
    pub const fn claims(&self) -> Option<&Claims> {
        self.claims.as_ref()
    }

    /// Whom the token was made for.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.as_ref().map(|claims| claims.sub.as_str())
    }

    /// The token's own name.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.claims.as_ref()?.jti.as_deref()
    }

    /// What the caller may do to a cache.
    #[must_use]
    pub fn permissions(&self, cache: &Cache) -> Permissions {
        let granted = self.granted(&cache.name);
        if cache.is_public { granted.with(Permission::Pull) } else { granted }
    }

    /// What the caller is granted on a name, by a token or with everybody, whether or not there is a cache of that name.
    #[must_use]
    pub fn granted(&self, name: &CacheName) -> Permissions {
        let by_token = self.claims.as_ref().map_or(Permissions::NONE, |claims| claims.scope.permissions(name));
        by_token.union(self.everybody.as_ref().map_or(Permissions::NONE, |scope| scope.permissions(name)))
    }

    /// Tells whether there may be a cache that the caller may push to.
    #[must_use]
    pub fn may_push_somewhere(&self) -> bool {
        let scopes = self.claims.iter().map(|claims| &claims.scope).chain(self.everybody.as_deref());
        let mut grants = scopes.flat_map(|scope| &scope.attic.caches.0);
        grants.any(|grant| grant.permissions.contains(Permission::Push))
    }

    /// Decides whether the caller may do something that needs `permission` to the cache of that name; `cache` is that cache,
    /// if there is one. That it is absent is for the caller of this function to tell, and only after `Ok`.
    ///
    /// # Errors
    /// As [`Refusal`] says.
    pub fn require(&self, permission: Permission, name: &CacheName, cache: Option<&Cache>) -> Result<(), Refusal> {
        decide(cache.map_or_else(|| self.granted(name), |cache| self.permissions(cache)), permission)
    }
}

fn decide(held: Permissions, needed: Permission) -> Result<(), Refusal> {
    if held.contains(needed) {
        Ok(())
    } else if held.is_empty() {
        Err(Refusal::Unauthorized)
    } else {
        Err(Refusal::Forbidden)
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use database::CacheId;
    use formats::{SecretKey, StoreDir};

    use super::*;

    fn name(text: &str) -> CacheName {
        text.parse().unwrap()
    }

    fn cache(text: &str, is_public: bool) -> Cache {
        let key = SecretKey::generate(text.parse().unwrap(), [7; 32]);
        Cache {
            id: CacheId(1),
            name: name(text),
            is_public,
            store_dir: StoreDir::from_str("/nix/store").unwrap(),
            priority: 41,
            upstream_key_names: vec![],
            retention: None,
            keys: vec![key],
        }
    }

    fn bearer(caches: &str) -> Caller {
        let claims = format!(r#"{{"sub":"ci","exp":2000000000,"https://jwt.attic.rs/v1":{{"caches":{caches}}}}}"#);
        Caller::bearing(serde_json::from_str(&claims).unwrap())
    }

    #[test]
    fn a_public_cache_is_pulled_by_all_and_pushed_by_some() {
        let main = cache("main", true);
        let (anonymous, pusher) = (Caller::anonymous(), bearer(r#"{"main":{"w":1}}"#));
        for caller in [&anonymous, &pusher] {
            assert_eq!(caller.require(Permission::Pull, &main.name, Some(&main)), Ok(()));
        }
        assert_eq!(anonymous.require(Permission::Push, &main.name, Some(&main)), Err(Refusal::Forbidden));
        assert_eq!(pusher.require(Permission::Push, &main.name, Some(&main)), Ok(()));
        assert_eq!((anonymous.subject(), pusher.subject()), (None, Some("ci")));
    }

    #[test]
    fn whether_a_private_cache_exists_is_told_to_those_who_may_do_something_to_it() {
        let hidden = cache("hidden", false);
        let stranger = bearer(r#"{"other":{"r":1,"w":1}}"#);
        for caller in [&Caller::anonymous(), &stranger] {
            for permission in Permission::ALL {
                let there = caller.require(permission, &hidden.name, Some(&hidden));
                let absent = caller.require(permission, &hidden.name, None);
                assert_eq!((there, absent), (Err(Refusal::Unauthorized), Err(Refusal::Unauthorized)));
            }
        }
        let reader = bearer(r#"{"hid*":{"r":1}}"#);
        assert_eq!(reader.require(Permission::Pull, &hidden.name, None), Ok(()));
        assert_eq!(reader.require(Permission::Push, &hidden.name, Some(&hidden)), Err(Refusal::Forbidden));
    }

    #[test]
    fn what_everybody_may_do_adds_to_a_token() {
        let everybody: Scope =
            serde_json::from_str(r#"{"https://jwt.attic.rs/v1":{"caches":{"open":{"r":1,"w":1}}}}"#).unwrap();
        let everybody = Some(Arc::new(everybody));
        let may = |caller: &Caller, text: &str| format!("{:?}", caller.granted(&name(text)));
        let stranger = Caller::anonymous().among(everybody.clone());
        assert_eq!((may(&stranger, "open"), may(&stranger, "main")), (r#"{"r", "w"}"#.into(), "{}".into()));
        assert_eq!(stranger.require(Permission::Push, &name("open"), None), Ok(()));
        assert_eq!(stranger.require(Permission::Push, &name("main"), None), Err(Refusal::Unauthorized));
        let holder = bearer(r#"{"open":{"r":1,"d":1}}"#).among(everybody);
        assert_eq!(may(&holder, "open"), r#"{"r", "w", "d"}"#);
    }
}
