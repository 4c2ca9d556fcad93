//! Prints how long the index takes for what it is asked most: `cargo run --release -p sqlite --example figures -- [PATHS]`.
//!
//! The file lies in the folder for temporary files; to see what a commit costs, TMPDIR must be on a real disk.
#![expect(clippy::unwrap_used, reason = "a program for people who measure")]

use std::{collections::BTreeSet, time::Instant};

use database::{
    CacheId, Caches, ChunkId, ChunkPointer, ChunkRuns, Chunks, Commit, NewCache, NewChunk, NewNar, NewPack, NewPath,
    PackName, Paths,
};
use formats::{FileHash, NarHash, PathInfo, SecretKey, StorePath, StorePathHash};
use protocol::{ChunkHash, Timestamp};
use sqlite::SqliteDatabase;

const NOW: Timestamp = Timestamp(1_700_000_000);

fn path_hash(number: u32) -> StorePathHash {
    StorePathHash::from_bytes(*ChunkHash::of(&number.to_be_bytes()).as_bytes().first_chunk().unwrap())
}

fn store_path(number: u32) -> StorePath {
    StorePath::new(path_hash(number), format!("some-package-{number}").parse().unwrap())
}

/// As many small paths as a closure may have: one chunk, five references and one signature each.
fn commit(cache: CacheId, key: &SecretKey, numbers: std::ops::Range<u32>) -> Commit {
    let mut commit = Commit::default();
    let name = ChunkHash::of(format!("pack {numbers:?}").as_bytes());
    let mut pack = NewPack { name: PackName(*name.as_bytes().first_chunk().unwrap()), size: 0, chunks: Vec::new() };
    for number in numbers {
        let text = format!("contents {number}");
        let hash = ChunkHash::of(text.as_bytes());
        pack.chunks.push(NewChunk {
            hash,
            offset: pack.size,
            stored_size: 1000,
            size: 4000,
            check: number,
            cache: None,
        });
        pack.size += 1000;
        let nar_hash = NarHash::digest_of(text.as_bytes());
        commit.nars.push(NewNar {
            nar_hash,
            nar_size: 4000,
            file_hash: FileHash::digest_of(hash.as_bytes()),
            file_size: 1000,
            manifest: vec![ChunkPointer::New(hash)],
            listing: None,
            now: NOW,
        });
        let references: BTreeSet<StorePath> = (number.saturating_sub(5)..number).map(store_path).collect();
        commit.paths.push(NewPath {
            cache,
            info: PathInfo {
                path: store_path(number),
                nar_hash,
                nar_size: 4000,
                references,
                deriver: Some(store_path(number)),
                signatures: [key.sign(&text)].into(),
                ca: None,
            },
            extra: Vec::new(),
            pushed_by: Some("figures".to_owned()),
            now: NOW,
        });
    }
    commit.packs.push(pack);
    commit
}

fn print(what: &str, since: Instant, times: u32) {
    let each = since.elapsed() / times;
    println!("{what:<56} {:>10.1} µs", each.as_secs_f64() * 1e6);
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: unknown").to_owned()
}

