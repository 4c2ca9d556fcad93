//! `[flywheel.exchange]`: whose identities are exchanged for tokens.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use protocol::GrantTable;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use url::Url;

use super::HumanDuration;

/// Tokens are for a job, and no longer than a long one.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
const SHORTEST: Duration = Duration::from_secs(60);

/// Issuers with tenants that do not know one another, and the claims that say which tenant it is. A rule that asks for none of
/// them would let in everybody.
const SHARED_ISSUERS: [(&str, &[&str]); 2] = [
    (
        "https://token.actions.githubusercontent.com",
        &["sub", "repository", "repository_id", "repository_owner", "repository_owner_id"],
    ),
    ("https://gitlab.com", &["sub", "project_path", "project_id", "namespace_path", "namespace_id"]),
];

/// `[flywheel.exchange]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Exchange {
    /// Of several rules that an identity fits, the first counts.
    pub rules: Vec<TrustRule>,
}

/// `[[flywheel.exchange.rules]]`: an identity that fits all of this gets a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrustRule {
    /// What the rule is called in the log and in the audit.
    pub name: String,
    /// Who vouches for the identity: its `iss`, and where its keys are found.
    pub issuer: String,
    /// Whom the identity must be meant for: this server.
    pub audience: String,
    /// What its claims must be.
    pub claims: BTreeMap<String, ClaimPatterns>,
    /// What the token may do.
    pub grants: GrantTable,
    /// How long the token is good.
    #[serde(default = "an_hour")]
    pub lifetime: HumanDuration,
    /// Whether one identity token is good for one exchange only.
    #[serde(default = "yes")]
    pub single_use: bool,
    /// Whether the issuer may be asked for its keys without TLS. For tests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_http: bool,
}

/// What a claim must be: one of these, in which `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClaimPatterns(Vec<String>);

impl Exchange {
    /// Tells whether no identity is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl ClaimPatterns {
    /// Tells whether a value is one of these.
    #[must_use]
    pub fn match_text(&self, value: &str) -> bool {
        self.0.iter().any(|pattern| protocol::matches_wildcard(pattern, value))
    }

    /// Tells whether every value is good.
    fn match_anything(&self) -> bool {
        self.0.iter().any(|pattern| pattern.chars().all(|c| c == '*'))
    }
}

impl std::fmt::Display for ClaimPatterns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" or "))
    }
}

impl<'de> Deserialize<'de> for ClaimPatterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a text or a list of texts")]
        enum Raw {
            One(String),
            Several(Vec<String>),
        }
        let patterns = match Raw::deserialize(deserializer)? {
            Raw::One(pattern) => vec![pattern],
            Raw::Several(patterns) => patterns,
        };
        if patterns.is_empty() || patterns.iter().any(String::is_empty) {
            return Err(D::Error::custom("a claim has at least one pattern, and none is empty"));
        }
        Ok(Self(patterns))
    }
}

/// Why a rule makes no sense.
#[derive(Debug, thiserror::Error)]
enum RuleError {
    #[error("two rules are called {0:?}")]
    Twice(String),
    #[error("the rule {rule:?}: issuer {issuer:?} is no https address{}", if *.insecure { "; allow-http = true would let it be" } else { "" })]
    Issuer { rule: String, issuer: String, insecure: bool },
    #[error("the rule {rule:?} asks for no claim{}", .of.map(|names| format!(" of {}", names.join(", "))).unwrap_or_default() + ", so that everybody with an account at the issuer would fit it")]
    Open { rule: String, of: Option<&'static [&'static str]> },
    #[error("the rule {0:?} grants nothing")]
    Nothing(String),
    #[error("the rule {0:?} has no audience")]
    Audience(String),
    #[error("the rule {0:?}: lifetime is between 1min and 1day")]
    Lifetime(String),
}

