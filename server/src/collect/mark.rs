//! Marking: which chunks are in use, by every manifest that there is.

use std::collections::BTreeSet;

use database::{ChunkRuns, NarId};

use super::{CollectError, Round, bitmap::Bitmap};

/// How many manifests are read at a time.
const PAGE: u32 = 500;

impl Round<'_> {
    /// Removes NARs that no path has, and documents that are too old; gives the chunks of all others.
    ///
    /// What is committed while this reads may be missed. A commit spares the chunks that it relies on, so whatever is removed
    /// by what this gives must have been condemned before, and be condemned still.
    pub(super) async fn mark(&mut self) -> Result<Bitmap, CollectError> {
        let mut marked = Bitmap::default();
        let damaged = self.damaged().await?;
        let mut after = None;
        loop {
            let page = self.database().scan_nars(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            self.chore.renew().await?;
            let unused: Vec<NarId> = page.iter().filter(|nar| !nar.is_used).map(|nar| nar.id).collect();
            let mut removed = 0;
            if !unused.is_empty() {
                removed = self.database().remove_nars(&unused).await?;
                self.report.nars_removed += removed;
            }
            // If somebody took one of them up just now, it is not known here which.
            let all_went = removed == unused.len() as u64;
            for nar in page.iter().filter(|nar| nar.is_used || !all_went) {
                mark(&mut marked, &nar.manifest);
                nar.listing.iter().for_each(|listing| mark(&mut marked, listing));
                if !nar.is_quarantined && uses(&nar.manifest, &damaged) {
                    tracing::error!(
                        nar.id = nar.id.0,
                        "chunks of a NAR are damaged; it is quarantined: push it again to heal it"
                    );
                    self.database().quarantine_nar(nar.id, self.now).await?;
                    self.report.nars_quarantined += 1;
                }
            }
        }
        self.mark_documents(&mut marked).await?;
        Ok(marked)
    }

    async fn mark_documents(&mut self, marked: &mut Bitmap) -> Result<(), CollectError> {
        let lapse = self.lapse().await?;
        let mut after = None;
        loop {
            let page = self.database().scan_documents(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some((last.cache, last.kind, last.name.clone()));
            self.chore.renew().await?;
            let (lapsed, kept): (Vec<_>, Vec<_>) = page.into_iter().partition(|document| lapse.is_lapsed(document));
            let removed = if lapsed.is_empty() { 0 } else { self.database().remove_documents(&lapsed).await? };
            self.report.documents_removed += removed;
            let all_went = removed == lapsed.len() as u64;
            for document in kept.iter().chain(lapsed.iter().filter(|_| !all_went)) {
                mark(marked, &document.manifest);
            }
        }
    }

    async fn damaged(&self) -> Result<BTreeSet<i64>, CollectError> {
        const PAGE: u32 = 10_000;
        let mut damaged = BTreeSet::new();
        loop {
            let after = damaged.last().copied().unwrap_or(0);
            let page = self.database().damaged_chunks(after, PAGE).await?;
            if page.is_empty() {
                return Ok(damaged);
            }
            damaged.extend(page.into_iter().map(|chunk| chunk.0));
        }
    }
}

fn mark(marked: &mut Bitmap, runs: &ChunkRuns) {
    runs.runs().iter().for_each(|&(first, length)| marked.insert_run(first, length));
}

fn uses(runs: &ChunkRuns, damaged: &BTreeSet<i64>) -> bool {
    !damaged.is_empty()
        && runs.runs().iter().any(|&(first, length)| damaged.range(first..first + i64::from(length)).next().is_some())
}
