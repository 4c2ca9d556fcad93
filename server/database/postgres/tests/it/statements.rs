//! The statements: what was written down of them is true of the schema as it is, and none reads more than it must.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use formats::Sha256;
use postgres::{Options, PostgresDatabase};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr};

const HINT: &str = "run server/database/postgres/prepare and commit what it changes";

/// Every statement that this crate uses, by its file.
fn statements() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql");
    let mut files: Vec<_> = ["common", "postgres"]
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
async fn fresh(database: &scratch::Database) -> PgConnection {
    PostgresDatabase::connect(&database.url(), Options::default()).await.unwrap().close().await;
    PgConnection::connect(&database.url()).await.unwrap()
}

#[test]
fn each_statement_has_its_counterpart() {
    let names = |part: &str| -> BTreeSet<_> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql").join(part);
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    };
    let only_here: Vec<_> = names("postgres").difference(&names("sqlite")).cloned().collect();
    // SQLite has one writer, which needs no locks, and tells where it stands without being asked.
    assert_eq!(only_here, ["path_lock.sql", "revision.sql"]);
    assert!(names("sqlite").is_subset(&names("postgres")));
}

#[tokio::test]
async fn what_is_prepared_is_up_to_date() {
    let database = scratch::Database::new();
    let mut connection = fresh(&database).await;
    let mut expected = BTreeSet::new();
    for (file, sql) in statements() {
        let name = format!("query-{}.json", Sha256::digest_of(sql.as_bytes()).hex());
        let Ok(text) = fs::read_to_string(prepared().join(&name)) else {
            panic!("{} has changed or is new: {HINT}", file.display());
        };
        let was: serde_json::Value = serde_json::from_str(&text).unwrap();
        let is = connection.describe(AssertSqlSafe(sql.clone()).into_sql_str()).await.unwrap();
        // Which columns of an outer join may be NULL is guessed from the plan, and plans differ from server to server.
        let is_guessed = sql.contains("LEFT JOIN");
        let schema = |described: &serde_json::Value| {
            let nullable = (!is_guessed).then(|| described["nullable"].clone());
            (described["columns"].clone(), described["parameters"].clone(), nullable)
        };
        assert_eq!(
            schema(&was["describe"]),
            schema(&serde_json::to_value(is).unwrap()),
            "the schema has changed under {}: {HINT}",
            file.display()
        );
        expected.insert(name);
    }
    let there: BTreeSet<_> =
        fs::read_dir(prepared()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, expected, "{HINT}");
}
