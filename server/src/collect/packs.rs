//! Packs: which of them are worth rewriting.

use database::PackUse;

use super::{CollectError, Round};

const PAGE: u32 = 500;
/// Packs smaller than this are merged …
const SMALL_BYTES: u64 = 4 << 20;
/// … when there are this many.
const MANY: usize = 16;
/// So many small ones are held in mind; the others wait for the next round.
const MAX_SMALL: usize = 20_000;

impl Round<'_> {
    /// Rewrites packs of which too little is in use, and merges small ones. Packs behind `last` are left alone: what is
    /// written down in them may be about to become true.
    pub(super) async fn packs(&mut self, last: i64) -> Result<(), CollectError> {
        let mut small = Vec::new();
        let mut sparse = Vec::new();
        let mut after = None;
        loop {
            let page = self.database().scan_packs(after, PAGE).await?;
            let Some(end) = page.last() else { break };
            after = Some(end.id);
            self.chore.renew().await?;
            for pack in page.into_iter().filter(|pack| pack.id.0 <= last && pack.damaged_chunks == 0) {
                if is_sparse(&pack, self.policy().live_percent) {
                    sparse.push(pack);
                } else if pack.size < SMALL_BYTES && small.len() < MAX_SMALL {
                    small.push(pack);
                }
            }
        }
        let small_sparse = sparse.iter().filter(|pack| pack.size < SMALL_BYTES).count();
        if small.len() + small_sparse >= MANY {
            sparse.append(&mut small);
            sparse.sort_unstable_by_key(|pack| pack.id);
        }
        self.rewrite(sparse).await
    }
}

/// Whether so little of a pack is in use that it is worth a look; one that was looked at is so again when it has become less.
fn is_sparse(pack: &PackUse, live_percent: u64) -> bool {
    let is_little = pack.live_bytes.saturating_mul(100) < pack.size.saturating_mul(live_percent);
    pack.live_chunks == 0 || (is_little && pack.examined_live.is_none_or(|before| pack.live_bytes < before))
}

#[cfg(test)]
mod tests {
    use database::{PackId, PackName};

    use super::*;

    fn pack(size: u64, live_bytes: u64, examined_live: Option<u64>) -> PackUse {
        let name = PackName([0; 16]);
        PackUse { id: PackId(1), name, size, live_bytes, live_chunks: live_bytes, damaged_chunks: 0, examined_live }
    }

    #[test]
    fn a_pack_is_sparse_when_little_of_it_is_in_use() {
        assert!(!is_sparse(&pack(1000, 800, None), 80));
        assert!(is_sparse(&pack(1000, 799, None), 80));
        assert!(is_sparse(&pack(1000, 0, None), 80));
        assert!(!is_sparse(&pack(1000, 700, Some(700)), 80), "it was looked at, and is as it was");
        assert!(is_sparse(&pack(1000, 699, Some(700)), 80));
        assert!(is_sparse(&pack(1000, 0, Some(0)), 80), "nothing in it at all");
    }
}
