//! Strays: objects that no row names, and rows whose objects are gone.

use std::{collections::HashMap, time::Duration};

use database::{Grave, PackName};
use futures::TryStreamExt;

use super::{CollectError, Round};
use crate::pack;

/// How long an object may be without a row, however little grace there is: somebody may have written it just now.
const STRAY_GRACE: Duration = Duration::from_secs(900);
/// How long it is remembered that an object was removed: a commit that is that late must not find it forgotten.
const MEMORY: Duration = Duration::from_secs(24 * 3600);
/// How long an object may take to be written, however short the lease of an upload is.
const UNFINISHED: Duration = Duration::from_secs(24 * 3600);
const PAGE: u32 = 2000;
const BATCH: usize = 500;

/// The rows of packs, page by page, in the order of their names.
struct Rows {
    page: std::vec::IntoIter<PackName>,
    after: Option<PackName>,
    is_done: bool,
}

impl Round<'_> {
    /// Compares what the storage has with what the index knows.
    pub(super) async fn strays(&mut self) -> Result<(), CollectError> {
        let graves = self.all_graves().await?;
        let storage = std::sync::Arc::clone(self.collector.journal.storage());
        let mut objects = storage.list("packs/");
        let mut rows = Rows { page: Vec::new().into_iter(), after: None, is_done: false };
        let mut row = self.next_row(&mut rows).await?;
        let mut found = Vec::new();
        while let Some((key, size)) = objects.try_next().await? {
            let Some(name) = pack::name(&key) else { continue };
            while let Some(missing) = row.filter(|row| row.0 < name.0) {
                self.missing(missing).await?;
                row = self.next_row(&mut rows).await?;
            }
            if row == Some(name) {
                row = self.next_row(&mut rows).await?;
                continue;
            }
            match graves.get(&name) {
                None => found.push((name, size)),
                // A machine that went down may bring back what was removed right before.
                Some(grave) if grave.gone_at.is_some() => self.remove_object(grave.name, size).await?,
                Some(_) => {}
            }
            if found.len() == BATCH {
                self.note_strays(&mut found).await?;
            }
        }
        while let Some(missing) = row {
            self.missing(missing).await?;
            row = self.next_row(&mut rows).await?;
        }
        self.note_strays(&mut found).await
    }

    /// Removes the objects whose time has come.
    pub(super) async fn objects(&mut self) -> Result<(), CollectError> {
        let doomed_by = self.condemned_by();
        let seen_by = self.now.minus(self.policy().grace.max(STRAY_GRACE));
        for grave in self.all_graves().await?.into_values() {
            self.chore.renew().await?;
            match grave {
                Grave { gone_at: Some(at), .. } if at <= self.now.minus(MEMORY) => {
                    self.database().forget_grave(grave.name).await?;
                }
                Grave { gone_at: Some(_), .. } => {}
                Grave { doomed_at: Some(at), .. } if at <= doomed_by => {
                    self.remove_object(grave.name, grave.size).await?;
                    self.database().note_gone(grave.name, self.now).await?;
                }
                Grave { doomed_at: Some(_), .. } => {}
                Grave { seen_at, .. } if seen_at <= seen_by => {
                    if self.database().doom(grave.name, self.now).await? {
                        self.remove_object(grave.name, grave.size).await?;
                        self.database().note_gone(grave.name, self.now).await?;
                    } else {
                        // It was committed after all.
                        self.database().forget_grave(grave.name).await?;
                    }
                }
                Grave { .. } => {}
            }
        }
        Ok(())
    }

    /// Has the storage forget what died while it was written.
    pub(super) async fn unfinished(&mut self) -> Result<(), CollectError> {
        let begun_before = self.now.minus(self.policy().upload_lease.max(UNFINISHED));
        for prefix in ["packs/", "records/"] {
            self.chore.renew().await?;
            match self.collector.journal.storage().abort_unfinished(prefix, begun_before.0).await {
                Ok(aborted) => self.report.unfinished_aborted += aborted,
                // It may not be allowed to, and there is no harm in that but its cost.
                Err(error) => tracing::warn!(%error, "unfinished uploads to the storage cannot be aborted"),
            }
        }
        Ok(())
    }

    async fn remove_object(&mut self, name: PackName, size: u64) -> Result<(), CollectError> {
        self.collector.journal.storage().delete(&pack::key(name)).await?;
        self.report.objects_removed += 1;
        self.report.bytes_freed += size;
        Ok(())
    }

    async fn note_strays(&mut self, found: &mut Vec<(PackName, u64)>) -> Result<(), CollectError> {
        // A pack may have been committed since its row was looked for.
        let mut strays = Vec::new();
        for (name, size) in found.drain(..) {
            if self.database().find_pack(name).await?.is_none() {
                strays.push((name, size));
            }
        }
        if !strays.is_empty() {
            self.chore.renew().await?;
            self.database().note_strays(&strays, self.now).await?;
            self.report.strays_found += strays.len() as u64;
        }
        Ok(())
    }

    /// Takes the chunks of a pack whose object is not there out of deduplication. The next round hides the NARs that have them.
    async fn missing(&mut self, name: PackName) -> Result<(), CollectError> {
        // The listing may be older than the row.
        if self.collector.journal.storage().size(&pack::key(name)).await?.is_some() {
            return Ok(());
        }
        let Some(id) = self.database().find_pack(name).await? else { return Ok(()) };
        let chunks = self.database().chunks_of_pack(id).await?;
        let fresh: Vec<_> = chunks.iter().filter(|chunk| !chunk.is_damaged).map(|chunk| chunk.id).collect();
        if !fresh.is_empty() {
            tracing::error!(pack.name = %name, chunks = fresh.len(), "the object of a pack is gone");
            self.chore.renew().await?;
            self.database().mark_damaged(&fresh, self.now).await?;
            self.report.packs_missing += 1;
        }
        Ok(())
    }

    async fn next_row(&self, rows: &mut Rows) -> Result<Option<PackName>, CollectError> {
        if let Some(name) = rows.page.next() {
            rows.after = Some(name);
            return Ok(Some(name));
        }
        if rows.is_done {
            return Ok(None);
        }
        let page = self.database().scan_pack_names(rows.after, PAGE).await?;
        rows.is_done = page.len() < PAGE as usize;
        rows.page = page.into_iter();
        let name = rows.page.next();
        rows.after = name.or(rows.after);
        Ok(name)
    }

    async fn all_graves(&self) -> Result<HashMap<PackName, Grave>, CollectError> {
        let mut graves = HashMap::new();
        let mut after = None;
        loop {
            let page = self.database().graves(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(graves) };
            after = Some(last.name);
            graves.extend(page.into_iter().map(|grave| (grave.name, grave)));
        }
    }
}
