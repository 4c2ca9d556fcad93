//! The paths of a cache and what they refer to, in memory: some 30 bytes a path, and four a reference.

use database::{CacheId, Database};
use formats::{StorePath, StorePathHash};
use protocol::Timestamp;

/// How many paths are read at a time.
const PAGE: u32 = 2000;

/// A path, by its place in a [`PathGraph`].
pub(super) type Node = u32;

/// The paths of a cache at about one time.
#[derive(Debug, Default)]
pub(super) struct PathGraph {
    /// In the order of their bytes.
    hashes: Vec<[u8; 20]>,
    used: Vec<Timestamp>,
    condemned: Vec<Option<Timestamp>>,
    references: Edges,
    /// What paths that came while this was read refer to: these are in use.
    fresh: Vec<Node>,
}

/// For each node some others.
#[derive(Debug, Default)]
struct Edges {
    /// Where those of a node end; they begin where those of the node before do.
    ends: Vec<u32>,
    nodes: Vec<Node>,
}

impl Edges {
    fn of(&self, node: Node) -> &[Node] {
        let node = node as usize;
        let start = node.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.nodes[start as usize..self.ends[node] as usize]
    }
}

/// A set of nodes.
#[derive(Debug, Clone)]
pub(super) struct Nodes(Vec<bool>);

impl Nodes {
    /// Whether a node is in the set.
    #[must_use]
    pub(super) fn contains(&self, node: Node) -> bool {
        self.0[node as usize]
    }

    /// Puts a node into the set; `false` if it was there.
    pub(super) fn insert(&mut self, node: Node) -> bool {
        !std::mem::replace(&mut self.0[node as usize], true)
    }

    /// Takes a node out of the set.
    pub(super) fn remove(&mut self, node: Node) {
        self.0[node as usize] = false;
    }

    /// The nodes, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = Node> {
        (0..).zip(&self.0).filter_map(|(node, is_in)| is_in.then_some(node))
    }
}

