//! Records that were lost with a trailer: what no pack says any more is said again, from the index.

use std::collections::HashSet;

use database::{Cache, ChunkRow, ChunkRuns, DocumentKind, NarId, NarRow};
use formats::StorePath;
use futures::TryStreamExt;
use protocol::{ChunkHash, Manifest, ManifestEntry};

use super::{PAGE, Repair, RepairError};
use crate::{
    inspect::Inspector,
    pack::{DocumentAbout, DocumentRecord, NarRecord, PathRecord, Record},
};

/// What packs say, as short marks of it: 8 bytes for each thing. That two things share a mark is less likely than that the disk
/// lies.
#[derive(Debug, Default)]
struct Said(HashSet<u64>);

impl Said {
    fn mark(parts: &[&str]) -> u64 {
        let hash = ChunkHash::of(parts.join("\n").as_bytes());
        u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap_or(&[0; 8]))
    }

    fn note(&mut self, record: &Record) {
        let mark = match record {
            Record::Nar(nar) => Self::mark(&["nar", &nar.nar_hash.to_string(), &nar.file_hash.to_string()]),
            Record::Path(path) => Self::mark(&["path", &path.cache, &path.path]),
            Record::Document(document) => {
                let about = &document.about;
                Self::mark(&["document", &about.cache, &about.kind, &about.name])
            }
            _ => return,
        };
        self.0.insert(mark);
    }

    fn has(&self, parts: &[&str]) -> bool {
        self.0.contains(&Self::mark(parts))
    }
}

impl Repair {
    /// Writes the records that no readable trailer has; how many there were.
    pub(super) async fn write_lost_records(&self, inspector: &Inspector) -> Result<u64, RepairError> {
        let mut said = Said::default();
        for prefix in ["packs/", "records/"] {
            let mut objects = self.journal.storage().list(prefix);
            while let Some((key, size)) = objects.try_next().await? {
                let records = inspector.records_at(&key, size).await?.unwrap_or_default();
                records.iter().for_each(|record| said.note(record));
            }
        }
        self.journal.note_all_caches(&*self.database).await?;
        let mut written = self.write_nars(&said).await?;
        for cache in self.database.list_caches().await? {
            written += self.write_paths(&cache, &said).await?;
            written += self.write_documents(&cache, &said).await?;
        }
        Ok(written)
    }

    async fn write_nars(&self, said: &Said) -> Result<u64, RepairError> {
        let (mut after, mut written) = (NarId(0), 0);
        loop {
            // Before the rows are read: what is removed meanwhile is removed later than this.
            let at = self.journal.stamp();
            let page = self.database.list_nars(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(written) };
            after = last.id;
            let mut records = Vec::new();
            // One in quarantine gets a record when it is healed.
            for nar in page.into_iter().filter(|nar| !nar.is_quarantined) {
                if !said.has(&["nar", &nar.nar_hash.to_string(), &nar.file_hash.to_string()]) {
                    records.extend(self.nar_again(&nar).await?.map(Record::Nar));
                }
            }
            written += records.len() as u64;
            self.journal.record(at, records).await?;
        }
    }

    async fn nar_again(&self, nar: &NarRow) -> Result<Option<NarRecord>, RepairError> {
        let Ok(runs) = &nar.manifest else { return Ok(None) };
        let Some(rows) = self.rows_of(runs).await? else { return Ok(None) };
        let listing = match nar.listing.as_ref().and_then(|runs| runs.as_ref().ok()) {
            Some(runs) => self.rows_of(runs).await?,
            None => None,
        };
        Ok(Some(NarRecord {
            nar_hash: nar.nar_hash,
            nar_size: nar.nar_size,
            file_hash: nar.file_hash,
            file_size: nar.file_size,
            checks: Some(rows.iter().map(|row| row.location.check).collect()),
            manifest: manifest(&rows),
            listing: listing.as_deref().map(manifest),
            at: Some(self.journal.clock().now().0),
        }))
    }

    /// The rows of a manifest; `None` if a chunk has none.
    async fn rows_of(&self, runs: &ChunkRuns) -> Result<Option<Vec<ChunkRow>>, RepairError> {
        let rows = self.database.examine_chunks(runs).await?;
        Ok((rows.len() == runs.chunk_count()).then_some(rows))
    }

    async fn write_paths(&self, cache: &Cache, said: &Said) -> Result<u64, RepairError> {
        let (mut after, mut written) = (None, 0);
        loop {
            let at = self.journal.stamp();
            let page = self.database.list_path_links(cache.id, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(written) };
            after = Some(*last.path.hash());
            let mut records = Vec::new();
            for links in page {
                if !said.has(&["path", cache.name.as_str(), &links.path.to_string()]) {
                    records.extend(self.path_again(cache, &links.path).await?.map(Record::Path));
                }
            }
            written += records.len() as u64;
            self.journal.record(at, records).await?;
        }
    }

    async fn path_again(&self, cache: &Cache, path: &StorePath) -> Result<Option<PathRecord>, RepairError> {
        let Some(row) = self.database.find_path(cache.id, path.hash()).await? else { return Ok(None) };
        let info = row.info;
        Ok(Some(PathRecord {
            cache: cache.name.to_string(),
            store_dir: cache.store_dir.to_string(),
            path: info.path.to_string(),
            nar_hash: info.nar_hash.to_string(),
            nar_size: info.nar_size,
            references: info.references.iter().map(ToString::to_string).collect(),
            deriver: info.deriver.as_ref().map(ToString::to_string),
            signatures: info.signatures.iter().map(ToString::to_string).collect(),
            ca: info.ca.as_ref().map(ToString::to_string),
            extra: row.extra,
            pushed_by: None,
            at: self.journal.clock().now().0,
        }))
    }

    async fn write_documents(&self, cache: &Cache, said: &Said) -> Result<u64, RepairError> {
        let (mut after, mut written): (Option<(DocumentKind, String)>, u64) = (None, 0);
        loop {
            let at = self.journal.stamp();
            let from = after.as_ref().map(|(kind, name)| (*kind, name.as_str()));
            let page = self.database.list_documents(cache.id, from, PAGE).await?;
            let Some((kind, name, _)) = page.last() else { return Ok(written) };
            after = Some((*kind, name.clone()));
            let mut records = Vec::new();
            for (kind, name, document) in page {
                if said.has(&["document", cache.name.as_str(), kind.as_str(), &name]) {
                    continue;
                }
                let Some(rows) = self.rows_of(&document.manifest).await? else { continue };
                let now = self.journal.clock().now().0;
                let (cache, kind) = (cache.name.to_string(), kind.as_str().to_owned());
                let about = DocumentAbout { cache, kind, name, at: now };
                records.push(Record::Document(DocumentRecord { about, manifest: manifest(&rows) }));
            }
            written += records.len() as u64;
            self.journal.record(at, records).await?;
        }
    }
}

fn manifest(rows: &[ChunkRow]) -> Manifest {
    Manifest(rows.iter().map(|row| ManifestEntry { hash: row.hash, size: row.location.size }).collect())
}
