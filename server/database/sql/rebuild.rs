//! Making the index anew.

use async_trait::async_trait;
use database::{ChunkId, ChunkPointer, ChunkRuns, Gone, NewChunk, NewNar, PackName, Rebuilding, Result};
use protocol::Timestamp;

use crate::{
    column::Column,
    dialect::{Connection, Index},
    error::failed,
};

#[async_trait]
impl Rebuilding for Index {
    async fn add_frame(&self, pack: PackName, chunk: &NewChunk, now: Timestamp) -> Result<Option<ChunkId>> {
        writing!(self, |transaction| add_frame(transaction, pack, chunk, now).await)
    }

    async fn restore_nar(&self, nar: &NewNar) -> Result<()> {
        writing!(self, |transaction| restore_nar(transaction, nar).await)
    }

    async fn forget(&self, gone: &[Gone]) -> Result<()> {
        writing!(self, |transaction| forget(transaction, gone).await)
    }
}

async fn add_frame(
    connection: &mut Connection,
    pack: PackName,
    chunk: &NewChunk,
    now: Timestamp,
) -> Result<Option<ChunkId>> {
    let name = &pack.0[..];
    let offset = Column("chunk", "pack_offset").integer(chunk.offset)?;
    let found = sqlx::query_file!("../sql/common/frame_find.sql", name, offset)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    if let Some(row) = found {
        return Ok(Some(ChunkId(row.id)));
    }
    let hash = &chunk.hash.as_bytes()[..];
    let added = sqlx::query_file!(
        "../sql/common/frame_add.sql",
        name,
        hash,
        offset,
        i64::from(chunk.stored_size),
        i64::from(chunk.size),
        i64::from(chunk.check),
        now.0
    )
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    Ok(added.map(|row| ChunkId(row.id)))
}

async fn restore_nar(connection: &mut Connection, nar: &NewNar) -> Result<()> {
    let hash = &nar.nar_hash.as_bytes()[..];
    let size = Column("nar", "size").integer(nar.nar_size)?;
    let file_hash = &nar.file_hash.as_bytes()[..];
    let file_size = Column("nar", "file_size").integer(nar.file_size)?;
    let manifest = runs(&nar.manifest)?.encode();
    let listing = nar.listing.as_deref().map(runs).transpose()?.map(|runs| runs.encode());
    sqlx::query_file!("../sql/common/nar_restore.sql", hash, size, file_hash, file_size, nar.now.0, manifest, listing)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

fn runs(manifest: &[ChunkPointer]) -> Result<ChunkRuns> {
    let id = |pointer: &ChunkPointer| match pointer {
        ChunkPointer::Known(id) => Ok(*id),
        ChunkPointer::New(hash) => {
            Err(Column("nar", "manifest").wrong(format_args!("{hash:?} is not given by its row")))
        }
    };
    manifest.iter().map(id).collect()
}

async fn forget(connection: &mut Connection, gone: &[Gone]) -> Result<()> {
    for gone in gone {
        let done = match gone {
            Gone::Path { cache, hash } => {
                let hash = &hash.as_bytes()[..];
                sqlx::query_file!("../sql/common/path_forget.sql", cache.0, hash).execute(&mut *connection).await
            }
            Gone::Document { cache, kind, name } => {
                let kind = kind.as_str();
                sqlx::query_file!("../sql/common/document_forget.sql", cache.0, kind, name)
                    .execute(&mut *connection)
                    .await
            }
            Gone::Nar(hash) => {
                let hash = &hash.as_bytes()[..];
                sqlx::query_file!("../sql/common/nar_forget.sql", hash).execute(&mut *connection).await
            }
        };
        done.map_err(failed)?;
    }
    Ok(())
}
