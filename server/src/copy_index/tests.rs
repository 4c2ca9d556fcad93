//! Whatever tables there are, the next migration's too: each is filled, copied there and back, and compared by other means.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use database::{
    Database,
    copying::{Table, Value},
};
use postgres::{Options, PostgresDatabase};
use sqlite::SqliteDatabase;

use super::{CopyError, copy};

/// How many rows each table gets that may have so many.
const ROWS: i64 = 5;
/// The tables with one row.
const SINGLE: [&str; 1] = ["scrub"];

/// What the database itself says of its columns: table, column, type, whether it may be NULL.
const COLUMNS: &str = "SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations' ORDER BY 1";

/// An empty index on PostgreSQL.
async fn on_postgres() -> (scratch::Database, Arc<dyn Database>) {
    let database = scratch::Database::new();
    let opened = PostgresDatabase::connect(&database.url(), Options::default()).await.unwrap();
    (database, Arc::new(opened))
}

async fn on_sqlite(folder: &tempfile::TempDir, name: &str) -> Arc<dyn Database> {
    Arc::new(SqliteDatabase::open(folder.path().join(name)).await.unwrap())
}

/// The columns of each table, by a way of its own.
fn columns(database: &scratch::Database) -> BTreeMap<String, Vec<(String, String, bool)>> {
    let mut tables = BTreeMap::<String, Vec<_>>::new();
    for line in database.ask(COLUMNS).lines() {
        let [table, column, kind, null] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        tables.entry(table.to_owned()).or_default().push((column.to_owned(), kind.to_owned(), null == "YES"));
    }
    tables
}

/// A value for a place. Whatever refers to a row finds one, since ids and what refers to them have the row's number.
fn value(column: &str, kind: &str, may_be_null: bool, number: i64) -> String {
    match kind {
        _ if may_be_null && number == ROWS => "NULL".to_owned(),
        "bigint" if column.starts_with("is_") => (number % 2).to_string(),
        "bigint" if column == "damaged_at" || column == "deleted_at" => i64::MAX.to_string(),
        "bigint" => number.to_string(),
        "bytea" => format!("decode('00ff{:02x}{:02x}', 'hex')", 255 - number, number),
        // Ordered otherwise by most locales.
        "text" => format!(
            "E'{}\\n{column} ümläut \"quoted\" 🦊'",
            ["Z", "a", "É", "é", "_"][usize::try_from(number).unwrap() % 5]
        ),
        other => panic!("{column} is a {other}"),
    }
}

/// Fills every table. References are not looked at while that happens; all of them are good in the end.
fn fill(database: &scratch::Database) {
    let mut sql = "SET session_replication_role = replica;".to_owned();
    for (table, columns) in columns(database) {
        for number in 1..=if SINGLE.contains(&table.as_str()) { 1 } else { ROWS } {
            let names: Vec<_> = columns.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
            let values: Vec<_> = columns.iter().map(|(name, kind, null)| value(name, kind, *null, number)).collect();
            write!(sql, "INSERT INTO \"{table}\" ({}) VALUES ({});", names.join(","), values.join(",")).unwrap();
        }
    }
    // Ids that were given out and whose rows are gone.
    sql += "SELECT setval(quote_ident(sequencename)::regclass, 4711) FROM pg_sequences WHERE sequencename <> 'tag_id_seq';";
    database.ask(&sql);
}

/// Everything that is in a database, in the words of the database.
fn contents(database: &scratch::Database) -> BTreeMap<String, String> {
    let rows = |table: &String| database.ask(&format!("SELECT to_jsonb(t) FROM \"{table}\" AS t ORDER BY 1"));
    columns(database).into_keys().map(|table| (table.clone(), rows(&table))).collect()
}

fn last_ids(database: &scratch::Database) -> String {
    database.ask("SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences ORDER BY 1")
}

