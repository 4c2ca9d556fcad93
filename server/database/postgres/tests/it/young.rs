//! Tables that have just begun to grow are looked at before anybody has waited for it.

use database::{Chunks, Commit, NewChunk, NewPack, PackName};
use postgres::{Options, PostgresDatabase};
use protocol::ChunkHash;

const COMMITS: u64 = 9;
const CHUNKS: u64 = 300;

#[tokio::test]
async fn the_planner_knows_of_rows_that_were_written_a_moment_ago() {
    let scratch = scratch::Database::new();
    let database = PostgresDatabase::connect(&scratch.url(), Options::default()).await.unwrap();
    for number in 0..COMMITS {
        let chunk = |at: u64| NewChunk {
            hash: ChunkHash::of(&[number.to_le_bytes(), at.to_le_bytes()].concat()),
            offset: at,
            stored_size: 1,
            size: 1,
            check: 0,
            cache: None,
        };
        let name = PackName(ChunkHash::of(&number.to_le_bytes()).as_bytes()[..16].try_into().unwrap());
        let pack = NewPack { name, size: CHUNKS, chunks: (0..CHUNKS).map(chunk).collect() };
        database.commit(&Commit { packs: vec![pack], ..Commit::default() }).await.unwrap();
    }
    let known: f64 = scratch.ask("SELECT reltuples FROM pg_class WHERE oid = 'chunk'::regclass").parse().unwrap();
    assert!(known >= (COMMITS * CHUNKS) as f64 / 2.0, "{known} rows");
    database.close().await;
}
