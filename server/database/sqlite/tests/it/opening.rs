//! Opening: what stays, who may, and what is refused.

use std::{error::Error, path::Path, process::Command};

use database::{Caches, Chunks, Commit, DocumentKind, NewCache, NewChunk, NewDocument, NewPack, PackName};
use formats::SecretKey;
use protocol::{ChunkHash, Timestamp};
use sqlite::{OpenError, SqliteDatabase};

fn new_cache(name: &str) -> NewCache {
    NewCache {
        name: name.parse().unwrap(),
        is_public: true,
        store_dir: "/nix/store".parse().unwrap(),
        priority: 40,
        upstream_key_names: Vec::new(),
        retention: None,
        key: SecretKey::generate(name.parse().unwrap(), [7; 32]),
        now: Timestamp(0),
    }
}

fn pack(number: u8) -> Commit {
    let chunk = NewChunk { hash: ChunkHash([number; 32]), offset: 0, stored_size: 1, size: 1, check: 1, cache: None };
    Commit {
        packs: vec![NewPack { name: PackName([number; 16]), size: 100, chunks: vec![chunk] }],
        ..Commit::default()
    }
}

async fn finds(database: &SqliteDatabase, number: u8) -> bool {
    database.find_chunks(&[ChunkHash([number; 32])]).await.unwrap()[0].is_some()
}

/// What the `sqlite3` of this crate says to a statement, outside of the pools.
async fn ask(path: &Path, sql: &'static str) -> String {
    use sqlx::{ConnectOptions, Row};
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let row = sqlx::query(sql).fetch_optional(&mut connection).await.unwrap();
    row.map(|row| row.try_get::<String, _>(0).unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn all_is_there_after_it_was_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.db");
    let database = SqliteDatabase::open(&path).await.unwrap();
    database.create_cache(&new_cache("main")).await.unwrap();
    database.commit(&pack(1)).await.unwrap();
    database.close().await;
    let files: Vec<_> = folder.path().read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["index.db"], "nothing is left in a log");

    let again = SqliteDatabase::connect(&format!("sqlite://{}?mode=rw", path.display())).await.unwrap();
    assert_eq!(again.list_caches().await.unwrap()[0].keys[0].to_text(), new_cache("main").key.to_text());
    assert!(finds(&again, 1).await);
}

#[tokio::test]
async fn all_is_there_after_it_was_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.db");
    for number in 0..3 {
        let database = SqliteDatabase::open(&path).await.unwrap();
        for before in 0..number {
            assert!(finds(&database, before).await);
        }
        database.commit(&pack(number)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_share_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.db");
    // Both find no schema, and both would make it.
    let (one, two) = tokio::join!(SqliteDatabase::open(&path), SqliteDatabase::open(&path));
    let (one, two) = (one.unwrap(), two.unwrap());
    let cache = one.create_cache(&new_cache("main")).await.unwrap().unwrap().id;
    let writers = [(one.clone(), 0_u8), (two.clone(), 100)].map(|(database, first)| {
        tokio::spawn(async move {
            for number in first..first + 50 {
                // A document, since its cache is looked up before anything is written.
                let mut commit = pack(number);
                let (kind, name) = (DocumentKind::Log, number.to_string());
                let now = Timestamp(0);
                commit.documents.push(NewDocument { cache, kind, name, manifest: Vec::new(), size: 0, now });
                database.commit(&commit).await.unwrap();
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    for number in (0..50).chain(100..150) {
        assert!(finds(&one, number).await && finds(&two, number).await, "{number}");
    }
}

#[tokio::test]
async fn what_another_process_committed_outlives_it() {
    // Set in the other process only.
    if let Some(path) = std::env::var_os("INDEX_OF_ANOTHER_PROCESS") {
        let database = SqliteDatabase::open(path).await.unwrap();
        assert!(finds(&database, 1).await);
        database.commit(&pack(2)).await.unwrap();
        std::process::abort();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.db");
    let database = SqliteDatabase::open(&path).await.unwrap();
    database.commit(&pack(1)).await.unwrap();
    let die = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "opening::what_another_process_committed_outlives_it"])
            .env("INDEX_OF_ANOTHER_PROCESS", &path)
            .output()
            .unwrap()
    };
    let told = die();
    assert!(finds(&database, 2).await, "{}", String::from_utf8_lossy(&told.stdout));
    // And with nobody else there who had the log open.
    database.close().await;
    die();
    assert!(path.with_extension("db-wal").exists(), "the other process left its log");
    let database = SqliteDatabase::open(&path).await.unwrap();
    assert!(finds(&database, 1).await && finds(&database, 2).await);
}

#[tokio::test]
async fn an_index_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.db");
    SqliteDatabase::open(&path).await.unwrap().close().await;
    ask(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)",
    )
    .await;
    let error = SqliteDatabase::open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { version: 9999, .. }), "{error:?}");
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[tokio::test]
async fn what_is_no_index_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.db");
    std::fs::write(&path, "no database, but long enough to look at".repeat(100)).unwrap();
    let error = SqliteDatabase::open(&path).await.unwrap_err();
    assert!(error.to_string().contains("index.db") && error.source().is_some(), "{error}");

    let nowhere = folder.path().join("nowhere/index.db");
    let error = SqliteDatabase::open(&nowhere).await.unwrap_err();
    assert!(matches!(error, OpenError::Open { .. }), "{error:?}");

    let absent = format!("sqlite://{}?mode=rw", folder.path().join("absent.db").display());
    assert!(matches!(SqliteDatabase::connect(&absent).await, Err(OpenError::Open { .. })));
    for memory in ["sqlite::memory:", "sqlite://x?mode=memory"] {
        assert!(matches!(SqliteDatabase::connect(memory).await, Err(OpenError::InMemory)), "{memory}");
    }
    for bad in ["postgres://localhost/x", "sqlite://x?color=red", ""] {
        assert!(matches!(SqliteDatabase::connect(bad).await, Err(OpenError::Url { .. })), "{bad}");
    }
}

#[tokio::test]
async fn an_address_without_a_mode_makes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b.db");
    let database = SqliteDatabase::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    database.ping().await.unwrap();
    assert!(path.exists());
    assert_eq!(ask(&path, "PRAGMA journal_mode").await, "wal");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_keys() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.db");
    let database = SqliteDatabase::open(&path).await.unwrap();
    database.create_cache(&new_cache("main")).await.unwrap();
    for file in folder.path().read_dir().unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}
