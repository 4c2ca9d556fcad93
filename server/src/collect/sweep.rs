//! Sweeping: chunks that no manifest names.

use super::{
    CollectError, Round,
    bitmap::{self, Bitmap},
};

/// How many chunks are looked at at a time.
const PAGE: u32 = 20_000;
/// How many ranges, and how many chunks, one transaction changes.
const BATCH_RANGES: usize = 500;
const BATCH_CHUNKS: i64 = 5000;

impl Round<'_> {
    /// Removes chunks that were condemned by an earlier round and are unmarked still, and condemns others that are unmarked,
    /// up to `last`: later ones may belong to an upload that is under way.
    pub(super) async fn sweep(&mut self, marked: &Bitmap, last: i64) -> Result<(), CollectError> {
        self.sweep_condemned(marked).await?;
        let mut after = 0;
        loop {
            let page = self.database().scan_chunks(after, last, PAGE).await?;
            let Some(&(_, end)) = page.last() else { return Ok(()) };
            after = end;
            let unused: Vec<_> = page.into_iter().flat_map(|(first, last)| marked.gaps(first, last)).collect();
            for batch in batches(&unused) {
                self.chore.renew().await?;
                self.report.chunks_condemned += self.database().condemn_chunks(&batch, self.now).await?;
            }
        }
    }

    async fn sweep_condemned(&mut self, marked: &Bitmap) -> Result<(), CollectError> {
        let by = self.condemned_by();
        let mut after = 0;
        loop {
            let page = self.database().condemned_chunks(after, PAGE).await?;
            let Some((end, _)) = page.last() else { return Ok(()) };
            after = end.0;
            let used = page.iter().map(|(chunk, _)| chunk.0).filter(|&id| marked.contains(id));
            for batch in batches(&bitmap::runs(used)) {
                self.chore.renew().await?;
                self.report.chunks_spared += self.database().spare_chunks(&batch).await?;
            }
            let unused = page.iter().filter(|&&(chunk, at)| !marked.contains(chunk.0) && at <= by);
            for batch in batches(&bitmap::runs(unused.map(|(chunk, _)| chunk.0))) {
                self.chore.renew().await?;
                self.report.chunks_removed += self.database().remove_chunks(&batch, by).await?;
            }
        }
    }
}

/// The same ranges in portions that a transaction can take; long ones are cut.
fn batches(ranges: &[(i64, i64)]) -> Vec<Vec<(i64, i64)>> {
    let mut batches = Vec::new();
    let mut batch: Vec<(i64, i64)> = Vec::new();
    let mut room = BATCH_CHUNKS;
    for &(first, last) in ranges {
        let mut first = first;
        while first <= last {
            let end = last.min(first + room - 1);
            batch.push((first, end));
            room -= end - first + 1;
            first = end + 1;
            if room == 0 || batch.len() == BATCH_RANGES {
                batches.push(std::mem::take(&mut batch));
                room = BATCH_CHUNKS;
            }
        }
    }
    batches.extend((!batch.is_empty()).then_some(batch));
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ranges_are_cut_and_short_ones_gathered() {
        assert!(batches(&[]).is_empty());
        let long = batches(&[(1, 3), (10, 12_000)]);
        assert_eq!(long, [vec![(1, 3), (10, 5006)], vec![(5007, 10_006)], vec![(10_007, 12_000)]]);
        let many: Vec<_> = (0..600).map(|at| (at * 2, at * 2)).collect();
        assert_eq!(batches(&many).iter().map(Vec::len).collect::<Vec<_>>(), [500, 100]);
    }
}
