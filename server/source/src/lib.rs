//! Where paths are imported from: binary caches over HTTP or in a folder, and deployments of Attic.
//!
//! Everything here reads and nothing writes. What is read is somebody else's word: hashes, sizes and signatures are for whoever takes
//! the paths in to check.

pub mod attic;
mod error;
mod folder;
mod http;

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use formats::{CacheInfo, NarInfo, StoreDir, StorePathHash};
use futures::stream::BoxStream;
use url::Url;

pub use error::{Error, Result};
pub use folder::Folder;
pub use http::Http;

/// The bytes of a file, in pieces.
pub type Body = BoxStream<'static, std::io::Result<Bytes>>;

/// A binary cache.
#[async_trait]
pub trait BinaryCache: Send + Sync + std::fmt::Debug {
    /// What the cache says of itself; Nix's defaults if it says nothing.
    async fn cache_info(&self) -> Result<CacheInfo>;

    /// The narinfo of the path with that hash part, if the cache has it.
    async fn narinfo(&self, store_dir: &StoreDir, hash: &StorePathHash) -> Result<Option<NarInfo>>;

    /// The file that a narinfo names, as it lies there.
    async fn file(&self, url: &str) -> Result<Body>;

    /// The hash parts of all paths; `None` if the cache cannot be listed.
    fn list(&self) -> Option<BoxStream<'_, Result<StorePathHash>>>;
}

/// The binary cache at `address`: an HTTP URL, a `file://` URL, or a folder.
///
/// # Errors
/// If it is none of these.
pub fn binary_cache(address: &str, token: Option<&str>) -> Result<Box<dyn BinaryCache>> {
    if address.starts_with("http://") || address.starts_with("https://") {
        return Ok(Box::new(Http::new(address, token)?));
    }
    let folder = match address.strip_prefix("file://") {
        Some(_) => {
            let url: Url = address.parse().map_err(|_| Error::Address(address.to_owned()))?;
            url.to_file_path().map_err(|()| Error::Address(address.to_owned()))?
        }
        None if address.contains("://") => return Err(Error::Address(address.to_owned())),
        None => Path::new(address).to_owned(),
    };
    Ok(Box::new(Folder::open(&folder)?))
}

/// Reads a narinfo that should be that of `hash`.
fn parse_narinfo(store_dir: &StoreDir, hash: &StorePathHash, text: &[u8]) -> Result<NarInfo> {
    let narinfo = NarInfo::parse(store_dir, text).map_err(|error| Error::NarInfo(*hash, error.to_string()))?;
    if narinfo.info.path.hash() != hash {
        return Err(Error::NarInfo(*hash, format!("it is that of {}", narinfo.info.path)));
    }
    Ok(narinfo)
}
