//! The state of the index changes with every commit, of whatever process, and with nothing else.

use database::{Caches, NewCache, Revision, Revisions};
use formats::{SecretKey, StoreDir};
use protocol::Timestamp;
use sqlite::SqliteDatabase;

fn cache(name: &str) -> NewCache {
    NewCache {
        name: name.parse().unwrap(),
        is_public: true,
        store_dir: StoreDir::default(),
        priority: 41,
        upstream_key_names: vec![],
        retention: None,
        key: SecretKey::generate(name.parse().unwrap(), [1; 32]),
        now: Timestamp(1),
    }
}

fn state(database: &SqliteDatabase) -> Revision {
    database.revision().expect("a local file tells its state")
}

#[tokio::test]
async fn every_commit_of_every_connection_is_seen_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.db");
    let (ours, theirs) = (SqliteDatabase::open(&path).await.unwrap(), SqliteDatabase::open(&path).await.unwrap());
    let mut seen = vec![state(&ours)];
    // Enough commits for the log to be checkpointed and begun anew.
    for number in 0..1500 {
        let writer = if number % 2 == 0 { &ours } else { &theirs };
        writer.create_cache(&cache(&format!("cache-{number}"))).await.unwrap();
        let now = state(&ours);
        assert_eq!(now, state(&theirs));
        assert!(!seen.contains(&now), "commit {number} went unseen");
        seen.push(now);
    }
}

#[tokio::test]
async fn reading_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = SqliteDatabase::open(folder.path().join("index.db")).await.unwrap();
    database.create_cache(&cache("main")).await.unwrap();
    let before = state(&database);
    for _ in 0..20 {
        database.find_cache(&"main".parse().unwrap()).await.unwrap().unwrap();
        database.list_caches().await.unwrap();
    }
    assert_eq!(state(&database), before);
}
