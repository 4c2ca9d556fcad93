//! Asks upstreams for narinfos, and believes only those that they have signed.

use std::time::Duration;

use formats::{MAX_NARINFO_BYTES, NarInfo, PathInfo, StoreDir, StorePath};
use protocol::promotion::Origin;
use reqwest::StatusCode;

use crate::promote::policy::Upstream;

/// How long an upstream may take for a narinfo.
const PATIENCE: Duration = Duration::from_secs(20);

/// The upstreams of a policy.
#[derive(Debug)]
pub struct Upstreams<'p> {
    http: Option<reqwest::Client>,
    list: &'p [Upstream],
}

/// Where a path is.
#[derive(Debug)]
pub enum Found {
    /// In an upstream that has signed it.
    Here(Box<PathInfo>, Origin),
    /// In none.
    Nowhere,
    /// In none that answered; this one did not.
    Away(String),
}

impl<'p> Upstreams<'p> {
    /// Prepares to ask.
    ///
    /// # Errors
    /// If HTTP cannot be set up.
    pub fn new(list: &'p [Upstream]) -> Result<Self, reqwest::Error> {
        let http = match list {
            [] => None,
            _ => Some(reqwest::Client::builder().timeout(PATIENCE).build()?),
        };
        Ok(Self { http, list })
    }

    /// Asks one after the other.
    pub async fn find(&self, store_dir: &StoreDir, path: &StorePath) -> Found {
        let Some(http) = &self.http else { return Found::Nowhere };
        let mut away = None;
        for upstream in self.list {
            match ask(http, upstream, store_dir, path).await {
                Ok(Some((info, origin))) => return Found::Here(info, origin),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(upstream.url = %upstream.url, %path, error, "an upstream did not answer");
                    away = Some(upstream.url.to_string());
                }
            }
        }
        away.map_or(Found::Nowhere, Found::Away)
    }
}

async fn ask(
    http: &reqwest::Client,
    upstream: &Upstream,
    store_dir: &StoreDir,
    path: &StorePath,
) -> Result<Option<(Box<PathInfo>, Origin)>, String> {
    let url = format!("{}/{}.narinfo", upstream.url.as_str().trim_end_matches('/'), path.hash());
    let mut response = http.get(&url).send().await.map_err(|error| error.to_string())?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => return Ok(None),
        status => return Err(format!("it answered {status}")),
    }
    let mut text = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| error.to_string())? {
        if text.len() + piece.len() > MAX_NARINFO_BYTES {
            return Err("its narinfo is too long".to_owned());
        }
        text.extend_from_slice(&piece);
    }
    let info = NarInfo::parse(store_dir, &text).map_err(|error| error.to_string())?.info;
    if info.path != *path {
        return Ok(None);
    }
    let fingerprint = info.fingerprint(store_dir);
    let good = info
        .signatures
        .iter()
        .find(|signature| upstream.keys.iter().any(|key| key.verify(&fingerprint, signature)))
        .cloned();
    // What it has not signed is as good as not there.
    Ok(good.map(|signature| {
        let (url, key) = (upstream.url.to_string(), signature.key_name().clone());
        (Box::new(info), Origin::Upstream { url, key, signature })
    }))
}
