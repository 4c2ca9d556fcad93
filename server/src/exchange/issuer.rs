//! An issuer's keys: fetched when they are needed, and kept for a while.

use std::time::Duration;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, Jwk, PublicKeyUse},
};
use protocol::Timestamp;
use reqwest::{Client, Url, redirect::Policy};
use serde::Deserialize;
use tokio::sync::{Mutex, RwLock};

/// How long keys are used without asking whether there are others.
const FRESH: Duration = Duration::from_secs(3600);
/// How long keys are used when the issuer cannot be asked.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// An issuer is asked no more often than this, whatever strangers send.
const PAUSE: Duration = Duration::from_secs(30);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read, and the most keys that are kept of it.
const MAX_ANSWER: usize = 256 << 10;
const MAX_KEYS: usize = 100;

/// An issuer that a rule names.
#[derive(Debug)]
pub(super) struct Issuer {
    name: String,
    http: Client,
    held: RwLock<Held>,
    /// Held by whoever asks the issuer; says when that was done last.
    asked: Mutex<Option<Timestamp>>,
}

/// The keys that are known.
#[derive(Debug, Default)]
struct Held {
    keys: Vec<IssuerKey>,
    since: Option<Timestamp>,
}

/// One of an issuer's keys.
#[derive(Clone)]
pub(super) struct IssuerKey {
    id: Option<String>,
    /// What it is for, if its issuer says.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) key: DecodingKey,
}

impl std::fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuerKey").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The issuer has no such key, or none that could be meant.
    #[error("the issuer {issuer} has no key {id:?}")]
    NoKey {
        /// Which issuer.
        issuer: String,
        /// The name of the key.
        id: Option<String>,
    },
    /// The issuer could not be asked.
    #[error("the issuer {issuer} cannot be asked for its keys: {why}")]
    Unreachable {
        /// Which issuer.
        issuer: String,
        /// What happened.
        why: String,
    },
}

/// The part of `.well-known/openid-configuration` that matters.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

impl Issuer {
    pub(super) fn new(name: &str, may_be_http: bool) -> Result<Self, reqwest::Error> {
        let builder = || {
            Client::builder()
                .user_agent(concat!("flywheel-server/", env!("CARGO_PKG_VERSION")))
                .https_only(!may_be_http)
                // What an issuer says counts where it is, and nowhere else.
                .redirect(Policy::none())
                .timeout(TIMEOUT)
        };
        let http = match builder().build() {
            // A machine without CA certificates can still ask an issuer that needs none.
            Err(_) if may_be_http => builder().tls_certs_only([]).build()?,
            built => built?,
        };
        Ok(Self { name: name.to_owned(), http, held: RwLock::default(), asked: Mutex::default() })
    }

    /// The key of that name; the only one if none is named.
    pub(super) async fn key(&self, id: Option<&str>, now: Timestamp) -> Result<IssuerKey, IssuerError> {
        if let Some(key) = self.held.read().await.key(id, FRESH, now) {
            return Ok(key);
        }
        let mut asked = self.asked.lock().await;
        // Somebody else may have asked meanwhile.
        if let Some(key) = self.held.read().await.key(id, FRESH, now) {
            return Ok(key);
        }
        let failed = match *asked {
            Some(last) if last.plus(PAUSE) > now => None,
            _ => {
                *asked = Some(now);
                match self.fetch().await {
                    Ok(keys) => {
                        *self.held.write().await = Held { keys, since: Some(now) };
                        None
                    }
                    Err(why) => Some(why),
                }
            }
        };
        let held = self.held.read().await;
        match (held.key(id, STALE, now), failed) {
            (Some(key), failed) => {
                if let Some(why) = failed {
                    tracing::warn!(issuer = self.name, why, "an issuer cannot be asked, so its old keys are used");
                }
                Ok(key)
            }
            (None, None) if held.since.is_some() => {
                Err(IssuerError::NoKey { issuer: self.name.clone(), id: id.map(super::shown) })
            }
            (None, failed) => {
                let why = failed.unwrap_or_else(|| "it was tried a moment ago".to_owned());
                Err(IssuerError::Unreachable { issuer: self.name.clone(), why })
            }
        }
    }

    /// Asks where the keys are, and then for the keys.
    async fn fetch(&self) -> Result<Vec<IssuerKey>, String> {
        let base = self.name.trim_end_matches('/');
        let url = Url::parse(&format!("{base}/.well-known/openid-configuration")).map_err(|error| error.to_string())?;
        let discovery: Discovery = self.get(&url).await?;
        if discovery.issuer != self.name {
            return Err(format!("it calls itself {:?}", super::shown(&discovery.issuer)));
        }
        let keys = Url::parse(&discovery.jwks_uri).map_err(|error| format!("its jwks_uri is no address: {error}"))?;
        if keys.origin() != url.origin() {
            return Err(format!("its keys are elsewhere, at {:?}", super::shown(keys.as_str())));
        }
        let set: KeySet = self.get(&keys).await?;
        Ok(set.keys.into_iter().filter_map(usable).take(MAX_KEYS).collect())
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &Url) -> Result<T, String> {
        let failed = |error: reqwest::Error| with_causes(&error);
        let mut response = self.http.get(url.clone()).send().await.map_err(failed)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("{url} answered {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > MAX_ANSWER {
                return Err(format!("{url} answered more than {MAX_ANSWER} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        serde_json::from_slice(&body).map_err(|error| format!("{url} answered something else: {error}"))
    }
}

impl Held {
    fn key(&self, id: Option<&str>, good_for: Duration, now: Timestamp) -> Option<IssuerKey> {
        self.since.filter(|since| since.plus(good_for) > now)?;
        match id {
            Some(_) => self.keys.iter().find(|key| key.id.as_deref() == id).cloned(),
            None => match &self.keys[..] {
                [only] => Some(only.clone()),
                _ => None,
            },
        }
    }
}

/// A key that signatures can be checked with; others may stand beside it.
fn usable(jwk: serde_json::Value) -> Option<IssuerKey> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    // A secret that is published is none.
    let is_public = matches!(
        jwk.algorithm,
        AlgorithmParameters::RSA(_) | AlgorithmParameters::EllipticCurve(_) | AlgorithmParameters::OctetKeyPair(_)
    );
    if !for_signatures || !is_public {
        return None;
    }
    let algorithm = match jwk.common.key_algorithm {
        None => None,
        Some(algorithm) => Some(algorithm.try_into().ok()?),
    };
    Some(IssuerKey { key: DecodingKey::from_jwk(&jwk).ok()?, id: jwk.common.key_id, algorithm })
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
