//! What a token may do: permissions by cache pattern, in Attic's claim and in one of our own.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
    ser::{SerializeMap, Serializer},
};

use crate::{CacheName, CachePattern, Permission, Permissions};

/// Everything that a token may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scope {
    /// The permissions that Attic has.
    #[serde(rename = "https://jwt.attic.rs/v1", default)]
    pub attic: CacheClaim,
    /// The permissions that Attic does not have.
    #[serde(rename = "urn:flywheel-cache:v1", default, skip_serializing_if = "CacheClaim::is_empty")]
    pub flywheel: CacheClaim,
}

/// A claim of a token: permissions by cache pattern.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CacheClaim {
    /// The permissions, in the order in which the token gives them: among patterns the first match counts.
    #[serde(default)]
    pub caches: Grants,
}

/// One line of a token: what it may do to the caches that a pattern names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheGrant {
    /// Which caches.
    pub pattern: CachePattern,
    /// What may be done to them.
    pub permissions: Permissions,
}

/// The grants of a claim, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants(pub Vec<CacheGrant>);

/// Grants as people write them: `{ "main" = ["pull", "push"] }`. Their order says nothing: what a wider pattern grants, a narrower
/// one grants too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantTable(pub Vec<(CachePattern, Permissions)>);

impl GrantTable {
    /// The same for a token.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::granting(&self.0)
    }

    /// Tells whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&Scope> for GrantTable {
    fn from(scope: &Scope) -> Self {
        let mut table: Vec<(CachePattern, Permissions)> = Vec::new();
        for grant in scope.attic.caches.0.iter().chain(&scope.flywheel.caches.0) {
            match table.iter_mut().find(|(pattern, _)| *pattern == grant.pattern) {
                Some((_, permissions)) => *permissions = permissions.union(grant.permissions),
                None => table.push((grant.pattern.clone(), grant.permissions)),
            }
        }
        Self(table)
    }
}

impl Serialize for GrantTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = |permissions: Permissions| permissions.iter().map(Permission::name).collect::<Vec<_>>();
        serializer.collect_map(self.0.iter().map(|(pattern, permissions)| (pattern, names(*permissions))))
    }
}

impl<'de> Deserialize<'de> for GrantTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table: BTreeMap<CachePattern, Vec<String>> = BTreeMap::deserialize(deserializer)?;
        let line = |(pattern, names): (CachePattern, Vec<String>)| {
            let permissions = names.iter().map(|name| name.parse::<Permission>()).collect::<Result<_, _>>();
            Ok((pattern, permissions.map_err(D::Error::custom)?))
        };
        table.into_iter().map(line).collect::<Result<_, _>>().map(Self)
    }
}

impl Scope {
    /// The scope in which all of `grants` is allowed, and nothing else.
    ///
    /// A token's reader takes the entry of exactly the cache's name, else the first pattern that matches, and no other one. So a
    /// narrower pattern comes before a wider one, and repeats what that one grants.
    #[must_use]
    pub fn granting(grants: &[(CachePattern, Permissions)]) -> Self {
        Self { attic: claim(grants, attics()), flywheel: claim(grants, ours()) }
    }

    /// What is allowed on `cache`.
    #[must_use]
    pub fn permissions(&self, cache: &CacheName) -> Permissions {
        let attic = self.attic.permissions(cache.as_str()).intersection(attics());
        attic.union(self.flywheel.permissions(cache.as_str()).intersection(ours()))
    }

    /// Tells whether whatever `other` allows, on whichever cache there may ever be, this scope allows too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let within = |ours: &CacheClaim, theirs: &CacheClaim, kind: Permissions| {
            let grants = &theirs.caches.0;
            grants.iter().all(|grant| ours.holds(&grant.pattern, grant.permissions.intersection(kind)))
        };
        within(&self.attic, &other.attic, attics()) && within(&self.flywheel, &other.flywheel, ours())
    }

    /// Tells whether `permission` is held on every cache that `other` allows anything on.
    #[must_use]
    pub fn holds_wherever(&self, permission: Permission, other: &Self) -> bool {
        let claim = if permission.is_attics() { &self.attic } else { &self.flywheel };
        let grants = other.attic.caches.0.iter().chain(&other.flywheel.caches.0);
        let mut granting = grants.filter(|grant| !grant.permissions.is_empty());
        granting.all(|grant| claim.holds(&grant.pattern, Permissions::NONE.with(permission)))
    }

    /// Tells whether `permission` is held on every cache there may ever be.
    #[must_use]
    pub fn holds_everywhere(&self, permission: Permission) -> bool {
        let claim = if permission.is_attics() { &self.attic } else { &self.flywheel };
        "*".parse().is_ok_and(|everything| claim.holds(&everything, Permissions::NONE.with(permission)))
    }
}

