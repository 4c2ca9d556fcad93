//! The registry of tokens: which were made here, and which are not good any more.

use async_trait::async_trait;
use protocol::{Claims, Scope, Timestamp};

use crate::Result;

/// Tokens that were made here, and those that were revoked.
#[async_trait]
pub trait Tokens {
    /// Writes a token down; `false`, and nothing changes, if there is one with that id or that proof.
    async fn register_token(&self, token: &NewToken) -> Result<bool>;

    /// What the registry knows of a token that was verified. One statement.
    async fn token_standing(&self, token: &TokenRef) -> Result<Standing>;

    /// The token with that id.
    async fn find_token(&self, id: &str) -> Result<Option<TokenRow>>;

    /// A page of tokens, by when they end.
    async fn list_tokens(&self, filter: &TokenFilter, after: Option<&TokenMark>, limit: u32) -> Result<Vec<TokenRow>>;

    /// Revokes the token with that id; `false` if there is none, or it was revoked before.
    async fn revoke_token(&self, id: &str, now: Timestamp) -> Result<bool>;

    /// Revokes the tokens of a subject: those in the registry, and those made elsewhere that do not say that they were made
    /// after `now`. Tells how many in the registry were good until then.
    async fn revoke_subject(&self, subject: &str, now: Timestamp) -> Result<u64>;

    /// Notes that tokens were used. Those that are not in the registry do not matter.
    async fn touch_tokens(&self, ids: &[String], now: Timestamp) -> Result<()>;

    /// Forgets tokens that ended before `ended`, at most `limit`; how many.
    async fn prune_tokens(&self, ended: Timestamp, limit: u32) -> Result<u64>;
}

/// A token to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Its `jti`.
    pub id: String,
    /// Whom it was made for.
    pub subject: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Who made it.
    pub minted_by: String,
    /// The token that it was made with.
    pub parent: Option<String>,
    /// Names what it was exchanged for, if that is good for one token only.
    pub proof: Option<[u8; 32]>,
    /// When it was revoked, if it is written down for that.
    pub revoked_at: Option<Timestamp>,
}

/// A token in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// As in [`NewToken`].
    pub id: String,
    /// As in [`NewToken`].
    pub subject: String,
    /// As in [`NewToken`].
    pub scope: Scope,
    /// As in [`NewToken`].
    pub created_at: Timestamp,
    /// As in [`NewToken`].
    pub expires_at: Timestamp,
    /// As in [`NewToken`].
    pub minted_by: String,
    /// As in [`NewToken`].
    pub parent: Option<String>,
    /// When it was last used, give or take the time between two batches of notes.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What a token says of itself by which the registry knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRef<'a> {
    /// Its `jti`.
    pub id: Option<&'a str>,
    /// Whom it was made for.
    pub subject: &'a str,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

/// What the registry knows of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was made here.
    Registered,
    /// It was made elsewhere.
    Unregistered,
    /// It was revoked, wherever it was made.
    Revoked,
}

/// Which tokens to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenFilter {
    /// Only those of this subject.
    pub subject: Option<String>,
    /// Only those that end at this time or later.
    pub expires_from: Option<Timestamp>,
    /// Only those that end before.
    pub expires_before: Option<Timestamp>,
    /// Revoked ones too.
    pub with_revoked: bool,
}

/// The place of a token in a list, to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMark {
    /// When it ends.
    pub expires_at: Timestamp,
    /// Its `jti`.
    pub id: String,
}

impl<'a> From<&'a Claims> for TokenRef<'a> {
    fn from(claims: &'a Claims) -> Self {
        Self { id: claims.jti.as_deref(), subject: &claims.sub, created_at: claims.iat.or(claims.nbf) }
    }
}

impl Standing {
    /// From the two questions that a database asks.
    #[must_use]
    pub const fn of(is_registered: bool, is_revoked: bool) -> Self {
        match (is_registered, is_revoked) {
            (_, true) => Self::Revoked,
            (true, false) => Self::Registered,
            (false, false) => Self::Unregistered,
        }
    }
}

impl TokenFilter {
    /// The place before the first token of the list, when the list does not go on from `after`.
    #[must_use]
    pub fn start(&self, after: Option<&TokenMark>) -> TokenMark {
        let first = || TokenMark { expires_at: self.expires_from.unwrap_or(Timestamp(i64::MIN)), id: String::new() };
        after.cloned().unwrap_or_else(first)
    }
}

impl TokenRow {
    /// Its place in a list.
    #[must_use]
    pub fn mark(&self) -> TokenMark {
        TokenMark { expires_at: self.expires_at, id: self.id.clone() }
    }
}
