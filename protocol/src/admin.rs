//! What admins and CI ask of a server: tokens, identities, and what was done. Under `/_flywheel/v1/`.

use serde::{Deserialize, Serialize};

use crate::{GrantTable, Timestamp};

/// `POST tokens`: a token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MintRequest {
    /// Whom or what it is for.
    pub subject: String,
    /// How long it is good, in seconds.
    pub validity: u64,
    /// What it may do.
    pub grants: GrantTable,
}

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Minted {
    /// The token itself. It is told this once.
    pub token: String,
    /// Its name in the registry, its `jti`.
    pub id: String,
    /// Whom or what it is for.
    pub subject: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// In how many seconds that is, whatever the clock of its bearer says.
    pub expires_in: u64,
    /// What it may do.
    pub grants: GrantTable,
}

/// `GET tokens`, `GET tokens/{id}`: what is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TokenInfo {
    /// Its name in the registry, its `jti`.
    pub id: String,
    /// Whom or what it is for.
    pub subject: String,
    /// What it may do.
    pub grants: GrantTable,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Who made it.
    pub minted_by: String,
    /// The token that it was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When it was last used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// A page of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TokenPage {
    /// Those that the caller may know of; perhaps none.
    pub tokens: Vec<TokenInfo>,
    /// What `after` has to be for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `POST tokens/revoke`: whose tokens are not good any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RevokeRequest {
    /// The subject.
    pub subject: String,
}

/// What was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Revoked {
    /// How many tokens of the registry were good until then.
    pub tokens: u64,
}

/// `GET exchange`: what an identity token must be for, if the server takes any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExchangeOffer {
    /// The audiences that some rule asks for.
    pub audiences: Vec<String>,
}

/// `POST exchange`: an identity, to be exchanged for a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExchangeRequest {
    /// The identity token as its issuer made it.
    pub identity: String,
}

/// Shows no token.
impl std::fmt::Debug for ExchangeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeRequest").finish_non_exhaustive()
    }
}

/// `GET audit`: an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ActInfo {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub subject: String,
    /// With which token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// From where; absent if on the server's command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What, such as `cache.create`.
    pub act: String,
    /// On which cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// `done`, `refused` or `failed`.
    pub outcome: String,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A page of acts, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ActPage {
    /// The acts.
    pub acts: Vec<ActInfo>,
    /// What `after` has to be for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
