//! The server's real parts over a storage that can die, and the map that says what must be there.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    future::Future,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use database::{Cache, Caches, ChunkRuns, Database, NewCache, NewPin, PackCollection, Paths, Pins};
use formats::{NarHash, PathInfo, SecretKey, StorePath, StorePathHash, nar::Writer};
use futures::TryStreamExt;
use protocol::{ChunkSizes, Clock, FixedClock, Timestamp};
use rand::{RngExt, rngs::StdRng};
use sqlite::SqliteDatabase;
use storage::{FaultPlan, FaultyStorage, MemoryStorage, Storage};
use tokio_util::task::TaskTracker;

use crate::{
    collect::{Collector, Policy, Reach},
    fetch::Fetch,
    ingest::{BodyReader, Ingest, Limits, WireDigest},
    journal::Journal,
    store::ChunkStore,
};

const RETENTION: Duration = Duration::from_secs(1000);
const GRACE: Duration = Duration::from_secs(100);
const LEASE: Duration = Duration::from_secs(200);
const NAMES: u8 = 24;
/// Cut into chunks as they are: files above the smallest size, in trees.
const PIECE_BYTES: usize = 300;
const PIECES: u8 = 20;

/// The parts of one life of the server.
struct Parts {
    database: SqliteDatabase,
    ingest: Ingest,
    fetch: Fetch,
    collector: Collector,
}

/// A path that was acknowledged.
#[derive(Debug, Clone)]
struct Known {
    used: Timestamp,
    references: BTreeSet<u8>,
}

pub(super) struct World {
    folder: tempfile::TempDir,
    clock: Arc<FixedClock>,
    storage: FaultyStorage<MemoryStorage>,
    parts: Parts,
    cache: Cache,
    known: BTreeMap<u8, Known>,
    /// By name: what is pinned, and until when.
    pins: BTreeMap<String, (u8, Option<Timestamp>)>,
    caches: u32,
}

