//! Importing a deployment of Attic: its caches with their keys, and their paths.

mod nar;

use std::sync::Arc;

use database::{Cache, CacheChange, Database, NewCache};
use formats::{Compression, SecretKey};
use futures::{StreamExt, stream};
use protocol::{CacheName, Clock, attic::UploadPathNarInfo};
use serde::Serialize;
use source::attic::{AtticCache, AtticDatabase, AtticFiles, AtticObject};

use self::nar::{BrokeOff, nar};
use super::{
    ImportError, ImportOptions, Importer,
    report::{ImportProgress, ImportReport},
    retry::{PathError, chain, retry},
};
use crate::{
    http::attic::path_info,
    ingest::{BodyError, Imported, ImportedFile, Ingest, IngestError, PushOutcome},
    journal::Journal,
};

/// Attic's database and files.
#[derive(Debug)]
pub struct Attic {
    /// The rows.
    pub database: AtticDatabase,
    /// The chunks.
    pub files: AtticFiles,
}

/// Where the paths go.
pub struct Target<'a> {
    /// The write path.
    pub ingest: &'a Ingest,
    /// The index.
    pub database: &'a Arc<dyn Database>,
    /// Records the caches that are made.
    pub journal: &'a Journal,
    /// What time it is.
    pub clock: &'a dyn Clock,
}

/// What came of importing one cache.
#[derive(Debug, Clone, Serialize)]
pub struct AtticReport {
    /// The cache.
    pub cache: String,
    /// Whether it was made by this import.
    pub created: bool,
    /// Why nothing of it was imported, if nothing was.
    pub refused: Option<String>,
    /// Its paths.
    pub paths: ImportReport,
}

/// Imports the caches that `wanted` names, or all.
///
/// # Errors
/// If the source cannot be read at all, or our own index fails.
pub async fn import_attic(
    attic: &Attic,
    target: &Target<'_>,
    wanted: &[CacheName],
    options: &ImportOptions,
    progress: &mut dyn FnMut(&str, ImportProgress),
) -> Result<Vec<AtticReport>, ImportError> {
    let mut reports = Vec::new();
    let caches = attic.database.caches().await?;
    for name in wanted {
        if caches.iter().all(|cache| cache.name != name.as_str()) {
            let refused = Some("Attic has no such cache".to_owned());
            let paths = ImportReport::default();
            reports.push(AtticReport { cache: name.to_string(), created: false, refused, paths });
        }
    }
    for theirs in caches {
        if !wanted.is_empty() && wanted.iter().all(|name| name.as_str() != theirs.name) {
            continue;
        }
        let mut report =
            AtticReport { cache: theirs.name.clone(), created: false, refused: None, paths: ImportReport::default() };
        match cache(&theirs, target).await? {
            Ok((ours, created)) => {
                report.created = created;
                let importer = Importer::new(target.ingest, target.database, options.clone(), ours);
                let name = theirs.name.clone();
                report.paths = objects(attic, &importer, &theirs, &mut |state| progress(&name, state)).await?;
            }
            Err(why) => report.refused = Some(why),
        }
        reports.push(report);
    }
    Ok(reports)
}

/// Our cache for one of theirs; made if there is none. One that is there must have their key, or clients would not trust it.
async fn cache(theirs: &AtticCache, target: &Target<'_>) -> Result<Result<(Cache, bool), String>, ImportError> {
    let new = match new_cache(theirs, target.clock) {
        Ok(new) => new,
        Err(why) => return Ok(Err(why)),
    };
    if let Some(ours) = target.database.find_cache(&new.name).await? {
        let key = new.key.public_key().to_string();
        if ours.keys.iter().any(|ours| ours.public_key().to_string() == key) {
            return Ok(Ok((ours, false)));
        }
        if ours.keys.iter().any(|ours| ours.name() == new.key.name()) {
            return Ok(Err(format!(
                "there is a cache {} here with another key of the name {}",
                new.name,
                new.key.name()
            )));
        }
        // In front, so that it is the one that clients are told to trust.
        let keys = std::iter::once(new.key).chain(ours.keys).collect();
        let change = CacheChange { keys: Some(keys), ..CacheChange::default() };
        let changed = target.journal.change_cache(&**target.database, &new.name, &change).await?;
        return Ok(changed.map(|ours| (ours, false)).ok_or_else(|| "it was deleted meanwhile".to_owned()));
    }
    let created = target.journal.create_cache(&**target.database, &new).await?;
    Ok(created.map(|ours| (ours, true)).ok_or_else(|| "somebody else has made it just now; try again".to_owned()))
}

