//! What PostgreSQL tells of its tables, and how rows are added to whichever of them.

use std::collections::BTreeMap;

use database::{
    Error, Result,
    copying::{Column, Kind, Row, Table, Value},
};
use sqlx::AssertSqlSafe;

use crate::{
    dialect::Connection,
    error::failed,
    shared::copying::{columns, list, quoted, unknown_type},
};

const COLUMNS: &str = "
    SELECT t.relname::text, c.attname::text, format_type(c.atttypid, NULL), c.attidentity <> ''
    FROM pg_class AS t JOIN pg_attribute AS c ON c.attrelid = t.oid
    WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p') AND t.relname <> '_sqlx_migrations'
        AND c.attnum > 0 AND NOT c.attisdropped
    ORDER BY t.relname, c.attname";
const KEYS: &str = "
    SELECT t.relname::text, c.attname::text
    FROM pg_index AS i
    JOIN pg_class AS t ON t.oid = i.indrelid
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS part (number, position)
    JOIN pg_attribute AS c ON c.attrelid = t.oid AND c.attnum = part.number
    WHERE i.indisprimary AND t.relnamespace = current_schema()::regnamespace
    ORDER BY t.relname, part.position";
const REFERENCES: &str = "
    SELECT t.relname::text, other.relname::text
    FROM pg_constraint AS r JOIN pg_class AS t ON t.oid = r.conrelid JOIN pg_class AS other ON other.oid = r.confrelid
    WHERE r.contype = 'f' AND t.relnamespace = current_schema()::regnamespace";

pub(crate) async fn tables(connection: &mut Connection) -> Result<Vec<Table>> {
    let found: Vec<(String, String, String, bool)> =
        sqlx::query_as(COLUMNS).fetch_all(&mut *connection).await.map_err(failed)?;
    let keys: Vec<(String, String)> = sqlx::query_as(KEYS).fetch_all(&mut *connection).await.map_err(failed)?;
    let references: Vec<(String, String)> = sqlx::query_as(REFERENCES).fetch_all(connection).await.map_err(failed)?;
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for (name, column, kind, gives_ids) in found {
        let kind = match kind.as_str() {
            "bigint" => Kind::Number,
            "bytea" => Kind::Bytes,
            "text" => Kind::Text,
            other => return Err(unknown_type(&name, &column, other)),
        };
        let (columns, key, refers_to) = (Vec::new(), Vec::new(), [].into());
        let new = Table { name: name.clone(), columns, key, refers_to, gives_ids: false };
        let table = tables.entry(name).or_insert(new);
        table.columns.push(Column { name: column, kind });
        table.gives_ids |= gives_ids;
    }
    for (name, part) in keys {
        if let Some(table) = tables.get_mut(&name) {
            table.key.extend(table.columns.iter().position(|column| column.name == part));
        }
    }
    for (name, other) in references {
        if let Some(table) = tables.get_mut(&name) {
            table.refers_to.insert(other);
        }
    }
    Ok(tables.into_values().collect())
}

/// One array a column, so that the statement is the same for however many rows.
pub(crate) async fn write(connection: &mut Connection, table: &Table, rows: &[Row]) -> Result<()> {
    let arrays = table.columns.iter().enumerate().map(|(at, column)| {
        let kind = match column.kind {
            Kind::Number => "bigint",
            Kind::Bytes => "bytea",
            Kind::Text => "text",
        };
        format!("${}::{kind}[]", at + 1)
    });
    let (name, columns) = (quoted(&table.name), columns(table));
    let insert = format!("INSERT INTO {name} ({columns}) SELECT * FROM unnest({})", list(arrays));
    let mut insert = sqlx::query(AssertSqlSafe(insert));
    for (at, column) in table.columns.iter().enumerate() {
        let values = rows.iter().map(|row| row.get(at).unwrap_or(&Value::Null));
        insert = match column.kind {
            Kind::Number => insert.bind(of_kind(values, |value| match value {
                Value::Number(number) => Some(*number),
                _ => None,
            })?),
            Kind::Bytes => insert.bind(of_kind(values, |value| match value {
                Value::Bytes(bytes) => Some(bytes.clone()),
                _ => None,
            })?),
            Kind::Text => insert.bind(of_kind(values, |value| match value {
                Value::Text(text) => Some(text.clone()),
                _ => None,
            })?),
        };
    }
    insert.execute(connection).await.map_err(failed)?;
    Ok(())
}

/// Values of one kind, and nothing where there is NULL.
fn of_kind<'a, T>(
    values: impl Iterator<Item = &'a Value>,
    take: impl Fn(&'a Value) -> Option<T>,
) -> Result<Vec<Option<T>>> {
    let one = |value| match (take(value), value) {
        (None, Value::Null) => Ok(None),
        (None, _) => Err(Error::Failed("a value is of another kind than its column".into())),
        (taken, _) => Ok(taken),
    };
    values.map(one).collect()
}

pub(crate) async fn last_id(connection: &mut Connection, table: &Table) -> Result<i64> {
    let (name, column) = sequence(table)?;
    let ask = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence($1, $2)::regclass), 0)";
    sqlx::query_scalar(ask).bind(name).bind(column).fetch_one(connection).await.map_err(failed)
}

pub(crate) async fn set_last_id(connection: &mut Connection, table: &Table, id: i64) -> Result<()> {
    let (name, column) = sequence(table)?;
    // A sequence that has given out nothing stands at 1, and says so.
    let set = "SELECT setval(pg_get_serial_sequence($1, $2)::regclass, greatest($3, 1), $3 > 0)";
    sqlx::query(set).bind(name).bind(column).bind(id).execute(connection).await.map_err(failed)?;
    Ok(())
}

/// The table and the column whose values come from a sequence.
fn sequence(table: &Table) -> Result<(String, String)> {
    let column = table.key.first().and_then(|&at| table.columns.get(at));
    let column = column.ok_or_else(|| Error::Failed(format!("{} has no primary key", table.name).into()))?;
    Ok((quoted(&table.name), column.name.clone()))
}
