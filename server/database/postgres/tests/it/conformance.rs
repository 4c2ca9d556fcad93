//! The suite that every database must pass.

use std::sync::{Arc, Mutex};

use postgres::{Options, PostgresDatabase};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_what_every_database_must() {
    // Each lives until the next one is made.
    let current = Mutex::new(None);
    database::conformance::all(|| async {
        let database = scratch::Database::new();
        let opened = PostgresDatabase::connect(&database.url(), Options::default()).await.unwrap();
        *current.lock().unwrap() = Some(database);
        Arc::new(opened) as Arc<dyn database::Database>
    })
    .await;
}
