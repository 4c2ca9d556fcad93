//! Whole tables, as the database itself describes them.
//!
//! The one place where statements are put together at run time: their tables and columns come out of the database's own
//! catalogue, and values are always parameters. What the databases do each in their way is in `catalogue`.

use async_trait::async_trait;
use database::{
    Copying, Error, Result,
    copying::{Held, Kind, Row, Table, Value},
};
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Row as _};

use crate::{
    catalogue,
    dialect::{Connection, Index, Writer},
    error::failed,
};

type Db = <Connection as sqlx::Connection>::Database;

/// How many bytes of rows are read at once, but for one row that is longer.
const PAGE: usize = 4 << 20;

#[async_trait]
impl Copying for Index {
    async fn hold(&self) -> Result<Box<dyn Held>> {
        Ok(Box::new(HeldIndex(self.begin_alone().await?)))
    }

    async fn close(&self) {
        Index::close(self).await;
    }
}

/// The transaction that keeps others out.
struct HeldIndex(Writer);

#[async_trait]
impl Held for HeldIndex {
    async fn tables(&mut self) -> Result<Vec<Table>> {
        catalogue::tables(&mut self.0).await
    }

    async fn read(&mut self, table: &Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>> {
        read(&mut self.0, table, after, limit).await
    }

    async fn write(&mut self, table: &Table, rows: &[Row]) -> Result<()> {
        catalogue::write(&mut self.0, table, rows).await
    }

    async fn last_id(&mut self, table: &Table) -> Result<i64> {
        catalogue::last_id(&mut self.0, table).await
    }

    async fn set_last_id(&mut self, table: &Table, id: i64) -> Result<()> {
        catalogue::set_last_id(&mut self.0, table, id).await
    }

    async fn keep(self: Box<Self>) -> Result<()> {
        self.0.end(Ok(())).await
    }
}

async fn read(connection: &mut Connection, table: &Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>> {
    let mut select = sqlx::query::<Db>(AssertSqlSafe(select(table, after.is_some(), limit)));
    for value in after.unwrap_or_default() {
        select = match value {
            Value::Number(number) => select.bind(*number),
            Value::Bytes(bytes) => select.bind(bytes.clone()),
            Value::Text(text) => select.bind(text.clone()),
            Value::Null => return Err(Error::Failed("a part of a primary key is NULL".into())),
        };
    }
    let mut found = select.fetch(connection);
    let (mut rows, mut size) = (Vec::new(), 0);
    while size < PAGE
        && let Some(row) = found.try_next().await.map_err(failed)?
    {
        let mut values = Row::with_capacity(table.columns.len());
        for (at, column) in table.columns.iter().enumerate() {
            let value = match column.kind {
                Kind::Number => row.try_get::<Option<i64>, _>(at).map_err(failed)?.map(Value::Number),
                Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(at).map_err(failed)?.map(Value::Bytes),
                Kind::Text => row.try_get::<Option<String>, _>(at).map_err(failed)?.map(Value::Text),
            };
            let value = value.unwrap_or(Value::Null);
            size += value.size();
            values.push(value);
        }
        rows.push(values);
    }
    Ok(rows)
}

fn select(table: &Table, is_behind: bool, limit: usize) -> String {
    let key = list(table.key.iter().map(|&at| quoted(&table.columns[at].name)));
    let behind = match is_behind {
        true => format!(" WHERE ({key}) > ({})", list((1..=table.key.len()).map(|number| format!("${number}")))),
        false => String::new(),
    };
    format!("SELECT {} FROM {}{behind} ORDER BY {key} LIMIT {limit}", columns(table), quoted(&table.name))
}

/// The columns of a table, as a statement lists them.
pub(crate) fn columns(table: &Table) -> String {
    list(table.columns.iter().map(|column| quoted(&column.name)))
}

pub(crate) fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// A name as a statement spells it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column's type that is none of the three.
pub(crate) fn unknown_type(table: &str, column: &str, found: &str) -> Error {
    Error::Failed(format!("{table}.{column} is of the type {found}, which is not known here").into())
}
