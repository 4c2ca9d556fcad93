//! A server's inside over a storage in memory, with all that it knows told in full.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use database::{Cache, CacheChange, CacheLimits, Database, DocumentKind, Gone, NewCache, NewPin};
use formats::{Compression, NarHash, PathInfo, SecretKey, StoreDir, StorePath, StorePathHash, nar::Writer};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::{CacheName, ChunkSizes, Clock, FixedClock, Timestamp};
use sqlite::SqliteDatabase;
use storage::{FaultPlan, FaultyStorage, Key, MemoryStorage, Storage};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::super::{Options, RebuildError, Report, rebuild};
use crate::{
    collect::{Collector, Policy},
    fetch::Fetch,
    ingest::{BodyReader, Ingest, Limits, WireDigest},
    journal::{Journal, Seal},
    pack::{DamageRecord, Record, Removal},
    store::ChunkStore,
};

const DOCUMENT: &str = "deadbeef.drv";

/// A server's inside.
pub(super) struct World {
    pub(super) clock: Arc<FixedClock>,
    pub(super) seal: Option<Seal>,
    storage: Arc<MemoryStorage>,
    folder: TempDir,
    kind: Kind,
    /// Each lives as long as the world.
    scratch: Vec<scratch::Database>,
    indices: u32,
    level: i32,
    pub(super) parts: Parts,
}

/// What an index is kept in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Sqlite,
    Postgres,
}

pub(super) struct Parts {
    pub(super) database: Arc<dyn Database>,
    pub(super) journal: Arc<Journal>,
    ingest: Ingest,
    fetch: Fetch,
}

