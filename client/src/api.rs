//! The server's side of things: Attic's API v1 over HTTP.

mod admin;
mod body;
mod error;
mod login;
mod native;
mod promotion;
mod served;
mod traffic;

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use formats::StorePathHash;
use protocol::{
    CacheName,
    admin::Minted,
    attic::{
        CacheConfig, GetMissingPathsRequest, GetMissingPathsResponse, MAX_HEADER_BYTES, NAR_INFO_HEADER,
        NAR_INFO_PREAMBLE_SIZE_HEADER, UploadPathNarInfo, UploadPathResult,
    },
    keep::{PinInfo, PinList, PinRequest},
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use url::Url;

use crate::retry::{Again, RetryPolicy, Retryable, retry};

pub use admin::{ActQuery, TokenQuery};
pub use body::{NarBody, Pace};
pub use error::{ApiError, Refusal};
pub use login::IdentitySource;
pub use native::PushSupport;
pub use traffic::Traffic;

/// How many hash parts one question holds; a server's limit on bodies is far above what these need.
const HASHES_PER_QUESTION: usize = 10_000;
/// No answer that we read is longer.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// How to reach a server.
#[derive(Clone)]
pub struct Settings {
    /// The server, without a cache's name.
    pub endpoint: Url,
    /// The token, if the caller has one.
    pub token: Option<String>,
    /// What to exchange for one, if there is none.
    pub identity: Option<IdentitySource>,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for the answer to a small request.
    pub answer_timeout: Duration,
    /// How long an upload may stand still.
    pub stall_timeout: Duration,
}

impl Settings {
    /// The usual settings for the server at `endpoint`.
    #[must_use]
    pub fn new(endpoint: Url, token: Option<String>) -> Self {
        Self {
            endpoint,
            token,
            identity: None,
            retry: RetryPolicy::default(),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(180),
        }
    }
}

/// Whether the NAR's metadata travels in a header or in front of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetadataStyle {
    /// In a header while it is short enough for one.
    #[default]
    Shortest,
    /// In front of the body, always.
    Preamble,
}

/// A server, with the caller's token.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    settings: Settings,
    login: login::Login,
    traffic: traffic::Counter,
}

