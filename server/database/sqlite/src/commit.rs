//! The commit: one transaction, in the order in which one thing refers to another.

mod chunks;
mod nars;
mod paths;
mod seen;

use std::collections::BTreeSet;

use database::{CacheId, Commit, CommitError, NewDocument, NewUpload, PathOutcome, Result};
use sqlx::SqliteConnection;

use self::{chunks::Chunks, nars::Nars, seen::Seen};
use crate::{column::Column, error::failed, list::json};

/// Writes all of `commit`, inside the transaction that `connection` is in.
pub(crate) async fn apply(
    connection: &mut SqliteConnection,
    commit: &Commit,
) -> std::result::Result<Vec<PathOutcome>, CommitError> {
    check_caches(connection, commit).await?;
    chunks::check_known(connection, commit).await?;
    let chunks = Chunks::insert(connection, &commit.packs).await?;
    let nars = Nars::insert(connection, commit, &chunks).await?;
    for upload in &commit.uploads {
        put_upload(connection, upload, nars.id(&upload.nar_hash)?).await?;
    }
    let outcomes = paths::insert(connection, &commit.paths, &nars).await?;
    Seen::gather(connection, commit, &chunks, &nars, &outcomes).await?.insert(connection).await?;
    for document in &commit.documents {
        put_document(connection, document, &chunks).await?;
    }
    Ok(outcomes)
}

/// Refuses a commit into a cache that was deleted: what it acknowledges could not be seen.
async fn check_caches(connection: &mut SqliteConnection, commit: &Commit) -> std::result::Result<(), CommitError> {
    let uploads = commit.uploads.iter().map(|upload| upload.cache);
    let paths = commit.paths.iter().map(|path| path.cache);
    let documents = commit.documents.iter().map(|document| document.cache);
    let caches: BTreeSet<CacheId> = uploads.chain(paths).chain(documents).collect();
    if caches.is_empty() {
        return Ok(());
    }
    let ids = json(&caches.iter().map(|cache| cache.0).collect::<Vec<_>>())?;
    let row =
        sqlx::query_file!("../sql/sqlite/cache_live_count.sql", ids).fetch_one(connection).await.map_err(failed)?;
    if usize::try_from(row.count) == Ok(caches.len()) { Ok(()) } else { Err(CommitError::CacheGone) }
}

async fn put_upload(connection: &mut SqliteConnection, upload: &NewUpload, nar: i64) -> Result<()> {
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
    connection: &mut SqliteConnection,
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
