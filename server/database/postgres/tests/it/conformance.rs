//! The suite that every database must pass.

use std::sync::Arc;

use postgres::{Options, PostgresDatabase};

/// Empties every table, and lets ids begin anew: far quicker than a database for each check.
const EMPTY: &str = "DO $$ BEGIN EXECUTE (
    SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') || ' RESTART IDENTITY'
    FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'
); END $$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_what_every_database_must() {
    let database = scratch::Database::new();
    let opened = PostgresDatabase::connect(&database.url(), Options::default()).await.unwrap();
    database::conformance::all(|| async {
        database.ask(EMPTY);
        Arc::new(opened.clone()) as Arc<dyn database::Database>
    })
    .await;
}