impl Api {
    /// Prepares to talk to a server; sends nothing yet.
    ///
    /// # Errors
    /// The token cannot be sent in a header, or TLS cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, ApiError> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("flywheel-push/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(settings.connect_timeout)
                .tcp_keepalive(Duration::from_secs(30))
        };
        let http = match builder().build() {
            // A machine without CA certificates can still talk to a server that needs none.
            Err(_) if settings.endpoint.scheme() == "http" => builder().tls_certs_only([]).build(),
            built => built,
        };
        let http = http.map_err(ApiError::Setup)?;
        Ok(Self { login: login::Login::new(&settings, &http)?, http, settings, traffic: traffic::Counter::default() })
    }

    /// What has been sent so far, by this value and by those made from it.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic.total()
    }

    /// The server that is talked to.
    #[must_use]
    pub fn endpoint(&self) -> &Url {
        &self.settings.endpoint
    }

    /// When to try again.
    #[must_use]
    pub fn retry_policy(&self) -> &RetryPolicy {
        &self.settings.retry
    }

    /// Counts bytes of a body that the caller streams.
    pub(crate) fn count_sent(&self, bytes: u64) {
        self.traffic.sent(bytes);
    }

    /// The same server under the address that its cache configuration names, or why that address is not used.
    ///
    /// # Errors
    /// The text, if it is no HTTP address, or if it would send the token unencrypted where it now goes encrypted.
    pub fn at<'a>(&self, endpoint: &'a str) -> Result<Self, &'a str> {
        let url = Url::parse(endpoint).map_err(|_| endpoint)?;
        let downgrade = self.settings.endpoint.scheme() == "https" && url.scheme() != "https";
        if downgrade || !matches!(url.scheme(), "http" | "https") {
            return Err(endpoint);
        }
        Ok(Self { settings: Settings { endpoint: url, ..self.settings.clone() }, ..self.clone() })
    }

    /// The configuration of a cache.
    ///
    /// # Errors
    /// Not allowed, no such cache, or the server cannot be reached.
    pub async fn cache_config(&self, cache: &CacheName) -> Result<CacheConfig, ApiError> {
        self.json(Method::GET, &format!("cache-config/{cache}"), None::<&()>, Repeat::Freely).await
    }

    /// Creates a cache.
    ///
    /// # Errors
    /// Not allowed, the cache exists, or the server cannot be reached.
    pub async fn create_cache(&self, cache: &CacheName, config: &CacheConfig) -> Result<(), ApiError> {
        self.command(Method::POST, cache, Some(config), Repeat::IfUntouched).await
    }

    /// Changes of a cache's configuration what `change` names.
    ///
    /// # Errors
    /// Not allowed, no such cache, or the server cannot be reached.
    pub async fn configure_cache(&self, cache: &CacheName, change: &CacheConfig) -> Result<(), ApiError> {
        self.command(Method::PATCH, cache, Some(change), Repeat::Freely).await
    }

    /// Destroys a cache.
    ///
    /// # Errors
    /// Not allowed, no such cache, or the server cannot be reached.
    pub async fn destroy_cache(&self, cache: &CacheName) -> Result<(), ApiError> {
        self.command(Method::DELETE, cache, None, Repeat::IfUntouched).await
    }

    /// Pins a path.
    ///
    /// # Errors
    /// Not allowed, the cache does not have the path, or the server cannot be reached.
    pub async fn add_pin(&self, cache: &CacheName, name: &str, pin: &PinRequest) -> Result<PinInfo, ApiError> {
        let url = self.url_of(["_flywheel", "v1", "caches", cache.as_str(), "pins", name]);
        let body = Bytes::from(serde_json::to_vec(pin).unwrap_or_default());
        let answer = self.send_small(&Method::PUT, &url, Some(&("application/json", body)), Repeat::Freely).await?;
        parse(&url, &answer)
    }

    /// The pins of a cache.
    ///
    /// # Errors
    /// Not allowed, no such cache, or the server cannot be reached.
    pub async fn list_pins(&self, cache: &CacheName) -> Result<PinList, ApiError> {
        let url = self.url_of(["_flywheel", "v1", "caches", cache.as_str(), "pins"]);
        let answer = self.send_small(&Method::GET, &url, None, Repeat::Freely).await?;
        parse(&url, &answer)
    }

    /// Removes a pin, or one revision of it.
    ///
    /// # Errors
    /// Not allowed, no such pin, or the server cannot be reached.
    pub async fn remove_pin(&self, cache: &CacheName, name: &str, revision: Option<u32>) -> Result<(), ApiError> {
        let mut url = self.url_of(["_flywheel", "v1", "caches", cache.as_str(), "pins", name]);
        if let Some(revision) = revision {
            url.query_pairs_mut().append_pair("revision", &revision.to_string());
        }
        self.send_small(&Method::DELETE, &url, None, Repeat::IfUntouched).await.map(drop)
    }

    /// Which of `hashes` the cache lacks.
    ///
    /// # Errors
    /// Not allowed, no such cache, or the server cannot be reached.
    pub async fn get_missing_paths(
        &self,
        cache: &CacheName,
        hashes: &[StorePathHash],
    ) -> Result<BTreeSet<StorePathHash>, ApiError> {
        let mut missing = BTreeSet::new();
        for some in hashes.chunks(HASHES_PER_QUESTION) {
            let question = GetMissingPathsRequest { cache: cache.clone(), store_path_hashes: some.to_vec() };
            let answer: GetMissingPathsResponse =
                self.json(Method::POST, "get-missing-paths", Some(&question), Repeat::Freely).await?;
            missing.extend(answer.missing_paths);
        }
        Ok(missing)
    }

    /// Sends one NAR, once. Trying again is the caller's affair, since the NAR has to be read anew.
    ///
    /// # Errors
    /// Refused, cut off, or standing still for longer than the stall timeout.
    pub async fn upload_path(
        &self,
        info: &UploadPathNarInfo,
        style: MetadataStyle,
        nar: NarBody,
    ) -> Result<UploadPathResult, ApiError> {
        let url = self.url("upload-path");
        let metadata = serde_json::to_string(info).map_err(|source| ApiError::Answer { url: url.clone(), source })?;
        let mut request =
            self.http.request(Method::PUT, url.clone()).header(header::CONTENT_TYPE, "application/x-nix-archive");
        let (length, preamble) = if style == MetadataStyle::Shortest && metadata.len() <= MAX_HEADER_BYTES {
            request = request.header(NAR_INFO_HEADER, metadata);
            (info.nar_size, None)
        } else {
            request = request.header(NAR_INFO_PREAMBLE_SIZE_HEADER, metadata.len());
            (info.nar_size + metadata.len() as u64, Some(metadata.into()))
        };
        let (body, mut pace) = nar.into_body(preamble);
        self.traffic.request();
        let answer = async {
            let request = self.login.authorize(request.header(header::CONTENT_LENGTH, length).body(body)).await;
            let response = request.send().await;
            self.answer(&url, response).await
        };
        let limit = self.settings.stall_timeout;
        let answer = tokio::select! {
            answer = answer => answer?,
            () = pace.stalled(limit, &|| Duration::ZERO) => return Err(ApiError::Stalled { url, limit }),
        };
        parse(&url, &answer)
    }

    async fn command(
        &self,
        method: Method,
        cache: &CacheName,
        body: Option<&CacheConfig>,
        repeat: Repeat,
    ) -> Result<(), ApiError> {
        self.small(method, &format!("cache-config/{cache}"), body, repeat).await.map(drop)
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl serde::Serialize>,
        repeat: Repeat,
    ) -> Result<T, ApiError> {
        let answer = self.small(method, path, body, repeat).await?;
        parse(&self.url(path), &answer)
    }

    /// Sends a small request, as often as `repeat` and the retry policy allow.
    async fn small(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl serde::Serialize>,
        repeat: Repeat,
    ) -> Result<Vec<u8>, ApiError> {
        let url = self.url(path);
        let json = |body| serde_json::to_vec(body).map_err(|source| ApiError::Answer { url: url.clone(), source });
        let body = body.map(json).transpose()?.map(|json| ("application/json", Bytes::from(json)));
        self.send_small(&method, &url, body.as_ref(), repeat).await
    }

    async fn send_small(
        &self,
        method: &Method,
        url: &Url,
        body: Option<&(&'static str, Bytes)>,
        repeat: Repeat,
    ) -> Result<Vec<u8>, ApiError> {
        let attempt = || {
            let request = self.http.request(method.clone(), url.clone()).timeout(self.settings.answer_timeout);
            self.traffic.request();
            let request = match body {
                Some((kind, body)) => {
                    self.traffic.sent(body.len() as u64);
                    request.header(header::CONTENT_TYPE, *kind).body(body.clone())
                }
                None => request,
            };
            self.attempt(url, request, repeat)
        };
        retry(&self.settings.retry, attempt, |_, _, _| {}).await.map_err(|Attempt { error, .. }| error)
    }

    async fn attempt(&self, url: &Url, request: RequestBuilder, repeat: Repeat) -> Result<Vec<u8>, Attempt> {
        let request = self.login.authorize(request).await;
        self.answer(url, request.send().await).await.map_err(|error| Attempt { error, repeat })
    }

    /// Takes the answer's body, or makes an error of whatever else happened.
    async fn answer(&self, url: &Url, response: reqwest::Result<Response>) -> Result<Vec<u8>, ApiError> {
        let failed = |source| ApiError::transport(&self.settings.endpoint, source);
        let mut response = response.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > MAX_ANSWER_BYTES {
                return Err(ApiError::AnswerTooLong { url: url.clone() });
            }
            body.extend_from_slice(&piece);
        }
        match status {
            StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(body),
            _ => {
                let refusal = Refusal::new(url.clone(), status, &headers, &body);
                Err(ApiError::Refused(Box::new(self.login.explain(refusal).await)))
            }
        }
    }

    fn url(&self, path: &str) -> Url {
        self.url_of(["_api", "v1"].into_iter().chain(path.split('/')))
    }

    fn url_of<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Url {
        url_below(&self.settings.endpoint, path)
    }

    /// Exchanges the identity for a token; nothing if there is no identity, or the server takes none.
    ///
    /// # Errors
    /// The identity is not trusted, or somebody cannot be reached.
    pub async fn exchange(&self) -> Result<Option<Minted>, ApiError> {
        match &self.settings.identity {
            None => Ok(None),
            Some(source) => login::exchange(&self.http, &self.settings.endpoint, source).await,
        }
    }
}

fn url_below<'a>(endpoint: &Url, path: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = endpoint.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

fn parse<T: DeserializeOwned>(url: &Url, body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|source| ApiError::Answer { url: url.clone(), source })
}

/// Whether a request may be sent again when it is not known what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// It says what shall be, so twice is as good as once.
    Freely,
    /// The second time would be refused, so only if the first never reached the server or was turned away.
    IfUntouched,
}

struct Attempt {
    error: ApiError,
    repeat: Repeat,
}

impl Retryable for Attempt {
    fn again(&self) -> Again {
        match self.repeat {
            Repeat::IfUntouched if !self.error.left_server_untouched() => Again::Never,
            Repeat::Freely | Repeat::IfUntouched => self.error.again(),
        }
    }
}

#[cfg(test)]
mod tests;
