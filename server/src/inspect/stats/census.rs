//! Taking the figures: the paths of every cache, the chunks, the packs, and once more the paths.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use database::{Cache, ChunkId, ChunkRuns, Database, PackId, PathSize};
use protocol::Timestamp;

use super::{CacheStats, DayStats, PathStats, PrefixStats, Stats, prefix::prefix, top::Top};
use crate::inspect::{IdSet, InspectError};

/// How many paths are read together.
const PATHS: u32 = 1000;
/// How many chunks or packs are read together: their rows are short.
const ROWS: u32 = 10_000;
/// How many caches are gone through together, each with a set of its chunks.
const CACHES: usize = 32;
/// How many things a list has.
const LISTED: usize = 20;
/// Of how many paths it is looked up how many of their bytes are shared.
const CANDIDATES: usize = 10 * LISTED;
/// How many beginnings of names are told apart while counting; the rest counts as `OTHER`.
const MAX_PREFIXES: usize = 100_000;
/// The prefix of whatever comes when there are too many.
const OTHER: &str = "(other)";
/// How many days of growth are told.
const DAYS: i64 = 30;
/// The seconds of a day.
const DAY: i64 = 86_400;

/// Goes through the whole index.
///
/// # Errors
/// If the index fails.
pub async fn take(database: &dyn Database, now: Timestamp) -> Result<Stats, InspectError> {
    let caches = database.list_caches().await?;
    let mut census = Census::new(now);
    for group in caches.chunks(CACHES) {
        census.caches(database, group).await?;
    }
    census.chunks(database).await?;
    census.packs(database).await?;
    for cache in &caches {
        census.shares(database, cache).await?;
    }
    census.finish(database).await
}

/// A path of which much may be shared, by the number of its chunks.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    bytes: u64,
    cache: String,
    path: String,
    nar_bytes: u64,
    manifest: ChunkRuns,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.bytes, &self.cache, &self.path).cmp(&(other.bytes, &other.cache, &other.path))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Figures while they are taken.
struct Census {
    stats: Stats,
    /// Chunks of a path.
    live: IdSet,
    /// Chunks of more than one, or more than once in one.
    shared: IdSet,
    prefixes: HashMap<String, PrefixStats>,
    days: BTreeMap<i64, DayStats>,
    largest: Top<PathStats>,
    most_shared: Top<Candidate>,
    first_day: i64,
}

impl Census {
    fn new(now: Timestamp) -> Self {
        Self {
            stats: Stats { taken_at: now.0, ..Stats::default() },
            live: IdSet::default(),
            shared: IdSet::default(),
            prefixes: HashMap::new(),
            days: BTreeMap::new(),
            largest: Top::new(LISTED),
            most_shared: Top::new(CANDIDATES),
            first_day: now.0.div_euclid(DAY) - DAYS + 1,
        }
    }

    /// Goes through the paths of some caches, and then through the chunks that these have.
    async fn caches(&mut self, database: &dyn Database, group: &[Cache]) -> Result<(), InspectError> {
        let mut counted: Vec<(CacheStats, IdSet)> = Vec::with_capacity(group.len());
        for cache in group {
            let mut of_cache = CacheStats { cache: cache.name.to_string(), ..CacheStats::default() };
            let mut chunks = IdSet::default();
            let mut after = None;
            loop {
                let page = database.list_path_sizes(cache.id, after, PATHS).await?;
                let Some(last) = page.last() else { break };
                after = Some(*last.path.hash());
                page.iter().for_each(|path| self.path(path, &mut of_cache, &mut chunks));
            }
            counted.push((of_cache, chunks));
        }
        let mut after = ChunkId(0);
        loop {
            let page = database.list_chunk_sizes(after, ROWS).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for chunk in page {
                for (of_cache, chunks) in &mut counted {
                    if chunks.contains(chunk.id.0) {
                        of_cache.compressed_bytes += u64::from(chunk.stored_size);
                    }
                }
            }
        }
        self.stats.caches.extend(counted.into_iter().map(|(of_cache, _)| of_cache));
        Ok(())
    }

    fn path(&mut self, path: &PathSize, of_cache: &mut CacheStats, chunks: &mut IdSet) {
        of_cache.paths += 1;
        of_cache.nar_bytes += path.nar_size;
        of_cache.file_bytes += path.file_size;
        for id in path.manifest.ids() {
            chunks.insert(id.0);
            if !self.live.insert(id.0) {
                self.shared.insert(id.0);
            }
        }
        let name = path.path.name().as_str();
        let known = self.prefixes.contains_key(prefix(name)) || self.prefixes.len() < MAX_PREFIXES;
        let prefix = if known { prefix(name) } else { OTHER };
        let of_prefix = self.prefixes.entry(prefix.to_owned()).or_default();
        of_prefix.paths += 1;
        of_prefix.nar_bytes += path.nar_size;
        of_prefix.file_bytes += path.file_size;
        let day = path.created_at.0.div_euclid(DAY);
        if day >= self.first_day {
            let of_day = self.days.entry(day).or_default();
            of_day.paths += 1;
            of_day.nar_bytes += path.nar_size;
        }
        self.largest.show(PathStats {
            bytes: path.nar_size,
            cache: of_cache.cache.clone(),
            path: path.path.to_string(),
            nar_bytes: path.nar_size,
            shared_per_mille: 0,
        });
    }

