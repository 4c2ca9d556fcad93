//! Plans: no statement that requests wait for reads a large table from one end to the other.

use std::{fs, path::Path};

use postgres::{Options, PostgresDatabase};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// Tables that grow with what is stored, filled with so many rows that reading all of one is never the best plan.
const FILL: &str = r"
INSERT INTO cache (name, is_public, store_dir, priority, upstream_key_names, created_at)
    SELECT 'cache-' || n, 1, '/nix/store', 40, '', 0 FROM generate_series(1, 3) AS n;
INSERT INTO pack (name, size) SELECT substr(sha256(n::text::bytea), 1, 16), 1 FROM generate_series(1, 5000) AS n;
INSERT INTO chunk (hash, pack_id, pack_offset, stored_size, size, check_sum)
    SELECT sha256(n::text::bytea), 1 + n % 5000, n, 1, 1, 0 FROM generate_series(1, 60000) AS n;
INSERT INTO chunk_cache (chunk_id, cache_id) SELECT id, 1 + id % 3 FROM chunk;
INSERT INTO nar (hash, size, file_hash, file_size, created_at, manifest)
    SELECT sha256(n::text::bytea), 1, sha256(n::text::bytea), 1, 0, sha256(n::text::bytea) FROM generate_series(1, 40000) AS n;
INSERT INTO path (cache_id, hash, nar_id, created_at, last_used_at, name, refs, signatures, extra)
    SELECT 1 + n % 3, substr(sha256(n::text::bytea), 1, 20), n, 0, 0, 'name', '', '', '[]' FROM generate_series(1, 40000) AS n;
INSERT INTO upload (cache_id, file_name, nar_id, file_hash, file_size, created_at)
    SELECT 1 + n % 3, 'file-' || n, n, sha256(n::text::bytea), 1, 0 FROM generate_series(1, 20000) AS n;
INSERT INTO document (cache_id, kind, name, manifest, size, created_at)
    SELECT 1 + n % 3, 'log', 'name-' || n, '\x01', 1, 0 FROM generate_series(1, 20000) AS n;
INSERT INTO token (id, subject, grants, created_at, expires_at, minted_by)
    SELECT 'token-' || n, 'subject-' || n % 100, '{}', 0, n, 'x' FROM generate_series(1, 20000) AS n;
ANALYZE;
";

const LARGE: [&str; 8] = ["pack", "chunk", "chunk_cache", "nar", "path", "upload", "document", "token"];

/// What a narinfo, a NAR, a push and the look-up of missing paths and chunks wait for.
const HOT: &[&str] = &[
    "common/path_find.sql",
    "common/nar_find.sql",
    "common/nar_find_by_path.sql",
    "common/nar_find_by_file_hash.sql",
    "common/document_find.sql",
    "common/upload_find.sql",
    "common/path_signatures.sql",
    "common/token_find.sql",
];
/// The same, where each database has its own words: every statement whose name begins so.
const HOT_PREFIXES: &[&str] = &["path_", "chunk_find", "chunk_locate", "chunk_insert", "nar_", "token_", "pack_find"];

fn statements() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql");
    let mut found: Vec<_> =
        HOT.iter().map(|file| ((*file).to_owned(), fs::read_to_string(folder.join(file)).unwrap())).collect();
    for entry in fs::read_dir(folder.join("postgres")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if HOT_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            found.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    found
}

/// How the server plans a statement, whatever its parameters are.
async fn plan(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    let run = |sql: String| sqlx::raw_sql(AssertSqlSafe(sql));
    run(format!("PREPARE hot AS {sql}")).execute(&mut *connection).await.unwrap();
    let count: i32 =
        sqlx::query_scalar("SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'hot'")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    let nothing = vec!["NULL"; usize::try_from(count).unwrap()].join(", ");
    let arguments = if count == 0 { String::new() } else { format!("({nothing})") };
    let rows = run(format!("EXPLAIN EXECUTE hot{arguments}")).fetch_all(&mut *connection).await.unwrap();
    run("DEALLOCATE hot".to_owned()).execute(connection).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

#[tokio::test]
async fn what_requests_wait_for_walks_along_indices() {
    let database = scratch::Database::new();
    PostgresDatabase::connect(&database.url(), Options::default()).await.unwrap().close().await;
    database.ask(FILL);
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let statements = statements();
    assert!(statements.len() > HOT.len() + 3, "{statements:?}");
    // As the server sets it; and as the planner would have it, which knows how large the tables are.
    for settings in [
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off",
        "SET enable_seqscan = on",
    ] {
        sqlx::raw_sql(settings).execute(&mut connection).await.unwrap();
        for (name, sql) in &statements {
            let plan = plan(&mut connection, sql).await;
            for line in &plan {
                let is_large = LARGE.iter().any(|table| line.contains(&format!("Seq Scan on {table} ")));
                assert!(!is_large, "{name} reads a whole table ({settings}):\n{}", plan.join("\n"));
            }
        }
    }
}
