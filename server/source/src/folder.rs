//! A binary cache in a folder, as `nix copy --to file://…` makes it.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use async_trait::async_trait;
use formats::{CacheInfo, MAX_NARINFO_BYTES, NarInfo, StoreDir, StorePathHash};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::{
    fs::{self, File},
    io::AsyncReadExt,
};
use tokio_util::io::ReaderStream;

use crate::{BinaryCache, Body, Error, Result, parse_narinfo};

/// A binary cache in a folder.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The cache in this folder.
    ///
    /// # Errors
    /// If there is no such folder.
    pub fn open(folder: &Path) -> Result<Self> {
        match std::fs::metadata(folder) {
            Ok(about) if about.is_dir() => Ok(Self(folder.to_owned())),
            Ok(_) => Err(Error::Address(folder.display().to_string())),
            Err(source) => Err(Error::File { path: folder.to_owned(), source }),
        }
    }

    async fn small(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        let path = self.0.join(name);
        let failed = |source| Error::File { path: path.clone(), source };
        let file = match File::open(&path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes).await.map_err(failed)?;
        if bytes.len() > limit {
            return Err(Error::TooLarge(path.display().to_string()));
        }
        Ok(Some(bytes))
    }
}

/// A file's bytes, in pieces.
pub(crate) async fn read(path: &Path) -> Result<Body> {
    match File::open(path).await {
        Ok(file) => Ok(ReaderStream::with_capacity(file, 256 << 10).boxed()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Gone(path.display().to_string())),
        Err(source) => Err(Error::File { path: path.to_owned(), source }),
    }
}

#[async_trait]
impl BinaryCache for Folder {
    async fn cache_info(&self) -> Result<CacheInfo> {
        let text = self.small("nix-cache-info", 64 << 10).await?.unwrap_or_default();
        CacheInfo::parse(&String::from_utf8_lossy(&text)).map_err(|error| Error::CacheInfo(error.to_string()))
    }

    async fn narinfo(&self, store_dir: &StoreDir, hash: &StorePathHash) -> Result<Option<NarInfo>> {
        let text = self.small(&format!("{hash}.narinfo"), MAX_NARINFO_BYTES).await?;
        text.map(|text| parse_narinfo(store_dir, hash, &text)).transpose()
    }

    async fn file(&self, url: &str) -> Result<Body> {
        // A narinfo must not lead out of the folder.
        let path = Path::new(url);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Error::Gone(url.to_owned()));
        }
        read(&self.0.join(path)).await
    }

    fn list(&self) -> Option<BoxStream<'_, Result<StorePathHash>>> {
        let failed = |source| Error::File { path: self.0.clone(), source };
        let hashes = stream::once(fs::read_dir(&self.0)).flat_map(move |opened| match opened {
            Ok(entries) => stream::unfold(Some(entries), move |entries| async move {
                let mut entries = entries?;
                match entries.next_entry().await {
                    Ok(entry) => entry.map(|entry| (Ok(entry.file_name()), Some(entries))),
                    Err(error) => Some((Err(failed(error)), None)),
                }
            })
            .boxed(),
            Err(error) => stream::once(async move { Err(failed(error)) }).boxed(),
        });
        let hash = |name: std::ffi::OsString| name.to_str()?.strip_suffix(".narinfo")?.parse().ok();
        Some(hashes.filter_map(move |name| async move { name.map(hash).transpose() }).boxed())
    }
}
