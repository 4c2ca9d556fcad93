//! The time of last use, which only the upkeep of the index looks at.

use database::{CacheId, Caches, Chunks, Commit, NewCache, NewNar, NewPath, Paths};
use formats::{FileHash, NarHash, PathInfo, SecretKey, StorePath, StorePathHash};
use protocol::Timestamp;
use sqlite::SqliteDatabase;
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

fn path(cache: CacheId, number: u8, now: Timestamp) -> NewPath {
    NewPath {
        cache,
        info: PathInfo {
            path: StorePath::new(StorePathHash::from_bytes([number; 20]), "x".parse().unwrap()),
            nar_hash: NarHash::digest_of(b"x"),
            nar_size: 1,
            references: [].into(),
            deriver: None,
            signatures: [].into(),
            ca: None,
        },
        extra: Vec::new(),
        pushed_by: None,
        now,
    }
}

#[tokio::test]
async fn time_of_use_goes_forward_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("index.db");
    let database = SqliteDatabase::open(&file).await.unwrap();
    let name = "main";
    let cache = NewCache {
        name: name.parse().unwrap(),
        is_public: true,
        store_dir: "/nix/store".parse().unwrap(),
        priority: 40,
        upstream_key_names: Vec::new(),
        retention: None,
        key: SecretKey::generate(name.parse().unwrap(), [7; 32]),
        now: Timestamp(0),
    };
    let cache = database.create_cache(&cache).await.unwrap().unwrap().id;
    let nar = NewNar {
        nar_hash: NarHash::digest_of(b"x"),
        nar_size: 1,
        file_hash: FileHash::digest_of(b"x"),
        file_size: 1,
        manifest: Vec::new(),
        listing: None,
        now: Timestamp(100),
    };
    let paths = vec![path(cache, 1, Timestamp(100)), path(cache, 2, Timestamp(100))];
    database.commit(&Commit { nars: vec![nar], paths, ..Commit::default() }).await.unwrap();

    let mut outside = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
    let mut times = async || {
        let sql = "SELECT last_used_at FROM path ORDER BY hash";
        sqlx::query_scalar::<_, i64>(sql).fetch_all(&mut outside).await.unwrap()
    };
    assert_eq!(times().await, [100, 100], "to be pushed is to be used");
    let first = [(cache, StorePathHash::from_bytes([1; 20]))];
    database.touch_paths(&first, Timestamp(200)).await.unwrap();
    assert_eq!(times().await, [200, 100]);
    database.touch_paths(&first, Timestamp(150)).await.unwrap();
    assert_eq!(times().await, [200, 100]);
    let other_cache = [(CacheId(cache.0 + 1), StorePathHash::from_bytes([2; 20]))];
    database.touch_paths(&other_cache, Timestamp(300)).await.unwrap();
    assert_eq!(times().await, [200, 100]);
    for (now, expected) in [(250, [250, 100]), (120, [250, 100])] {
        let paths = vec![path(cache, 1, Timestamp(now))];
        database.commit(&Commit { paths, ..Commit::default() }).await.unwrap();
        assert_eq!(times().await, expected, "to be pushed again is, too");
    }
}
