//! Why a path is kept, or when it goes.

use std::{collections::HashMap, time::Duration};

use database::CollectedCache;
use formats::{StorePath, StorePathHash};
use protocol::Timestamp;

use super::{
    CollectError, Collector,
    graph::{Node, PathGraph},
    plan, roots,
};

/// What is known of a path's future.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The path.
    pub path: StorePath,
    /// When it was last pushed or asked for.
    pub last_used_at: Timestamp,
    /// Since when it is condemned, if it is.
    pub condemned_at: Option<Timestamp>,
    /// Whether the next round keeps it.
    pub is_kept: bool,
    /// What keeps it.
    pub reasons: Vec<Reason>,
    /// When it goes at the earliest, if nothing uses it until then and no reason of another kind keeps it.
    pub goes_at: Option<Timestamp>,
}

/// One thing that keeps a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The cache keeps everything.
    ForEver,
    /// It was used, and is kept until then.
    Used {
        /// Until when.
        until: Timestamp,
    },
    /// A pin, or something like it.
    Root {
        /// What it is.
        why: String,
        /// From the root to the path, each referring to the next one.
        chain: Vec<StorePath>,
    },
    /// Something that refers to it was used, and is kept until then.
    Referrer {
        /// Until when.
        until: Timestamp,
        /// From there to the path, each referring to the next one.
        chain: Vec<StorePath>,
    },
}

impl Explanation {
    /// For programs; times are seconds since 1970.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let texts = |paths: &[StorePath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        let reasons: Vec<serde_json::Value> = self
            .reasons
            .iter()
            .map(|reason| match reason {
                Reason::ForEver => serde_json::json!({ "kind": "for-ever" }),
                Reason::Used { until } => serde_json::json!({ "kind": "used", "until": until }),
                Reason::Root { why, chain } => {
                    serde_json::json!({ "kind": "root", "root": why, "chain": texts(chain) })
                }
                Reason::Referrer { until, chain } => {
                    serde_json::json!({ "kind": "referrer", "until": until, "chain": texts(chain) })
                }
            })
            .collect();
        serde_json::json!({
            "path": self.path.to_string(),
            "last_used_at": self.last_used_at,
            "condemned_at": self.condemned_at,
            "kept": self.is_kept,
            "reasons": reasons,
            "goes_at": self.goes_at,
        })
    }
}

impl Collector {
    /// Explains a path; `None` if the cache does not have it.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn explain(
        &self,
        cache: &CollectedCache,
        path: &StorePathHash,
    ) -> Result<Option<Explanation>, CollectError> {
        let now = self.clock().now();
        let graph = PathGraph::load(&*self.database, cache.id).await?;
        let Some(node) = graph.find(path) else { return Ok(None) };
        let Some(name) = self.named(cache, &graph, vec![node]).await?.pop() else { return Ok(None) };
        let above = Above::new(&graph, node);
        let mut reasons = Vec::new();
        for root in roots::of(&*self.database, &self.extra, cache, now).await? {
            let Some(start) = graph.find(&root.hash).filter(|&root| above.contains(root)) else { continue };
            let chain = self.named(cache, &graph, above.chain(start)).await?;
            reasons.push(Reason::Root { why: root.why, chain });
        }
        let rules = self.rules(cache, &graph, now, self.recent(now).await?).await?;
        let retention = self.retention(cache);
        let latest = above.nodes().max_by_key(|&other| graph.used(other)).unwrap_or(node);
        match retention {
            None => reasons.push(Reason::ForEver),
            Some(retention) => {
                let until = |node| graph.used(node).plus(retention);
                if until(node) > now {
                    reasons.push(Reason::Used { until: until(node) });
                }
                if latest != node && until(latest) > now {
                    let chain = self.named(cache, &graph, above.chain(latest)).await?;
                    reasons.push(Reason::Referrer { until: until(latest), chain });
                }
            }
        }
        let is_kept = plan::kept(&graph, &rules).contains(node);
        let rooted = reasons.iter().any(|reason| matches!(reason, Reason::Root { .. } | Reason::ForEver));
        let after = |at: Timestamp, retention: Duration| {
            graph.condemned(node).unwrap_or_else(|| at.plus(retention).max(now)).plus(self.policy.grace)
        };
        let goes_at = match (is_kept, retention) {
            (false, _) => Some(after(now, Duration::ZERO)),
            (true, Some(retention)) if !rooted => Some(after(graph.used(latest), retention)),
            (true, _) => None,
        };
        Ok(Some(Explanation {
            path: name,
            last_used_at: graph.used(node),
            condemned_at: graph.condemned(node),
            is_kept,
            reasons,
            goes_at,
        }))
    }
}

/// Everything that refers to a path, directly or not, and by which way.
struct Above(HashMap<Node, Option<Node>>);

impl Above {
    fn new(graph: &PathGraph, node: Node) -> Self {
        let referrers = graph.referrers();
        let mut next = HashMap::from([(node, None)]);
        let mut waiting = std::collections::VecDeque::from([node]);
        // Level by level, so that ways are short.
        while let Some(node) = waiting.pop_front() {
            for &other in referrers.of(node) {
                next.entry(other).or_insert_with(|| {
                    waiting.push_back(other);
                    Some(node)
                });
            }
        }
        Self(next)
    }

    fn contains(&self, node: Node) -> bool {
        self.0.contains_key(&node)
    }

    fn nodes(&self) -> impl Iterator<Item = Node> {
        self.0.keys().copied()
    }

    /// From `start` down to the path.
    fn chain(&self, start: Node) -> Vec<Node> {
        let mut chain = vec![start];
        let mut at = start;
        while let Some(Some(next)) = self.0.get(&at) {
            chain.push(*next);
            at = *next;
        }
        chain
    }
}
