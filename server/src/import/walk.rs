//! Importing from a binary cache.

use std::collections::{HashMap, HashSet};

use formats::{NarInfo, StorePathHash};
use futures::{StreamExt, TryStreamExt, stream};
use source::BinaryCache;
use tokio::sync::watch;

use super::{
    ImportError, Importer,
    order::references_first,
    report::{ImportProgress, ImportReport},
    retry::{PathError, chain, retry},
};
use crate::ingest::{Imported, ImportedFile, PushOutcome};

/// So many roots are imported, with their closures, before the next ones are looked at: what is kept of each path meanwhile is its
/// narinfo.
const ROOTS: usize = 5000;
/// How many paths the index is asked for at once.
const ASKED: usize = 1000;

/// Imports paths with their closures: `roots`, or all that the source lists.
///
/// # Errors
/// If the source cannot be read at all, or our own index fails.
pub async fn import_paths(
    importer: &Importer<'_>,
    source: &dyn BinaryCache,
    roots: Option<Vec<StorePathHash>>,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<ImportReport, ImportError> {
    let theirs = retry(|| source.cache_info()).await?.store_dir;
    if theirs != importer.cache.store_dir {
        return Err(ImportError::StoreDir { theirs: theirs.to_string(), ours: importer.cache.store_dir.to_string() });
    }
    let mut walk = Walk { importer, source, visited: HashSet::new(), report: ImportReport::default(), progress };
    let mut listed = match roots {
        Some(roots) => stream::iter(roots.into_iter().map(Ok)).boxed(),
        None => source.list().ok_or(ImportError::NoListing)?,
    }
    .try_chunks(ROOTS);
    while let Some(batch) = listed.next().await {
        let batch = batch.map_err(|error| ImportError::Source(error.1))?;
        walk.import(batch).await?;
    }
    Ok(walk.report)
}

struct Walk<'a> {
    importer: &'a Importer<'a>,
    source: &'a dyn BinaryCache,
    visited: HashSet<StorePathHash>,
    report: ImportReport,
    progress: &'a mut dyn FnMut(ImportProgress),
}

