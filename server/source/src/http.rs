//! A binary cache over HTTP.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use formats::{CacheInfo, MAX_NARINFO_BYTES, NarInfo, StoreDir, StorePathHash};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use reqwest::{Response, StatusCode};
use url::Url;

use crate::{BinaryCache, Body, Error, Result, parse_narinfo};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an answer may stand still.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// A binary cache over HTTP.
pub struct Http {
    client: reqwest::Client,
    /// With a slash at its end.
    base: Url,
    token: Option<String>,
}

impl Http {
    /// The cache at this URL; `token` goes with every request to it.
    ///
    /// # Errors
    /// If the URL is none.
    pub fn new(address: &str, token: Option<&str>) -> Result<Self> {
        let malformed = || Error::Address(address.to_owned());
        let mut base: Url = address.parse().map_err(|_| malformed())?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.set_query(None);
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("flywheel-server/", env!("CARGO_PKG_VERSION")));
        let client = client.build().map_err(|source| Error::Http { url: address.to_owned(), source })?;
        Ok(Self { client, base, token: token.map(str::to_owned) })
    }

    /// The answer to a GET; `None` if there is nothing.
    async fn get(&self, path: &str) -> Result<Option<(String, Response)>> {
        let url = self.base.join(path).map_err(|_| Error::Address(path.to_owned()))?;
        let mut request = self.client.get(url.clone());
        // A URL in a narinfo may lead elsewhere, where the token is nobody's business.
        if let Some(token) = self.token.as_ref().filter(|_| url.origin() == self.base.origin()) {
            request = request.bearer_auth(token);
        }
        let mut told = url;
        let _ = told.set_password(None);
        let told = told.to_string();
        let response = request.send().await.map_err(|source| Error::Http { url: told.clone(), source })?;
        match response.status() {
            StatusCode::OK => Ok(Some((told, response))),
            // Buckets that may not be listed answer 403 for what is not there.
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => Ok(None),
            status => Err(Error::Status { url: told, status: status.as_u16() }),
        }
    }

    async fn small(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        let Some((url, response)) = self.get(path).await? else { return Ok(None) };
        let mut bytes = Vec::new();
        let mut body = response.bytes_stream();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|source| Error::Http { url: url.clone(), source })?;
            if bytes.len() + piece.len() > limit {
                return Err(Error::TooLarge(url));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Some(bytes))
    }
}

#[async_trait]
impl BinaryCache for Http {
    async fn cache_info(&self) -> Result<CacheInfo> {
        let text = self.small("nix-cache-info", 64 << 10).await?.unwrap_or_default();
        CacheInfo::parse(&String::from_utf8_lossy(&text)).map_err(|error| Error::CacheInfo(error.to_string()))
    }

    async fn narinfo(&self, store_dir: &StoreDir, hash: &StorePathHash) -> Result<Option<NarInfo>> {
        let text = self.small(&format!("{hash}.narinfo"), MAX_NARINFO_BYTES).await?;
        text.map(|text| parse_narinfo(store_dir, hash, &text)).transpose()
    }

    async fn file(&self, url: &str) -> Result<Body> {
        match self.get(url).await? {
            Some((_, response)) => Ok(response.bytes_stream().map_err(std::io::Error::other).boxed()),
            None => Err(Error::Gone(url.to_owned())),
        }
    }

    fn list(&self) -> Option<BoxStream<'_, Result<StorePathHash>>> {
        None
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http({})", self.base.host_str().unwrap_or_default())
    }
}
