//! Many commits at once through connections of several servers: one row for one thing, and nobody waits in a circle.

use std::sync::Arc;

use database::{
    CacheId, Caches, ChunkPointer, Chunks, Commit, NewCache, NewChunk, NewNar, NewPack, NewPath, PackName, PathOutcome,
    Paths,
};
use formats::{FileHash, NarHash, PathInfo, SecretKey, StorePath, StorePathHash};
use postgres::{Options, PostgresDatabase};
use protocol::{ChunkHash, Timestamp};

/// How many things of each kind there are to be pushed, again and again.
const CHUNKS: u32 = 300;
const PATHS: u32 = 40;
const COMMITS: u32 = 25;
const PUSHERS: u32 = 12;

/// The numbers below `count` in an order that belongs to `salt`.
fn shuffled(count: u32, salt: u32) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..count).collect();
    numbers.sort_by_key(|number| ChunkHash::of(format!("{salt}/{number}").as_bytes()));
    numbers
}

fn chunk(number: u32, cache: CacheId) -> NewChunk {
    let hash = ChunkHash::of(format!("chunk {number}").as_bytes());
    NewChunk { hash, offset: u64::from(number), stored_size: 10, size: 10 + number, check: number, cache: Some(cache) }
}

/// The chunks of the NAR of a path, as everybody cuts it.
fn chunks_of(path: u32) -> Vec<u32> {
    shuffled(CHUNKS, path).into_iter().take(30).collect()
}

/// A commit of ten paths, in an order of its own, with a pack of its own.
fn commit(cache: CacheId, salt: u32) -> Commit {
    let mut commit = Commit::default();
    let name = ChunkHash::of(format!("pack {salt}").as_bytes());
    let mut pack = NewPack { name: PackName(*name.as_bytes().first_chunk().unwrap()), size: 1, chunks: Vec::new() };
    for number in shuffled(PATHS, salt).into_iter().take(10) {
        let text = format!("path {number}");
        let nar_hash = NarHash::digest_of(text.as_bytes());
        let chunks = chunks_of(number);
        pack.chunks.extend(chunks.iter().map(|&number| chunk(number, cache)));
        commit.nars.push(NewNar {
            nar_hash,
            nar_size: 4000,
            file_hash: FileHash::digest_of(text.as_bytes()),
            file_size: 300,
            manifest: chunks.iter().map(|&number| ChunkPointer::New(chunk(number, cache).hash)).collect(),
            listing: None,
            now: Timestamp(1),
        });
        let path = StorePath::new(path_hash(number), "x".parse().unwrap());
        let signature = SecretKey::generate(format!("k{salt}").parse().unwrap(), [1; 32]).sign(&text);
        let info = PathInfo {
            path,
            nar_hash,
            nar_size: 4000,
            references: [].into(),
            deriver: None,
            signatures: [signature].into(),
            ca: None,
        };
        commit.paths.push(NewPath { cache, info, extra: Vec::new(), pushed_by: None, now: Timestamp(1) });
    }
    commit.packs.push(pack);
    commit
}

fn path_hash(number: u32) -> StorePathHash {
    StorePathHash::from_bytes(*ChunkHash::of(format!("path {number}").as_bytes()).as_bytes().first_chunk().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_order_one_row_for_one_thing() {
    let server = scratch::Server::start(&["deadlock_timeout=100ms"]);
    let database = server.database();
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(PostgresDatabase::connect(&database.url(), Options::default()).await.unwrap());
    }
    let cache = NewCache {
        name: "main".parse().unwrap(),
        is_public: true,
        store_dir: "/nix/store".parse().unwrap(),
        priority: 40,
        upstream_key_names: Vec::new(),
        retention: None,
        key: SecretKey::generate("main".parse().unwrap(), [7; 32]),
        now: Timestamp(0),
    };
    let cache = replicas[0].create_cache(&cache).await.unwrap().unwrap().id;
    let replicas = Arc::new(replicas);
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|pusher| {
            let replicas = Arc::clone(&replicas);
            tokio::spawn(async move {
                let replica = &replicas[pusher as usize % 3];
                let mut created = 0;
                for round in 0..COMMITS {
                    let commit = commit(cache, pusher * 1000 + round);
                    let outcomes = replica.commit(&commit).await.unwrap();
                    assert!(!outcomes.contains(&PathOutcome::KeptOther));
                    created += outcomes.iter().filter(|&&outcome| outcome == PathOutcome::Created).count();
                    let used: Vec<_> = shuffled(PATHS, round).into_iter().map(|at| (cache, path_hash(at))).collect();
                    replica.touch_paths(&used, Timestamp(i64::from(round) + 2)).await.unwrap();
                }
                created
            })
        })
        .collect();
    let mut created = 0;
    for pusher in pushers {
        created += pusher.await.unwrap();
    }

    assert_eq!(created, PATHS as usize, "each path was new to one of them");
    let totals = replicas[0].totals().await.unwrap();
    assert_eq!((totals.paths, totals.nars), (PATHS.into(), PATHS.into()));
    assert_eq!(database.ask("SELECT count(*) - count(DISTINCT hash) FROM chunk"), "0");
    for number in 0..PATHS {
        let nar = replicas[1].find_nar_by_path(cache, &path_hash(number)).await.unwrap().unwrap();
        let located = replicas[2].locate_chunks(&nar.manifest).await.unwrap();
        let sizes: Vec<u32> = located.iter().map(|chunk| chunk.size - 10).collect();
        assert_eq!(sizes, chunks_of(number), "the manifest of path {number} is the one that was pushed");
        let row = replicas[0].find_path(cache, &path_hash(number)).await.unwrap().unwrap();
        let pushed = (0..PUSHERS).flat_map(|pusher| (0..COMMITS).map(move |round| pusher * 1000 + round));
        let pushed = pushed.filter(|&salt| shuffled(PATHS, salt).into_iter().take(10).any(|at| at == number)).count();
        assert_eq!(row.info.signatures.len(), pushed, "no signature of path {number} was lost");
    }
    // Retried inside, a deadlock would not show otherwise.
    let name = database.url().rsplit('/').next().unwrap().to_owned();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(database.ask(&format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{name}'")), "0");
}
