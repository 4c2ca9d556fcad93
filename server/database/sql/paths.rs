//! Store paths and their NARs.

use std::collections::BTreeSet;

use async_trait::async_trait;
use database::{CacheId, Error, NarFile, NarId, PathCollection, PathRow, Paths, Result, Totals, Upload};
use formats::{FileHash, NarHash, PathInfo, Signature, StorePath, StorePathHash};
use protocol::Timestamp;

use crate::{
    column::{Column, words},
    dialect::{Connection, Index, lock_paths},
    error::failed,
    list::{BATCH, hex, hexes, json},
};

pub(crate) struct NarRow {
    pub(crate) id: i64,
    pub(crate) hash: Vec<u8>,
    pub(crate) size: i64,
    pub(crate) file_hash: Vec<u8>,
    pub(crate) file_size: i64,
    pub(crate) manifest: Vec<u8>,
    pub(crate) listing: Option<Vec<u8>>,
}

impl TryFrom<NarRow> for NarFile {
    type Error = Error;

    fn try_from(row: NarRow) -> Result<Self> {
        Ok(Self {
            id: NarId(row.id),
            nar_hash: NarHash::from_bytes(Column("nar", "hash").bytes(&row.hash)?),
            nar_size: Column("nar", "size").number(row.size)?,
            file_hash: FileHash::from_bytes(Column("nar", "file_hash").bytes(&row.file_hash)?),
            file_size: Column("nar", "file_size").number(row.file_size)?,
            manifest: Column("nar", "manifest").runs(&row.manifest)?,
            listing: row.listing.map(|listing| Column("nar", "listing").runs(&listing)).transpose()?,
        })
    }
}

pub(crate) struct PathColumns {
    pub(crate) name: String,
    pub(crate) refs: String,
    pub(crate) deriver: Option<String>,
    pub(crate) ca: Option<String>,
    pub(crate) signatures: String,
    pub(crate) extra: String,
    pub(crate) nar_hash: Vec<u8>,
    pub(crate) nar_size: i64,
    pub(crate) file_hash: Vec<u8>,
    pub(crate) file_size: i64,
}

impl PathColumns {
    pub(crate) fn into_path(self, hash: StorePathHash) -> Result<PathRow> {
        let info = PathInfo {
            path: StorePath::new(hash, Column("path", "name").text(&self.name)?),
            nar_hash: NarHash::from_bytes(Column("nar", "hash").bytes(&self.nar_hash)?),
            nar_size: Column("nar", "size").number(self.nar_size)?,
            references: Column("path", "refs").words(&self.refs)?,
            deriver: self.deriver.map(|deriver| Column("path", "deriver").text(&deriver)).transpose()?,
            signatures: Column("path", "signatures").words(&self.signatures)?,
            ca: self.ca.map(|ca| Column("path", "ca").text(&ca)).transpose()?,
        };
        Ok(PathRow {
            info,
            extra: Column("path", "extra").json(&self.extra)?,
            file_hash: FileHash::from_bytes(Column("nar", "file_hash").bytes(&self.file_hash)?),
            file_size: Column("nar", "file_size").number(self.file_size)?,
        })
    }
}

#[async_trait]
impl Paths for Index {
    async fn find_path(&self, cache: CacheId, hash: &StorePathHash) -> Result<Option<PathRow>> {
        let found = asking!(self, |connection| find(connection, cache, hash).await)?;
        let Some((row, is_condemned)) = found else { return Ok(None) };
        // Whoever asks is going to use it. It may have gone in between.
        if is_condemned && self.spare_paths(cache, &[*hash]).await? == [false] {
            return Ok(None);
        }
        Ok(Some(row))
    }

    async fn missing_paths(&self, cache: CacheId, hashes: &[StorePathHash]) -> Result<Vec<StorePathHash>> {
        // Before the question: what is answered to be there stays.
        if asking!(self, |connection| any_condemned(connection, cache).await)? {
            for batch in hashes.chunks(BATCH) {
                writing_beside!(self, |transaction| spare_asked(transaction, cache, batch).await)?;
            }
        }
        asking!(self, |connection| missing(connection, cache, hashes).await)
    }

