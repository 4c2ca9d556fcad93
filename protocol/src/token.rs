//! What a token says: Attic's JWT claims. Signing and checking them is the server's business.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
    ser::{SerializeMap, Serializer},
};

use crate::{CacheName, CachePattern, Permission, Permissions, Timestamp};

/// The claims of a token, in the shape that Attic's clients and scripts mint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Whom the token was made for; shown in logs, never a means of access.
    pub sub: String,
    /// When it ends.
    pub exp: Timestamp,
    /// When it begins, if not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<Timestamp>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<Timestamp>,
    /// The token's own name, by which it can be listed and revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// What it may do.
    #[serde(rename = "https://jwt.attic.rs/v1", default)]
    pub attic: AtticClaim,
}

/// The claim `https://jwt.attic.rs/v1`: permissions by cache pattern.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AtticClaim {
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

/// The grants of a token, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants(pub Vec<CacheGrant>);

impl AtticClaim {
    /// What the claim allows on `cache`: the entry of exactly that name, else the first pattern that matches.
    #[must_use]
    pub fn permissions(&self, cache: &CacheName) -> Permissions {
        let grants = &self.caches.0;
        let exact = grants.iter().find(|g| g.pattern.as_str() == cache.as_str());
        exact.or_else(|| grants.iter().find(|g| g.pattern.matches(cache))).map_or(Permissions::NONE, |g| g.permissions)
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

    /// What the deployment's token script writes.
    const SCRIPT: &str = r#"{"sub":"ci","exp":2000000000,"https://jwt.attic.rs/v1":{"caches":{"team-*":{"r":1,"w":1,"cc":0},"team-a":{"r":1},"*":{"r":1,"zz":1}}}}"#;

    #[test]
    fn exact_names_go_before_patterns() {
        let claims: Claims = serde_json::from_str(SCRIPT).unwrap();
        let may = |name: &str| format!("{:?}", claims.attic.permissions(&name.parse().unwrap()));
        assert_eq!(may("team-a"), r#"{"r"}"#);
        assert_eq!(may("team-b"), r#"{"r", "w"}"#);
        assert_eq!(may("other"), r#"{"r"}"#);
    }

    #[test]
    fn claims_travel_as_attic_writes_them() {
        let claims: Claims = serde_json::from_str(SCRIPT).unwrap();
        let text = serde_json::to_string(&claims).unwrap();
        assert!(text.contains(r#""https://jwt.attic.rs/v1":{"caches":{"team-*":{"r":1,"w":1}"#), "{text}");
        assert_eq!(serde_json::from_str::<Claims>(&text).unwrap(), claims);
    }

    #[test]
    fn a_flag_is_zero_or_one() {
        let bad = SCRIPT.replace("\"cc\":0", "\"cc\":2");
        assert!(serde_json::from_str::<Claims>(&bad).is_err());
    }
}
