//! Caches and their keys.

use async_trait::async_trait;
use database::{Cache, CacheChange, CacheId, Caches, NewCache, Result};
use formats::{SecretKey, StoreDir};
use protocol::{CacheName, Timestamp};

use crate::{
    column::{Column, words},
    dialect::{Connection, Index},
    error::failed,
};

pub(crate) struct CacheRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) is_public: i64,
    pub(crate) store_dir: String,
    pub(crate) priority: i64,
    pub(crate) upstream_key_names: String,
    pub(crate) retention: Option<i64>,
    pub(crate) keys: Option<String>,
}

impl TryFrom<CacheRow> for Cache {
    type Error = database::Error;

    fn try_from(row: CacheRow) -> Result<Self> {
        let keys = row.keys.ok_or_else(|| Column("cache_key", "secret").wrong("the cache has no key"))?;
        Ok(Self {
            id: CacheId(row.id),
            name: Column("cache", "name").text(&row.name)?,
            is_public: row.is_public != 0,
            store_dir: Column("cache", "store_dir").text(&row.store_dir)?,
            priority: Column("cache", "priority").number(row.priority)?,
            upstream_key_names: Column("cache", "upstream_key_names").words(&row.upstream_key_names)?,
            retention: row.retention.map(|seconds| Column("cache", "retention").number(seconds)).transpose()?,
            keys: Column("cache_key", "secret").words(&keys)?,
        })
    }
}

#[async_trait]
impl Caches for Index {
    async fn create_cache(&self, cache: &NewCache) -> Result<Option<Cache>> {
        writing!(self, |transaction| create(transaction, cache).await)
    }

    async fn find_cache(&self, name: &CacheName) -> Result<Option<Cache>> {
        asking!(self, |connection| find(connection, name).await)
    }

    async fn list_caches(&self) -> Result<Vec<Cache>> {
        asking!(self, |connection| list(connection).await)
    }

    async fn change_cache(&self, name: &CacheName, change: &CacheChange) -> Result<Option<Cache>> {
        if change.keys.as_ref().is_some_and(Vec::is_empty) {
            return Err(Column("cache_key", "secret").wrong("a cache must keep a key"));
        }
        writing!(self, |transaction| apply(transaction, name, change).await)
    }

    async fn delete_cache(&self, name: &CacheName, now: Timestamp) -> Result<bool> {
        writing!(self, |transaction| delete(transaction, name, now).await)
    }

    async fn ping(&self) -> Result<()> {
        asking!(self, |connection| ping(connection).await)
    }
}

async fn find(connection: &mut Connection, name: &CacheName) -> Result<Option<Cache>> {
    let name = name.as_str();
    let row =
        sqlx::query_file_as!(CacheRow, "sql/cache_find.sql", name).fetch_optional(connection).await.map_err(failed)?;
    row.map(Cache::try_from).transpose()
}

async fn list(connection: &mut Connection) -> Result<Vec<Cache>> {
    let rows = sqlx::query_file_as!(CacheRow, "sql/cache_list.sql").fetch_all(connection).await.map_err(failed)?;
    rows.into_iter().map(Cache::try_from).collect()
}

async fn ping(connection: &mut Connection) -> Result<()> {
    sqlx::query_file!("../sql/common/ping.sql").fetch_one(connection).await.map_err(failed)?;
    Ok(())
}

async fn delete(connection: &mut Connection, name: &CacheName, now: Timestamp) -> Result<bool> {
    let name = name.as_str();
    let done =
        sqlx::query_file!("../sql/common/cache_delete.sql", name, now.0).execute(connection).await.map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

async fn create(connection: &mut Connection, cache: &NewCache) -> Result<Option<Cache>> {
    let name = cache.name.as_str();
    let store_dir = cache.store_dir.as_str();
    let (is_public, priority) = (i64::from(cache.is_public), i64::from(cache.priority));
    let upstream_key_names = words(&cache.upstream_key_names);
    let retention = cache.retention.map(i64::from);
    let inserted = sqlx::query_file!(
        "../sql/common/cache_insert.sql",
        name,
        is_public,
        store_dir,
        priority,
        upstream_key_names,
        retention,
        cache.now.0
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    let Some(row) = inserted else { return Ok(None) };
    insert_keys(connection, row.id, std::slice::from_ref(&cache.key)).await?;
    find(connection, &cache.name).await
}

async fn apply(connection: &mut Connection, name: &CacheName, change: &CacheChange) -> Result<Option<Cache>> {
    let name_text = name.as_str();
    let (is_public, priority) = (change.is_public.map(i64::from), change.priority.map(i64::from));
    let store_dir = change.store_dir.as_ref().map(StoreDir::as_str);
    let upstream_key_names = change.upstream_key_names.as_ref().map(words);
    let set_retention = i64::from(change.retention.is_some());
    let retention = change.retention.flatten().map(i64::from);
    let changed = sqlx::query_file!(
        "../sql/common/cache_change.sql",
        name_text,
        is_public,
        store_dir,
        priority,
        upstream_key_names,
        set_retention,
        retention
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    let Some(row) = changed else { return Ok(None) };
    if let Some(keys) = &change.keys {
        sqlx::query_file!("../sql/common/cache_key_delete.sql", row.id)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
        insert_keys(connection, row.id, keys).await?;
    }
    find(connection, name).await
}

async fn insert_keys(connection: &mut Connection, cache: i64, keys: &[SecretKey]) -> Result<()> {
    for (position, key) in (0_i64..).zip(keys) {
        let secret = key.to_text();
        sqlx::query_file!("../sql/common/cache_key_insert.sql", cache, position, secret)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}