/// The permissions that count in Attic's claim.
fn attics() -> Permissions {
    Permission::ALL.into_iter().filter(|permission| permission.is_attics()).collect()
}

/// The permissions that count in our own claim.
fn ours() -> Permissions {
    Permission::ALL.into_iter().filter(|permission| !permission.is_attics()).collect()
}

fn claim(grants: &[(CachePattern, Permissions)], kind: Permissions) -> CacheClaim {
    let grants: Vec<(&CachePattern, Permissions)> = grants
        .iter()
        .map(|(pattern, some)| (pattern, some.intersection(kind)))
        .filter(|(_, some)| !some.is_empty())
        .collect();
    let mut all: Vec<CacheGrant> = Vec::new();
    for (pattern, _) in &grants {
        if all.iter().any(|grant| grant.pattern == **pattern) {
            continue;
        }
        let covering = grants.iter().filter(|(wide, _)| wide.covers(pattern));
        let permissions = covering.fold(Permissions::NONE, |all, (_, some)| all.union(*some));
        all.push(CacheGrant { pattern: (*pattern).clone(), permissions });
    }
    // What covers more of the others comes later; among equals the order stays.
    let patterns: Vec<CachePattern> = all.iter().map(|grant| grant.pattern.clone()).collect();
    all.sort_by_key(|grant| patterns.iter().filter(|other| grant.pattern.covers(other)).count());
    CacheClaim { caches: Grants(all) }
}

impl CacheClaim {
    /// Tells whether the claim says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.caches.0.is_empty()
    }

    /// The entry of exactly that name, else the first pattern that matches.
    fn permissions(&self, cache: &str) -> Permissions {
        let grants = &self.caches.0;
        let exact = grants.iter().find(|grant| grant.pattern.as_str() == cache);
        exact
            .or_else(|| grants.iter().find(|g| g.pattern.covers_text(cache)))
            .map_or(Permissions::NONE, |g| g.permissions)
    }

    /// Tells whether `wanted` is allowed on every cache that `pattern` matches.
    fn holds(&self, pattern: &CachePattern, wanted: Permissions) -> bool {
        if wanted.is_empty() {
            return true;
        }
        if pattern.is_name() {
            return self.permissions(pattern.as_str()).includes(wanted);
        }
        let grants = &self.caches.0;
        // A cache with an entry of its own has nothing but that.
        let mut names = grants.iter().filter(|grant| grant.pattern.is_name() && pattern.covers(&grant.pattern));
        if !names.all(|grant| grant.permissions.includes(wanted)) {
            return false;
        }
        // Of the others each has the first pattern that matches it, which is one of those up to the first that matches all.
        for grant in grants.iter().filter(|grant| !grant.pattern.is_name() && grant.pattern.overlaps(pattern)) {
            if !grant.permissions.includes(wanted) {
                return false;
            }
            if grant.pattern.covers(pattern) {
                return true;
            }
        }
        false
    }
}

impl Serialize for Grants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for grant in &self.0 {
            let flags: BTreeMap<&str, u8> = grant.permissions.iter().map(|p| (p.short_name(), 1)).collect();
            map.serialize_entry(&grant.pattern, &flags)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Grants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GrantsVisitor;
        impl<'de> Visitor<'de> for GrantsVisitor {
            type Value = Grants;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from cache patterns to permissions")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Grants, A::Error> {
                let mut grants = Vec::new();
                while let Some((pattern, flags)) = map.next_entry::<CachePattern, BTreeMap<String, Flag>>()? {
                    let mut permissions = Permissions::NONE;
                    for (name, flag) in flags {
                        // A permission that this version does not know grants nothing here.
                        let known = Permission::ALL.into_iter().find(|p| p.short_name() == name);
                        if let (Some(permission), true) = (known, flag.0) {
                            permissions = permissions.with(permission);
                        }
                    }
                    grants.push(CacheGrant { pattern, permissions });
                }
                Ok(Grants(grants))
            }
        }
        deserializer.deserialize_map(GrantsVisitor)
    }
}

