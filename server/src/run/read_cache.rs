//! The read cache that the configuration asks for.

use anyhow::Context;

use crate::{
    config::{self, Config},
    fetch::{CacheSizes, FrameCache},
};

/// The folder in the data folder, where no other is named.
const FOLDER: &str = "read-cache";

/// Opens it, if there is to be one.
///
/// # Errors
/// If its folder cannot be used, or none is known.
pub(super) async fn open(config: &Config) -> anyhow::Result<Option<FrameCache>> {
    let config::Storage::S3(bucket) = &config.storage else { return Ok(None) };
    let cache = &bucket.cache;
    let in_data_dir = || config.flywheel.data_dir.as_ref().map(|folder| folder.join(FOLDER));
    let folder = match (cache.path.clone().or_else(in_data_dir), cache.disk.0) {
        (Some(folder), _) => folder,
        (None, 0) => Default::default(),
        (None, _) => anyhow::bail!("storage.cache.disk needs a folder: set storage.cache.path, or say --data-dir DIR"),
    };
    let shown = folder.display().to_string();
    let sizes = CacheSizes { memory: cache.memory.0, disk: cache.disk.0, folder };
    FrameCache::open(sizes).await.with_context(|| format!("cannot keep what was read in {shown}"))
}
