//! What a push will send and what it will not, as a value.

use std::collections::{BTreeMap, BTreeSet};

use formats::{KeyName, PathInfo, Signature, StorePath, StorePathHash};
use protocol::CacheName;

/// Whether paths that an upstream cache has are left to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamFilter {
    /// Skip paths signed by one of these keys, by name.
    Skip(BTreeSet<KeyName>),
    /// Push them all the same.
    Ignore,
}

/// Why a path is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// An upstream cache has signed it, so whoever uses this cache gets it there.
    Upstream(KeyName),
    /// The cache has it.
    Cached,
    /// Its name matches a pattern of what is not to be sent.
    Excluded(glob::Pattern),
}

/// A path that is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The path.
    pub path: StorePath,
    /// The size of its NAR in bytes.
    pub nar_size: u64,
    /// Why it is not sent.
    pub reason: SkipReason,
}

/// The paths of a push after the upstream filter, before the cache was asked.
#[derive(Debug, Clone)]
pub struct Candidates {
    left: Vec<PathInfo>,
    skipped: Vec<Skipped>,
}

/// What a push sends, references first, and what it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushPlan {
    cache: CacheName,
    uploads: Vec<PathInfo>,
    skipped: Vec<Skipped>,
}

impl Candidates {
    /// Applies `filter` to `infos`.
    #[must_use]
    pub fn new(infos: Vec<PathInfo>, filter: &UpstreamFilter) -> Self {
        let mut candidates = Self { left: Vec::with_capacity(infos.len()), skipped: Vec::new() };
        for info in infos {
            let signer = match filter {
                UpstreamFilter::Skip(names) => {
                    info.signatures.iter().map(Signature::key_name).find(|name| names.contains(*name))
                }
                UpstreamFilter::Ignore => None,
            };
            match signer.cloned() {
                Some(name) => candidates.skip(info, SkipReason::Upstream(name)),
                None => candidates.left.push(info),
            }
        }
        candidates
    }

    /// Leaves out what has a base name that one of `patterns` matches.
    #[must_use]
    pub fn excluding(mut self, patterns: &[glob::Pattern]) -> Self {
        for info in std::mem::take(&mut self.left) {
            let name = info.path.to_string();
            match patterns.iter().find(|pattern| pattern.matches(&name) || pattern.matches(info.path.name().as_str())) {
                Some(pattern) => self.skip(info, SkipReason::Excluded(pattern.clone())),
                None => self.left.push(info),
            }
        }
        self
    }

    /// What to ask the cache about.
    #[must_use]
    pub fn hashes(&self) -> Vec<StorePathHash> {
        self.left.iter().map(|info| *info.path.hash()).collect()
    }

    /// Decides, now that it is known what `cache` lacks.
    #[must_use]
    pub fn decide(mut self, cache: CacheName, missing: &BTreeSet<StorePathHash>) -> PushPlan {
        let (uploads, cached): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.left).into_iter().partition(|info| missing.contains(info.path.hash()));
        for info in cached {
            self.skip(info, SkipReason::Cached);
        }
        self.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        PushPlan { cache, uploads: references_first(uploads), skipped: self.skipped }
    }

    fn skip(&mut self, info: PathInfo, reason: SkipReason) {
        self.skipped.push(Skipped { path: info.path, nar_size: info.nar_size, reason });
    }
}

impl PushPlan {
    /// The cache that it is about.
    #[must_use]
    pub fn cache(&self) -> &CacheName {
        &self.cache
    }

    /// What will be sent, each path after those that it refers to.
    #[must_use]
    pub fn uploads(&self) -> &[PathInfo] {
        &self.uploads
    }

    /// What will not be sent, by path.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The bytes of all NARs that will be sent.
    #[must_use]
    pub fn nar_bytes(&self) -> u64 {
        self.uploads.iter().map(|info| info.nar_size).sum()
    }

    /// How many paths the cache has already.
    #[must_use]
    pub fn cached_count(&self) -> usize {
        self.skipped.iter().filter(|skipped| skipped.reason == SkipReason::Cached).count()
    }

    /// How many paths were excluded by their names.
    #[must_use]
    pub fn excluded_count(&self) -> usize {
        self.skipped.iter().filter(|skipped| matches!(skipped.reason, SkipReason::Excluded(_))).count()
    }

    /// How many paths are left to each upstream key.
    #[must_use]
    pub fn upstream_counts(&self) -> BTreeMap<&KeyName, usize> {
        let mut counts = BTreeMap::new();
        for skipped in &self.skipped {
            if let SkipReason::Upstream(name) = &skipped.reason {
                *counts.entry(name).or_default() += 1;
            }
        }
        counts
    }

    /// For each upload, the places of those uploads that it refers to.
    #[must_use]
    pub fn references_among_uploads(&self) -> Vec<Vec<usize>> {
        references_among(&self.uploads)
    }
}

fn references_among(infos: &[PathInfo]) -> Vec<Vec<usize>> {
    let place: BTreeMap<&StorePath, usize> = infos.iter().enumerate().map(|(at, info)| (&info.path, at)).collect();
    let others = |info: &PathInfo| {
        info.references.iter().filter(|r| **r != info.path).filter_map(|r| place.get(r).copied()).collect()
    };
    infos.iter().map(others).collect()
}

