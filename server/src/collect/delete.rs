//! Deleting by hand: a path, or more, if nothing that stays refers to it.

use std::time::Duration;

use database::CollectedCache;
use formats::{StorePath, StorePathHash};

use super::{
    CollectError, Collector, Round,
    graph::{self, Node, Nodes, PathGraph},
    report::Report,
    roots,
};
use crate::chore::{Chore, ChoreError};

/// What goes with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Everything that refers to it, directly or not.
    pub referrers: bool,
    /// Everything that it refers to, directly or not, and that nothing else refers to.
    pub closure: bool,
}

/// What a deletion would do, or did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deletion {
    /// The paths that go, each after everything that refers to it.
    pub paths: Vec<StorePath>,
    /// Paths that stay and refer to one that would go. If there is one, nothing goes.
    pub referrers: Vec<StorePath>,
    /// What keeps one of the paths that would go. If there is anything, nothing goes.
    pub kept_by: Vec<String>,
    /// Paths that were used at that very moment, and stay.
    pub spared: Vec<StorePath>,
}

impl Deletion {
    /// Whether something stands against it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        !self.referrers.is_empty() || !self.kept_by.is_empty()
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let texts = |paths: &[StorePath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        serde_json::json!({
            "paths": texts(&self.paths),
            "referrers": texts(&self.referrers),
            "kept_by": self.kept_by,
            "spared": texts(&self.spared),
            "refused": self.is_refused(),
        })
    }
}

impl Collector {
    /// Says what deleting a path would do; `None` if the cache does not have it.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn plan_deletion(
        &self,
        cache: &CollectedCache,
        path: &StorePathHash,
        reach: Reach,
    ) -> Result<Option<Deletion>, CollectError> {
        Ok(self.decide(cache, path, reach).await?.map(|(deletion, ..)| deletion))
    }

    /// Deletes a path, with what goes with it, unless something stands against that. The bytes are freed by later rounds.
    ///
    /// # Errors
    /// If the index or the storage fails.
    pub async fn delete(
        &self,
        chore: &Chore,
        cache: &CollectedCache,
        path: &StorePathHash,
        reach: Reach,
    ) -> Result<Option<Deletion>, CollectError> {
        let Some((mut deletion, graph)) = self.decide(cache, path, reach).await? else { return Ok(None) };
        if deletion.is_refused() {
            return Ok(Some(deletion));
        }
        let now = self.clock().now();
        let mut round = Round { collector: self, chore, now, report: Report::default() };
        let hashes: Vec<StorePathHash> = deletion.paths.iter().map(|path| *path.hash()).collect();
        let condemn: Vec<_> = hashes.iter().map(|hash| (*hash, now)).collect();
        for batch in condemn.chunks(500) {
            chore.renew().await?;
            self.database.condemn_paths(cache.id, batch, now).await?;
        }
        let removed = round.remove(cache, &graph, &hashes, now).await?;
        round.tell_of_removals().await?;
        round.report.paths_removed = removed;
        round.report.count();
        for name in graph::names(&*self.database, cache.id, &hashes).await?.into_iter().flatten() {
            deletion.spared.push(name);
        }
        deletion.paths.retain(|path| !deletion.spared.contains(path));
        Ok(Some(deletion))
    }

    /// As [`Collector::delete`], in place of whoever collects at this moment: waits until they are done.
    ///
    /// # Errors
    /// As [`Collector::delete`]; also if somebody collects for too long.
    pub async fn delete_now(
        &self,
        cache: &CollectedCache,
        path: &StorePathHash,
        reach: Reach,
    ) -> Result<Option<Deletion>, CollectError> {
        const TRIES: u32 = 20;
        for _ in 0..TRIES {
            // Not the lease of the chore: that it ran is not to be written down for this.
            if let Some(chore) = Chore::begin(super::CHORE, &self.database, self.clock()).await? {
                let done = self.delete(&chore, cache, path, reach).await;
                chore.give_up().await;
                return done;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err(ChoreError::Lost(super::CHORE).into())
    }

    /// The base names of paths.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn names(&self, cache: &CollectedCache, hashes: &[StorePathHash]) -> Result<Vec<String>, CollectError> {
        let names = graph::names(&*self.database, cache.id, hashes).await?;
        Ok(names.into_iter().flatten().map(|path| path.to_string()).collect())
    }

    async fn decide(
        &self,
        cache: &CollectedCache,
        path: &StorePathHash,
        reach: Reach,
    ) -> Result<Option<(Deletion, PathGraph)>, CollectError> {
        let graph = PathGraph::load(&*self.database, cache.id).await?;
        let Some(node) = graph.find(path) else { return Ok(None) };
        let referrers = graph.referrers();
        let mut going = graph.none();
        going.insert(node);
        let mut waiting = vec![node];
        while let Some(node) = waiting.pop().filter(|_| reach.referrers) {
            waiting.extend(referrers.of(node).iter().copied().filter(|&other| going.insert(other)));
        }
        if reach.closure {
            let mut closure = graph.none();
            graph.close(&mut closure, going.clone().iter(), |_| {});
            // Referrers first: when a path's turn comes, it is known of all that refer to it whether they go.
            for node in graph.referrers_first(&closure) {
                if referrers.of(node).iter().all(|&other| going.contains(other)) && !referrers.of(node).is_empty() {
                    going.insert(node);
                }
            }
        }
        let staying = going.iter().flat_map(|node| referrers.of(node).iter().copied()).filter(|&n| !going.contains(n));
        let mut staying: Vec<Node> = staying.collect();
        staying.sort_unstable();
        staying.dedup();
        let roots = roots::of(&*self.database, &self.extra, cache, self.clock().now()).await?;
        let mut kept_by: Vec<String> =
            roots.into_iter().filter(|root| reaches(&graph, &root.hash, &going)).map(|root| root.why).collect();
        kept_by.dedup();
        let deletion = Deletion {
            paths: self.named(cache, &graph, graph.referrers_first(&going)).await?,
            referrers: self.named(cache, &graph, staying).await?,
            kept_by,
            spared: Vec::new(),
        };
        Ok(Some((deletion, graph)))
    }

    pub(super) async fn named(
        &self,
        cache: &CollectedCache,
        graph: &PathGraph,
        nodes: Vec<Node>,
    ) -> Result<Vec<StorePath>, CollectError> {
        let hashes: Vec<StorePathHash> = nodes.into_iter().map(|node| graph.hash(node)).collect();
        Ok(graph::names(&*self.database, cache.id, &hashes).await?.into_iter().flatten().collect())
    }
}

/// Whether a root keeps one of these.
fn reaches(graph: &PathGraph, root: &StorePathHash, nodes: &Nodes) -> bool {
    let mut found = false;
    let mut closure = graph.none();
    graph.close(&mut closure, graph.find(root), |node| found |= nodes.contains(node));
    found
}
