//! The commit: one transaction, in the order in which one thing refers to another.
//!
//! Commits run beside each other, and everything that takes something away or marks it as broken runs alone. So within a
//! commit the index only gains: what was there when it was looked for stays there. What two commits bring at once, the
//! first one to insert it brings; the other waits for that one to end, and then goes by the row that it finds. All of them
//! come to their rows in one order: packs, chunks by hash, quarantined NARs and then new NARs by hash, uploads, new paths
//! and then known paths by cache and hash, what caches have seen, documents.

mod chunks;
mod nars;
mod paths;
mod seen;
mod sparing;

use std::collections::BTreeSet;

use database::{CacheId, Commit, CommitError, NewDocument, NewUpload, PathOutcome, Result};

use self::{chunks::Chunks, nars::Nars, seen::Seen};
use crate::{column::Column, dialect::Connection, error::failed, list::json};

/// Writes all of `commit`, inside the transaction that `connection` is in.
pub(crate) async fn apply(
    connection: &mut Connection,
    commit: &Commit,
) -> std::result::Result<Vec<PathOutcome>, CommitError> {
    check_caches(connection, commit).await?;
    chunks::check_known(connection, commit).await?;
    let chunks = Chunks::insert(connection, &commit.packs).await?;
    sparing::spare_chunks(connection, commit, &chunks).await?;
    let nars = Nars::insert(connection, commit, &chunks).await?;
    // Sorted, so that no two commits wait for each other; of two under one name the last one stays the last.
    let mut uploads: Vec<_> = commit.uploads.iter().collect();
    uploads.sort_by_key(|upload| (upload.cache, &upload.file_name));
    for upload in uploads {
        put_upload(connection, upload, nars.id(&upload.nar_hash)?).await?;
    }
    sparing::spare_paths(connection, commit).await?;
    let outcomes = paths::insert(connection, &commit.paths, &nars).await?;
    Seen::gather(connection, commit, &chunks, &nars, &outcomes).await?.insert(connection).await?;
    let mut documents: Vec<_> = commit.documents.iter().collect();
    documents.sort_by_key(|document| (document.cache, document.kind.as_str(), &document.name));
    for document in documents {
        put_document(connection, document, &chunks).await?;
    }
    Ok(outcomes)
}

/// Refuses a commit into a cache that was deleted: what it acknowledges could not be seen.
async fn check_caches(connection: &mut Connection, commit: &Commit) -> std::result::Result<(), CommitError> {
    let uploads = commit.uploads.iter().map(|upload| upload.cache);
    let paths = commit.paths.iter().map(|path| path.cache);
    let documents = commit.documents.iter().map(|document| document.cache);
    let caches: BTreeSet<CacheId> = uploads.chain(paths).chain(documents).collect();
    if caches.is_empty() {
        return Ok(());
    }
    let ids = json(&caches.iter().map(|cache| cache.0).collect::<Vec<_>>())?;
    let row = sqlx::query_file!("sql/cache_live_count.sql", ids).fetch_one(connection).await.map_err(failed)?;
    if usize::try_from(row.count) == Ok(caches.len()) { Ok(()) } else { Err(CommitError::CacheGone) }
}

async fn put_upload(connection: &mut Connection, upload: &NewUpload, nar: i64) -> Result<()> {
    let file_hash = &upload.file_hash.as_bytes()[..];
    let file_size = Column("upload", "file_size").integer(upload.file_size)?;
    sqlx::query_file!(
        "../sql/common/upload_put.sql",
        upload.cache.0,
        upload.file_name,
        nar,
        file_hash,
        file_size,
        upload.now.0
    )
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn put_document(
    connection: &mut Connection,
    document: &NewDocument,
    chunks: &Chunks,
) -> std::result::Result<(), CommitError> {
    let kind = document.kind.as_str();
    let manifest = chunks.runs(&document.manifest)?.encode();
    let size = Column("document", "size").integer(document.size)?;
    sqlx::query_file!(
        "../sql/common/document_put.sql",
        document.cache.0,
        kind,
        document.name,
        manifest,
        size,
        document.now.0
    )
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}
