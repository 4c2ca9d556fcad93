//! The rows of Attic's database, on SQLite or on PostgreSQL, in a session that cannot write.

use std::{fmt, path::Path};

use sqlx::{
    PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::RemoteFile;
use crate::{Error, Result};

/// An open database of Attic.
#[derive(Clone)]
pub struct AtticDatabase(Pool);

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtticCache {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its key, `name:base64`, secret half and all.
    pub keypair: String,
    /// Whether anybody may pull.
    pub is_public: bool,
    /// The store dir of its paths.
    pub store_dir: String,
    /// Its priority among substituters.
    pub priority: i64,
    /// Names of keys whose paths clients need not push.
    pub upstream_cache_key_names: Vec<String>,
    /// How long unused paths are kept, in seconds.
    pub retention_period: Option<i64>,
}

/// A path of a cache, with its NAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtticObject {
    /// Its row; pages are asked for by it.
    pub id: i64,
    /// Its hash part.
    pub store_path_hash: String,
    /// The whole path.
    pub store_path: String,
    /// The base names of its references.
    pub references: Vec<String>,
    /// Its deriver.
    pub deriver: Option<String>,
    /// Its signatures.
    pub sigs: Vec<String>,
    /// Its content address.
    pub ca: Option<String>,
    /// The subject of the token that pushed it.
    pub created_by: Option<String>,
    /// The row of its NAR.
    pub nar_id: i64,
    /// Whether the upload of the NAR has ended: anything but `V` is one that did not.
    pub nar_state: String,
    /// The hash of its NAR.
    pub nar_hash: String,
    /// The size of its NAR.
    pub nar_size: i64,
    /// How many chunks the NAR has.
    pub num_chunks: i64,
}

/// A chunk of a NAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtticChunk {
    /// How its file is compressed.
    pub compression: String,
    /// Where it lies.
    pub file: RemoteFile,
}

type CacheRow = (i64, String, String, i64, String, i64, String, Option<i64>);
type ObjectRow = (
    i64,
    String,
    String,
    String,
    Option<String>,
    String,
    Option<String>,
    Option<String>,
    i64,
    String,
    String,
    i64,
    i64,
);
type ChunkRow = (i64, Option<String>, Option<String>, Option<String>);

// One text for both databases: every column is cast to what SQLite has.
const CACHES: &str = r#"
SELECT CAST(id AS BIGINT), CAST(name AS TEXT), CAST(keypair AS TEXT), CAST(CASE WHEN is_public THEN 1 ELSE 0 END AS BIGINT)
  , CAST(store_dir AS TEXT), CAST(priority AS BIGINT), CAST(upstream_cache_key_names AS TEXT), CAST(retention_period AS BIGINT)
FROM cache
WHERE deleted_at IS NULL
ORDER BY name
"#;
const OBJECTS: &str = r#"
SELECT CAST(object.id AS BIGINT), CAST(object.store_path_hash AS TEXT), CAST(object.store_path AS TEXT)
  , CAST(object."references" AS TEXT), CAST(object.deriver AS TEXT), CAST(object.sigs AS TEXT), CAST(object.ca AS TEXT)
  , CAST(object.created_by AS TEXT), CAST(nar.id AS BIGINT), CAST(nar.state AS TEXT), CAST(nar.nar_hash AS TEXT)
  , CAST(nar.nar_size AS BIGINT), CAST(nar.num_chunks AS BIGINT)
FROM object
JOIN nar ON nar.id = object.nar_id
WHERE object.cache_id = $1 AND object.id > $2
ORDER BY object.id
LIMIT 500
"#;
const CHUNKS: &str = r#"
SELECT CAST(chunkref.seq AS BIGINT), CAST(chunk.state AS TEXT), CAST(chunk.compression AS TEXT)
  , CAST(chunk.remote_file AS TEXT)
FROM chunkref
LEFT JOIN chunk ON chunk.id = chunkref.chunk_id
WHERE chunkref.nar_id = $1
ORDER BY chunkref.seq
"#;

impl AtticDatabase {
    /// The database in this file, read only.
    ///
    /// # Errors
    /// If there is no such file, or it is no database.
    pub async fn open_sqlite(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new().filename(file).read_only(true).pragma("query_only", "1");
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await.map_err(Error::Database)?;
        Ok(Self(Pool::Sqlite(pool)))
    }

