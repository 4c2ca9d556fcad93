//! What SQLite tells of its tables, and how rows are added to whichever of them.

use std::collections::BTreeMap;

use database::{
    Result,
    copying::{Column, Kind, Row, Table, Value},
};
use sqlx::AssertSqlSafe;

use crate::{
    dialect::Connection,
    error::failed,
    shared::copying::{columns, list, quoted, unknown_type},
};

/// How many values one statement adds: SQLite takes 32,766 parameters.
const VALUES: usize = 4000;

const COLUMNS: &str = r"
    SELECT t.name, t.sql LIKE '%AUTOINCREMENT%', c.name, c.type, c.pk
    FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND t.name <> '_sqlx_migrations'
    ORDER BY t.name, c.name";
const REFERENCES: &str = r#"
    SELECT t.name, r."table" FROM sqlite_master AS t JOIN pragma_foreign_key_list(t.name) AS r WHERE t.type = 'table'"#;

pub(crate) async fn tables(connection: &mut Connection) -> Result<Vec<Table>> {
    let found: Vec<(String, bool, String, String, i64)> =
        sqlx::query_as(COLUMNS).fetch_all(&mut *connection).await.map_err(failed)?;
    let references: Vec<(String, String)> = sqlx::query_as(REFERENCES).fetch_all(connection).await.map_err(failed)?;
    let mut tables: BTreeMap<String, (Table, Vec<(i64, usize)>)> = BTreeMap::new();
    for (name, gives_ids, column, kind, key) in found {
        let kind = match kind.as_str() {
            "INTEGER" => Kind::Number,
            "BLOB" => Kind::Bytes,
            "TEXT" => Kind::Text,
            other => return Err(unknown_type(&name, &column, other)),
        };
        let new = Table { name: name.clone(), columns: Vec::new(), key: Vec::new(), refers_to: [].into(), gives_ids };
        let (table, keys) = tables.entry(name).or_insert((new, Vec::new()));
        if key > 0 {
            keys.push((key, table.columns.len()));
        }
        table.columns.push(Column { name: column, kind });
    }
    for (name, other) in references {
        if let Some((table, _)) = tables.get_mut(&name) {
            table.refers_to.insert(other);
        }
    }
    let complete = |(mut table, mut keys): (Table, Vec<(i64, usize)>)| {
        keys.sort_unstable();
        table.key = keys.into_iter().map(|(_, at)| at).collect();
        table
    };
    Ok(tables.into_values().map(complete).collect())
}

pub(crate) async fn write(connection: &mut Connection, table: &Table, rows: &[Row]) -> Result<()> {
    for rows in rows.chunks((VALUES / table.columns.len().max(1)).max(1)) {
        let one = format!("({})", list(table.columns.iter().map(|_| "?".to_owned())));
        let all = list(rows.iter().map(|_| one.clone()));
        let insert = format!("INSERT INTO {} ({}) VALUES {all}", quoted(&table.name), columns(table));
        let mut insert = sqlx::query(AssertSqlSafe(insert));
        for value in rows.iter().flatten() {
            insert = match value {
                Value::Null => insert.bind(None::<i64>),
                Value::Number(number) => insert.bind(*number),
                Value::Bytes(bytes) => insert.bind(bytes.clone()),
                Value::Text(text) => insert.bind(text.clone()),
            };
        }
        insert.execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

pub(crate) async fn last_id(connection: &mut Connection, table: &Table) -> Result<i64> {
    let id = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = $1").bind(table.name.clone());
    Ok(id.fetch_optional(connection).await.map_err(failed)?.unwrap_or(0))
}

pub(crate) async fn set_last_id(connection: &mut Connection, table: &Table, id: i64) -> Result<()> {
    let forget = sqlx::query("DELETE FROM sqlite_sequence WHERE name = $1").bind(table.name.clone());
    forget.execute(&mut *connection).await.map_err(failed)?;
    let set = sqlx::query("INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)").bind(table.name.clone()).bind(id);
    set.execute(connection).await.map_err(failed)?;
    Ok(())
}
