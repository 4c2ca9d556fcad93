//! Names of plain uploads, and documents, that have lapsed.

use std::collections::HashMap;

use database::{CacheId, DocumentAge};
use protocol::Timestamp;

use super::{CollectError, Round};

const PAGE: u32 = 500;

/// By when a document must have come to be too old now, for each cache; none where they stay for ever.
pub(super) struct Lapse(HashMap<CacheId, Timestamp>);

impl Lapse {
    pub(super) fn is_lapsed(&self, document: &DocumentAge) -> bool {
        self.0.get(&document.cache).is_some_and(|&by| document.created_at <= by)
    }
}

impl Round<'_> {
    /// Removes names of plain uploads whose narinfo did not come in time, or whose path went. A name whose path is there
    /// stays: whoever put it may still ask by it.
    pub(super) async fn uploads(&mut self) -> Result<(), CollectError> {
        let by = self.now.minus(self.policy().upload_lease);
        let deleted = self.deleted_caches().await?;
        let mut after = None;
        loop {
            let page = self.database().scan_uploads(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some((last.cache, last.file_name.clone()));
            let lapsed = page
                .into_iter()
                .filter(|upload| deleted.contains(&upload.cache) || (!upload.is_used && upload.created_at <= by));
            let lapsed: Vec<_> = lapsed.collect();
            if !lapsed.is_empty() {
                self.chore.renew().await?;
                self.report.uploads_removed += self.database().remove_uploads(&lapsed).await?;
            }
        }
    }

    async fn deleted_caches(&self) -> Result<Vec<CacheId>, CollectError> {
        let caches = self.database().collected_caches().await?;
        Ok(caches.into_iter().filter(|cache| cache.deleted_at.is_some()).map(|cache| cache.id).collect())
    }

    /// What decides about documents: nobody knows when one was last read, so they stay as long after they came as an unused
    /// path does; one that is pushed again begins anew.
    pub(super) async fn lapse(&self) -> Result<Lapse, CollectError> {
        let mut by = HashMap::new();
        for cache in self.database().collected_caches().await? {
            if cache.deleted_at.is_some() {
                by.insert(cache.id, self.now);
            } else if let Some(retention) = self.collector.retention(&cache) {
                by.insert(cache.id, self.now.minus(retention.max(self.policy().grace)));
            }
        }
        Ok(Lapse(by))
    }
}
