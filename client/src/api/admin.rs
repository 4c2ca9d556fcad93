//! What admins ask of a server: tokens, the audit, limits of caches.

use bytes::Bytes;
use protocol::{
    CacheName, Timestamp,
    admin::{ActPage, MintRequest, Minted, RevokeRequest, Revoked, TokenInfo, TokenPage},
    keep::LimitsInfo,
};
use reqwest::Method;
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{Api, ApiError, Repeat, parse};

/// Which tokens to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenQuery {
    /// Only those of this subject.
    pub subject: Option<String>,
    /// Only those that end within so many seconds.
    pub expiring: Option<u64>,
    /// Those that are not good any more, too.
    pub all: bool,
}

/// Which acts to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActQuery {
    /// Only those at this time or later.
    pub since: Option<Timestamp>,
    /// Only those on this cache.
    pub cache: Option<CacheName>,
    /// So many on a page at most.
    pub limit: Option<u32>,
}

impl Api {
    /// A page of tokens, from behind `after` on.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn list_tokens(&self, query: &TokenQuery, after: Option<&str>) -> Result<TokenPage, ApiError> {
        let url = self.admin_url(
            &["tokens"],
            &[
                ("subject", query.subject.clone()),
                ("expiring", query.expiring.map(|seconds| seconds.to_string())),
                ("all", query.all.then(|| "true".to_owned())),
                ("after", after.map(str::to_owned)),
            ],
        );
        self.admin(Method::GET, url, None::<&()>, Repeat::Freely).await
    }

    /// What is known of a token.
    ///
    /// # Errors
    /// There is none, not allowed, or the server cannot be reached.
    pub async fn find_token(&self, id: &str) -> Result<TokenInfo, ApiError> {
        self.admin(Method::GET, self.admin_url(&["tokens", id], &[]), None::<&()>, Repeat::Freely).await
    }

    /// Makes a token.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn mint_token(&self, wanted: &MintRequest) -> Result<Minted, ApiError> {
        self.admin(Method::POST, self.admin_url(&["tokens"], &[]), Some(wanted), Repeat::IfUntouched).await
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// There is none, not allowed, or the server cannot be reached.
    pub async fn revoke_token(&self, id: &str) -> Result<Revoked, ApiError> {
        self.admin(Method::DELETE, self.admin_url(&["tokens", id], &[]), None::<&()>, Repeat::Freely).await
    }

    /// Revokes all tokens of a subject.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn revoke_subject(&self, subject: &str) -> Result<Revoked, ApiError> {
        let whose = RevokeRequest { subject: subject.to_owned() };
        self.admin(Method::POST, self.admin_url(&["tokens", "revoke"], &[]), Some(&whose), Repeat::Freely).await
    }

    /// A page of administrative acts, newest first, from behind `after` on.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn list_acts(&self, query: &ActQuery, after: Option<&str>) -> Result<ActPage, ApiError> {
        let url = self.admin_url(
            &["audit"],
            &[
                ("since", query.since.map(|since| since.0.to_string())),
                ("cache", query.cache.as_ref().map(ToString::to_string)),
                ("limit", query.limit.map(|limit| limit.to_string())),
                ("after", after.map(str::to_owned)),
            ],
        );
        self.admin(Method::GET, url, None::<&()>, Repeat::Freely).await
    }

    /// The limits of a cache, and how much it holds.
    ///
    /// # Errors
    /// No such cache, not allowed, or the server cannot be reached.
    pub async fn limits(&self, cache: &CacheName) -> Result<LimitsInfo, ApiError> {
        let url = self.admin_url(&["caches", cache.as_str(), "limits"], &[]);
        self.admin(Method::GET, url, None::<&()>, Repeat::Freely).await
    }

    /// Changes those limits of a cache that `change` names.
    ///
    /// # Errors
    /// No such cache, not allowed, or the server cannot be reached.
    pub async fn set_limits(&self, cache: &CacheName, change: &LimitsInfo) -> Result<(), ApiError> {
        let url = self.admin_url(&["caches", cache.as_str(), "limits"], &[]);
        self.admin_act(Method::PATCH, &url, Some(change), Repeat::Freely).await.map(drop)
    }

    fn admin_url(&self, path: &[&str], query: &[(&str, Option<String>)]) -> Url {
        let mut url = self.url_of(["_flywheel", "v1"].into_iter().chain(path.iter().copied()));
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        url
    }

    async fn admin<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&impl Serialize>,
        repeat: Repeat,
    ) -> Result<T, ApiError> {
        parse(&url, &self.admin_act(method, &url, body, repeat).await?)
    }

    async fn admin_act(
        &self,
        method: Method,
        url: &Url,
        body: Option<&impl Serialize>,
        repeat: Repeat,
    ) -> Result<Vec<u8>, ApiError> {
        let json = |body| serde_json::to_vec(body).map_err(|source| ApiError::Answer { url: url.clone(), source });
        let body = body.map(json).transpose()?.map(|json| ("application/json", Bytes::from(json)));
        self.send_small(&method, url, body.as_ref(), repeat).await
    }
}
