//! The state of the index changes with every commit, of whatever process, but for notes; and with nothing else.

use database::{
    Caches, ChoreRun, Inspection, Lease, Leases, Paths, Revision, Revisions, Tokens, Traffic, conformance::new_cache,
};
use protocol::Timestamp;
use sqlite::SqliteDatabase;

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
        writer.create_cache(&new_cache(&format!("cache-{number}"))).await.unwrap();
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
    database.create_cache(&new_cache("main")).await.unwrap();
    let before = state(&database);
    for _ in 0..20 {
        database.find_cache(&"main".parse().unwrap()).await.unwrap().unwrap();
        database.list_caches().await.unwrap();
    }
    assert_eq!(state(&database), before);
}

/// When something was used and who does a chore is written down all the time, and no answer is made of it.
#[tokio::test]
async fn notes_leave_the_state_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.db");
    let (ours, theirs) = (SqliteDatabase::open(&path).await.unwrap(), SqliteDatabase::open(&path).await.unwrap());
    ours.create_cache(&new_cache("main")).await.unwrap();
    let found = ours.find_cache(&"main".parse().unwrap()).await.unwrap().unwrap();
    let hash = "00000000000000000000000000000000".parse().unwrap();
    let mut before = state(&ours);
    // Enough for the log to be checkpointed and begun anew.
    for number in 0..1500_i64 {
        let now = Timestamp(number);
        match number % 5 {
            0 => ours.touch_paths(&[(found.id, hash)], now).await.unwrap(),
            1 => ours.add_traffic(&[Traffic { cache: found.id, day: number, hits: 1, misses: 2 }]).await.unwrap(),
            2 => {
                let lease = Lease { name: "chore".into(), holder: "me".into(), until: Timestamp(number + 10) };
                assert!(ours.acquire_lease(&lease, now).await.unwrap());
            }
            3 => {
                let run = ChoreRun { started_at: now, finished_at: now, report: number.to_string() };
                ours.note_chore_run("chore", &run).await.unwrap();
            }
            _ => ours.touch_tokens(&["token".into()], now).await.unwrap(),
        }
        assert_eq!(state(&ours), before, "{number}");
        if number % 100 == 0 {
            // A commit between notes is seen, whoever makes it.
            let writer = if number % 200 == 0 { &ours } else { &theirs };
            writer.create_cache(&new_cache(&format!("cache-{number}"))).await.unwrap();
            assert_ne!(state(&ours), before, "{number}");
            before = state(&ours);
        }
    }
}

/// Notes and commits at the same time: no commit is ever taken for a note.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_beside_notes_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.db");
    let (ours, theirs) = (SqliteDatabase::open(&path).await.unwrap(), SqliteDatabase::open(&path).await.unwrap());
    let noting = tokio::spawn({
        let ours = ours.clone();
        async move {
            for number in 0..2000 {
                let lease = Lease { name: "chore".into(), holder: "me".into(), until: Timestamp(number + 10) };
                ours.acquire_lease(&lease, Timestamp(number)).await.unwrap();
            }
        }
    });
    let mut number = 0;
    while !noting.is_finished() {
        let before = state(&ours);
        theirs.create_cache(&new_cache(&format!("cache-{number}"))).await.unwrap();
        assert_ne!(state(&ours), before, "commit {number}");
        number += 1;
    }
    noting.await.unwrap();
}