impl Walk<'_> {
    async fn import(&mut self, roots: Vec<StorePathHash>) -> Result<(), ImportError> {
        let missing = self.look(roots).await?;
        self.fetch(references_first(missing)).await;
        Ok(())
    }

    fn tell(&mut self) {
        let report = &self.report;
        let done = report.present + report.imported + (report.kept_other.len() + report.failed.len()) as u64;
        (self.progress)(ImportProgress { seen: report.paths, done, nar_bytes: report.nar_bytes });
    }

    /// Goes through the closures of `roots`, and gives the narinfos of what the cache lacks.
    async fn look(&mut self, roots: Vec<StorePathHash>) -> Result<HashMap<StorePathHash, NarInfo>, ImportError> {
        let cache = &self.importer.cache;
        let mut missing = HashMap::new();
        let named: HashSet<StorePathHash> = roots.iter().copied().collect();
        let mut next: Vec<StorePathHash> = roots.into_iter().filter(|hash| self.visited.insert(*hash)).collect();
        while !next.is_empty() {
            let mut references = Vec::new();
            for hashes in std::mem::take(&mut next).chunks(ASKED) {
                let lacking = self.importer.database.missing_paths(cache.id, hashes).await?;
                self.report.paths += hashes.len() as u64;
                self.report.present += (hashes.len() - lacking.len()) as u64;
                let there: HashSet<&StorePathHash> = hashes.iter().collect();
                let lacked: HashSet<&StorePathHash> = lacking.iter().collect();
                for hash in there.difference(&lacked) {
                    // What is there may have been pushed without its references.
                    if let Some(row) = self.importer.database.find_path(cache.id, hash).await? {
                        references.extend(row.info.references.iter().map(|path| *path.hash()));
                    }
                }
                let (source, store_dir) = (self.source, &cache.store_dir);
                let mut narinfos = stream::iter(lacking)
                    .map(async |hash| (hash, retry(|| source.narinfo(store_dir, &hash)).await))
                    .buffer_unordered(self.importer.options.jobs.max(1) * 4);
                while let Some((hash, narinfo)) = narinfos.next().await {
                    match narinfo {
                        Ok(Some(narinfo)) => {
                            references.extend(narinfo.info.references.iter().map(|path| *path.hash()));
                            missing.insert(hash, narinfo);
                        }
                        Ok(None) if named.contains(&hash) => self.report.fail(hash, "the source does not have it"),
                        Ok(None) => {
                            self.report.paths -= 1;
                            self.report.absent.push(hash.to_string());
                        }
                        Err(error) => self.report.fail(hash, chain(&error)),
                    }
                }
                drop(narinfos);
                self.tell();
            }
            next = references.into_iter().filter(|hash| self.visited.insert(*hash)).collect();
        }
        Ok(missing)
    }

    /// Fetches paths in this order, several at a time; none before its references are there.
    async fn fetch(&mut self, paths: Vec<NarInfo>) {
        let come: Come =
            (0..).zip(&paths).map(|(place, n)| (*n.info.path.hash(), (place, watch::Sender::new(None)))).collect();
        let (importer, source, come) = (self.importer, self.source, &come);
        let mut fetched = stream::iter(paths)
            .map(async |narinfo| {
                let hash = *narinfo.info.path.hash();
                let (path, nar_size) = (narinfo.info.path.clone(), narinfo.info.nar_size);
                let outcome = match reference_that_failed(&narinfo, come).await {
                    Some(reference) => Err(format!("its reference {reference} could not be imported")),
                    None => fetch_one(importer, source, narinfo).await,
                };
                if let Some((_, sender)) = come.get(&hash) {
                    sender.send_replace(Some(outcome.is_ok()));
                }
                (path, nar_size, outcome)
            })
            .buffer_unordered(importer.options.jobs.max(1));
        while let Some((path, nar_size, outcome)) = fetched.next().await {
            match outcome {
                Ok(PushOutcome::Stored) => {
                    self.report.imported += 1;
                    self.report.nar_bytes += nar_size;
                }
                Ok(PushOutcome::KeptOther) => self.report.kept_other.push(path.to_string()),
                Err(why) => self.report.fail(path, why),
            }
            self.tell();
        }
    }
}

/// By path: its place in the order, and whether it has come, once that is known.
type Come = HashMap<StorePathHash, (usize, watch::Sender<Option<bool>>)>;

/// Waits for the references of a path; gives one that did not come.
async fn reference_that_failed(narinfo: &NarInfo, come: &Come) -> Option<String> {
    let (own, _) = come.get(narinfo.info.path.hash())?;
    for reference in &narinfo.info.references {
        let Some((place, sender)) = come.get(reference.hash()) else { continue };
        // Those before it are under way or done. What goes round in a circle, which no store does, would wait for itself.
        if place < own
            && let Ok(state) = sender.subscribe().wait_for(Option::is_some).await
            && *state == Some(false)
        {
            return Some(reference.to_string());
        }
    }
    None
}

async fn fetch_one(importer: &Importer<'_>, source: &dyn BinaryCache, narinfo: NarInfo) -> Result<PushOutcome, String> {
    if importer.is_broken() {
        return Err("not tried, since the storage or the index has failed".to_owned());
    }
    let trusted = &importer.options.trusted;
    let store_dir = &importer.cache.store_dir;
    if !trusted.is_empty() && !narinfo.info.is_signed_by(store_dir, trusted) {
        return Err("no trusted key has signed it".to_owned());
    }
    let narinfo = &narinfo;
    let outcome = retry(async || {
        let path = Imported { info: narinfo.info.clone(), extra: narinfo.extra.clone(), pushed_by: None };
        if let Some(outcome) = importer.ingest.import_known(&importer.cache, &path).await? {
            return Ok(outcome);
        }
        let file = ImportedFile {
            compression: narinfo.compression,
            hash: narinfo.file_hash,
            size: narinfo.file_size,
            body: source.file(&narinfo.url).await?,
        };
        Ok::<_, PathError>(importer.ingest.import_nar(&importer.cache, path, file).await?)
    })
    .await;
    outcome.map_err(|error| {
        if let PathError::Ingest(error) = &error {
            importer.heed(error);
        }
        chain(&error)
    })
}
