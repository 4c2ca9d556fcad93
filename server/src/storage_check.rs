//! Proves that a storage does what is relied on, and tells what else it does. Cleans up after itself.

mod bucket;
mod speed;

use std::{future::Future, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use storage::{Error, Key, Storage};

pub use self::bucket::check as check_bucket;

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many objects are listed.
const LISTED: usize = 25;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it has to be.
    Good,
    /// Not as it might be, and nothing here relies on it.
    Note,
    /// The storage must not be used.
    Bad,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// In words.
    pub detail: String,
}

impl Finding {
    pub(crate) fn good(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, detail: detail.into() }
    }

    pub(crate) fn note(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Note, detail: detail.into() }
    }

    pub(crate) fn bad(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Bad, detail: detail.into() }
    }
}

/// A place in the storage for one run of the checks.
#[derive(Debug, Clone)]
pub struct Place(String);

impl Place {
    /// A place that nobody else has.
    #[must_use]
    pub fn new() -> Self {
        Self(format!("check/{:032x}", rand::random::<u128>()))
    }

    /// A key in it.
    ///
    /// # Panics
    /// Never: letters, digits and dashes make a key.
    #[must_use]
    pub fn key(&self, name: &str) -> Key {
        format!("{}/{name}", self.0).parse().expect("letters and digits make a key")
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs every check that suits any storage.
pub async fn check(storage: &dyn Storage, place: &Place) -> Vec<Finding> {
    let reach = checked("reach", async { storage.ping().await.map(|()| Finding::good("reach", "it answers")) }).await;
    let is_away = reach.verdict == Verdict::Bad;
    let mut findings = vec![reach];
    if is_away {
        return findings;
    }
    findings.push(checked("write and read", write_and_read(storage, place)).await);
    findings.push(checked("ranges", ranges(storage, place)).await);
    findings.push(checked("long objects", long_objects(storage, place)).await);
    findings.push(checked("abandoned writes", abandoned(storage, place)).await);
    findings.push(checked("absence", absence(storage, place)).await);
    findings.push(checked("replacing", replacing(storage, place)).await);
    findings.push(checked("listing and deleting", listing(storage, place)).await);
    findings.extend(speed::check(storage, place).await);
    findings
}

/// Removes whatever the checks left; says so if it cannot.
pub async fn clean_up(storage: &dyn Storage, place: &Place) -> Option<Finding> {
    let removed = async {
        let left: Vec<(Key, u64)> = storage.list(&format!("{}/", place.0)).try_collect().await?;
        stream::iter(left)
            .map(Ok)
            .try_for_each_concurrent(8, |(key, _)| async move { storage.delete(&key).await })
            .await
    };
    let removed: Result<(), Error> = removed.await;
    removed
        .err()
        .map(|error| Finding::bad("cleaning up", format!("objects under {}/ stay: {}", place.0, chain(&error))))
}

/// What a check found, or that it failed.
pub(crate) async fn checked(check: &'static str, work: impl Future<Output = Result<Finding, Error>>) -> Finding {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(error)) => Finding::bad(check, chain(&error)),
        Err(_) => Finding::bad(check, format!("it takes more than {} s", PATIENCE.as_secs())),
    }
}

/// An error with its causes, and what to try where that is known.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        if let Some(error) = cause.downcast_ref::<s3::S3Error>() {
            text = format!("{text}; {}", error.hint());
        }
        source = cause.source();
    }
    text
}

fn noise(length: usize) -> Bytes {
    let mut seed = [0; 32];
    rand::fill(&mut seed);
    let mut body = vec![0; length];
    blake3::Hasher::new_keyed(&seed).finalize_xof().fill(&mut body);
    body.into()
}

async fn write_and_read(storage: &dyn Storage, place: &Place) -> Result<Finding, Error> {
    const CHECK: &str = "write and read";
    for length in [0, 1, 64 << 10] {
        let (key, body) = (place.key(&format!("object-{length}")), noise(length));
        storage.put(&key, body.clone()).await?;
        let size = storage.size(&key).await?;
        if size != Some(length as u64) {
            return Ok(Finding::bad(
                CHECK,
                format!("an object of {length} bytes has the size {size:?} after it was written"),
            ));
        }
        if storage.read(&key, 0..length as u64).await? != body {
            return Ok(Finding::bad(CHECK, format!("an object of {length} bytes is read back with other bytes")));
        }
    }
    Ok(Finding::good(CHECK, "what is written is read back, at once"))
}

async fn ranges(storage: &dyn Storage, place: &Place) -> Result<Finding, Error> {
    const CHECK: &str = "ranges";
    let (key, body) = (place.key("ranges"), noise(100_000));
    storage.put(&key, body.clone()).await?;
    for range in [0..1, 7..40_000, 99_999..100_000, 0..100_000] {
        let (start, end) = (range.start, range.end);
        if storage.read(&key, range.start as u64..range.end as u64).await? != body[range] {
            return Ok(Finding::bad(CHECK, format!("bytes {start} to {end} are not those that were asked for")));
        }
    }
    match storage.read(&key, 99_000..100_001).await {
        Err(Error::Truncated { .. }) => Ok(Finding::good(CHECK, "exactly what is asked for; past the end is told")),
        Err(error) => Err(error),
        Ok(_) => Ok(Finding::bad(CHECK, "a range past the end is answered as if there were bytes")),
    }
}