fn new_cache(theirs: &AtticCache, clock: &dyn Clock) -> Result<NewCache, String> {
    fn of<T: std::str::FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, String> {
        text.parse().map_err(|error| format!("its {what}: {error}"))
    }
    Ok(NewCache {
        name: of("name", &theirs.name)?,
        is_public: theirs.is_public,
        store_dir: of("store dir", &theirs.store_dir)?,
        priority: i32::try_from(theirs.priority).map_err(|_| "its priority is out of range".to_owned())?,
        upstream_key_names: theirs
            .upstream_cache_key_names
            .iter()
            .map(|name| of("upstream key name", name))
            .collect::<Result<_, _>>()?,
        retention: theirs.retention_period.and_then(|seconds| u32::try_from(seconds).ok()),
        key: of::<SecretKey>("key", &theirs.keypair)?,
        now: clock.now(),
    })
}

/// Imports the paths of a cache, in the order in which they came to it.
async fn objects(
    attic: &Attic,
    importer: &Importer<'_>,
    theirs: &AtticCache,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<ImportReport, ImportError> {
    let mut report = ImportReport::default();
    let mut after = 0;
    loop {
        let page = attic.database.objects(theirs.id, after).await?;
        let Some((last, ..)) = page.last() else { return Ok(report) };
        after = *last;
        report.paths += page.len() as u64;
        let mut wanted = Vec::new();
        for (_, path, object) in page {
            match object.map_err(|error| chain(&error)).and_then(|object| Ok((imported(importer, &object)?, object))) {
                Ok(object) => wanted.push(object),
                Err(why) => report.fail(path, why),
            }
        }
        let hashes: Vec<_> = wanted.iter().map(|(path, _)| *path.info.path.hash()).collect();
        let missing = importer.database.missing_paths(importer.cache.id, &hashes).await?;
        report.present += (wanted.len() - missing.len()) as u64;
        wanted.retain(|(path, _)| missing.contains(path.info.path.hash()));
        let mut outcomes = stream::iter(wanted)
            .map(async |(path, object)| {
                let (name, nar_size) = (path.info.path.clone(), path.info.nar_size);
                (name, nar_size, take(attic, importer, path, &object).await)
            })
            .buffered(importer.options.jobs.max(1));
        while let Some((path, nar_size, outcome)) = outcomes.next().await {
            match outcome {
                Ok(PushOutcome::Stored) => {
                    report.imported += 1;
                    report.nar_bytes += nar_size;
                }
                Ok(PushOutcome::KeptOther) => report.kept_other.push(path.to_string()),
                Err(why) => report.fail(path, why),
            }
            let done = report.present + report.imported + (report.kept_other.len() + report.failed.len()) as u64;
            progress(ImportProgress { seen: report.paths, done, nar_bytes: report.nar_bytes });
        }
    }
}

/// A row as types, by the rules for what is pushed: Attic keeps whatever it was told.
fn imported(importer: &Importer<'_>, object: &AtticObject) -> Result<Imported, String> {
    let about = UploadPathNarInfo {
        cache: importer.cache.name.clone(),
        store_path_hash: object.store_path_hash.clone(),
        store_path: object.store_path.clone(),
        references: object.references.clone(),
        system: None,
        deriver: object.deriver.clone(),
        sigs: object.sigs.clone(),
        ca: object.ca.clone(),
        nar_hash: object.nar_hash.clone(),
        nar_size: u64::try_from(object.nar_size).unwrap_or(0),
    };
    let info = path_info(&importer.cache.store_dir, &about).map_err(|error| error.message().to_owned())?;
    let trusted = &importer.options.trusted;
    if !trusted.is_empty() && !info.is_signed_by(&importer.cache.store_dir, trusted) {
        return Err("no trusted key has signed it".to_owned());
    }
    Ok(Imported { info, extra: Vec::new(), pushed_by: object.created_by.clone() })
}

async fn take(
    attic: &Attic,
    importer: &Importer<'_>,
    path: Imported,
    object: &AtticObject,
) -> Result<PushOutcome, String> {
    if importer.is_broken() {
        return Err("not tried, since the storage or the index has failed".to_owned());
    }
    if object.nar_state != "V" {
        return Err("the upload of its NAR has never ended".to_owned());
    }
    let path = &path;
    let outcome = retry(async || {
        if let Some(outcome) = importer.ingest.import_known(&importer.cache, path).await? {
            return Ok(outcome);
        }
        let chunks = attic.database.chunks(object.nar_id, object.num_chunks).await?;
        let broke = BrokeOff::default();
        let body = nar(&attic.files, chunks, &broke);
        let file = ImportedFile { compression: Compression::None, hash: None, size: None, body };
        let taken = importer.ingest.import_nar(&importer.cache, path.clone(), file).await;
        taken.map_err(|error| match (error, broke.take()) {
            (IngestError::Body(_), Some(error)) => PathError::Source(error),
            (error @ IngestError::Body(BodyError::Cut(_)), None) => PathError::Damaged(error),
            (error, _) => PathError::Ingest(error),
        })
    });
    outcome.await.map_err(|error| {
        if let PathError::Ingest(error) = &error {
            importer.heed(error);
        }
        chain(&error)
    })
}
