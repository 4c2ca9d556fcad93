//! With which token requests are made: a given one, or one that an identity is exchanged for, and renewed before it ends.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use protocol::{
    ErrorCode,
    admin::{ExchangeOffer, ExchangeRequest, Minted},
};
use reqwest::{RequestBuilder, StatusCode, header};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::{ApiError, Refusal, Settings};

/// How many of the audiences that a server names are tried.
const MAX_AUDIENCES: usize = 4;
/// How long an exchange may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// When an exchange did not work it is tried again after this, and requests go without a token until then.
const PAUSE: Duration = Duration::from_secs(20);
/// No answer is longer.
const MAX_ANSWER: usize = 256 << 10;

/// Where an identity comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum IdentitySource {
    /// GitHub's: asked of the runner, for an audience, as often as one likes.
    Runner {
        /// `ACTIONS_ID_TOKEN_REQUEST_URL`
        url: Url,
        /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`
        token: String,
    },
    /// GitLab's: one that the job was given.
    Given(String),
}

/// Shows no token.
impl fmt::Debug for IdentitySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runner { .. } => "Runner",
            Self::Given(_) => "Given",
        })
    }
}

/// The token of requests.
#[derive(Clone)]
pub(super) enum Login {
    /// None, or a given one.
    Fixed(Option<header::HeaderValue>),
    /// One that an identity is exchanged for.
    Exchanged(Arc<Exchanged>),
}

/// A token that is got when it is needed.
pub(super) struct Exchanged {
    endpoint: Url,
    source: IdentitySource,
    http: reqwest::Client,
    held: Mutex<Held>,
}

/// What came of the last exchange.
#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    Token {
        value: header::HeaderValue,
        renew: Instant,
        ends: Instant,
    },
    /// There was none; why, unless the server just takes no identities.
    None {
        why: Option<Arc<Refusal>>,
        until: Instant,
    },
}

#[derive(Deserialize)]
struct RunnersAnswer {
    value: String,
}

impl Login {
    pub(super) fn new(settings: &Settings, http: &reqwest::Client) -> Result<Self, ApiError> {
        match (&settings.token, &settings.identity) {
            (Some(token), _) => Ok(Self::Fixed(Some(bearer(token)?))),
            (None, None) => Ok(Self::Fixed(None)),
            (None, Some(source)) => Ok(Self::Exchanged(Arc::new(Exchanged {
                endpoint: settings.endpoint.clone(),
                source: source.clone(),
                http: http.clone(),
                held: Mutex::default(),
            }))),
        }
    }

    /// Adds the token to a request.
    pub(super) async fn authorize(&self, request: RequestBuilder) -> RequestBuilder {
        let value = match self {
            Self::Fixed(value) => value.clone(),
            Self::Exchanged(exchanged) => exchanged.token().await,
        };
        match value {
            Some(value) => request.header(header::AUTHORIZATION, value),
            None => request,
        }
    }

    /// The answer that explains another one: who was not let in for want of a token is told why there is none.
    pub(super) async fn explain(&self, refusal: Refusal) -> Refusal {
        let Self::Exchanged(exchanged) = self else { return refusal };
        if refusal.status != StatusCode::UNAUTHORIZED {
            return refusal;
        }
        let mut held = exchanged.held.lock().await;
        match &*held {
            Held::None { why: Some(why), .. } => (**why).clone(),
            Held::Token { .. } => {
                // It may have been revoked, or its key changed: the next request gets another.
                *held = Held::Nothing;
                refusal
            }
            Held::None { why: None, .. } | Held::Nothing => refusal,
        }
    }
}

impl Exchanged {
    async fn token(&self) -> Option<header::HeaderValue> {
        let mut held = self.held.lock().await;
        let now = Instant::now();
        match &*held {
            Held::Token { value, renew, .. } if now < *renew => return Some(value.clone()),
            Held::None { until, .. } if now < *until => return None,
            Held::Token { .. } | Held::None { .. } | Held::Nothing => {}
        }
        let last = match &*held {
            Held::Token { value, ends, .. } if now < *ends => Some((value.clone(), *ends)),
            Held::Token { .. } | Held::None { .. } | Held::Nothing => None,
        };
        *held = match (self.exchange().await, last) {
            (Ok(Some((value, lasts))), _) => Held::Token { value, renew: now + lasts.mul_f32(0.75), ends: now + lasts },
            // The old one is good for a while yet.
            (_, Some((value, ends))) => Held::Token { value, renew: now + PAUSE, ends },
            (Ok(None), None) => Held::None { why: None, until: now + PAUSE },
            (Err(error), None) => {
                let why = match error {
                    ApiError::Refused(refusal) => Some(Arc::new(*refusal)),
                    _ => None,
                };
                Held::None { why, until: now + PAUSE }
            }
        };
        match &*held {
            Held::Token { value, .. } => Some(value.clone()),
            Held::None { .. } | Held::Nothing => None,
        }
    }

    /// The token, and how long it is good; nothing if the server takes no identities.
    async fn exchange(&self) -> Result<Option<(header::HeaderValue, Duration)>, ApiError> {
        let Some(minted) = exchange(&self.http, &self.endpoint, &self.source).await? else { return Ok(None) };
        Ok(Some((bearer(&minted.token)?, Duration::from_secs(minted.expires_in))))
    }
}

/// Exchanges an identity for a token of the server's; nothing if it takes no identities.
pub(super) async fn exchange(
    http: &reqwest::Client,
    endpoint: &Url,
    source: &IdentitySource,
) -> Result<Option<Minted>, ApiError> {
    let url = super::url_below(endpoint, ["_flywheel", "v1", "exchange"]);
    let offer = match answer(endpoint, &url, http.get(url.clone())).await {
        // Attic's server has nothing there, and ours has nothing if no rule is configured.
        Err(ApiError::Refused(refusal)) if refusal.status.is_client_error() => return Ok(None),
        answer => answer?,
    };
    let offer: ExchangeOffer = super::parse(&url, &offer)?;
    let mut refused = None;
    for audience in offer.audiences.iter().take(MAX_AUDIENCES) {
        let identity = identity(http, source, audience).await?;
        let body = serde_json::to_vec(&ExchangeRequest { identity })
            .map_err(|source| ApiError::Answer { url: url.clone(), source })?;
        let request = http.post(url.clone()).header(header::CONTENT_TYPE, "application/json").body(body);
        match answer(endpoint, &url, request).await {
            Ok(minted) => return super::parse(&url, &minted).map(Some),
            Err(error) if is_refusal(&error) => refused = Some(error),
            Err(error) => return Err(error),
        }
        if matches!(source, IdentitySource::Given(_)) {
            // It is for one audience, whichever that is.
            break;
        }
    }
    refused.map_or(Ok(None), Err)
}

fn is_refusal(error: &ApiError) -> bool {
    matches!(error, ApiError::Refused(refusal) if refusal.code() == Some(ErrorCode::IdentityRefused))
}

/// An identity for that audience.
async fn identity(http: &reqwest::Client, source: &IdentitySource, audience: &str) -> Result<String, ApiError> {
    match source {
        IdentitySource::Given(identity) => Ok(identity.clone()),
        IdentitySource::Runner { url, token } => {
            let mut asked = url.clone();
            asked.query_pairs_mut().append_pair("audience", audience);
            let request = http.get(asked).header(header::AUTHORIZATION, bearer(token)?);
            let body = answer(url, url, request.header(header::ACCEPT, "application/json")).await?;
            Ok(super::parse::<RunnersAnswer>(url, &body)?.value)
        }
    }
}

async fn answer(endpoint: &Url, url: &Url, request: RequestBuilder) -> Result<Vec<u8>, ApiError> {
    let failed = |source| ApiError::transport(endpoint, source);
    let mut response = request.timeout(TIMEOUT).send().await.map_err(failed)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(ApiError::AnswerTooLong { url: url.clone() });
        }
        body.extend_from_slice(&piece);
    }
    match status {
        StatusCode::OK => Ok(body),
        _ => Err(ApiError::Refused(Box::new(Refusal::new(url.clone(), status, &headers, &body)))),
    }
}

fn bearer(token: &str) -> Result<header::HeaderValue, ApiError> {
    let mut value = header::HeaderValue::try_from(format!("bearer {token}")).map_err(|_| ApiError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::Api,
        fake_server::{FakeServer, Reply},
    };

    const OFFER: &str = r#"{"audiences":["us"]}"#;
    const CONFIG: &str = "{}";

    fn minted(token: &str, expires_in: u64) -> Reply {
        Reply::json(
            200,
            &format!(
                r#"{{"token":"{token}","id":"1","subject":"s","expires-at":2,"expires-in":{expires_in},"grants":{{}}}}"#
            ),
        )
    }

    fn api(server: &FakeServer) -> Api {
        with(server, IdentitySource::Given("an-identity".to_owned()))
    }

    fn with(server: &FakeServer, identity: IdentitySource) -> Api {
        server.api(|settings| (settings.token, settings.identity) = (None, Some(identity)))
    }

    async fn ask(api: &Api) -> Result<(), ApiError> {
        api.cache_config(&"main".parse().unwrap()).await.map(drop)
    }

    /// The tokens of all requests, `-` where there was none.
    fn tokens(server: &FakeServer) -> Vec<String> {
        let token = |head: &str| {
            head.lines().find_map(|line| line.strip_prefix("authorization: bearer ")).unwrap_or("-").to_owned()
        };
        server.asked().iter().map(|asked| token(&asked.head)).collect()
    }

    #[tokio::test]
    async fn an_identity_is_exchanged_once_and_renewed_in_time() {
        let replies =
            [Reply::json(200, OFFER), minted("one", 3600), Reply::json(200, CONFIG), Reply::json(200, CONFIG)];
        let server = FakeServer::start(replies).await;
        let api = api(&server);
        ask(&api).await.unwrap();
        ask(&api.clone()).await.unwrap();
        assert_eq!(tokens(&server), ["-", "-", "one", "one"]);
        assert!(String::from_utf8_lossy(&server.asked()[1].body).contains("an-identity"));

        // One that ends at once is renewed for each request.
        let replies = [
            Reply::json(200, OFFER),
            minted("one", 0),
            Reply::json(200, CONFIG),
            Reply::json(200, OFFER),
            minted("two", 3600),
            Reply::json(200, CONFIG),
        ];
        let server = FakeServer::start(replies).await;
        let api = self::api(&server);
        ask(&api).await.unwrap();
        ask(&api).await.unwrap();
        assert_eq!(tokens(&server), ["-", "-", "one", "-", "-", "two"]);
    }

    #[tokio::test]
    async fn a_server_that_takes_no_identities_is_asked_without() {
        let server = FakeServer::start([Reply::error(404, "NotFound"), Reply::json(200, CONFIG)]).await;
        ask(&api(&server)).await.unwrap();
        assert_eq!(tokens(&server), ["-", "-"]);
    }

    #[tokio::test]
    async fn who_is_not_let_in_is_told_that_the_identity_was_refused() {
        let refused = || [Reply::json(200, OFFER), Reply::error(403, "IdentityRefused")];
        let server = FakeServer::start(refused().into_iter().chain([Reply::error(401, "Unauthorized")])).await;
        let error = ask(&api(&server)).await.unwrap_err();
        assert!(error.to_string().contains("As IdentityRefused says."), "{error}");
        // What everybody may do goes on without.
        let server = FakeServer::start(refused().into_iter().chain([Reply::json(200, CONFIG)])).await;
        ask(&api(&server)).await.unwrap();
    }

    #[tokio::test]
    async fn a_given_token_goes_before_an_identity() {
        let server = FakeServer::start([Reply::json(200, CONFIG)]).await;
        let api = server.api(|settings| {
            settings.token = Some("given".to_owned());
            settings.identity = Some(IdentitySource::Given("an-identity".to_owned()));
        });
        ask(&api).await.unwrap();
        assert_eq!(tokens(&server), ["given"]);
    }

    #[tokio::test]
    async fn a_runner_is_asked_for_the_servers_audience() {
        let runner = FakeServer::start([Reply::json(200, r#"{"value":"of-the-runner"}"#)]).await;
        let server = FakeServer::start([Reply::json(200, OFFER), minted("one", 9), Reply::json(200, CONFIG)]).await;
        let mut url = runner.endpoint.clone();
        url.set_query(Some("api-version=2"));
        let source = IdentitySource::Runner { url, token: "of-the-job".to_owned() };
        let api = with(&server, source);
        ask(&api).await.unwrap();
        let asked = &runner.asked()[0].head;
        assert!(asked.contains("?api-version=2&audience=us ") && asked.contains("bearer of-the-job"), "{asked}");
        assert!(String::from_utf8_lossy(&server.asked()[1].body).contains("of-the-runner"));
    }
}