    async fn find_nar_by_path(&self, cache: CacheId, hash: &StorePathHash) -> Result<Option<NarFile>> {
        asking!(self, |connection| find_nar_by_path(connection, cache, hash).await)
    }

    async fn find_nar_by_file_hash(&self, cache: CacheId, hash: &FileHash) -> Result<Option<NarFile>> {
        asking!(self, |connection| find_nar_by_file_hash(connection, cache, hash).await)
    }

    async fn find_nar(&self, hash: &NarHash) -> Result<Option<NarFile>> {
        asking!(self, |connection| find_nar(connection, hash).await)
    }

    async fn add_signatures(&self, cache: CacheId, hash: &StorePathHash, signatures: &[Signature]) -> Result<bool> {
        writing_beside!(self, |transaction| add_signatures(transaction, cache, hash, signatures).await)
    }

    async fn quarantine_nar(&self, nar: NarId, now: Timestamp) -> Result<()> {
        writing!(self, |transaction| quarantine(transaction, nar, now).await)
    }

    async fn touch_paths(&self, paths: &[(CacheId, StorePathHash)], now: Timestamp) -> Result<()> {
        noting!(self, |transaction| touch(transaction, paths, now).await)
    }

    async fn find_upload(&self, cache: CacheId, file_name: &str) -> Result<Option<Upload>> {
        asking!(self, |connection| find_upload(connection, cache, file_name).await)
    }

    async fn totals(&self) -> Result<Totals> {
        asking!(self, |connection| totals(connection).await)
    }
}

pub(super) async fn any_condemned(connection: &mut Connection, cache: CacheId) -> Result<bool> {
    let row = sqlx::query_file!("../sql/common/path_any_condemned.sql", cache.0)
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    Ok(row.count > 0)
}

/// Spares those of the paths that are there; at most [`BATCH`].
pub(super) async fn spare_asked(connection: &mut Connection, cache: CacheId, hashes: &[StorePathHash]) -> Result<()> {
    let mut hashes: Vec<_> = hashes.iter().map(|hash| hex(hash.as_bytes())).collect();
    hashes.sort_unstable();
    let asked = json(&hashes)?;
    sqlx::query_file!("sql/path_spare_asked.sql", cache.0, asked).execute(connection).await.map_err(failed)?;
    Ok(())
}

/// The path, and whether it is condemned.
async fn find(connection: &mut Connection, cache: CacheId, hash: &StorePathHash) -> Result<Option<(PathRow, bool)>> {
    let key = &hash.as_bytes()[..];
    let row = sqlx::query_file!("../sql/common/path_find.sql", cache.0, key)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let is_condemned = row.condemned_at.is_some();
    let columns = PathColumns {
        name: row.name,
        refs: row.refs,
        deriver: row.deriver,
        ca: row.ca,
        signatures: row.signatures,
        extra: row.extra,
        nar_hash: row.nar_hash,
        nar_size: row.nar_size,
        file_hash: row.file_hash,
        file_size: row.file_size,
    };
    Ok(Some((columns.into_path(*hash)?, is_condemned)))
}

async fn missing(connection: &mut Connection, cache: CacheId, hashes: &[StorePathHash]) -> Result<Vec<StorePathHash>> {
    let mut missing = Vec::new();
    for batch in hashes.chunks(BATCH) {
        let asked = hexes(batch.iter().map(StorePathHash::as_bytes))?;
        let rows = sqlx::query_file!("sql/path_missing.sql", cache.0, asked)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        for row in rows {
            missing.push(batch[Column("path", "hash").number::<usize>(row.position)?]);
        }
    }
    Ok(missing)
}

