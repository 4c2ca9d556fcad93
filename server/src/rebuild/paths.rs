//! Paths and documents from their records.

use database::{Commit, CommitError, DocumentKind, Gone, NewDocument, NewPath};
use formats::{PathInfo, StorePathHash};
use protocol::Timestamp;

use super::{Rebuild, RebuildError, caches::Timeline, nars::pointers, report::Stage, spool::Entry, survey::Survey};
use crate::pack::{DocumentRecord, KeptOutRecord, PathRecord, Record, Removal, Stamp};

/// How many paths go into one transaction.
const BATCH_PATHS: usize = 1000;

impl Rebuild<'_> {
    /// Replays caches, paths, documents, and what was removed of them.
    pub(super) async fn replay_paths(&mut self, survey: &mut Survey) -> Result<(), RebuildError> {
        let mut timeline = Timeline::of(std::mem::take(&mut survey.caches));
        let total = survey.rest.len() as u64;
        let mut batch: Vec<NewPath> = Vec::new();
        for (done, entry) in (1..).zip(std::mem::take(&mut survey.rest)) {
            self.put_paths_before(&mut batch, &mut timeline, entry.stamp).await?;
            for record in survey.spool.read(&entry)? {
                match record {
                    Record::Path(path) => {
                        if let Some(path) = self.path(survey, &mut timeline, &entry, &path).await? {
                            batch.push(path);
                        }
                        if batch.len() >= BATCH_PATHS {
                            self.put_paths(std::mem::take(&mut batch)).await?;
                        }
                    }
                    Record::Document(document) => self.document(&mut timeline, document).await?,
                    Record::Removal(removal) => {
                        self.put_paths(std::mem::take(&mut batch)).await?;
                        self.removal(&timeline, removal).await?;
                    }
                    _ => {}
                }
            }
            self.tell(Stage::Paths, done, Some(total));
        }
        self.put_paths(batch).await?;
        self.caches_until(&mut timeline, Stamp(u64::MAX)).await?;
        self.limits_and_pins(&timeline).await?;
        self.replay_told(survey, &timeline).await
    }

    /// Before a cache changes, what was pushed to it has to be in it.
    async fn put_paths_before(
        &mut self,
        batch: &mut Vec<NewPath>,
        timeline: &mut Timeline,
        stamp: Stamp,
    ) -> Result<(), RebuildError> {
        if timeline.changes_until(stamp) {
            self.put_paths(std::mem::take(batch)).await?;
            self.caches_until(timeline, stamp).await?;
        }
        Ok(())
    }

    async fn path(
        &mut self,
        survey: &Survey,
        timeline: &mut Timeline,
        entry: &Entry,
        record: &PathRecord,
    ) -> Result<Option<NewPath>, RebuildError> {
        let info = match path_info(record) {
            Ok(info) => info,
            Err(why) => {
                self.report.malformed_records.add(&record.path, why);
                return Ok(None);
            }
        };
        let hash = info.path.hash().to_string();
        let kept_out = KeptOutRecord { cache: record.cache.clone(), hash, nar_hash: record.nar_hash.clone() };
        if survey.kept_out.get(&kept_out).is_some_and(|until| entry.stamp <= *until) {
            return Ok(None);
        }
        let Some(cache) = self.cache(timeline, &record.cache, Some(&record.store_dir)).await? else { return Ok(None) };
        let (extra, pushed_by) = (record.extra.clone(), record.pushed_by.clone());
        Ok(Some(NewPath { cache, info, extra, pushed_by, now: Timestamp(record.at) }))
    }

    /// Shows paths, all at once or, if one of them cannot be shown, one by one.
    async fn put_paths(&mut self, paths: Vec<NewPath>) -> Result<(), RebuildError> {
        if paths.is_empty() {
            return Ok(());
        }
        let all = Commit { paths, ..Commit::default() };
        match self.database.commit(&all).await {
            Ok(_) => return Ok(()),
            Err(CommitError::NarGone) => {}
            Err(error) => return Err(error.into()),
        }
        for path in all.paths {
            let name = path.info.path.clone();
            match self.database.commit(&Commit { paths: vec![path], ..Commit::default() }).await {
                Ok(_) => {}
                Err(CommitError::NarGone) => self.report.hidden_paths.add(name, "its NAR is not whole"),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn document(&mut self, timeline: &mut Timeline, record: DocumentRecord) -> Result<(), RebuildError> {
        let DocumentRecord { about, manifest } = record;
        let Some(kind) = kind(&about.kind) else {
            self.report.malformed_records.add(about.name, format_args!("{:?} is no kind of document", about.kind));
            return Ok(());
        };
        let Some(cache) = self.cache(timeline, &about.cache, None).await? else { return Ok(()) };
        let located = self.locate([&manifest].into_iter()).await?;
        let Some(pointers) = pointers(&manifest, &located) else {
            self.report.damaged_documents.add(about.name, "a frame is missing");
            return Ok(());
        };
        let (size, now) = (manifest.nar_size(), Timestamp(about.at));
        let document = NewDocument { cache, kind, name: about.name, manifest: pointers, size, now };
        self.database.commit(&Commit { documents: vec![document], ..Commit::default() }).await?;
        self.report.documents += 1;
        Ok(())
    }

    async fn removal(&mut self, timeline: &Timeline, removal: Removal) -> Result<(), RebuildError> {
        let gone = match removal {
            Removal::Path { cache, hash } => {
                let Ok(hash) = hash.parse::<StorePathHash>() else {
                    self.report.malformed_records.add(hash, "no hash part of a path");
                    return Ok(());
                };
                timeline.live(&cache).map(|cache| Gone::Path { cache, hash })
            }
            Removal::Document { cache, kind: text, name } => {
                timeline.live(&cache).zip(kind(&text)).map(|(cache, kind)| Gone::Document { cache, kind, name })
            }
            Removal::Nar { .. } => None,
        };
        match gone {
            Some(gone) => Ok(self.database.forget(&[gone]).await?),
            None => Ok(()),
        }
    }
}

fn kind(text: &str) -> Option<DocumentKind> {
    DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == text)
}

/// A record as types; if it makes no sense, says why.
fn path_info(record: &PathRecord) -> Result<PathInfo, String> {
    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, String> {
        text.parse().map_err(|error| format!("the {what}: {error}"))
    }
    Ok(PathInfo {
        path: parsed("path", &record.path)?,
        nar_hash: parsed("NAR hash", &record.nar_hash)?,
        nar_size: record.nar_size,
        references: record.references.iter().map(|text| parsed("reference", text)).collect::<Result<_, _>>()?,
        deriver: record.deriver.as_deref().map(|text| parsed("deriver", text)).transpose()?,
        signatures: record.signatures.iter().map(|text| parsed("signature", text)).collect::<Result<_, _>>()?,
        ca: record.ca.as_deref().map(|text| parsed("content address", text)).transpose()?,
    })
}