impl TrustRule {
    fn check(&self) -> Result<(), RuleError> {
        let rule = || self.name.clone();
        let url = Url::parse(&self.issuer).ok();
        let plain = url.filter(|url| url.has_host() && url.query().is_none() && url.fragment().is_none());
        let scheme = plain.as_ref().map(Url::scheme);
        let insecure = scheme == Some("http");
        if !(scheme == Some("https") || insecure && self.allow_http) {
            return Err(RuleError::Issuer { rule: rule(), issuer: self.issuer.clone(), insecure });
        }
        let narrows = |(_, patterns): &(&String, &ClaimPatterns)| !patterns.match_anything();
        let narrowing: BTreeSet<&str> = self.claims.iter().filter(narrows).map(|(name, _)| name.as_str()).collect();
        let shared = SHARED_ISSUERS.iter().find(|(issuer, _)| *issuer == self.issuer.trim_end_matches('/'));
        let of = shared.map(|(_, names)| *names);
        if narrowing.is_empty() || of.is_some_and(|names| !names.iter().any(|name| narrowing.contains(name))) {
            return Err(RuleError::Open { rule: rule(), of });
        }
        if self.grants.0.iter().all(|(_, permissions)| permissions.is_empty()) {
            return Err(RuleError::Nothing(rule()));
        }
        if self.audience.is_empty() {
            return Err(RuleError::Audience(rule()));
        }
        match (SHORTEST..=LONGEST).contains(&self.lifetime.0) {
            true => Ok(()),
            false => Err(RuleError::Lifetime(rule())),
        }
    }
}

impl<'de> Deserialize<'de> for Exchange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            #[serde(default)]
            rules: Vec<TrustRule>,
        }
        let Raw { rules } = Raw::deserialize(deserializer)?;
        let mut names = BTreeSet::new();
        for rule in &rules {
            rule.check().map_err(D::Error::custom)?;
            if !names.insert(&rule.name) {
                return Err(D::Error::custom(RuleError::Twice(rule.name.clone())));
            }
        }
        Ok(Self { rules })
    }
}

fn an_hour() -> HumanDuration {
    HumanDuration::from_secs(3600)
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = r#"
[[rules]]
name = "main"
issuer = "https://token.actions.githubusercontent.com"
audience = "https://cache.example.org"
claims = { repository = "acme/*", ref = ["refs/heads/main", "refs/tags/v*"] }
grants = { main = ["pull", "push"] }
"#;

    fn why(text: &str) -> String {
        toml::from_str::<Exchange>(text).unwrap_err().message().to_owned()
    }

    #[test]
    fn a_rule_is_read() {
        let exchange: Exchange = toml::from_str(RULE).unwrap();
        let rule = &exchange.rules[0];
        assert_eq!((rule.lifetime, rule.single_use, rule.allow_http), (HumanDuration::from_secs(3600), true, false));
        assert!(rule.claims["ref"].match_text("refs/tags/v1") && !rule.claims["ref"].match_text("refs/heads/mainline"));
        assert!(rule.claims["repository"].match_text("acme/app") && !rule.claims["repository"].match_text("acme2/app"));
        let shown = toml::to_string(&exchange).unwrap();
        assert_eq!(toml::from_str::<Exchange>(&shown).unwrap(), exchange, "{shown}");
        assert!(toml::from_str::<Exchange>("").unwrap().is_empty());
    }

    #[test]
    fn rules_that_would_let_in_everybody_are_refused() {
        let of = |claims: &str| {
            let (before, after) = RULE.split_once("claims = ").unwrap();
            format!("{before}claims = {claims}\n{}", after.split_once('\n').unwrap().1)
        };
        for open in
            ["{}", "{ repository = \"*\" }", "{ ref = \"refs/heads/main\" }", "{ repository = [\"a\", \"**\"] }"]
        {
            assert!(why(&of(open)).contains("everybody with an account"), "{open}");
        }
        let own = of("{ ref = \"refs/heads/main\" }").replace("token.actions.githubusercontent.com", "git.example.org");
        assert!(toml::from_str::<Exchange>(&own).is_ok(), "an issuer of one's own has no strangers");
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        for (from, to, expected) in [
            ("https://token.actions", "http://token.actions", "allow-http"),
            ("https://token.actions.githubusercontent.com", "github", "is no https address"),
            ("[\"pull\", \"push\"]", "[]", "grants nothing"),
            ("\"https://cache.example.org\"", "\"\"", "no audience"),
            ("[\"refs/heads/main\", \"refs/tags/v*\"]", "[]", "at least one pattern"),
            ("name = \"main\"", "name = \"main\"\nlifetime = \"2 days\"", "lifetime"),
            ("name = \"main\"", "name = \"main\"\nlifetimes = 1", "lifetimes"),
        ] {
            let text = RULE.replace(from, to);
            assert!(why(&text).contains(expected), "{to}: {}", why(&text));
        }
        assert!(why(&format!("{RULE}{RULE}")).contains("two rules"));
        let insecure = RULE.replace("https://token", "http://token").replace("name =", "allow-http = true\nname =");
        assert!(toml::from_str::<Exchange>(&insecure).is_ok());
    }
}