/// 0 or 1 as Attic writes it; `true` and `false` are read too.
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(u64),
            Bool(bool),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Number(n @ (0 | 1)) => Ok(Self(n == 1)),
            Raw::Bool(b) => Ok(Self(b)),
            Raw::Number(n) => Err(D::Error::custom(format!("a permission is 0 or 1, not {n}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(attic: &str, flywheel: &str) -> Scope {
        let text = format!(
            r#"{{"https://jwt.attic.rs/v1":{{"caches":{attic}}},"urn:flywheel-cache:v1":{{"caches":{flywheel}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn of(attic: &str) -> Scope {
        scope(attic, "{}")
    }

    #[test]
    fn a_permission_counts_in_its_own_claim_only() {
        let swapped = scope(r#"{"*":{"r":1,"tk":1}}"#, r#"{"*":{"w":1,"au":1}}"#);
        assert_eq!(format!("{:?}", swapped.permissions(&"main".parse().unwrap())), r#"{"r", "au"}"#);
        let text = serde_json::to_string(&of("{}")).unwrap();
        assert!(!text.contains("urn:"), "what Attic does not have is left out where there is nothing: {text}");
    }

    #[test]
    fn nobody_covers_more_than_they_hold() {
        let team = of(r#"{"team-a":{"r":1},"team-*":{"r":1,"w":1},"*":{"r":1}}"#);
        for within in [
            r#"{"team-b":{"r":1,"w":1}}"#,
            r#"{"team-a":{"r":1}}"#,
            r#"{"team-b*":{"w":1}}"#,
            r#"{"*":{"r":1}}"#,
            r#"{"a*":{"r":1},"*":{}}"#,
            r#"{"*-x":{"r":1}}"#,
            "{}",
        ] {
            assert!(team.covers(&of(within)), "{within}");
        }
        for beyond in [
            r#"{"team-a":{"w":1}}"#,
            // team-a would be among them.
            r#"{"team-*":{"w":1}}"#,
            r#"{"team*":{"w":1}}"#,
            r#"{"*":{"w":1}}"#,
            r#"{"*-x":{"w":1}}"#,
            r#"{"other":{"r":1,"w":1}}"#,
            r#"{"team-b":{"d":1}}"#,
        ] {
            assert!(!team.covers(&of(beyond)), "{beyond}");
        }
        assert!(!of("{}").covers(&of(r#"{"main":{"r":1}}"#)));
        assert!(!team.covers(&scope("{}", r#"{"team-b":{"tk":1}}"#)));
        let split = of(r#"{"a*":{"r":1},"*":{"r":1,"w":1}}"#);
        assert!(!split.covers(&of(r#"{"*":{"w":1}}"#)), "caches that begin with a have less");
    }

    #[test]
    fn tokens_are_managed_where_the_permission_is_held() {
        let manager = scope(r#"{"*":{"r":1}}"#, r#"{"team-*":{"tk":1}}"#);
        assert!(manager.holds_wherever(Permission::ManageTokens, &of(r#"{"team-a":{"r":1}}"#)));
        assert!(manager.holds_wherever(Permission::ManageTokens, &of(r#"{"team-*":{"r":1},"other":{}}"#)));
        assert!(!manager.holds_wherever(Permission::ManageTokens, &of(r#"{"team-a":{"r":1},"main":{"r":1}}"#)));
        assert!(!manager.holds_everywhere(Permission::ManageTokens));
        assert!(manager.holds_everywhere(Permission::Pull));
    }

    #[test]
    fn a_scope_allows_every_grant_it_is_made_of() {
        let one = |pattern: &str, permission| (pattern.parse().unwrap(), Permissions::NONE.with(permission));
        let mut grants = vec![
            one("*", Permission::Pull),
            one("team-*", Permission::Push),
            one("team-a", Permission::Delete),
            one("*-ci", Permission::ManageTokens),
        ];
        for _ in 0..grants.len() {
            grants.rotate_left(1);
            let scope = Scope::granting(&grants);
            let may = |name: &str| format!("{:?}", scope.permissions(&name.parse().unwrap()));
            assert_eq!(may("other"), r#"{"r"}"#);
            assert_eq!(may("team-b"), r#"{"r", "w"}"#);
            assert_eq!(may("team-a"), r#"{"r", "w", "d"}"#);
            assert_eq!(may("x-ci"), r#"{"r", "tk"}"#);
        }
    }

    #[test]
    fn a_flag_is_zero_or_one() {
        assert!(serde_json::from_str::<Grants>(r#"{"main":{"cc":2}}"#).is_err());
        let grants: Grants = serde_json::from_str(r#"{"main":{"cc":true,"r":0,"zz":1}}"#).unwrap();
        assert_eq!(format!("{:?}", grants.0[0].permissions), r#"{"cc"}"#);
    }

    #[test]
    fn a_table_is_read_and_written() {
        let text = r#"{"main":["pull","push"],"team-*":["pull","manage-tokens"]}"#;
        let table: GrantTable = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&table).unwrap(), text);
        let scope = table.scope();
        assert_eq!(serde_json::to_string(&GrantTable::from(&scope)).unwrap(), text);
        let error = serde_json::from_str::<GrantTable>(r#"{"main":["write"]}"#).unwrap_err().to_string();
        assert!(error.contains("\"write\" is no permission"), "{error}");
    }
}
