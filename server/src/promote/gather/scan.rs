//! Reads every NAR of a closure again: one pass hashes it and looks for what must not be in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use database::Cache;
use formats::{NarHash, PathInfo, StorePath, StorePathHash};
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::{
    GatherError, Meter,
    secrets::{Needles, Search},
};
use crate::{app::App, fetch::FetchError, promote::evidence::Scan, store::processors};

/// The most NARs that are read at a time: two keep two processors busy, and requests want some, too; the third one is for while another
/// waits for the index or the storage.
const AT_A_TIME: usize = 3;

/// Several NARs at once.
pub(super) async fn all(
    app: &App,
    cache: &Cache,
    paths: Vec<PathInfo>,
    meter: &Meter,
) -> Result<BTreeMap<StorePath, Scan>, GatherError> {
    let needles = Arc::new(Needles::new(&cache.store_dir));
    let at_a_time = (processors() + 1).min(AT_A_TIME);
    let scans = stream::iter(paths).map(|info| {
        let needles = Arc::clone(&needles);
        async move {
            let scan = one(app, cache, &info, needles).await?;
            meter.paths.fetch_add(1, Ordering::Relaxed);
            meter.bytes.fetch_add(info.nar_size, Ordering::Relaxed);
            Ok::<_, GatherError>(scan.map(|scan| (info.path, scan)))
        }
    });
    let found: Vec<_> = scans.buffer_unordered(at_a_time).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Nothing if the path is gone by now.
async fn one(app: &App, cache: &Cache, info: &PathInfo, needles: Arc<Needles>) -> Result<Option<Scan>, GatherError> {
    let Some(nar) = app.database.find_nar_by_path(cache.id, info.path.hash()).await? else { return Ok(None) };
    let search = Search::new(needles, expected_mentions(info));
    let state = (Sha256::new(), search);
    let read = app.fetch.scan(&nar, app.ingest.decompressor(), state, |(hasher, search), piece| {
        hasher.update(piece);
        search.push(piece);
    });
    match read.await {
        Ok((hasher, search)) => {
            let nar_hash = NarHash::from_bytes(hasher.finalize().into());
            let found = search.finish();
            Ok(Some(Scan::Read { nar_hash, nar_size: found.length, secrets: found.secrets, mentions: found.mentions }))
        }
        Err(FetchError::Damaged { .. } | FetchError::Length { .. }) => Ok(Some(Scan::Damaged)),
        Err(error @ (FetchError::Storage(_) | FetchError::Database(_) | FetchError::Overloaded)) => Err(error.into()),
    }
}

/// What a path may mention: what it refers to, and itself.
fn expected_mentions(info: &PathInfo) -> BTreeSet<StorePathHash> {
    let mut expected: BTreeSet<StorePathHash> = info.references.iter().map(|path| *path.hash()).collect();
    expected.insert(*info.path.hash());
    expected
}
