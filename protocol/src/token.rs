//! What a token says: Attic's JWT claims. Signing and checking them is the server's business.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Scope, Timestamp};

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
    #[serde(flatten)]
    pub scope: Scope,
}

impl Claims {
    /// How far the clocks of those who make tokens and of those who check them may be apart.
    pub const LEEWAY: Duration = Duration::from_secs(60);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the deployment's token script writes.
    const SCRIPT: &str = r#"{"sub":"ci","exp":2000000000,"https://jwt.attic.rs/v1":{"caches":{"team-*":{"r":1,"w":1,"cc":0},"team-a":{"r":1},"*":{"r":1,"zz":1}}}}"#;

    #[test]
    fn exact_names_go_before_patterns() {
        let claims: Claims = serde_json::from_str(SCRIPT).unwrap();
        let may = |name: &str| format!("{:?}", claims.scope.permissions(&name.parse().unwrap()));
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
}