async fn find_nar_by_path(
    connection: &mut Connection,
    cache: CacheId,
    hash: &StorePathHash,
) -> Result<Option<NarFile>> {
    let hash = &hash.as_bytes()[..];
    let row = sqlx::query_file_as!(NarRow, "../sql/common/nar_find_by_path.sql", cache.0, hash)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(NarFile::try_from).transpose()
}

async fn find_nar_by_file_hash(
    connection: &mut Connection,
    cache: CacheId,
    hash: &FileHash,
) -> Result<Option<NarFile>> {
    let hash = &hash.as_bytes()[..];
    let row = sqlx::query_file_as!(NarRow, "../sql/common/nar_find_by_file_hash.sql", cache.0, hash)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(NarFile::try_from).transpose()
}

async fn find_nar(connection: &mut Connection, hash: &NarHash) -> Result<Option<NarFile>> {
    let hash = &hash.as_bytes()[..];
    let row = sqlx::query_file_as!(NarRow, "../sql/common/nar_find.sql", hash)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(NarFile::try_from).transpose()
}

/// Beside others: the row is locked before its signatures are read.
async fn add_signatures(
    connection: &mut Connection,
    cache: CacheId,
    hash: &StorePathHash,
    signatures: &[Signature],
) -> Result<bool> {
    lock_paths(connection, &json(&[(cache.0, hex(hash.as_bytes()))])?).await?;
    let hash = &hash.as_bytes()[..];
    let row = sqlx::query_file!("../sql/common/path_signatures.sql", cache.0, hash)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(false) };
    let mut all: BTreeSet<Signature> = Column("path", "signatures").words(&row.signatures)?;
    let before = all.len();
    all.extend(signatures.iter().cloned());
    if all.len() > before {
        let all = words(&all);
        sqlx::query_file!("../sql/common/path_sign.sql", cache.0, hash, all)
            .execute(connection)
            .await
            .map_err(failed)?;
    }
    Ok(true)
}

async fn quarantine(connection: &mut Connection, nar: NarId, now: Timestamp) -> Result<()> {
    sqlx::query_file!("../sql/common/nar_quarantine.sql", nar.0, now.0).execute(connection).await.map_err(failed)?;
    Ok(())
}

/// Beside others: sorted over all batches, as whoever locks paths does.
async fn touch(connection: &mut Connection, paths: &[(CacheId, StorePathHash)], now: Timestamp) -> Result<()> {
    let mut used: Vec<_> = paths.iter().map(|(cache, hash)| (cache.0, hex(hash.as_bytes()))).collect();
    used.sort_unstable();
    used.dedup();
    for batch in used.chunks(BATCH) {
        let used = json(batch)?;
        sqlx::query_file!("sql/path_touch.sql", used, now.0).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

async fn find_upload(connection: &mut Connection, cache: CacheId, file_name: &str) -> Result<Option<Upload>> {
    let row = sqlx::query_file!("../sql/common/upload_find.sql", cache.0, file_name)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Upload {
        file_hash: FileHash::from_bytes(Column("upload", "file_hash").bytes(&row.upload_hash)?),
        file_size: Column("upload", "file_size").number(row.upload_size)?,
        nar: NarFile::try_from(NarRow {
            id: row.id,
            hash: row.hash,
            size: row.size,
            file_hash: row.file_hash,
            file_size: row.file_size,
            manifest: row.manifest,
            listing: row.listing,
        })?,
    }))
}

async fn totals(connection: &mut Connection) -> Result<Totals> {
    let row = sqlx::query_file!("../sql/common/totals.sql").fetch_one(connection).await.map_err(failed)?;
    Ok(Totals {
        caches: Column("cache", "id").number(row.caches)?,
        paths: Column("path", "hash").number(row.paths)?,
        nars: Column("nar", "id").number(row.nars)?,
        nar_bytes: Column("nar", "size").number(row.nar_bytes)?,
        chunks: Column("chunk", "id").number(row.chunks)?,
        stored_bytes: Column("pack", "size").number(row.stored_bytes)?,
        quarantined: Column("nar", "quarantined_at").number(row.quarantined)?,
    })
}
