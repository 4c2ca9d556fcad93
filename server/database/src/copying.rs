//! Whole tables, row by row, for an index that moves to another database.
//!
//! What the tables are is asked of the databases themselves, so a table that a migration adds is copied without anybody
//! remembering it here. All that the schema is made of are numbers, bytes and texts.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::Result;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 64 bits with a sign.
    Number,
    /// Bytes.
    Bytes,
    /// UTF-8.
    Text,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds, if not NULL.
    pub kind: Kind,
}

/// A table, the same on every database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, by name.
    pub columns: Vec<Column>,
    /// Where in `columns` the parts of its primary key are, in the key's order.
    pub key: Vec<usize>,
    /// The tables that its rows refer to.
    pub refers_to: BTreeSet<String>,
    /// Whether the database gives out its ids, none of them twice.
    pub gives_ids: bool,
}

/// What is in one place of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Of [`Kind::Number`].
    Number(i64),
    /// Of [`Kind::Bytes`].
    Bytes(Vec<u8>),
    /// Of [`Kind::Text`].
    Text(String),
}

/// The values of a table's columns, in their order.
pub type Row = Vec<Value>;

impl Value {
    /// How many bytes it takes, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Null | Self::Number(_) => 8,
            Self::Bytes(bytes) => bytes.len() + 8,
            Self::Text(text) => text.len() + 8,
        }
    }
}

/// An index as a set of tables.
#[async_trait]
pub trait Copying {
    /// Takes the whole index, so that nobody else writes to it, here or on another server, until it is let go.
    async fn hold(&self) -> Result<Box<dyn Held>>;

    /// Closes all connections. An index in a file is that one file then, which may be moved.
    async fn close(&self);
}

/// An index that nobody else writes to. Dropping it undoes whatever was written through it.
#[async_trait]
pub trait Held: Send {
    /// Every table, by name, but for the one that says which migrations were applied.
    async fn tables(&mut self) -> Result<Vec<Table>>;

    /// Rows in the order of their keys, behind the row whose key is `after`: at most `limit`, fewer if they are long, none at the
    /// end. Numbers are in their order, bytes and texts byte by byte.
    async fn read(&mut self, table: &Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>>;

    /// Adds rows, which must not be there. At most a few thousand a call.
    async fn write(&mut self, table: &Table, rows: &[Row]) -> Result<()>;

    /// The last id that was given out; 0 if none was.
    async fn last_id(&mut self, table: &Table) -> Result<i64>;

    /// Lets ids go on behind this one.
    async fn set_last_id(&mut self, table: &Table, id: i64) -> Result<()>;

    /// Makes what was written visible, all at once, and lets the index go.
    async fn keep(self: Box<Self>) -> Result<()>;
}

/// The key of a row.
#[must_use]
pub fn key_of(table: &Table, row: &Row) -> Vec<Value> {
    table.key.iter().filter_map(|&at| row.get(at).cloned()).collect()
}

/// The tables in an order in which each comes behind those that it refers to. Whatever refers in a circle comes last.
#[must_use]
pub fn in_order(mut tables: Vec<Table>) -> Vec<Table> {
    let mut ordered: Vec<Table> = Vec::with_capacity(tables.len());
    loop {
        let waiting: BTreeSet<String> = tables.iter().map(|table| table.name.clone()).collect();
        let is_next = |table: &Table| !table.refers_to.iter().any(|name| *name != table.name && waiting.contains(name));
        let (next, rest): (Vec<_>, Vec<_>) = tables.into_iter().partition(is_next);
        if next.is_empty() {
            ordered.extend(rest);
            return ordered;
        }
        ordered.extend(next);
        tables = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, refers_to: &[&str]) -> Table {
        let refers_to = refers_to.iter().map(|&name| name.to_owned()).collect();
        Table { name: name.to_owned(), columns: Vec::new(), key: Vec::new(), refers_to, gives_ids: false }
    }

    fn order(tables: &[Table]) -> Vec<String> {
        in_order(tables.to_vec()).into_iter().map(|table| table.name).collect()
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let tables = [table("chunk", &["pack"]), table("chunk_cache", &["cache", "chunk"]), table("cache", &[])];
        assert_eq!(order(&[&tables[..], &[table("pack", &[])]].concat()), ["cache", "pack", "chunk", "chunk_cache"]);
    }

    #[test]
    fn circles_end() {
        let tables = [table("a", &["b"]), table("b", &["a"]), table("tree", &["tree"]), table("c", &["gone"])];
        assert_eq!(order(&tables), ["tree", "c", "a", "b"]);
    }
}
