//! The state of the index changes with every commit, of whatever process, and not with reading.

use database::{Caches, Revision, Revisions, conformance::new_cache};
use postgres::{Options, PostgresDatabase};
use scratch::{Database, Server};

async fn open(database: &Database) -> PostgresDatabase {
    PostgresDatabase::connect(&database.url(), Options::default()).await.unwrap()
}

async fn state(index: &PostgresDatabase) -> Revision {
    index.ask_revision().await.expect("the server tells its state")
}

#[tokio::test]
async fn every_commit_of_every_server_is_seen_at_once() {
    let database = Database::new();
    let (ours, theirs) = (open(&database).await, open(&database).await);
    let mut seen = (state(&ours).await, state(&theirs).await);
    for number in 0..100 {
        let writer = if number % 2 == 0 { &ours } else { &theirs };
        writer.create_cache(&new_cache(&format!("cache-{number}"))).await.unwrap();
        let now = (state(&ours).await, state(&theirs).await);
        assert!(now.0 != seen.0 && now.1 != seen.1, "commit {number} went unseen");
        seen = now;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_beside_others_gets_no_older_state() {
    let database = Database::new();
    let index = open(&database).await;
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let index = index.clone();
            tokio::spawn(async move {
                for number in 0..20 {
                    let before = state(&index).await;
                    index.create_cache(&new_cache(&format!("cache-{task}-{number}"))).await.unwrap();
                    assert_ne!(state(&index).await, before, "commit {number} of {task} went unseen");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn reading_changes_nothing() {
    // On the server that all tests share somebody always writes.
    let server = Server::start(&["autovacuum=off"]);
    let database = server.database();
    let index = open(&database).await;
    index.create_cache(&new_cache("main")).await.unwrap();
    let before = state(&index).await;
    for _ in 0..20 {
        index.find_cache(&"main".parse().unwrap()).await.unwrap().unwrap();
        index.list_caches().await.unwrap();
        assert_eq!(state(&index).await, before);
    }
}

#[tokio::test]
async fn another_connection_is_another_state() {
    let database = Database::new();
    let index = open(&database).await;
    let before = state(&index).await;
    database.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'flywheel-cache'");
    // Nobody can tell for a moment.
    let after = loop {
        match index.ask_revision().await {
            Some(after) => break after,
            None => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    };
    assert_ne!(after, before);
    index.close().await;
}