#[tokio::main]
async fn main() {
    let paths: u32 = std::env::args().nth(1).map_or(100_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let db = SqliteDatabase::open(folder.path().join("index.db")).await.unwrap();
    let key = SecretKey::generate("figures".parse().unwrap(), [1; 32]);
    let cache = NewCache {
        name: "main".parse().unwrap(),
        is_public: true,
        store_dir: "/nix/store".parse().unwrap(),
        priority: 40,
        upstream_key_names: Vec::new(),
        retention: None,
        key: key.clone(),
        now: NOW,
    };
    let name = cache.name.clone();
    let cache = db.create_cache(&cache).await.unwrap().unwrap().id;
    for first in (0..paths).step_by(1000) {
        db.commit(&commit(cache, &key, first..first + 1000)).await.unwrap();
    }
    let size = folder.path().join("index.db").metadata().unwrap().len();
    println!("{paths} paths, {size} bytes, {}", resident());

    let scattered = move |at: u32| (at.wrapping_mul(2_654_435_761)) % paths;
    let start = Instant::now();
    for at in 0..10_000 {
        assert!(db.find_path(cache, &path_hash(scattered(at))).await.unwrap().is_some());
    }
    print("find_path, one after the other", start, 10_000);

    let start = Instant::now();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let db = db.clone();
            tokio::spawn(async move {
                for at in 0..2500 {
                    assert!(db.find_path(cache, &path_hash(scattered(task * 2500 + at))).await.unwrap().is_some());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    print("find_path, 8 at once", start, 20_000);

    let start = Instant::now();
    for at in 0..10_000 {
        assert!(db.find_path(cache, &path_hash(paths + at)).await.unwrap().is_none());
    }
    print("find_path of a path that is not there", start, 10_000);

    let start = Instant::now();
    for _ in 0..10_000 {
        assert!(db.find_cache(&name).await.unwrap().is_some());
    }
    print("find_cache", start, 10_000);

    let there: Vec<_> = (0..1000).map(|at| path_hash(scattered(at))).collect();
    let absent: Vec<_> = (0..1000).map(|at| path_hash(paths + at)).collect();
    for (what, asked, missing) in [("there", &there, 0), ("absent", &absent, 1000)] {
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(db.missing_paths(cache, asked).await.unwrap().len(), missing);
        }
        print(&format!("missing_paths of 1,000 that are {what}"), start, 20);
    }

    let chunks: Vec<_> = (0..1000).map(|at| ChunkHash::of(format!("contents {}", scattered(at)).as_bytes())).collect();
    let start = Instant::now();
    for _ in 0..20 {
        assert!(db.find_chunks(&chunks).await.unwrap().iter().all(Option::is_some));
    }
    print("find_chunks of 1,000", start, 20);
    let start = Instant::now();
    for _ in 0..20 {
        assert!(db.find_visible_chunks(&[cache], &chunks).await.unwrap().iter().all(Option::is_some));
    }
    print("find_visible_chunks of 1,000", start, 20);

    for (what, step) in [("one run", 1), ("5,000 runs", 2)] {
        let runs: ChunkRuns = (0..5000).map(|at| ChunkId(1 + at * step)).collect();
        let start = Instant::now();
        for _ in 0..20 {
            db.locate_chunks(&runs).await.unwrap();
        }
        print(&format!("locate_chunks of 5,000 in {what}"), start, 20);
    }

    let commits: Vec<_> = (0..10).map(|at| paths + at * 1000).map(|at| commit(cache, &key, at..at + 1000)).collect();
    let start = Instant::now();
    for commit in &commits {
        db.commit(commit).await.unwrap();
    }
    print("commit of 1,000 small paths", start, 10);
    let start = Instant::now();
    for commit in &commits {
        db.commit(commit).await.unwrap();
    }
    print("the same again", start, 10);
    let commits: Vec<_> = (paths + 10_000..paths + 10_100).map(|at| commit(cache, &key, at..at + 1)).collect();
    let start = Instant::now();
    for commit in &commits {
        db.commit(commit).await.unwrap();
    }
    print("commit of 1 small path", start, 100);

    let chunks: Vec<_> = (0_u32..10_000)
        .map(|at| NewChunk {
            hash: ChunkHash::of(format!("large {at}").as_bytes()),
            offset: u64::from(at) * 1000,
            stored_size: 1000,
            size: 4000,
            check: at,
            cache: Some(cache),
        })
        .collect();
    let large = NewPack { name: PackName([0xff; 16]), size: 10_000_000, chunks };
    let start = Instant::now();
    db.commit(&Commit { packs: vec![large], ..Commit::default() }).await.unwrap();
    print("commit of 10,000 chunks", start, 1);

    let used: Vec<_> = (0..1000).map(|at| (cache, path_hash(scattered(at)))).collect();
    let start = Instant::now();
    db.touch_paths(&used, Timestamp(NOW.0 + 1)).await.unwrap();
    print("touch_paths of 1,000", start, 1);
    let start = Instant::now();
    db.totals().await.unwrap();
    print("totals", start, 1);
    println!("{}", resident());
}