/// Path number `at`: a tree of a few pieces that other paths have too, and one of its own.
fn path(at: u8, references: &BTreeSet<u8>) -> (PathInfo, Bytes) {
    let noise = |label: String| {
        let mut bytes = vec![0; PIECE_BYTES];
        blake3::Hasher::new().update(label.as_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    };
    let mut writer = Writer::new();
    writer.begin();
    writer.directory_begin();
    for piece in 0..4 {
        let shared = (at.wrapping_mul(7) + piece * 3) % PIECES;
        let label = if piece == 3 { format!("own {at}") } else { format!("shared {shared}") };
        let contents = noise(label);
        writer.entry_begin(format!("{piece}").as_bytes());
        writer.regular_begin(false, contents.len() as u64);
        writer.contents(&contents);
        writer.regular_end(contents.len() as u64);
        writer.entry_end();
    }
    writer.directory_end();
    let nar: Bytes = writer.take().into();
    let info = PathInfo {
        path: store_path(at),
        nar_hash: NarHash::digest_of(&nar),
        nar_size: nar.len() as u64,
        references: references.iter().map(|&other| store_path(other)).collect(),
        deriver: None,
        signatures: BTreeSet::new(),
        ca: None,
    };
    (info, nar)
}

fn store_path(at: u8) -> StorePath {
    let hash = StorePathHash::from_bytes(*blake3::hash(&[at]).as_bytes().first_chunk().unwrap());
    StorePath::new(hash, format!("path-{at}").parse().unwrap())
}

impl Parts {
    async fn new(folder: &std::path::Path, storage: &FaultyStorage<MemoryStorage>, clock: &Arc<FixedClock>) -> Self {
        let database = SqliteDatabase::open(folder.join("index.db")).await.unwrap();
        let index: Arc<dyn Database> = Arc::new(database.clone());
        let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
        let journal = Journal::new(Arc::new(storage.clone()), Arc::clone(&clock), None);
        let store = ChunkStore::new(Arc::clone(&journal), Arc::clone(&index), 1, &TaskTracker::new());
        let limits = Limits {
            max_nar_size: 1 << 20,
            max_upload_size: 1 << 20,
            max_document_size: 1 << 20,
            max_concurrent_uploads: 4,
            body_idle_timeout: Duration::from_secs(60),
            max_expansion: 1000,
        };
        let sizes = ChunkSizes::new(0, 64, 256, 1024).unwrap();
        let ingest = Ingest::new(store, Arc::clone(&index), clock, sizes, limits, true);
        let fetch = Fetch::new(Arc::clone(&journal), Arc::clone(&index));
        let policy = Policy {
            retention: Some(RETENTION),
            max_size: None,
            grace: GRACE,
            upload_lease: LEASE,
            live_percent: 80,
            soft_delete_caches: false,
        };
        let collector = Collector::new(index, journal, policy);
        Self { database, ingest, fetch, collector }
    }
}

async fn make_cache(parts: &Parts, number: u32, now: Timestamp) -> Cache {
    let name = format!("cache-{number}");
    let cache = NewCache {
        key: SecretKey::generate(name.parse().unwrap(), [7; 32]),
        name: name.parse().unwrap(),
        is_public: true,
        store_dir: formats::StoreDir::default(),
        priority: 40,
        upstream_key_names: Vec::new(),
        retention: None,
        now,
    };
    parts.database.create_cache(&cache).await.unwrap().unwrap()
}

impl World {
    pub(super) async fn new() -> Self {
        // In memory, where there is such a place: the runs are many.
        let shm = std::path::Path::new("/dev/shm");
        let folder = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
        let clock = Arc::new(FixedClock::new(Timestamp(1_000_000)));
        let storage = FaultyStorage::new(MemoryStorage::new(), FaultPlan::none());
        let parts = Parts::new(folder.path(), &storage, &clock).await;
        let cache = make_cache(&parts, 0, clock.now()).await;
        Self { folder, clock, storage, parts, cache, known: BTreeMap::new(), pins: BTreeMap::new(), caches: 0 }
    }

    /// The paths that must be there: used of late or pinned, and all that they refer to.
    fn wanted(&self) -> BTreeSet<u8> {
        let now = self.clock.now();
        let used = self.known.iter().filter(|(_, known)| known.used >= now.minus(RETENTION)).map(|(at, _)| *at);
        let pinned = self.pins.values().filter(|(_, until)| until.is_none_or(|until| until > now)).map(|(at, _)| *at);
        self.closure(used.chain(pinned).collect())
    }

    fn closure(&self, roots: BTreeSet<u8>) -> BTreeSet<u8> {
        let mut closure = BTreeSet::new();
        let mut waiting: Vec<u8> = roots.into_iter().collect();
        while let Some(at) = waiting.pop() {
            if closure.insert(at) {
                waiting.extend(self.known.get(&at).into_iter().flat_map(|known| known.references.iter().copied()));
            }
        }
        closure
    }

    /// What the next push brings: some path, with what it refers to. Numbers ascend from reference to referrer.
    fn choose(&self, chance: &mut StdRng) -> Vec<(u8, BTreeSet<u8>)> {
        let at = chance.random_range(0..NAMES);
        let mut wanted = BTreeMap::new();
        let mut waiting = vec![at];
        while let Some(at) = waiting.pop() {
            let references = match self.known.get(&at) {
                Some(known) => known.references.clone(),
                None => (0..3).filter(|_| at > 0).map(|_| chance.random_range(0..at)).collect(),
            };
            if let Entry::Vacant(place) = wanted.entry(at) {
                waiting.extend(&references);
                place.insert(references);
            }
        }
        wanted.into_iter().collect()
    }

    pub(super) async fn push(&mut self, chance: &mut StdRng) {
        let paths = self.choose(chance);
        let pushed = push(&self.parts, &self.cache, &paths).await;
        assert_eq!(pushed.len(), paths.len(), "nothing was in the way");
        self.note_pushed(pushed);
    }

    fn note_pushed(&mut self, pushed: Vec<(u8, BTreeSet<u8>, bool)>) {
        let now = self.clock.now();
        for (at, references, is_new) in pushed {
            // What was there already is used, but nobody has written that down.
            let known = self.known.entry(at).or_insert(Known { used: Timestamp(0), references });
            if is_new {
                known.used = now;
            }
        }
    }

    pub(super) async fn read(&mut self, chance: &mut StdRng) {
        let at = chance.random_range(0..NAMES);
        let Some(info) = self.parts.database.find_path(self.cache.id, store_path(at).hash()).await.unwrap() else {
            return;
        };
        let now = self.clock.now();
        self.parts.database.touch_paths(&[(self.cache.id, *info.info.path.hash())], now).await.unwrap();
        if let Some(known) = self.known.get_mut(&at) {
            known.used = now;
        }
        self.read_back(at).await;
    }

    /// Reads a NAR that is shown, and compares it.
    async fn read_back(&self, at: u8) {
        let hash = *store_path(at).hash();
        let nar = self.parts.database.find_nar_by_path(self.cache.id, &hash).await.unwrap();
        let nar = nar.unwrap_or_else(|| panic!("path {at} is shown without its NAR"));
        let pieces: Vec<Bytes> =
            self.parts.fetch.nar(&nar, 0..nar.file_size).await.unwrap().try_collect().await.unwrap();
        let file = pieces.concat();
        assert_eq!(formats::FileHash::digest_of(&file), nar.file_hash, "path {at}");
        let plain = zstd::stream::decode_all(&file[..]).unwrap();
        assert_eq!(NarHash::digest_of(&plain), nar.nar_hash, "path {at}");
    }

    pub(super) async fn pin(&mut self, chance: &mut StdRng) {
        let at = chance.random_range(0..NAMES);
        let name = format!("pin-{}", chance.random_range(0..3));
        let now = self.clock.now();
        let expires_at = chance.random_bool(0.5).then(|| now.plus(Duration::from_secs(500)));
        let new = NewPin {
            cache: self.cache.id,
            name: name.clone(),
            path: store_path(at),
            keep: Some(1),
            expires_at,
            pinned_by: None,
            now,
        };
        if self.parts.database.add_pin(&new).await.unwrap().is_some() {
            self.pins.insert(name, (at, expires_at));
        }
    }

    pub(super) async fn unpin(&mut self, chance: &mut StdRng) {
        let name = format!("pin-{}", chance.random_range(0..3));
        self.parts.database.remove_pin(self.cache.id, &name, None).await.unwrap();
        self.pins.remove(&name);
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) async fn collect(&self) {
        let chore = self.parts.collector.begin().await.unwrap().expect("nobody else collects");
        self.parts.collector.round(&chore).await.unwrap();
        chore.end(String::new()).await.unwrap();
    }

    pub(super) async fn push_while_collecting(&mut self, chance: &mut StdRng) {
        let paths = self.choose(chance);
        let (pushed, ()) = tokio::join!(push(&self.parts, &self.cache, &paths), self.collect());
        self.note_pushed(pushed);
    }

    /// Everything of this life ends after so many steps, and the next one begins with what is on the disk.
    pub(super) async fn crash_while_collecting(&mut self, chance: &mut StdRng) {
        self.plan_death(chance);
        let _ = cut_off(chance.random_range(0..120), async {
            let chore = self.parts.collector.begin().await.ok()??;
            self.parts.collector.round(&chore).await.ok()
        })
        .await;
        self.restart().await;
    }

    pub(super) async fn crash_while_pushing(&mut self, chance: &mut StdRng) {
        self.plan_death(chance);
        let paths = self.choose(chance);
        let pushed = cut_off(chance.random_range(0..80), push(&self.parts, &self.cache, &paths)).await;
        self.note_pushed(pushed.unwrap_or_default());
        // Whoever was not answered may have been heard.
        for (at, references) in paths {
            self.known.entry(at).or_insert(Known { used: Timestamp(0), references });
        }
        self.restart().await;
    }

    fn plan_death(&self, chance: &mut StdRng) {
        if chance.random_bool(0.5) {
            self.storage.set_plan(FaultPlan::none().dies_after(chance.random_range(0..12)));
        }
    }

    async fn restart(&mut self) {
        self.parts.database.close().await;
        self.storage.set_plan(FaultPlan::none());
        // The lease of whoever died runs out.
        self.clock.advance(Duration::from_secs(121));
        self.parts = Parts::new(self.folder.path(), &self.storage, &self.clock).await;
    }

    pub(super) async fn delete_by_hand(&mut self, chance: &mut StdRng) {
        let at = chance.random_range(0..NAMES);
        let collector = &self.parts.collector;
        let cache = collector.find_cache(self.cache.id).await.unwrap().unwrap();
        let chore = collector.begin().await.unwrap().unwrap();
        let reach = Reach { referrers: chance.random_bool(0.7), closure: chance.random_bool(0.3) };
        let done = collector.delete(&chore, &cache, store_path(at).hash(), reach).await.unwrap();
        chore.end(String::new()).await.unwrap();
        let Some(done) = done.filter(|done| !done.is_refused()) else { return };
        assert!(done.spared.is_empty(), "nobody used it");
        for at in 0..NAMES {
            if done.paths.contains(&store_path(at)) {
                self.known.remove(&at);
            }
        }
    }

    pub(super) async fn delete_cache(&mut self) {
        self.parts.database.delete_cache(&self.cache.name, self.clock.now()).await.unwrap();
        self.caches += 1;
        self.cache = make_cache(&self.parts, self.caches, self.clock.now()).await;
        self.known.clear();
        self.pins.clear();
    }

    /// What is wanted is there; what is there can be read, and what it refers to is there too.
    pub(super) async fn check(&self) {
        let shown = self.shown().await;
        for at in self.wanted() {
            assert!(
                shown.contains(&at),
                "path {at} is wanted and gone: shown {shown:?}, pinned {:?}, known {:#?}",
                self.pins,
                self.known
            );
        }
        for &at in &shown {
            for other in &self.known[&at].references {
                assert!(shown.contains(other), "path {at} refers to {other}, which is gone");
            }
        }
        // Some of them: reading takes the most time.
        for &at in shown.iter().take(3) {
            self.read_back(at).await;
        }
    }

    /// The paths that are shown, without a use of any.
    async fn shown(&self) -> BTreeSet<u8> {
        let mut shown = BTreeSet::new();
        for at in 0..NAMES {
            let hash = *store_path(at).hash();
            if self.parts.database.find_nar_by_path(self.cache.id, &hash).await.unwrap().is_some() {
                shown.insert(at);
            }
        }
        shown
    }

    /// Long after the last use there is nothing left but what is pinned, down to the last object.
    pub(super) async fn end(mut self, everything_goes: bool) {
        if everything_goes {
            for name in std::mem::take(&mut self.pins).into_keys() {
                self.parts.database.remove_pin(self.cache.id, &name, None).await.unwrap();
            }
        }
        for _ in 0..8 {
            self.clock.advance(RETENTION * 2);
            self.collect().await;
        }
        self.check().await;
        let shown = self.shown().await;
        assert_eq!(shown, self.wanted(), "what nobody wants is still there");
        let mut used = BTreeSet::new();
        for at in shown {
            self.read_back(at).await;
            let nar =
                self.parts.database.find_nar_by_path(self.cache.id, store_path(at).hash()).await.unwrap().unwrap();
            used.extend(nar.manifest.ids().chain(nar.listing.iter().flat_map(ChunkRuns::ids)));
        }
        let totals = self.parts.database.totals().await.unwrap();
        assert_eq!(totals.chunks, used.len() as u64, "chunks that nothing refers to");
        let objects: Vec<_> = self.storage.list("packs/").try_collect().await.unwrap();
        let packs = self.parts.database.scan_packs(None, 10_000).await.unwrap();
        assert_eq!(objects.len(), packs.len(), "objects that no row names");
        assert!(packs.iter().all(|pack| pack.live_chunks > 0), "packs with nothing in them");
        assert_eq!(objects.iter().map(|(_, size)| size).sum::<u64>(), totals.stored_bytes);
        for pack in packs {
            let chunks = self.parts.database.chunks_of_pack(pack.id).await.unwrap();
            assert!(chunks.iter().all(|chunk| !chunk.is_damaged), "nothing was damaged");
        }
    }
}

/// Pushes as a client does: asks what is missing, and sends that, references first. Gives what is there for certain now, and
/// whether it was sent.
async fn push(parts: &Parts, cache: &Cache, paths: &[(u8, BTreeSet<u8>)]) -> Vec<(u8, BTreeSet<u8>, bool)> {
    let hashes: Vec<StorePathHash> = paths.iter().map(|(at, _)| *store_path(*at).hash()).collect();
    let Ok(missing) = parts.database.missing_paths(cache.id, &hashes).await else { return Vec::new() };
    let mut pushed = Vec::new();
    for ((at, references), hash) in paths.iter().zip(hashes) {
        let is_new = missing.contains(&hash);
        if is_new {
            let (info, nar) = path(*at, references);
            let body = futures::stream::iter([Ok::<_, std::convert::Infallible>(nar)]);
            let body = BodyReader::new(body, 1 << 20, Duration::from_secs(60), WireDigest::default());
            if parts.ingest.push_path(cache, info, None, body).await.is_err() {
                return pushed;
            }
        }
        pushed.push((*at, references.clone(), is_new));
    }
    pushed
}

/// Polls so many times and then lets go, as a crash does.
async fn cut_off<T>(polls: u32, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}
