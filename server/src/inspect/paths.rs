//! Looking at the paths of a cache: whether each has its NAR, and whether what it refers to is there.

use std::collections::HashSet;

use database::{Cache, PathLinks};
use formats::StorePathHash;

use super::{Examined, Finding, InspectError, Inspector};

/// How many paths are looked at together.
const PAGE: u32 = 1000;
/// How many absent references a finding names.
const NAMED_REFERENCES: usize = 3;
/// Referrers of referrers are followed this far.
const MAX_ROUNDS: usize = 64;

impl Inspector {
    /// Looks at every path of a cache.
    pub(super) async fn paths(
        &self,
        cache: &Cache,
        examined: &mut Examined,
        found: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<(), InspectError> {
        let mut open: HashSet<StorePathHash> = HashSet::new();
        let mut after = None;
        let mut count = 0;
        loop {
            let page = self.database.list_path_links(cache.id, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(*last.path.hash());
            count += page.len() as u64;
            let absent = self.absent(cache, &page).await?;
            for links in page {
                if !links.has_nar {
                    found(Finding::PathWithoutNar { cache: cache.name.to_string(), path: links.path.clone() });
                }
                let missing = links.references.iter().filter(|path| absent.contains(path.hash()));
                let references: Vec<String> = missing.take(NAMED_REFERENCES).map(ToString::to_string).collect();
                if !references.is_empty() {
                    open.insert(*links.path.hash());
                    found(Finding::ReferencesAbsent { cache: cache.name.to_string(), path: links.path, references });
                }
            }
        }
        self.spread(cache, &mut open).await?;
        examined.paths += count;
        examined.open_closures += open.len() as u64;
        examined.whole_closures += count.saturating_sub(open.len() as u64);
        Ok(())
    }

    /// Which of the references of these paths the cache does not show.
    async fn absent(&self, cache: &Cache, page: &[PathLinks]) -> Result<HashSet<StorePathHash>, InspectError> {
        let others = page.iter().flat_map(|links| {
            links.references.iter().map(formats::StorePath::hash).filter(|hash| *hash != links.path.hash())
        });
        let asked: Vec<StorePathHash> = others.copied().collect::<HashSet<_>>().into_iter().collect();
        let mut absent = HashSet::new();
        for batch in asked.chunks(PAGE as usize) {
            absent.extend(self.database.missing_paths(cache.id, batch).await?);
        }
        Ok(absent)
    }

    /// Adds whatever refers to one of `open`, and so on. Each round goes through all paths, and most stores need none.
    async fn spread(&self, cache: &Cache, open: &mut HashSet<StorePathHash>) -> Result<(), InspectError> {
        for _ in 0..MAX_ROUNDS {
            let before = open.len();
            let mut after = None;
            if before == 0 {
                return Ok(());
            }
            loop {
                let page = self.database.list_path_links(cache.id, after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(*last.path.hash());
                for links in page {
                    if links.references.iter().any(|path| open.contains(path.hash())) {
                        open.insert(*links.path.hash());
                    }
                }
            }
            if open.len() == before {
                return Ok(());
            }
        }
        Ok(())
    }
}
