//! Paths: what is kept, condemned and removed.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    time::Duration,
};

use database::{Act, CollectedCache, NarId};
use formats::StorePathHash;
use protocol::Timestamp;

use super::{
    CollectError, Collector, Round,
    graph::PathGraph,
    plan::{Plan, Rules},
    roots,
};
use crate::{
    audit::{self, Deed},
    pack::{self, Record, Stamp},
};

/// How many paths one transaction changes.
const BATCH: usize = 500;
/// How many notes of chunks that a deleted cache has seen one transaction removes.
const SEEN: u32 = 5000;
/// How many paths are read at a time.
const PAGE: u32 = 2000;

/// What is to become of the paths of one cache.
#[derive(Debug)]
pub struct CachePlan {
    /// The cache.
    pub cache: CollectedCache,
    /// What is decided.
    pub plan: Plan,
    graph: PathGraph,
    /// Paths that were condemned by then go.
    condemned_by: Timestamp,
}

impl Collector {
    /// Decides what a round at this time does to the paths of each cache. Changes nothing.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn plan(&self) -> Result<Vec<CachePlan>, CollectError> {
        let now = self.clock().now();
        let recent = self.recent(now).await?;
        let mut plans = Vec::new();
        for cache in self.database.collected_caches().await? {
            plans.push(self.plan_cache(cache, now, recent).await?);
        }
        Ok(plans)
    }

    /// How long an unused path of a cache stays; `None` is for ever.
    pub(super) fn retention(&self, cache: &CollectedCache) -> Option<Duration> {
        match cache.retention {
            Some(0) => None,
            Some(seconds) => Some(Duration::from_secs(seconds.into())),
            None => self.policy.retention,
        }
    }

    async fn plan_cache(
        &self,
        cache: CollectedCache,
        now: Timestamp,
        recent: Option<Timestamp>,
    ) -> Result<CachePlan, CollectError> {
        let graph = PathGraph::load(&*self.database, cache.id).await?;
        let rules = self.rules(&cache, &graph, now, recent).await?;
        let plan = Plan::new(&graph, &rules);
        Ok(CachePlan { cache, plan, graph, condemned_by: rules.condemned_by })
    }

    pub(super) async fn rules(
        &self,
        cache: &CollectedCache,
        graph: &PathGraph,
        now: Timestamp,
        recent: Option<Timestamp>,
    ) -> Result<Rules, CollectError> {
        if cache.deleted_at.is_some() {
            // Nobody can see them any more.
            let never = Some(Timestamp(i64::MAX));
            return Ok(Rules { used_since: never, ..Rules::keep_all(now) });
        }
        let roots = roots::of(&*self.database, &self.extra, cache, now).await?;
        let max_size = match cache.max_size {
            Some(limit) => Some((limit, self.sizes(cache, graph).await?)),
            None => None,
        };
        Ok(Rules {
            used_since: self.retention(cache).map(|retention| now.minus(retention)).max(recent),
            roots: roots.into_iter().map(|root| root.hash).collect(),
            max_size,
            condemned_by: now.minus(self.policy.grace),
        })
    }

    /// The NAR of each path of a graph, and its size.
    async fn sizes(&self, cache: &CollectedCache, graph: &PathGraph) -> Result<Vec<(NarId, u64)>, CollectError> {
        let mut sizes = vec![(NarId(0), 0); graph.len()];
        let mut after = None;
        loop {
            let page = self.database.scan_sizes(cache.id, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(sizes) };
            after = Some(last.hash);
            for path in page {
                if let Some(place) = graph.find(&path.hash).and_then(|node| sizes.get_mut(node as usize)) {
                    *place = (path.nar, path.file_size);
                }
            }
        }
    }

    /// Since when a path must have been used so that all such paths of all caches fit into the size for all; `None` if all do.
    pub(super) async fn recent(&self, now: Timestamp) -> Result<Option<Timestamp>, CollectError> {
        let Some(limit) = self.policy.max_size else { return Ok(None) };
        let mut paths: Vec<(Timestamp, NarId, u64)> = Vec::new();
        for cache in self.database.collected_caches().await?.into_iter().filter(|cache| cache.deleted_at.is_none()) {
            let mut after = None;
            loop {
                let page = self.database.scan_paths(cache.id, after, PAGE).await?;
                let sizes = self.database.scan_sizes(cache.id, after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.hash);
                let sizes: HashMap<StorePathHash, (NarId, u64)> =
                    sizes.into_iter().map(|size| (size.hash, (size.nar, size.file_size))).collect();
                paths.extend(page.iter().filter_map(|path| {
                    let (nar, size) = sizes.get(&path.hash)?;
                    Some((path.last_used_at, *nar, *size))
                }));
            }
        }
        paths.sort_unstable_by_key(|&(used, ..)| Reverse(used));
        let mut counted = HashSet::new();
        let mut size = 0;
        for (used, nar, bytes) in paths {
            if counted.insert(nar) {
                size += bytes;
            }
            if size > limit {
                // Those of that very second cannot be told apart; what is used right now stays.
                return Ok(Some(Timestamp(used.0 + 1).min(now)));
            }
        }
        Ok(None)
    }
}