/// All that an index shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) caches: BTreeMap<String, CacheTold>,
    /// By cache and hash part.
    pub(super) paths: BTreeMap<(String, String), String>,
    pub(super) nars: BTreeMap<String, String>,
    documents: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct CacheTold {
    settings: String,
    pub(super) keys: Vec<String>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::on(Kind::Sqlite).await
    }

    pub(super) async fn on(kind: Kind) -> Self {
        let clock = Arc::new(FixedClock::new(Timestamp(1_000_000)));
        let storage = Arc::new(MemoryStorage::new());
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Vec::new();
        let database = open(kind, &folder, &mut scratch, 0).await;
        let parts = parts(&storage, database, &clock, 3);
        Self { clock, seal: seal(), storage, folder, kind, scratch, indices: 0, level: 3, parts }
    }

    /// From now on there is a fresh index.
    pub(super) async fn lose_index(&mut self) {
        // As the stamps of a real server would be later by then.
        self.clock.advance(Duration::from_secs(1));
        self.indices += 1;
        let database = open(self.kind, &self.folder, &mut self.scratch, self.indices).await;
        self.parts = parts(&self.storage, database, &self.clock, self.level);
    }

    pub(super) fn compress_at(&mut self, level: i32) {
        self.clock.advance(Duration::from_secs(1));
        self.level = level;
        self.parts = parts(&self.storage, Arc::clone(&self.parts.database), &self.clock, level);
    }

    fn database(&self) -> &dyn Database {
        &*self.parts.database
    }

    pub(super) async fn cache(&self, name: &str) -> Option<Cache> {
        self.database().find_cache(&name.parse().unwrap()).await.unwrap()
    }

    fn new_cache(&self, name: &str) -> NewCache {
        NewCache {
            name: name.parse().unwrap(),
            is_public: false,
            store_dir: StoreDir::default(),
            priority: 41,
            upstream_key_names: vec!["cache.nixos.org-1".parse().unwrap()],
            retention: Some(7),
            key: SecretKey::generate(name.parse().unwrap(), rand::random()),
            now: Timestamp(5),
        }
    }

    pub(super) async fn create(&self, name: &str) {
        self.parts.journal.create_cache(self.database(), &self.new_cache(name)).await.unwrap();
    }

    pub(super) async fn create_unrecorded(&self, name: &str) {
        self.database().create_cache(&self.new_cache(name)).await.unwrap();
    }

    pub(super) async fn note_caches(&self) {
        self.parts.journal.note_all_caches(self.database()).await.unwrap();
    }

    async fn change(&self, name: &str, change: CacheChange) {
        self.parts.journal.change_cache(self.database(), &name.parse().unwrap(), &change).await.unwrap();
    }

    pub(super) async fn make_public(&self, name: &str) {
        self.change(name, CacheChange { is_public: Some(true), retention: Some(None), ..CacheChange::default() }).await;
    }

    pub(super) async fn rotate_key(&self, name: &str) {
        let Some(cache) = self.cache(name).await else { return };
        let key = SecretKey::generate(format!("{name}-next").parse().unwrap(), rand::random());
        let keys = vec![key, cache.keys[0].clone()];
        self.change(name, CacheChange { keys: Some(keys), ..CacheChange::default() }).await;
    }

    /// Sets limits and pins a path, and has the storage remember it.
    pub(super) async fn limit_and_pin(&self, name: &str, path: u8) {
        let cache = self.cache(name).await.unwrap();
        let limits = CacheLimits { max_size: Some(7), quota: Some(8), is_read_only: false };
        self.database().set_limits(cache.id, &limits).await.unwrap();
        let pin = NewPin {
            cache: cache.id,
            name: "release".to_owned(),
            path: store_path(path),
            keep: None,
            expires_at: Some(Timestamp(3_000_000)),
            pinned_by: Some("ci".to_owned()),
            now: self.clock.now(),
        };
        self.database().add_pin(&pin).await.unwrap().unwrap();
        self.parts.journal.note_cache(self.database(), &cache.name).await.unwrap();
    }

    pub(super) async fn delete(&self, name: &str) {
        let name: CacheName = name.parse().unwrap();
        self.parts.journal.delete_cache(self.database(), &name, Timestamp(9)).await.unwrap();
    }

    pub(super) async fn push(&self, cache: &str, path: u8, nar: u8) {
        self.push_info(cache, nar, info(path, nar)).await;
    }

    /// Pushes a path again, with a signature and a reference more.
    pub(super) async fn sign(&self, cache: &str, path: u8, nar: u8) {
        let mut info = info(path, nar);
        info.references.insert(store_path(path.wrapping_add(1)));
        let key = SecretKey::generate("builder".parse().unwrap(), [9; 32]);
        info.sign(&StoreDir::default(), &key);
        self.push_info(cache, nar, info).await;
    }

    async fn push_info(&self, cache: &str, nar: u8, info: PathInfo) {
        let Some(cache) = self.cache(cache).await else { return };
        let body = body(content(nar));
        self.parts.ingest.push_path(&cache, info, Some("ci".to_owned()), body).await.unwrap();
    }

    pub(super) async fn document(&self, cache: &str, text: &str) {
        let Some(cache) = self.cache(cache).await else { return };
        let body = body(Bytes::copy_from_slice(text.as_bytes()));
        let put = self.parts.ingest.put_document(&cache, DocumentKind::Log, DOCUMENT.into(), Compression::None, body);
        put.await.unwrap();
    }

    /// Removes a path as collection does: the stamp, the rows, the record.
    pub(super) async fn remove(&self, cache: &str, path: u8) {
        let Some(cache) = self.cache(cache).await else { return };
        let hash = *store_path(path).hash();
        let at = self.parts.journal.stamp();
        self.database().forget(&[Gone::Path { cache: cache.id, hash }]).await.unwrap();
        let removal = Removal::Path { cache: cache.name.to_string(), hash: hash.to_string() };
        self.parts.journal.record(at, vec![Record::Removal(removal)]).await.unwrap();
    }

    /// So many objects of records that say nothing which is true.
    pub(super) async fn many_records(&self, count: u64) {
        for offset in 0..count {
            let damage = Record::Damage(DamageRecord { pack: "00".repeat(16), offset });
            self.parts.journal.record(self.parts.journal.stamp(), vec![damage]).await.unwrap();
        }
    }

    /// Collects until there is nothing left to do, on a storage that fails as planned; whether it came to its end.
    pub(super) async fn collect(&self, plan: FaultPlan) -> bool {
        let storage = FaultyStorage::new((*self.storage).clone(), plan);
        let journal = Journal::new(Arc::new(storage), self.clock.clone(), seal());
        let policy = Policy {
            retention: None,
            max_size: None,
            grace: Duration::ZERO,
            upload_lease: Duration::ZERO,
            live_percent: 80,
            soft_delete_caches: false,
        };
        let collector = Collector::new(Arc::clone(&self.parts.database), journal, policy);
        let chore = collector.begin().await.unwrap().unwrap();
        let done = collector.rounds(&chore).await;
        chore.give_up().await;
        done.is_ok()
    }

    /// The objects that have records only.
    pub(super) async fn record_objects(&self) -> usize {
        self.storage.list("records/").count().await
    }

    /// Somebody reads a path whose NAR is damaged.
    pub(super) async fn read_damaged(&self, cache: &str, path: u8) {
        let cache = self.cache(cache).await.unwrap();
        let nar = self.database().find_nar_by_path(cache.id, store_path(path).hash()).await.unwrap().unwrap();
        assert!(self.parts.fetch.nar(&nar, 0..nar.file_size).await.is_err());
        assert!(self.database().find_path(cache.id, store_path(path).hash()).await.unwrap().is_none());
    }

    /// Reads every NAR, and compares what comes with what its row says.
    pub(super) async fn read_all(&self) {
        for nar in 0..8 {
            let hash = NarHash::digest_of(&content(nar));
            let Some(file) = self.database().find_nar(&hash).await.unwrap() else { continue };
            let pieces = self.parts.fetch.nar(&file, 0..file.file_size).await.unwrap();
            let bytes: Vec<Bytes> = pieces.try_collect().await.unwrap();
            assert_eq!(formats::FileHash::digest_of(&bytes.concat()), file.file_hash);
        }
    }

    pub(super) async fn packs(&self) -> Vec<Key> {
        self.storage.list("packs/").map(|item| item.unwrap().0).collect().await
    }

    pub(super) async fn cut(&self, key: &Key) {
        let bytes = self.bytes(key).await;
        self.storage.put(key, bytes.slice(..bytes.len() - 10)).await.unwrap();
    }

    /// Turns a bit of the first frame.
    pub(super) async fn flip(&self, key: &Key) {
        let mut bytes = self.bytes(key).await.to_vec();
        bytes[100] ^= 1;
        self.storage.put(key, bytes.into()).await.unwrap();
    }

    async fn bytes(&self, key: &Key) -> Bytes {
        let size = self.storage.size(key).await.unwrap().unwrap();
        self.storage.read(key, 0..size).await.unwrap()
    }

    pub(super) async fn rebuild_with(&self, set: impl FnOnce(&mut Options)) -> Result<Report, RebuildError> {
        let mut options = Options { resume: false, verify: false, scratch: self.folder.path().to_owned() };
        set(&mut options);
        let storage: Arc<dyn Storage> = self.storage.clone();
        let database = Arc::clone(&self.parts.database);
        rebuild(storage, database, self.seal.as_ref(), &*self.clock, options, &mut |_| ()).await
    }

    /// Loses the index, makes it anew, and compares.
    pub(super) async fn assert_rebuilt(&mut self) {
        let before = self.state().await;
        self.lose_index().await;
        let report = self.rebuild_with(|_| ()).await.unwrap();
        assert!(report.lost_keys.is_empty() && report.malformed_records.count == 0, "{report:?}");
        assert_eq!(self.state().await, before, "{report:#?}");
    }

    pub(super) async fn state(&self) -> State {
        let database = self.database();
        let mut state = State {
            caches: BTreeMap::new(),
            paths: BTreeMap::new(),
            nars: BTreeMap::new(),
            documents: BTreeMap::new(),
        };
        for cache in database.list_caches().await.unwrap() {
            let Cache { name, is_public, store_dir, priority, upstream_key_names, retention, keys, .. } = &cache;
            let limits = database.find_limits(cache.id).await.unwrap();
            let pins = database.list_pins(cache.id, self.clock.now()).await.unwrap();
            let settings =
                format!("{is_public} {store_dir} {priority} {upstream_key_names:?} {retention:?} {limits:?} {pins:?}");
            let keys = keys.iter().map(SecretKey::to_text).collect();
            state.caches.insert(name.to_string(), CacheTold { settings, keys });
            for path in 0..10 {
                let path = store_path(path);
                let row = database.find_path(cache.id, path.hash()).await.unwrap();
                if let Some(row) = row {
                    let told = format!("{:?} {:?} {} {}", row.info, row.extra, row.file_hash, row.file_size);
                    state.paths.insert((name.to_string(), path.hash().to_string()), told);
                    let nar = database.find_nar(&row.info.nar_hash).await.unwrap().unwrap();
                    let places = database.locate_chunks(&nar.manifest).await.unwrap();
                    let frames: Vec<_> = places.iter().map(|p| (p.stored_size, p.size, p.check)).collect();
                    let listing = nar.listing.map(|listing| listing.chunk_count());
                    state.nars.insert(nar.nar_hash.to_string(), format!("{} {frames:?} {listing:?}", nar.file_hash));
                }
            }
            if let Some(log) = database.find_document(cache.id, DocumentKind::Log, DOCUMENT).await.unwrap() {
                let pieces = self.parts.fetch.plain(&log.manifest, None).await.unwrap();
                let bytes: Vec<Bytes> = pieces.try_collect().await.unwrap();
                state.documents.insert(name.to_string(), bytes.concat());
            }
        }
        state
    }
}