/// Sorts so that references come before their referrers and, within that, by path.
fn references_first(mut infos: Vec<PathInfo>) -> Vec<PathInfo> {
    infos.sort_by(|a, b| a.path.cmp(&b.path));
    let references = references_among(&infos);
    let mut referrers = vec![Vec::new(); infos.len()];
    let mut waits: Vec<usize> = references.iter().map(Vec::len).collect();
    for (at, references) in references.iter().enumerate() {
        for &reference in references {
            referrers[reference].push(at);
        }
    }
    let mut ready: BTreeSet<usize> = (0..infos.len()).filter(|&at| waits[at] == 0).collect();
    let mut rank = vec![usize::MAX; infos.len()];
    let mut next = 0;
    while let Some(at) = ready.pop_first() {
        rank[at] = next;
        next += 1;
        for &referrer in &referrers[at] {
            waits[referrer] -= 1;
            if waits[referrer] == 0 {
                ready.insert(referrer);
            }
        }
    }
    // References cannot form a circle in a Nix store; if they ever did, those paths would come last.
    let mut ranked: Vec<(usize, PathInfo)> = rank.into_iter().zip(infos).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, info)| info).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Path info of `/nix/store/<hash of name>-name`.
    pub(crate) fn info(name: &str, references: &[&str], signer: Option<&str>) -> PathInfo {
        let signature = signer.map(|name| format!("{name}:{}==", "A".repeat(86)).parse().unwrap());
        PathInfo {
            path: path(name),
            nar_hash: formats::NarHash::digest_of(name.as_bytes()),
            nar_size: 100,
            references: references.iter().map(|name| path(name)).collect(),
            deriver: None,
            signatures: signature.into_iter().collect(),
            ca: None,
        }
    }

    pub(crate) fn path(name: &str) -> StorePath {
        let hash = formats::base32::encode(&formats::Sha256::digest_of(name.as_bytes()).as_bytes()[..20]);
        format!("{hash}-{name}").parse().unwrap()
    }

    fn names(infos: &[PathInfo]) -> Vec<String> {
        infos.iter().map(|info| info.path.name().to_string()).collect()
    }

    fn plan(infos: Vec<PathInfo>, filter: &UpstreamFilter, missing: &[&str]) -> PushPlan {
        let missing = missing.iter().map(|name| *path(name).hash()).collect();
        Candidates::new(infos, filter).decide("main".parse().unwrap(), &missing)
    }

    #[test]
    fn paths_are_sent_skipped_for_upstream_or_cached() {
        let infos = || {
            vec![
                info("a", &[], None),
                info("b", &[], Some("up-1")),
                info("c", &[], Some("other")),
                info("d", &[], None),
            ]
        };
        let filter = UpstreamFilter::Skip(["up-1".parse().unwrap()].into());
        let candidates = Candidates::new(infos(), &filter);
        assert_eq!(candidates.hashes().len(), 3, "the cache is not asked about what upstream has");

        let filtered = plan(infos(), &filter, &["a", "b", "c"]);
        let mut sent = names(filtered.uploads());
        sent.sort();
        assert_eq!(sent, ["a", "c"]);
        assert_eq!(filtered.nar_bytes(), 200);
        assert_eq!(filtered.cached_count(), 1);
        assert_eq!(filtered.upstream_counts(), [(&"up-1".parse().unwrap(), 1)].into());

        let all = plan(infos(), &UpstreamFilter::Ignore, &["a", "b", "c", "d"]);
        assert_eq!(all.uploads().len(), 4);
        assert!(all.skipped().is_empty());
    }

    #[test]
    fn names_are_excluded_with_or_without_their_hash() {
        let infos = ["a-source", "b.drv", "c"].map(|name| info(name, &[], None)).to_vec();
        let patterns = ["*-source", "*.drv", "?-c"].map(|glob| glob::Pattern::new(glob).unwrap());
        let candidates = Candidates::new(infos, &UpstreamFilter::Ignore).excluding(&patterns);
        let plan = candidates.decide("main".parse().unwrap(), &[*path("c").hash()].into());
        assert_eq!((names(plan.uploads()), plan.excluded_count(), plan.cached_count()), (vec!["c".to_owned()], 2, 0));
        assert!(plan.skipped().iter().any(|skipped| skipped.reason == SkipReason::Excluded(patterns[0].clone())));
    }

    #[test]
    fn references_come_first() {
        let infos = vec![
            info("top", &["mid", "leaf", "top"], None),
            info("mid", &["leaf", "absent"], None),
            info("leaf", &[], None),
        ];
        let plan = plan(infos, &UpstreamFilter::Ignore, &["top", "mid", "leaf"]);
        assert_eq!(names(plan.uploads()), ["leaf", "mid", "top"]);
        let references = plan.references_among_uploads();
        assert_eq!(references[0], [0; 0]);
        assert_eq!(references[1], [0]);
        assert_eq!(references[2].iter().copied().collect::<BTreeSet<_>>(), [0, 1].into());
    }

    #[test]
    fn a_circle_loses_nothing() {
        let infos = vec![info("a", &["b"], None), info("b", &["a"], None), info("c", &[], None)];
        let plan = plan(infos, &UpstreamFilter::Ignore, &["a", "b", "c"]);
        assert_eq!(plan.uploads().len(), 3);
        assert_eq!(names(plan.uploads())[0], "c");
    }
}
