//! A whole index, from one database into another.
//!
//! Both are held for as long as it takes, so the source stands still, and nobody meets half an index in the target: everything is
//! one transaction there, which ends well only if what was written reads back as what was read. So a copy that was broken off has
//! left nothing behind, and is simply made again.

use std::time::{Duration, Instant};

use database::{
    Database,
    copying::{Held, Row, Table, Value, in_order, key_of},
};
use serde::Serialize;

/// How many rows are read first, …
const FIRST_ROWS: usize = 64;
/// … and at most, at a time. Where rows are long it is as many as fit into a few megabytes.
const MOST_ROWS: usize = 2000;

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// What is being done.
    pub stage: Stage,
    /// The table.
    pub table: &'a str,
    /// How many rows of it.
    pub rows: u64,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Rows go over.
    Copying,
    /// They are read back.
    Verifying,
}

impl Stage {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::Verifying => "verifying",
        }
    }
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Table by table.
    pub tables: Vec<TableReport>,
    /// All their rows.
    pub rows: u64,
    /// How long it took.
    pub seconds: f64,
}

/// What was copied of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TableReport {
    /// Its name.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
    /// BLAKE3 over all its rows, the same in both databases.
    pub digest: String,
    /// The last id that was given out, where ids are.
    pub last_id: Option<i64>,
}