fn seal() -> Option<Seal> {
    Seal::of(b"the token secret")
}

/// A fresh index.
async fn open(kind: Kind, folder: &TempDir, scratch: &mut Vec<scratch::Database>, number: u32) -> Arc<dyn Database> {
    match kind {
        Kind::Sqlite => {
            let path = folder.path().join(format!("index-{number}.sqlite"));
            Arc::new(SqliteDatabase::open(&path).await.unwrap())
        }
        Kind::Postgres => {
            scratch.push(scratch::Database::new());
            let url = scratch.last().unwrap().url();
            Arc::new(postgres::PostgresDatabase::connect(&url, postgres::Options::default()).await.unwrap())
        }
    }
}

fn parts(storage: &Arc<MemoryStorage>, database: Arc<dyn Database>, clock: &Arc<FixedClock>, level: i32) -> Parts {
    let storage: Arc<dyn Storage> = storage.clone();
    let journal = Journal::new(storage, clock.clone(), seal());
    let store = ChunkStore::new(Arc::clone(&journal), Arc::clone(&database), level, &TaskTracker::new());
    let limits = Limits {
        max_nar_size: 1 << 30,
        max_upload_size: 1 << 30,
        max_document_size: 1 << 20,
        max_concurrent_uploads: 4,
        body_idle_timeout: Duration::from_secs(60),
        max_expansion: 100,
    };
    let ingest = Ingest::new(store, Arc::clone(&database), clock.clone(), ChunkSizes::default(), limits, true);
    let fetch = Fetch::new(Arc::clone(&journal), Arc::clone(&database));
    Parts { database, journal, ingest, fetch }
}

fn body(bytes: Bytes) -> BodyReader {
    let pieces = stream::iter([Ok::<_, std::io::Error>(bytes)]);
    BodyReader::new(pieces, 1 << 30, Duration::from_secs(60), WireDigest::default())
}

pub(super) fn store_path(path: u8) -> StorePath {
    StorePath::new(StorePathHash::from_bytes([path; 20]), format!("path-{path}").parse().unwrap())
}

/// A NAR of one file, which compresses.
pub(super) fn content(nar: u8) -> Bytes {
    let text: Vec<u8> =
        (0..200_u32).flat_map(|i| format!("{nar} {}\n", i.wrapping_mul(2_654_435_761)).into_bytes()).collect();
    let mut writer = Writer::new();
    writer.begin();
    writer.regular_begin(false, text.len() as u64);
    writer.contents(&text);
    writer.regular_end(text.len() as u64);
    writer.take().into()
}

fn info(path: u8, nar: u8) -> PathInfo {
    let nar = content(nar);
    PathInfo {
        path: store_path(path),
        nar_hash: NarHash::digest_of(&nar),
        nar_size: nar.len() as u64,
        references: BTreeSet::new(),
        deriver: None,
        signatures: BTreeSet::new(),
        ca: None,
    }
}