    /// Goes through all chunks.
    async fn chunks(&mut self, database: &dyn Database) -> Result<(), InspectError> {
        let totals = &mut self.stats.totals;
        let mut after = ChunkId(0);
        loop {
            let page = database.list_chunk_sizes(after, ROWS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            for chunk in page {
                totals.frame_bytes += u64::from(chunk.stored_size);
                if self.live.contains(chunk.id.0) {
                    totals.deduplicated_bytes += u64::from(chunk.size);
                    totals.compressed_bytes += u64::from(chunk.stored_size);
                }
            }
        }
    }

    async fn packs(&mut self, database: &dyn Database) -> Result<(), InspectError> {
        let totals = &mut self.stats.totals;
        let mut after = PackId(0);
        loop {
            let page = database.list_packs(after, ROWS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            totals.packs += page.len() as u64;
            totals.pack_bytes += page.iter().map(|pack| pack.size).sum::<u64>();
        }
    }

    /// Goes through the paths of a cache once more, now that it is known which chunks are shared.
    async fn shares(&mut self, database: &dyn Database, cache: &Cache) -> Result<(), InspectError> {
        let mut after = None;
        loop {
            let page = database.list_path_sizes(cache.id, after, PATHS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last.path.hash());
            for path in page {
                let shared = path.manifest.ids().filter(|id| self.shared.contains(id.0)).count() as u64;
                let all = (path.manifest.chunk_count() as u64).max(1);
                self.most_shared.show(Candidate {
                    bytes: u64::try_from(u128::from(path.nar_size) * u128::from(shared) / u128::from(all)).unwrap_or(0),
                    cache: cache.name.to_string(),
                    path: path.path.to_string(),
                    nar_bytes: path.nar_size,
                    manifest: path.manifest,
                });
            }
        }
    }

    /// Looks up how many bytes of the candidates are in other paths too, and gives those of which most are.
    async fn most_shared(
        database: &dyn Database,
        candidates: Vec<Candidate>,
        shared: &IdSet,
    ) -> Result<Vec<PathStats>, InspectError> {
        let mut top = Top::new(LISTED);
        for candidate in candidates {
            let chunks = database.examine_chunks(&candidate.manifest).await?;
            let bytes: u64 = chunks
                .iter()
                .filter(|chunk| shared.contains(chunk.location.id.0))
                .map(|chunk| u64::from(chunk.location.size))
                .sum();
            let shared_per_mille = bytes.saturating_mul(1000) / candidate.nar_bytes.max(1);
            let Candidate { cache, path, nar_bytes, .. } = candidate;
            // What every NAR begins with is nothing to tell of.
            if shared_per_mille > 0 {
                top.show(PathStats { bytes, cache, path, nar_bytes, shared_per_mille });
            }
        }
        Ok(top.into_vec())
    }

    async fn finish(mut self, database: &dyn Database) -> Result<Stats, InspectError> {
        let mut stats = self.stats;
        let totals = &mut stats.totals;
        totals.paths = stats.caches.iter().map(|cache| cache.paths).sum();
        totals.nar_bytes = stats.caches.iter().map(|cache| cache.nar_bytes).sum();
        let live = u128::from(totals.compressed_bytes) * 1000 / u128::from(totals.pack_bytes.max(1));
        totals.live_per_mille = u64::try_from(live).unwrap_or(0);
        totals.quarantined_nars = database.quarantined_nars().await?;
        let mut prefixes: Vec<PrefixStats> =
            self.prefixes.into_iter().map(|(prefix, of_prefix)| PrefixStats { prefix, ..of_prefix }).collect();
        prefixes.sort_by_key(|of_prefix| std::cmp::Reverse((of_prefix.nar_bytes, of_prefix.prefix.clone())));
        prefixes.truncate(LISTED);
        stats.prefixes = prefixes;
        stats.largest = self.largest.into_vec();
        stats.most_shared = Self::most_shared(database, self.most_shared.into_vec(), &self.shared).await?;
        let names: HashMap<_, _> =
            database.list_caches().await?.into_iter().map(|c| (c.id, c.name.to_string())).collect();
        for traffic in database.list_traffic(self.first_day).await? {
            let named = names.get(&traffic.cache);
            if let Some(of_cache) = stats.caches.iter_mut().find(|of_cache| Some(&of_cache.cache) == named) {
                of_cache.hits += traffic.hits;
                of_cache.misses += traffic.misses;
            }
        }
        for census in database.list_censuses(u32::try_from(DAYS).unwrap_or(u32::MAX)).await? {
            let day = census.taken_at.0.div_euclid(DAY);
            if let Ok(then) = serde_json::from_str::<Stats>(&census.figures)
                && day >= self.first_day
            {
                self.days.entry(day).or_default().pack_bytes = Some(then.totals.pack_bytes);
            }
        }
        let today = stats.taken_at.div_euclid(DAY);
        self.days.entry(today).or_default().pack_bytes = Some(stats.totals.pack_bytes);
        stats.growth = self.days.into_iter().map(|(day, of_day)| DayStats { day: day * DAY, ..of_day }).collect();
        Ok(stats)
    }
}