impl Round<'_> {
    /// Decides for each cache, and does it.
    pub(super) async fn paths(&mut self) -> Result<(), CollectError> {
        self.report.pins_expired += self.database().remove_expired_pins(self.now).await?;
        let recent = self.collector.recent(self.now).await?;
        for cache in self.database().collected_caches().await? {
            self.chore.renew().await?;
            let plan = self.collector.plan_cache(cache, self.now, recent).await?;
            self.apply(plan).await?;
        }
        self.tell_of_removals().await
    }

    async fn apply(&mut self, plan: CachePlan) -> Result<(), CollectError> {
        let CachePlan { cache, plan, graph, condemned_by } = plan;
        for batch in plan.spare.chunks(BATCH) {
            self.chore.renew().await?;
            self.database().spare_paths(cache.id, batch).await?;
            self.report.paths_spared += batch.len() as u64;
        }
        for batch in plan.condemn.chunks(BATCH) {
            self.chore.renew().await?;
            self.database().condemn_paths(cache.id, batch, self.now).await?;
            self.report.paths_condemned += batch.len() as u64;
        }
        let removed = self.remove(&cache, &graph, &plan.remove, condemned_by).await?;
        self.report.paths_removed += removed;
        if removed > 0 {
            let deed = Deed::done(Act::CollectRemove).on(&cache.name).detail(format!("{removed} paths"));
            audit::note(&**self.database(), self.now, &self.collector.who, deed).await;
        }
        if cache.deleted_at.is_some() {
            if plan.paths > 0 {
                self.database().strip_cache(cache.id, !self.policy().soft_delete_caches).await?;
            }
            while self.database().forget_seen_chunks(cache.id, SEEN).await? > 0 {
                self.chore.renew().await?;
            }
        }
        Ok(())
    }

    /// Removes paths, each unless it was used meanwhile; then what it refers to stays as well.
    pub(super) async fn remove(
        &self,
        cache: &CollectedCache,
        graph: &PathGraph,
        paths: &[StorePathHash],
        condemned_by: Timestamp,
    ) -> Result<u64, CollectError> {
        let mut removed = 0;
        let mut spared = graph.none();
        let mut rest = paths;
        while !rest.is_empty() {
            self.chore.renew().await?;
            let (batch, after) = rest.split_at(apart(graph, rest));
            rest = after;
            let is_spared = |hash: &StorePathHash| graph.find(hash).is_some_and(|node| spared.contains(node));
            let batch: Vec<StorePathHash> = batch.iter().copied().filter(|hash| !is_spared(hash)).collect();
            let gone = self.database().remove_paths(cache.id, &batch, condemned_by, self.now).await?;
            for (hash, gone) in batch.iter().zip(gone) {
                if gone {
                    removed += 1;
                } else if let Some(node) = graph.find(hash) {
                    graph.close(&mut spared, [node], |_| {});
                }
            }
        }
        Ok(removed)
    }

    /// Has the storage remember what went.
    pub(super) async fn tell_of_removals(&mut self) -> Result<(), CollectError> {
        loop {
            let removals = self.database().pending_removals(1000).await?;
            let Some(at) = removals.first().map(|removal| removal.removed_at) else { return Ok(()) };
            self.chore.renew().await?;
            let together: Vec<_> = removals.into_iter().filter(|removal| removal.removed_at == at).collect();
            let records = together.iter().map(|removal| {
                let hash = removal.path.hash().to_string();
                Record::Removal(pack::Removal::Path { cache: removal.cache.clone(), hash })
            });
            self.collector.journal.record(Stamp::of(at), records.collect()).await?;
            self.database().forget_removals(&together).await?;
        }
    }
}

/// How many paths from the first on go in one transaction: none of them refers to another, which could not be spared any more.
fn apart(graph: &PathGraph, paths: &[StorePathHash]) -> usize {
    let mut referred = HashSet::new();
    let apart = paths.iter().take(BATCH).take_while(|hash| {
        let Some(node) = graph.find(hash) else { return true };
        let is_apart = !referred.contains(&node);
        referred.extend(graph.references(node).iter().copied());
        is_apart
    });
    apart.count().max(1)
}
