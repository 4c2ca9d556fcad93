//! The server's side of promotion.

use bytes::Bytes;
use formats::StorePath;
use protocol::{
    CacheName,
    promotion::{
        CachePolicy, Candidate, CheckRequest, ClaimAnswer, ClaimRequest, Envelope, EvidenceQuestion, Explanation,
        ExportRequest, MoveTag, PromotionKeys, PromotionManifest, Reason, Report, Resolution, Revision, Rollback,
        SetPolicy, Tag, TagName, Visibility,
    },
};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::{Api, ApiError, Repeat, parse};

/// How many derivations one question is about.
const ASKED: usize = 5_000;

impl Api {
    /// Which of these derivations the evidence has not.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn missing_evidence(
        &self,
        cache: &CacheName,
        derivations: &[StorePath],
    ) -> Result<Vec<StorePath>, ApiError> {
        let mut missing = Vec::new();
        for some in derivations.chunks(ASKED) {
            let question = EvidenceQuestion { derivations: some.to_vec() };
            let answer: EvidenceQuestion =
                self.promotion(Method::POST, cache, &["evidence", "missing"], Some(&question)).await?;
            missing.extend(answer.derivations);
        }
        Ok(missing)
    }

    /// Sends derivations, each as a line with its name and length and then its bytes.
    ///
    /// # Errors
    /// Refused, or the server cannot be reached.
    pub async fn send_evidence(&self, cache: &CacheName, body: Bytes) -> Result<(), ApiError> {
        let url = self.promotion_url(cache, &["evidence"]);
        let body = ("application/octet-stream", body);
        self.send_small(&Method::POST, &url, Some(&body), Repeat::Freely).await.map(drop)
    }

    /// Files a claim.
    ///
    /// # Errors
    /// Refused, or the server cannot be reached.
    pub async fn file_claim(&self, cache: &CacheName, claim: &ClaimRequest) -> Result<ClaimAnswer, ApiError> {
        self.promotion(Method::POST, cache, &["claims"], Some(claim)).await
    }

    /// A claim, with what was found of it.
    ///
    /// # Errors
    /// No such claim, not allowed, or the server cannot be reached.
    pub async fn claim(&self, cache: &CacheName, id: i64) -> Result<ClaimAnswer, ApiError> {
        self.promotion(Method::GET, cache, &["claims", &id.to_string()], None::<&()>).await
    }

    /// The newest claims.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn claims(&self, cache: &CacheName) -> Result<Vec<ClaimAnswer>, ApiError> {
        self.promotion(Method::GET, cache, &["claims"], None::<&()>).await
    }

    /// What would be found of a claim, which is not filed.
    ///
    /// # Errors
    /// Refused, or the server cannot be reached.
    pub async fn check_claim(&self, cache: &CacheName, asked: &CheckRequest) -> Result<Report, ApiError> {
        self.promotion(Method::POST, cache, &["claims", "check"], Some(asked)).await
    }

    /// Sends what somebody attests about a claim.
    ///
    /// # Errors
    /// Refused, or the server cannot be reached.
    pub async fn attest(&self, cache: &CacheName, id: i64, envelope: &Envelope) -> Result<Value, ApiError> {
        self.promotion(Method::POST, cache, &["claims", &id.to_string(), "attestations"], Some(envelope)).await
    }

    /// The policy in effect.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn policy(&self, cache: &CacheName) -> Result<Value, ApiError> {
        self.promotion(Method::GET, cache, &["policy"], None::<&()>).await
    }

    /// Asks something else of claims from now on.
    ///
    /// # Errors
    /// Not allowed, changed by somebody else, or the server cannot be reached.
    pub async fn set_policy(&self, cache: &CacheName, wanted: &SetPolicy) -> Result<CachePolicy, ApiError> {
        let url = self.promotion_url(cache, &["policy"]);
        let body = json_body(&url, wanted)?;
        parse(&url, &self.send_small(&Method::PUT, &url, Some(&body), Repeat::IfUntouched).await?)
    }

    /// Has a claim verified again.
    ///
    /// # Errors
    /// No such claim, not allowed, or the server cannot be reached.
    pub async fn verify_claim(&self, cache: &CacheName, id: i64) -> Result<(), ApiError> {
        self.promotion_act(Method::POST, cache, &["claims", &id.to_string(), "verify"], None::<&()>).await
    }

    /// Takes a claim back: `withdraw` by its builder, `revoke` by a promoter.
    ///
    /// # Errors
    /// No such claim, not allowed, or the server cannot be reached.
    pub async fn retract_claim(&self, cache: &CacheName, id: i64, verb: &str, reason: &Reason) -> Result<(), ApiError> {
        self.promotion_act(Method::POST, cache, &["claims", &id.to_string(), verb], Some(reason)).await
    }

    /// Moves a tag; the revision that it has then.
    ///
    /// # Errors
    /// Not clean, moved by somebody else, not allowed, or the server cannot be reached.
    pub async fn move_tag(&self, cache: &CacheName, tag: &TagName, wanted: &MoveTag) -> Result<i64, ApiError> {
        let url = self.promotion_url(cache, &["tags", tag.as_str()]);
        self.moved(Method::PUT, &url, wanted).await
    }

    /// Goes back to an earlier revision; the revision that the tag has then.
    ///
    /// # Errors
    /// As [`Api::move_tag`].
    pub async fn roll_back(&self, cache: &CacheName, tag: &TagName, wanted: &Rollback) -> Result<i64, ApiError> {
        let url = self.promotion_url(cache, &["tags", tag.as_str(), "rollback"]);
        self.moved(Method::POST, &url, wanted).await
    }

    async fn moved(&self, method: Method, url: &Url, wanted: &impl serde::Serialize) -> Result<i64, ApiError> {
        #[derive(serde::Deserialize)]
        struct Moved {
            revision: i64,
        }
        let body = json_body(url, wanted)?;
        // A second time it would be somebody else's move.
        let answer = self.send_small(&method, url, Some(&body), Repeat::IfUntouched).await?;
        parse::<Moved>(url, &answer).map(|moved| moved.revision)
    }

    /// Every tag of a cache.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn tags(&self, cache: &CacheName) -> Result<Vec<Tag>, ApiError> {
        self.promotion(Method::GET, cache, &["tags"], None::<&()>).await
    }

    /// One tag.
    ///
    /// # Errors
    /// No such tag, not allowed, or the server cannot be reached.
    pub async fn tag(&self, cache: &CacheName, tag: &TagName) -> Result<Tag, ApiError> {
        self.promotion(Method::GET, cache, &["tags", tag.as_str()], None::<&()>).await
    }

    /// The closure that a tag points at.
    ///
    /// # Errors
    /// No such tag, it points at nothing, not allowed, or the server cannot be reached.
    pub async fn tag_manifest(&self, cache: &CacheName, tag: &TagName) -> Result<PromotionManifest, ApiError> {
        self.promotion(Method::GET, cache, &["tags", tag.as_str(), "manifest"], None::<&()>).await
    }

    /// The positions that a tag had, newest first.
    ///
    /// # Errors
    /// No such tag, not allowed, or the server cannot be reached.
    pub async fn tag_history(&self, cache: &CacheName, tag: &TagName) -> Result<Vec<Revision>, ApiError> {
        self.promotion(Method::GET, cache, &["tags", tag.as_str(), "history"], None::<&()>).await
    }

    /// Takes back what a tag points at.
    ///
    /// # Errors
    /// No such tag, not allowed, or the server cannot be reached.
    pub async fn revoke_tag(&self, cache: &CacheName, tag: &TagName, reason: &Reason) -> Result<(), ApiError> {
        self.promotion_act(Method::DELETE, cache, &["tags", tag.as_str()], Some(reason)).await
    }

    /// Changes who may substitute from a tag's view.
    ///
    /// # Errors
    /// No such tag, not allowed, or the server cannot be reached.
    pub async fn show_tag(&self, cache: &CacheName, tag: &TagName, visibility: Visibility) -> Result<(), ApiError> {
        let body = json!({ "visibility": visibility });
        self.promotion_act(Method::POST, cache, &["tags", tag.as_str(), "visibility"], Some(&body)).await
    }

    /// What leaves with a tag, and the receipt for it.
    ///
    /// # Errors
    /// Not public, not allowed, or the server cannot be reached.
    pub async fn export_tag(
        &self,
        cache: &CacheName,
        tag: &TagName,
        wanted: &ExportRequest,
    ) -> Result<Value, ApiError> {
        self.promotion(Method::POST, cache, &["tags", tag.as_str(), "export"], Some(wanted)).await
    }

    /// The keys that sign a cache's views; with `rotate` there is a new one first.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn promotion_keys(&self, cache: &CacheName, rotate: bool) -> Result<PromotionKeys, ApiError> {
        if !rotate {
            return self.promotion(Method::GET, cache, &["promotion-keys"], None::<&()>).await;
        }
        let url = self.promotion_url(cache, &["promotion-keys", "rotate"]);
        parse(&url, &self.send_small(&Method::POST, &url, None, Repeat::IfUntouched).await?)
    }

    /// Settles a disagreement of builders.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn resolve_divergence(
        &self,
        cache: &CacheName,
        path: &StorePath,
        resolution: &Resolution,
    ) -> Result<(), ApiError> {
        let path = path.to_string();
        self.promotion_act(Method::POST, cache, &["divergences", &path, "resolve"], Some(resolution)).await
    }

    /// What is known of a path.
    ///
    /// # Errors
    /// Nothing is, not allowed, or the server cannot be reached.
    pub async fn explain(&self, cache: &CacheName, path: &str) -> Result<Explanation, ApiError> {
        self.promotion(Method::GET, cache, &["explain", path], None::<&()>).await
    }

    /// What could be promoted, and what stands in the way.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn candidates(&self, cache: &CacheName) -> Result<Vec<Candidate>, ApiError> {
        self.promotion(Method::GET, cache, &["candidates"], None::<&()>).await
    }

    async fn promotion<T: DeserializeOwned>(
        &self,
        method: Method,
        cache: &CacheName,
        path: &[&str],
        body: Option<&impl serde::Serialize>,
    ) -> Result<T, ApiError> {
        let url = self.promotion_url(cache, path);
        let body = body.map(|body| json_body(&url, body)).transpose()?;
        parse(&url, &self.send_small(&method, &url, body.as_ref(), Repeat::Freely).await?)
    }

    async fn promotion_act(
        &self,
        method: Method,
        cache: &CacheName,
        path: &[&str],
        body: Option<&impl serde::Serialize>,
    ) -> Result<(), ApiError> {
        let url = self.promotion_url(cache, path);
        let body = body.map(|body| json_body(&url, body)).transpose()?;
        self.send_small(&method, &url, body.as_ref(), Repeat::Freely).await.map(drop)
    }

    fn promotion_url(&self, cache: &CacheName, path: &[&str]) -> Url {
        self.url_of(["_flywheel", "v1", "caches", cache.as_str()].into_iter().chain(path.iter().copied()))
    }
}

fn json_body(url: &Url, body: &impl serde::Serialize) -> Result<(&'static str, Bytes), ApiError> {
    let json = serde_json::to_vec(body).map_err(|source| ApiError::Answer { url: url.clone(), source })?;
    Ok(("application/json", json.into()))
}