    /// The database at this address, in sessions whose transactions are read only.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub async fn open_postgres(url: &str) -> Result<Self> {
        let options: PgConnectOptions = url.parse().map_err(Error::Database)?;
        let options = options.options([("default_transaction_read_only", "on")]);
        let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await.map_err(Error::Database)?;
        Ok(Self(Pool::Postgres(pool)))
    }

    /// Every cache that is not deleted, by name.
    ///
    /// # Errors
    /// If the database fails, or is not one of Attic.
    pub async fn caches(&self) -> Result<Vec<AtticCache>> {
        let rows: Vec<CacheRow> = match &self.0 {
            Pool::Sqlite(pool) => sqlx::query_as(CACHES).fetch_all(pool).await,
            Pool::Postgres(pool) => sqlx::query_as(CACHES).fetch_all(pool).await,
        }
        .map_err(Error::Database)?;
        rows.into_iter()
            .map(|(id, name, keypair, is_public, store_dir, priority, upstream, retention_period)| {
                let upstream_cache_key_names = texts("cache", &upstream)?;
                let is_public = is_public != 0;
                Ok(AtticCache {
                    id,
                    name,
                    keypair,
                    is_public,
                    store_dir,
                    priority,
                    upstream_cache_key_names,
                    retention_period,
                })
            })
            .collect()
    }

    /// The next few hundred paths of a cache behind the row `after`; none at the end. One that makes no sense says so instead.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn objects(&self, cache: i64, after: i64) -> Result<Vec<(i64, String, Result<AtticObject>)>> {
        let rows: Vec<ObjectRow> = match &self.0 {
            Pool::Sqlite(pool) => sqlx::query_as(OBJECTS).bind(cache).bind(after).fetch_all(pool).await,
            Pool::Postgres(pool) => sqlx::query_as(OBJECTS).bind(cache).bind(after).fetch_all(pool).await,
        }
        .map_err(Error::Database)?;
        Ok(rows.into_iter().map(|row| (row.0, row.2.clone(), object(row))).collect())
    }

    /// The chunks of a NAR, in order.
    ///
    /// # Errors
    /// If the database fails, or a chunk is missing.
    pub async fn chunks(&self, nar: i64, count: i64) -> Result<Vec<AtticChunk>> {
        let rows: Vec<ChunkRow> = match &self.0 {
            Pool::Sqlite(pool) => sqlx::query_as(CHUNKS).bind(nar).fetch_all(pool).await,
            Pool::Postgres(pool) => sqlx::query_as(CHUNKS).bind(nar).fetch_all(pool).await,
        }
        .map_err(Error::Database)?;
        let wrong = |what: String| Error::Row { table: "chunkref", what };
        if i64::try_from(rows.len()) != Ok(count) {
            return Err(wrong(format!("a NAR of {count} chunks has {}", rows.len())));
        }
        (0_i64..)
            .zip(rows)
            .map(|(position, (seq, state, compression, file))| {
                let (Some(compression), Some(file), Some("V")) = (compression, file, state.as_deref()) else {
                    return Err(wrong(format!("chunk {position} of a NAR is missing")));
                };
                if seq != position {
                    return Err(wrong(format!("chunk {position} of a NAR is missing")));
                }
                let file = serde_json::from_str(&file)
                    .map_err(|error| Error::Row { table: "chunk", what: format!("the file of a chunk: {error}") })?;
                Ok(AtticChunk { compression, file })
            })
            .collect()
    }
}

fn object(row: ObjectRow) -> Result<AtticObject> {
    let (
        id,
        store_path_hash,
        store_path,
        references,
        deriver,
        sigs,
        ca,
        created_by,
        nar_id,
        nar_state,
        nar_hash,
        nar_size,
        num_chunks,
    ) = row;
    let (references, sigs) = (texts("object", &references)?, texts("object", &sigs)?);
    Ok(AtticObject {
        id,
        store_path_hash,
        store_path,
        references,
        deriver,
        sigs,
        ca,
        created_by,
        nar_id,
        nar_state,
        nar_hash,
        nar_size,
        num_chunks,
    })
}

fn texts(table: &'static str, json: &str) -> Result<Vec<String>> {
    serde_json::from_str(json).map_err(|error| Error::Row { table, what: format!("{json:?}: {error}") })
}

impl fmt::Debug for AtticDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Pool::Sqlite(_) => "SQLite",
            Pool::Postgres(_) => "PostgreSQL",
        };
        write!(f, "AtticDatabase({kind})")
    }
}