#[tokio::test]
async fn every_table_goes_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, from) = on_postgres().await;
    fill(&origin);
    let sqlite = on_sqlite(&folder, "index.sqlite").await;
    let there = copy(&*from, &*sqlite, &mut |_| ()).await.unwrap();
    let (target, to) = on_postgres().await;
    let back = copy(&*sqlite, &*to, &mut |_| ()).await.unwrap();

    assert_eq!(there.tables, back.tables);
    let before = contents(&origin);
    assert!(before.len() > 20, "{:?}", before.keys());
    let (copied, known): (Vec<_>, Vec<_>) =
        (there.tables.iter().map(|table| &table.table).collect(), before.keys().collect());
    assert_eq!(copied, known, "every table that the database has");
    for (table, rows) in &before {
        assert_eq!(rows.lines().count() as i64, if SINGLE.contains(&table.as_str()) { 1 } else { ROWS }, "{table}");
    }
    assert_eq!(contents(&target), before);
    assert_eq!(last_ids(&target), last_ids(&origin));
    assert!(last_ids(&target).contains("cache_id_seq|4711"), "{}", last_ids(&target));
}

#[tokio::test]
async fn more_rows_than_go_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, from) = on_postgres().await;
    // Short ones, and some whose listings are far beyond what is read at once.
    origin.ask(
        "INSERT INTO nar (hash, size, file_hash, file_size, created_at, manifest, listing)
         SELECT sha256(n::text::bytea), n, '\\x00', n, n, '\\x01', CASE WHEN n % 1000 = 7 THEN convert_to(repeat('long', 900000), 'UTF8') END
         FROM generate_series(1, 7000) AS n",
    );
    let sqlite = on_sqlite(&folder, "index.sqlite").await;
    copy(&*from, &*sqlite, &mut |_| ()).await.unwrap();
    let (target, to) = on_postgres().await;
    let report = copy(&*sqlite, &*to, &mut |_| ()).await.unwrap();
    assert_eq!(report.rows, 7000);
    let all = "SELECT count(*), sum(size), md5(string_agg(t::text, '' ORDER BY id)) FROM nar AS t";
    assert_eq!(target.ask(all), origin.ask(all));
}

#[tokio::test]
async fn what_has_rows_is_left_alone_and_nothing_is_copied_from_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, from) = on_postgres().await;
    let sqlite = on_sqlite(&folder, "index.sqlite").await;
    let refused = copy(&*sqlite, &*from, &mut |_| ()).await;
    assert!(matches!(refused, Err(CopyError::SourceEmpty)), "{refused:?}");
    fill(&origin);
    let (other, to) = on_postgres().await;
    other.ask("INSERT INTO lease (name, holder, until) VALUES ('a', 'b', 1)");
    let before = contents(&other);
    let refused = copy(&*from, &*to, &mut |_| ()).await;
    assert!(matches!(&refused, Err(CopyError::TargetNotEmpty { table }) if table == "lease"), "{refused:?}");
    assert_eq!(contents(&other), before);
}

/// A failure in the middle: what PostgreSQL cannot hold.
#[tokio::test]
async fn a_copy_that_fails_has_copied_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, from) = on_postgres().await;
    fill(&origin);
    let sqlite = on_sqlite(&folder, "index.sqlite").await;
    copy(&*from, &*sqlite, &mut |_| ()).await.unwrap();
    let mut held = sqlite.hold().await.unwrap();
    let tables = held.tables().await.unwrap();
    let table = tables.iter().find(|table| table.name == "token").unwrap();
    held.write(table, &[with_nul(table)]).await.unwrap();
    held.keep().await.unwrap();

    let (target, to) = on_postgres().await;
    let refused = copy(&*sqlite, &*to, &mut |_| ()).await;
    assert!(matches!(&refused, Err(CopyError::Write { table, .. }) if table == "token"), "{refused:?}");
    assert!(contents(&target).values().all(String::is_empty), "{:?}", contents(&target));
    // And both can be used again.
    drop(sqlite.hold().await.unwrap());
    assert!(to.list_caches().await.unwrap().is_empty());
}

fn with_nul(table: &Table) -> Vec<Value> {
    let value = |name: &str| match name {
        "created_at" | "expires_at" => Value::Number(1),
        "proof" | "last_used_at" | "revoked_at" | "parent" => Value::Null,
        _ => Value::Text("with \0 in it".to_owned()),
    };
    table.columns.iter().map(|column| value(&column.name)).collect()
}

#[tokio::test]
async fn a_table_of_somebody_else_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, from) = on_postgres().await;
    fill(&origin);
    origin.ask("CREATE TABLE guests (id BIGINT PRIMARY KEY)");
    let sqlite = on_sqlite(&folder, "index.sqlite").await;
    let refused = copy(&*from, &*sqlite, &mut |_| ()).await;
    assert!(matches!(&refused, Err(CopyError::Schema { table }) if table == "guests"), "{refused:?}");
}
