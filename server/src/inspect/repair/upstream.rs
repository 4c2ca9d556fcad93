//! Another cache that may have what is damaged here.

use std::time::Duration;

use formats::{Compression, NarHash, NarInfo, NarInfoError, StoreDir, StorePathHash};
use reqwest::StatusCode;
use url::Url;

use crate::ingest::{BodyReader, WireDigest};

/// How long another cache may take to answer, or to go on.
const PATIENCE: Duration = Duration::from_secs(60);
/// No narinfo is longer.
const MAX_NARINFO_BYTES: usize = 1 << 20;

/// A cache that is reached over HTTP.
#[derive(Debug, Clone)]
pub struct Upstream {
    base: Url,
    client: reqwest::Client,
}

/// Why another cache did not help.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It cannot be reached.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// What was asked for.
        url: Url,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// It refuses.
    #[error("{url} answers {status}")]
    Refused {
        /// What was asked for.
        url: Url,
        /// The answer.
        status: StatusCode,
    },
    /// It says something that is no narinfo, or one that is longer than any.
    #[error("{url} is no narinfo")]
    NarInfo {
        /// What was asked for.
        url: Url,
        /// What is wrong with it, if it was read at all.
        #[source]
        source: Option<Box<NarInfoError>>,
    },
    /// It has another NAR for that path.
    #[error("{url} has another NAR: {found}")]
    Other {
        /// What was asked for.
        url: Url,
        /// What it has.
        found: NarHash,
    },
    /// The address of the NAR makes no sense.
    #[error("{0:?} is no address")]
    Address(String),
}

impl Upstream {
    /// The cache at an address: what one writes under `substituters`.
    ///
    /// # Errors
    /// If the system has no TLS.
    pub fn new(mut base: Url) -> Result<Self, reqwest::Error> {
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = reqwest::Client::builder().connect_timeout(PATIENCE).read_timeout(PATIENCE).build()?;
        Ok(Self { base, client })
    }

    /// The NAR of a path, if it is this one. Whoever reads it has to compare.
    ///
    /// # Errors
    /// If the cache does not have it.
    pub async fn nar(&self, path: &StorePathHash, hash: NarHash) -> Result<(Compression, BodyReader), UpstreamError> {
        let url = self.join(&format!("{path}.narinfo"))?;
        let mut answer = self.get(&url).await?;
        let mut text = Vec::new();
        let unreachable = |source| UpstreamError::Unreachable { url: url.clone(), source };
        while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
            text.extend_from_slice(&piece);
            if text.len() > MAX_NARINFO_BYTES {
                return Err(UpstreamError::NarInfo { url, source: None });
            }
        }
        let narinfo = match parse(&text) {
            Ok(narinfo) => narinfo,
            Err(source) => return Err(UpstreamError::NarInfo { url, source: Some(Box::new(source)) }),
        };
        if narinfo.info.nar_hash != hash {
            return Err(UpstreamError::Other { url, found: narinfo.info.nar_hash });
        }
        let body = self.get(&self.join(&narinfo.url)?).await?.bytes_stream();
        let body = BodyReader::new(body, u64::MAX, PATIENCE, WireDigest::default());
        Ok((narinfo.compression, body))
    }

    fn join(&self, relative: &str) -> Result<Url, UpstreamError> {
        self.base.join(relative).map_err(|_| UpstreamError::Address(relative.to_owned()))
    }

    async fn get(&self, url: &Url) -> Result<reqwest::Response, UpstreamError> {
        let answer = self.client.get(url.clone()).send().await;
        let answer = answer.map_err(|source| UpstreamError::Unreachable { url: url.clone(), source })?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => Err(UpstreamError::Refused { url: url.clone(), status }),
        }
    }
}

/// Reads a narinfo, whatever store dir it is of: the hash is what counts.
fn parse(text: &[u8]) -> Result<NarInfo, NarInfoError> {
    let dir = String::from_utf8_lossy(text).lines().find_map(|line| {
        let (dir, _) = line.strip_prefix("StorePath: ")?.rsplit_once('/')?;
        dir.parse::<StoreDir>().ok()
    });
    NarInfo::parse(&dir.unwrap_or_default(), text)
}
