//! The suite that every database must pass.

use std::{
    sync::Arc,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlite::SqliteDatabase;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_what_every_database_must() {
    let folder = tempfile::tempdir().unwrap();
    let count = AtomicU32::new(0);
    database::conformance::all(|| async {
        let path = folder.path().join(format!("{}.db", count.fetch_add(1, Ordering::Relaxed)));
        Arc::new(SqliteDatabase::open(path).await.unwrap()) as Arc<dyn database::Database>
    })
    .await;
}
