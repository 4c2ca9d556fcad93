//! What a commit uses is not removed, though it was condemned before.

use database::{ChunkPointer, ChunkRuns, Commit, Error};

use super::{super::paths, chunks::Chunks};
use crate::{dialect::Connection, error::failed, list::BATCH};

/// Spares every path of the commit, and every path that one of them refers to.
pub(super) async fn spare_paths(connection: &mut Connection, commit: &Commit) -> Result<(), Error> {
    let mut caches: Vec<_> = commit.paths.iter().map(|path| path.cache).collect();
    caches.sort_unstable();
    caches.dedup();
    for cache in caches {
        if !paths::any_condemned(connection, cache).await? {
            continue;
        }
        let own = commit.paths.iter().filter(|path| path.cache == cache);
        let mut used: Vec<_> =
            own.flat_map(|path| path.info.references.iter().chain([&path.info.path])).map(|p| *p.hash()).collect();
        used.sort_unstable();
        used.dedup();
        for batch in used.chunks(BATCH) {
            paths::spare_asked(connection, cache, batch).await?;
        }
    }
    Ok(())
}

/// Spares every chunk that a manifest of the commit names, and those of its packs that were there already.
pub(super) async fn spare_chunks(connection: &mut Connection, commit: &Commit, own: &Chunks) -> Result<(), Error> {
    let any =
        sqlx::query_file!("../sql/common/chunk_any_condemned.sql").fetch_one(&mut *connection).await.map_err(failed)?;
    if any.count == 0 {
        return Ok(());
    }
    let nars = commit.nars.iter().flat_map(|nar| nar.manifest.iter().chain(nar.listing.iter().flatten()));
    let known = nars.chain(commit.documents.iter().flat_map(|document| &document.manifest)).filter_map(|p| match p {
        ChunkPointer::Known(id) => Some(*id),
        ChunkPointer::New(_) => None,
    });
    let mut used: Vec<_> = known.chain(own.ids()).collect();
    used.sort_unstable();
    used.dedup();
    let used: ChunkRuns = used.into_iter().collect();
    for &(first, length) in used.runs() {
        let last = first + i64::from(length) - 1;
        sqlx::query_file!("../sql/common/chunk_spare.sql", first, last)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}
