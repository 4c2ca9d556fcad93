//! What becomes of the paths of a cache: decided first, done later.

use std::{cmp::Reverse, collections::HashSet};

use database::NarId;
use formats::StorePathHash;
use protocol::Timestamp;

use super::graph::{Node, Nodes, PathGraph};

/// What decides.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Paths that were used since then are kept; `None` is all.
    pub used_since: Option<Timestamp>,
    /// Paths that are kept whenever they were used.
    pub roots: Vec<StorePathHash>,
    /// Beyond this many bytes the least recently used are not kept, with the size of each path, by its place in the graph.
    pub max_size: Option<(u64, Vec<(NarId, u64)>)>,
    /// Paths that were condemned by then go now.
    pub condemned_by: Timestamp,
}

impl Rules {
    /// Everything is kept.
    pub(super) fn keep_all(condemned_by: Timestamp) -> Self {
        Self { used_since: None, roots: Vec::new(), max_size: None, condemned_by }
    }
}

/// What becomes of the paths of a cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// How many paths there are.
    pub paths: usize,
    /// How many are kept.
    pub kept: usize,
    /// Those that are not to go after all.
    pub spare: Vec<StorePathHash>,
    /// Those that are to go, and when each was last used.
    pub condemn: Vec<(StorePathHash, Timestamp)>,
    /// Those that go now, each after everything that refers to it.
    pub remove: Vec<StorePathHash>,
}

impl Plan {
    /// Decides.
    pub(super) fn new(graph: &PathGraph, rules: &Rules) -> Self {
        let kept = kept(graph, rules);
        // What is not to go yet keeps what it refers to.
        let mut staying = kept.clone();
        let condemned_later = |&node: &Node| graph.condemned(node).is_none_or(|at| at > rules.condemned_by);
        graph.close(&mut staying, graph.nodes().filter(condemned_later), |_| {});
        let mut going = graph.none();
        for node in graph.nodes().filter(|&node| !staying.contains(node)) {
            going.insert(node);
        }
        let is_condemned = |node: &Node| graph.condemned(*node).is_some();
        let hash = |node: Node| graph.hash(node);
        Self {
            paths: graph.len(),
            kept: kept.iter().count(),
            spare: kept.iter().filter(is_condemned).map(hash).collect(),
            condemn: graph
                .nodes()
                .filter(|node| !kept.contains(*node) && !is_condemned(node))
                .map(|node| (graph.hash(node), graph.used(node)))
                .collect(),
            remove: graph.referrers_first(&going).into_iter().map(hash).collect(),
        }
    }
}

/// The paths that are kept: what was used, is pinned or just came, with all that it refers to.
pub(super) fn kept(graph: &PathGraph, rules: &Rules) -> Nodes {
    let mut kept = graph.none();
    let mut firm = Vec::new();
    let roots = rules.roots.iter().filter_map(|hash| graph.find(hash)).chain(graph.fresh().iter().copied());
    graph.close(&mut kept, roots, |node| firm.push(node));
    let used = graph.nodes().filter(|&node| rules.used_since.is_none_or(|since| graph.used(node) >= since));
    let Some((limit, sizes)) = &rules.max_size else {
        graph.close(&mut kept, used, |_| {});
        return kept;
    };
    let mut counted = HashSet::new();
    let mut weigh = |nodes: &[Node]| -> u64 {
        let sizes = nodes.iter().filter_map(|&node| sizes.get(node as usize));
        sizes.filter(|(nar, _)| counted.insert(*nar)).map(|(_, bytes)| bytes).sum()
    };
    let mut size = weigh(&firm);
    let mut newest_first: Vec<Node> = used.collect();
    newest_first.sort_by_key(|&node| Reverse(graph.used(node)));
    for node in newest_first {
        let mut new = Vec::new();
        graph.close(&mut kept, [node], |node| new.push(node));
        size += weigh(&new);
        if size > *limit {
            // A closure is kept whole or not at all.
            new.into_iter().for_each(|node| kept.remove(node));
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Timestamp = Timestamp(100);
    const NEW: Timestamp = Timestamp(200);

    fn hash(at: u8) -> StorePathHash {
        StorePathHash::from_bytes([at; 20])
    }

    /// Paths 0, 1, …, each with when it was used, since when it is condemned, and what it refers to.
    fn graph(paths: &[(Timestamp, Option<i64>, &[Node])]) -> PathGraph {
        let rows =
            (0..).zip(paths).map(|(at, (used, condemned, refs))| (hash(at), *used, condemned.map(Timestamp), *refs));
        PathGraph::of(&rows.collect::<Vec<_>>())
    }

    fn rules() -> Rules {
        Rules { used_since: Some(Timestamp(150)), ..Rules::keep_all(Timestamp(300)) }
    }

    #[test]
    fn what_a_used_path_refers_to_is_kept() {
        let graph = graph(&[(NEW, None, &[1]), (OLD, Some(290), &[2]), (OLD, None, &[]), (OLD, None, &[2])]);
        let plan = Plan::new(&graph, &rules());
        assert_eq!((plan.paths, plan.kept), (4, 3));
        assert_eq!(plan.spare, [hash(1)], "it was condemned, and is referred to by now");
        assert_eq!(plan.condemn, [(hash(3), OLD)]);
        assert!(plan.remove.is_empty());
    }

    #[test]
    fn what_is_not_to_go_yet_keeps_what_it_refers_to() {
        let graph =
            graph(&[(OLD, Some(301), &[1]), (OLD, Some(290), &[2]), (OLD, Some(290), &[]), (OLD, Some(290), &[1])]);
        assert_eq!(Plan::new(&graph, &rules()).remove, [hash(3)]);
        let later = Rules { condemned_by: Timestamp(301), ..rules() };
        let order = Plan::new(&graph, &later).remove;
        assert_eq!(order[2..], [hash(1), hash(2)], "referrers first: {order:?}");
    }

    #[test]
    fn roots_are_kept_and_without_a_limit_all_is() {
        let graph = graph(&[(OLD, None, &[1]), (OLD, None, &[]), (OLD, Some(1), &[])]);
        let pinned = Rules { roots: vec![hash(0), hash(9)], ..rules() };
        let plan = Plan::new(&graph, &pinned);
        assert_eq!((plan.kept, plan.condemn.len(), plan.remove), (2, 0, vec![hash(2)]));
        let for_ever = Rules { used_since: None, ..rules() };
        let plan = Plan::new(&graph, &for_ever);
        assert_eq!((plan.kept, plan.spare), (3, vec![hash(2)]));
    }

    #[test]
    fn the_least_recently_used_go_beyond_a_size_and_closures_stay_whole() {
        let at = Timestamp;
        let graph = graph(&[
            (at(5), None, &[3]),
            (at(4), None, &[2, 3]),
            (at(1), None, &[]),
            (at(2), None, &[]),
            (at(3), None, &[]),
        ]);
        let sizes: Vec<_> = (0..5).map(|nar| (NarId(nar), 10)).collect();
        let kept_within = |limit| {
            let rules = Rules { used_since: None, max_size: Some((limit, sizes.clone())), ..rules() };
            kept(&graph, &rules).iter().collect::<Vec<_>>()
        };
        assert_eq!(kept_within(50), [0, 1, 2, 3, 4]);
        assert_eq!(kept_within(45), [0, 1, 2, 3]);
        assert_eq!(kept_within(39), [0, 3], "1 and 2 go together");
        assert_eq!(kept_within(19), [] as [Node; 0]);
    }
}
