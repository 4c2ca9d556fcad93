//! Which caches have seen which chunks after a commit.

use std::collections::{BTreeMap, BTreeSet};

use database::{CacheId, ChunkRuns, Commit, CommitError, PathOutcome, Result};

use super::{chunks::Chunks, nars::Nars};
use crate::{
    column::Column,
    dialect::Connection,
    error::failed,
    list::{BATCH, json},
};

/// For each cache the chunks that it has seen, as first and last id; in any order, and perhaps more than once.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<CacheId, Vec<(i64, i64)>>);

impl Seen {
    /// Everything that `commit` makes seen: chunks by where they were pushed to, and those of every NAR that a path shows.
    pub(super) async fn gather(
        connection: &mut Connection,
        commit: &Commit,
        chunks: &Chunks,
        nars: &Nars,
        outcomes: &[PathOutcome],
    ) -> std::result::Result<Self, CommitError> {
        let mut seen = Self::default();
        for chunk in commit.packs.iter().flat_map(|pack| &pack.chunks) {
            if let (Some(cache), Some(id)) = (chunk.cache, chunks.id(&chunk.hash)) {
                seen.add(cache, &[id].into_iter().collect());
            }
        }
        let mut shown: BTreeMap<i64, BTreeSet<CacheId>> = BTreeMap::new();
        for (path, outcome) in commit.paths.iter().zip(outcomes) {
            match outcome {
                PathOutcome::Created | PathOutcome::Merged => {
                    shown.entry(nars.id(&path.info.nar_hash)?).or_default().insert(path.cache);
                }
                PathOutcome::KeptOther => {}
            }
        }
        // As stored, not as in the commit: a NAR that was known keeps the chunks that it has.
        let ids: Vec<i64> = shown.keys().copied().collect();
        for batch in ids.chunks(BATCH) {
            let batch = json(batch)?;
            let rows =
                sqlx::query_file!("sql/nar_manifest.sql", batch).fetch_all(&mut *connection).await.map_err(failed)?;
            for row in rows {
                let runs = Column("nar", "manifest").runs(&row.manifest)?;
                for &cache in &shown[&row.id] {
                    seen.add(cache, &runs);
                }
            }
        }
        Ok(seen)
    }

    fn add(&mut self, cache: CacheId, runs: &ChunkRuns) {
        let ranges = runs.runs().iter().map(|&(first, length)| (first, first + i64::from(length) - 1));
        self.0.entry(cache).or_default().extend(ranges);
    }

    /// Writes it down. A cache that is gone by then is passed over: a pack may hold chunks of many.
    pub(super) async fn insert(self, connection: &mut Connection) -> Result<()> {
        for (cache, ranges) in self.0 {
            for batch in united(ranges).chunks(BATCH) {
                let batch = json(batch)?;
                sqlx::query_file!("sql/chunk_cache_insert.sql", cache.0, batch)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// The same ids, in ascending ranges that do not touch.
fn united(mut ranges: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    ranges.sort_unstable();
    let mut united: Vec<(i64, i64)> = Vec::new();
    for (first, last) in ranges {
        match united.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => united.push((first, last)),
        }
    }
    united
}

#[cfg(test)]
mod tests {
    use super::united;

    #[test]
    fn ranges_that_touch_become_one() {
        let ranges = vec![(9, 9), (1, 3), (4, 4), (2, 2), (6, 6), (9, 12), (10, 11), (i64::MAX, i64::MAX)];
        assert_eq!(united(ranges), [(1, 4), (6, 6), (9, 12), (i64::MAX, i64::MAX)]);
        assert!(united(Vec::new()).is_empty());
    }
}