impl PathGraph {
    /// Reads the paths of a cache: first all that there are, then what they refer to.
    ///
    /// # Errors
    /// If the index fails.
    pub(super) async fn load(database: &dyn Database, cache: CacheId) -> database::Result<Self> {
        let mut graph = Self::default();
        let mut after = None;
        loop {
            let page = database.scan_paths(cache, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.hash);
            for path in page {
                graph.hashes.push(*path.hash.as_bytes());
                graph.used.push(path.last_used_at);
                graph.condemned.push(path.condemned_at);
            }
        }
        let mut after = None;
        let mut next = 0;
        loop {
            let page = database.scan_references(cache, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(*last.path.hash());
            for row in page {
                let nodes: Vec<Node> = row.references.iter().filter_map(|hash| graph.find(hash)).collect();
                match graph.find(row.path.hash()) {
                    Some(node) => {
                        // Whatever went since the first reading refers to nothing any more.
                        let end = u32::try_from(graph.references.nodes.len()).unwrap_or(u32::MAX);
                        graph.references.ends.extend((next..node).map(|_| end));
                        graph.references.nodes.extend(nodes);
                        graph.references.ends.push(u32::try_from(graph.references.nodes.len()).unwrap_or(u32::MAX));
                        next = node + 1;
                    }
                    None => graph.fresh.extend(nodes),
                }
            }
        }
        let end = u32::try_from(graph.references.nodes.len()).unwrap_or(u32::MAX);
        graph.references.ends.resize(graph.hashes.len(), end);
        Ok(graph)
    }

    /// A graph of paths whose bytes are given in ascending order, for tests of what is decided.
    #[cfg(test)]
    pub(super) fn of(paths: &[(StorePathHash, Timestamp, Option<Timestamp>, &[Node])]) -> Self {
        let mut graph = Self::default();
        for (hash, used, condemned, references) in paths {
            graph.hashes.push(*hash.as_bytes());
            graph.used.push(*used);
            graph.condemned.push(*condemned);
            graph.references.nodes.extend_from_slice(references);
            graph.references.ends.push(u32::try_from(graph.references.nodes.len()).unwrap());
        }
        assert!(graph.hashes.is_sorted());
        graph
    }

    /// How many paths there are.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Every path.
    pub(super) fn nodes(&self) -> impl DoubleEndedIterator<Item = Node> + use<> {
        0..u32::try_from(self.hashes.len()).unwrap_or(u32::MAX)
    }

    /// The path with that hash part.
    #[must_use]
    pub(super) fn find(&self, hash: &StorePathHash) -> Option<Node> {
        self.hashes.binary_search(hash.as_bytes()).ok().and_then(|place| u32::try_from(place).ok())
    }

    /// The hash part of a path.
    #[must_use]
    pub(super) fn hash(&self, node: Node) -> StorePathHash {
        StorePathHash::from_bytes(self.hashes[node as usize])
    }

    /// When a path was last used.
    #[must_use]
    pub(super) fn used(&self, node: Node) -> Timestamp {
        self.used[node as usize]
    }

    /// Since when a path is condemned.
    #[must_use]
    pub(super) fn condemned(&self, node: Node) -> Option<Timestamp> {
        self.condemned[node as usize]
    }

    /// What a path refers to, as far as it is in the cache.
    #[must_use]
    pub(super) fn references(&self, node: Node) -> &[Node] {
        self.references.of(node)
    }

    /// What paths refer to that came while the graph was read.
    #[must_use]
    pub(super) fn fresh(&self) -> &[Node] {
        &self.fresh
    }

    /// No node.
    #[must_use]
    pub(super) fn none(&self) -> Nodes {
        Nodes(vec![false; self.hashes.len()])
    }

    /// Adds `roots` and all that they refer to, directly or not, to a set that is closed already. Tells of each that is new.
    pub(super) fn close(&self, set: &mut Nodes, roots: impl IntoIterator<Item = Node>, mut new: impl FnMut(Node)) {
        let mut waiting = Vec::new();
        for root in roots {
            if set.insert(root) {
                waiting.push(root);
            }
            while let Some(node) = waiting.pop() {
                new(node);
                waiting.extend(self.references(node).iter().copied().filter(|&other| set.insert(other)));
            }
        }
    }

    /// The same graph with every reference turned round: what refers to a path.
    #[must_use]
    pub(super) fn referrers(&self) -> Referrers {
        let mut counts = vec![0_u32; self.len()];
        for &node in &self.references.nodes {
            counts[node as usize] += 1;
        }
        let mut starts = Vec::with_capacity(self.len());
        let mut total = 0;
        for count in &counts {
            starts.push(total);
            total += count;
        }
        let mut nodes = vec![0; total as usize];
        for from in self.nodes() {
            for &to in self.references(from) {
                let place = &mut starts[to as usize];
                nodes[*place as usize] = from;
                *place += 1;
            }
        }
        // Each start has moved on to its end by now.
        Referrers(Edges { ends: starts, nodes })
    }

    /// The nodes of `set`, each after everything of the set that refers to it. Cycles, which Nix does not make, come last.
    #[must_use]
    pub(super) fn referrers_first(&self, set: &Nodes) -> Vec<Node> {
        let mut referrers = vec![0_u32; self.len()];
        for node in set.iter() {
            for &other in self.references(node) {
                referrers[other as usize] += 1;
            }
        }
        let mut order: Vec<Node> = set.iter().filter(|&node| referrers[node as usize] == 0).collect();
        let mut done = 0;
        let mut placed = self.none();
        while let Some(&node) = order.get(done) {
            done += 1;
            placed.insert(node);
            for &other in self.references(node) {
                referrers[other as usize] -= 1;
                if referrers[other as usize] == 0 && set.contains(other) {
                    order.push(other);
                }
            }
        }
        order.extend(set.iter().filter(|&node| !placed.contains(node)));
        order
    }
}

/// What refers to each path.
#[derive(Debug)]
pub(super) struct Referrers(Edges);

impl Referrers {
    /// What refers to a path.
    #[must_use]
    pub(super) fn of(&self, node: Node) -> &[Node] {
        self.0.of(node)
    }
}

/// The base names of some paths of a cache; one that is gone by now has none.
///
/// # Errors
/// If the index fails.
pub(super) async fn names(
    database: &dyn Database,
    cache: CacheId,
    hashes: &[StorePathHash],
) -> database::Result<Vec<Option<StorePath>>> {
    let mut names = Vec::with_capacity(hashes.len());
    for hash in hashes {
        // The page that begins right before a path begins with it.
        let mut before = *hash.as_bytes();
        let is_first = !decrement(&mut before);
        let after = (!is_first).then(|| StorePathHash::from_bytes(before));
        let page = database.scan_references(cache, after, 1).await?;
        names.push(page.into_iter().next().map(|row| row.path).filter(|path| path.hash() == hash));
    }
    Ok(names)
}

/// Takes one from a number in big-endian bytes; `false` if it was zero.
fn decrement(bytes: &mut [u8]) -> bool {
    for byte in bytes.iter_mut().rev() {
        let (less, borrowed) = byte.overflowing_sub(1);
        *byte = less;
        if !borrowed {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(references: &[&[Node]]) -> PathGraph {
        let paths: Vec<_> = (0_u8..)
            .zip(references)
            .map(|(at, references)| (StorePathHash::from_bytes([at; 20]), Timestamp(0), None, *references))
            .collect();
        PathGraph::of(&paths)
    }

    #[test]
    fn closures_and_referrers() {
        let graph = graph(&[&[1, 2], &[3], &[3], &[], &[3]]);
        let mut set = graph.none();
        let mut new = Vec::new();
        graph.close(&mut set, [1], |node| new.push(node));
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 3]);
        graph.close(&mut set, [0], |node| new.push(node));
        new.sort_unstable();
        assert_eq!(new, [0, 1, 2, 3], "each is told once");
        let referrers = graph.referrers();
        assert_eq!(referrers.of(3), [1, 2, 4]);
        assert_eq!(referrers.of(0), [] as [Node; 0]);
    }

    #[test]
    fn referrers_come_first() {
        let graph = graph(&[&[2], &[0, 3], &[3], &[], &[5], &[4]]);
        let mut all = graph.none();
        graph.nodes().for_each(|node| {
            all.insert(node);
        });
        let order = graph.referrers_first(&all);
        assert_eq!(order.len(), 6);
        let place = |node| order.iter().position(|&n| n == node).unwrap();
        assert!(place(1) < place(0) && place(0) < place(2) && place(2) < place(3));
    }

    #[test]
    fn one_less() {
        let mut bytes = [1, 0, 0];
        assert!(decrement(&mut bytes));
        assert_eq!(bytes, [0, 255, 255]);
        assert!(!decrement(&mut [0, 0]));
    }
}