async fn long_objects(storage: &dyn Storage, place: &Place) -> Result<Finding, Error> {
    const CHECK: &str = "long objects";
    let (key, body) = (place.key("long"), noise(11 << 20));
    let mut writer = storage.begin(&key).await?;
    for piece in body.chunks(1 << 20) {
        writer.write(body.slice_ref(piece)).await?;
    }
    if storage.size(&key).await?.is_some() {
        return Ok(Finding::bad(CHECK, "an object is seen before it is whole"));
    }
    writer.finish().await?;
    if storage.read(&key, 0..body.len() as u64).await? != body {
        return Ok(Finding::bad(CHECK, "an object that was written in parts is read back with other bytes"));
    }
    Ok(Finding::good(CHECK, "written in parts, seen when it is whole"))
}

async fn abandoned(storage: &dyn Storage, place: &Place) -> Result<Finding, Error> {
    let key = place.key("abandoned");
    let mut writer = storage.begin(&key).await?;
    writer.write(noise(6 << 20)).await?;
    drop(writer);
    Ok(match storage.size(&key).await? {
        None => Finding::good("abandoned writes", "nothing is seen of them"),
        Some(_) => Finding::bad("abandoned writes", "an object is seen that was never finished"),
    })
}

async fn absence(storage: &dyn Storage, place: &Place) -> Result<Finding, Error> {
    match storage.read(&place.key("nowhere"), 0..1).await {
        Err(Error::NotFound { .. }) => {
            Ok(Finding::good("absence", "an object that is not there is told apart from all else"))
        }
        Err(error) => Err(error),
        Ok(_) => Ok(Finding::bad("absence", "an object that was never written has bytes")),
    }
}

async fn replacing(storage: &dyn Storage, place: &Place) -> Result<Finding, Error> {
    let key = place.key("replaced");
    for number in 0..5_u8 {
        storage.put(&key, Bytes::from(vec![number; 1000])).await?;
        if storage.read(&key, 0..1000).await?.iter().any(|&byte| byte != number) {
            return Ok(Finding::bad("replacing", "after an object was replaced, the old one is still read"));
        }
    }
    Ok(Finding::good("replacing", "the new bytes are read at once"))
}

async fn listing(storage: &dyn Storage, place: &Place) -> Result<Finding, Error> {
    const CHECK: &str = "listing and deleting";
    let keys: Vec<Key> = (0..LISTED).map(|number| place.key(&format!("list/{number:03}"))).collect();
    let put = |key: Key| async move { storage.put(&key, Bytes::from_static(b"x")).await };
    stream::iter(keys.clone()).map(Ok).try_for_each_concurrent(8, put).await?;
    let prefix = format!("{}/list/", place.0);
    let list = || async { storage.list(&prefix).map_ok(|(key, _)| key).try_collect::<Vec<Key>>().await };
    let found = list().await?;
    if found != keys {
        return Ok(Finding::bad(
            CHECK,
            format!("of {LISTED} objects just written, {} are listed in order", found.len()),
        ));
    }
    stream::iter(keys).map(Ok).try_for_each_concurrent(8, |key| async move { storage.delete(&key).await }).await?;
    let found = list().await?;
    Ok(match found.first() {
        None => Finding::good(CHECK, "lists are complete, in order and up to date"),
        Some(key) if storage.size(key).await?.is_some() => Finding::bad(CHECK, "what was deleted is still there"),
        Some(_) => Finding::note(CHECK, "what was deleted is still listed for a while"),
    })
}

#[cfg(test)]
mod tests {
    use storage::{Fault, FaultPlan, FaultyStorage, MemoryStorage, Operation};

    use super::*;

    async fn verdicts(storage: &dyn Storage) -> Vec<(&'static str, Verdict)> {
        check(storage, &Place::new()).await.into_iter().map(|finding| (finding.check, finding.verdict)).collect()
    }

    #[tokio::test]
    async fn a_good_storage_passes_and_is_left_as_it_was() {
        let storage = MemoryStorage::new();
        let place = Place::new();
        let findings = check(&storage, &place).await;
        assert!(findings.len() > 8 && findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
        assert_eq!(clean_up(&storage, &place).await, None);
        assert_eq!(storage.list("").count().await, 0);
    }

    #[tokio::test]
    async fn what_is_wrong_is_found() {
        let corrupt = FaultPlan::none().every(Operation::Read, Fault::Corrupt);
        let found = verdicts(&FaultyStorage::new(MemoryStorage::new(), corrupt)).await;
        for check in ["write and read", "ranges", "long objects", "replacing"] {
            assert!(found.contains(&(check, Verdict::Bad)), "{check}: {found:?}");
        }
        let away = FaultPlan::none().dies_after(0);
        assert_eq!(verdicts(&FaultyStorage::new(MemoryStorage::new(), away)).await, [("reach", Verdict::Bad)]);
    }
}