/// Why an index was not copied. The target is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// Nothing is there to be copied.
    #[error("the index to be copied is empty")]
    SourceEmpty,
    /// Something is there already.
    #[error("the index to be copied to is not empty: its table {table} has rows")]
    TargetNotEmpty {
        /// The first table with rows.
        table: String,
    },
    /// Something else made or changed tables.
    #[error("the two databases have different tables: {table}")]
    Schema {
        /// The first difference.
        table: String,
    },
    /// The source failed.
    #[error("cannot read the table {table}")]
    Read {
        /// Which one.
        table: String,
        /// Why not.
        #[source]
        source: database::Error,
    },
    /// The target failed, or cannot hold what the source has.
    #[error("cannot write the table {table}")]
    Write {
        /// Which one.
        table: String,
        /// Why not.
        #[source]
        source: database::Error,
    },
    /// What was written does not read back as it was.
    #[error("the table {table} is not the same after copying: {from} rows became {to}, or some of them differ")]
    Differs {
        /// Which one.
        table: String,
        /// How many rows were read.
        from: u64,
        /// How many rows are there.
        to: u64,
    },
    /// A database failed before or after the copying itself.
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Copies every table of `from` into `to`, which must be empty.
///
/// # Errors
/// If anything is not as it should be; the target is then as it was before.
pub async fn copy(
    from: &dyn Database,
    to: &dyn Database,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<Report, CopyError> {
    let begun = Instant::now();
    let (mut from, mut to) = (from.hold().await?, to.hold().await?);
    let tables = same_tables(from.tables().await?, &to.tables().await?)?;
    refuse_rows(&mut *to, &tables).await?;
    let mut copied = Vec::with_capacity(tables.len());
    for table in &tables {
        let digest = copy_rows(&mut *from, &mut *to, table, tell).await?;
        let last_id = match table.gives_ids {
            true => {
                let id = from.last_id(table).await.map_err(|source| reading(table, source))?;
                to.set_last_id(table, id).await.map_err(|source| writing(table, source))?;
                Some(id)
            }
            false => None,
        };
        copied.push((digest, last_id));
    }
    if copied.iter().all(|(digest, _)| digest.rows == 0) {
        return Err(CopyError::SourceEmpty);
    }
    let mut report = Report { tables: Vec::new(), rows: 0, seconds: 0.0 };
    for (table, (was, last_id)) in tables.iter().zip(copied) {
        let is = read_back(&mut *to, table, tell).await?;
        let last = if table.gives_ids { Some(to.last_id(table).await?) } else { None };
        let digest = was.hash.finalize();
        if is.rows != was.rows || is.hash.finalize() != digest || last != last_id {
            return Err(CopyError::Differs { table: table.name.clone(), from: was.rows, to: is.rows });
        }
        report.rows += was.rows;
        let (table, rows, digest) = (table.name.clone(), was.rows, digest.to_hex().to_string());
        report.tables.push(TableReport { table, rows, digest, last_id });
    }
    to.keep().await?;
    report.tables.sort_by(|one, other| one.table.cmp(&other.table));
    report.seconds = begun.elapsed().max(Duration::from_millis(1)).as_secs_f64();
    Ok(report)
}

/// The tables in the order in which they are to be filled, if both databases have the same ones.
fn same_tables(from: Vec<Table>, to: &[Table]) -> Result<Vec<Table>, CopyError> {
    let difference = from.iter().find(|table| !to.contains(table)).or_else(|| {
        let missing = |table: &&Table| !from.iter().any(|known| known.name == table.name);
        to.iter().find(missing)
    });
    match difference {
        Some(table) => Err(CopyError::Schema { table: table.name.clone() }),
        None => Ok(in_order(from)),
    }
}

async fn refuse_rows(to: &mut dyn Held, tables: &[Table]) -> Result<(), CopyError> {
    for table in tables {
        if !to.read(table, None, 1).await?.is_empty() {
            return Err(CopyError::TargetNotEmpty { table: table.name.clone() });
        }
    }
    Ok(())
}

async fn copy_rows(
    from: &mut dyn Held,
    to: &mut dyn Held,
    table: &Table,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<Digest, CopyError> {
    let mut pages = Pages::new(table);
    let mut digest = Digest::default();
    loop {
        let rows = pages.next(from).await.map_err(|source| reading(table, source))?;
        if rows.is_empty() {
            return Ok(digest);
        }
        to.write(table, &rows).await.map_err(|source| writing(table, source))?;
        digest.take(&rows);
        tell(Progress { stage: Stage::Copying, table: &table.name, rows: digest.rows });
    }
}

async fn read_back(to: &mut dyn Held, table: &Table, tell: &mut dyn FnMut(Progress<'_>)) -> Result<Digest, CopyError> {
    let mut pages = Pages::new(table);
    let mut digest = Digest::default();
    loop {
        let rows = pages.next(to).await.map_err(|source| reading(table, source))?;
        if rows.is_empty() {
            return Ok(digest);
        }
        digest.take(&rows);
        tell(Progress { stage: Stage::Verifying, table: &table.name, rows: digest.rows });
    }
}

fn reading(table: &Table, source: database::Error) -> CopyError {
    CopyError::Read { table: table.name.clone(), source }
}

fn writing(table: &Table, source: database::Error) -> CopyError {
    CopyError::Write { table: table.name.clone(), source }
}

/// A walk through a table.
struct Pages<'a> {
    table: &'a Table,
    after: Option<Vec<Value>>,
    limit: usize,
}

impl<'a> Pages<'a> {
    const fn new(table: &'a Table) -> Self {
        Self { table, after: None, limit: FIRST_ROWS }
    }

    async fn next(&mut self, held: &mut dyn Held) -> Result<Vec<Row>, database::Error> {
        let rows = held.read(self.table, self.after.as_deref(), self.limit).await?;
        if let Some(last) = rows.last() {
            self.after = Some(key_of(self.table, last));
        }
        // What was cut off was read for nothing.
        self.limit = if rows.len() < self.limit { rows.len().max(1) } else { (self.limit * 2).min(MOST_ROWS) };
        Ok(rows)
    }
}

/// What tells one set of rows from another.
#[derive(Default)]
struct Digest {
    hash: blake3::Hasher,
    rows: u64,
}

impl Digest {
    fn take(&mut self, rows: &[Row]) {
        self.rows += rows.len() as u64;
        for value in rows.iter().flatten() {
            let (kind, number, bytes): (u8, i64, &[u8]) = match value {
                Value::Null => (0, 0, &[]),
                Value::Number(number) => (1, *number, &[]),
                Value::Bytes(bytes) => (2, length(bytes), bytes),
                Value::Text(text) => (3, length(text.as_bytes()), text.as_bytes()),
            };
            self.hash.update(&[kind]).update(&number.to_le_bytes()).update(bytes);
        }
    }
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
