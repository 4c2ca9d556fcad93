//! The statements: what was written down of them is true of the schema as it is, and none reads more than it must.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use formats::Sha256;
use sqlite::SqliteDatabase;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row, SqlSafeStr, SqliteConnection, sqlite::SqliteConnectOptions};

const HINT: &str = "run server/database/sqlite/prepare and commit what it changes";

/// Every statement that this crate uses, by its file.
fn statements() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql");
    let mut files: Vec<_> = ["common", "sqlite"]
        .into_iter()
        .flat_map(|part| fs::read_dir(folder.join(part)).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect()
}

fn prepared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx")
}

/// A connection to an index with the newest schema.
async fn fresh(folder: &Path) -> SqliteConnection {
    let path = folder.join("index.db");
    SqliteDatabase::open(&path).await.unwrap().close().await;
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

#[tokio::test]
async fn what_is_prepared_is_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = fresh(folder.path()).await;
    let mut expected = BTreeSet::new();
    for (file, sql) in statements() {
        let name = format!("query-{}.json", Sha256::digest_of(sql.as_bytes()).hex());
        let Ok(text) = fs::read_to_string(prepared().join(&name)) else {
            panic!("{} has changed or is new: {HINT}", file.display());
        };
        let was: serde_json::Value = serde_json::from_str(&text).unwrap();
        let is = connection.describe(AssertSqlSafe(sql).into_sql_str()).await.unwrap();
        assert_eq!(
            was["describe"],
            serde_json::to_value(is).unwrap(),
            "the schema has changed under {}: {HINT}",
            file.display()
        );
        expected.insert(name);
    }
    let there: BTreeSet<_> =
        fs::read_dir(prepared()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, expected, "{HINT}");
}

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    // With no statistics, as in a new index, and it must not matter.
    let folder = tempfile::tempdir().unwrap();
    let mut connection = fresh(folder.path()).await;
    let mut scans = Vec::new();
    for (file, sql) in statements() {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let plan = connection.fetch_all(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).await.unwrap();
        for step in plan {
            let step: String = step.try_get("detail").unwrap();
            if step.contains("INDEX nar_in_quarantine") || step.contains("INDEX chunk_condemned") {
                continue; // as short as the list of what is broken, or is to go; of the latter one row is read
            }
            let table = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            if table.is_some_and(|table| {
                [
                    "path",
                    "nar",
                    "chunk",
                    "chunk_cache",
                    "pack",
                    "upload",
                    "document",
                    "token",
                    "revoked_subject",
                    "audit",
                    "claim",
                    "claim_output",
                    "verdict",
                    "observation",
                    "promoted",
                    "revision",
                ]
                .contains(&table)
            }) {
                scans.push((name.to_owned(), table.unwrap_or_default().to_owned()));
            }
        }
    }
    // Counting is the one thing that must look at all.
    assert!(scans.iter().any(|(name, _)| name == "totals"), "a scan would be seen: {scans:?}");
    scans.retain(|(name, _)| name != "totals");
    // In the plan, but jumped over unless a row already refers to a cache that is not there, which cannot happen.
    scans.retain(|(name, table)| (name.as_str(), table.as_str()) != ("cache_insert", "chunk_cache"));
    assert!(scans.is_empty(), "{scans:?}");
}
