//! Looking at every byte.

use std::sync::Arc;

use bytes::Bytes;
use database::{ChunkId, ChunkLocation, ChunkPointer, Database, NewChunk, NewNar, NewPack};
use formats::{
    FileHash, NarHash,
    nar::{Limits, Reader},
};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::ChunkHash;
use sha2::{Digest, Sha256};
use storage::Storage;

use super::RebuildError;
use crate::{
    fetch::{Extent, extents, is_damage},
    pack,
    store::{decompress_frame, processors},
};

/// The frames of a pack that are not what its records say.
pub(super) async fn frames(storage: &Arc<dyn Storage>, pack: &NewPack) -> Result<Vec<NewChunk>, RebuildError> {
    let places: Vec<ChunkLocation> = (0..)
        .zip(&pack.chunks)
        .map(|(position, chunk)| ChunkLocation {
            id: ChunkId(position),
            pack: pack.name,
            offset: chunk.offset,
            stored_size: chunk.stored_size,
            size: chunk.size,
            check: chunk.check,
        })
        .collect();
    let mut named = pack.chunks.iter();
    let extents: Vec<(Vec<ChunkLocation>, Vec<NewChunk>)> = extents(&places)
        .map(|extent| (extent.chunks.to_vec(), named.by_ref().take(extent.chunks.len()).copied().collect()))
        .collect();
    let bad: Vec<Vec<NewChunk>> = stream::iter(extents)
        .map(|(places, chunks)| async move {
            let Some(frames) = read(storage, &places).await? else { return Ok(chunks) };
            let work = move || {
                chunks.into_iter().zip(frames).filter(|(chunk, frame)| !is(chunk, frame)).map(|(c, _)| c).collect()
            };
            Ok::<_, RebuildError>(tokio::task::spawn_blocking(work).await.unwrap_or_default())
        })
        .buffered(processors() + 1)
        .try_collect()
        .await?;
    Ok(bad.into_iter().flatten().collect())
}

fn is(chunk: &NewChunk, frame: &Bytes) -> bool {
    crc32c::crc32c(frame) == chunk.check
        && decompress_frame(frame, chunk.size).is_ok_and(|plain| ChunkHash::of(&plain) == chunk.hash)
}

/// The bytes of the frames of one extent; `None` if the pack is gone or cut off.
async fn read(storage: &Arc<dyn Storage>, places: &[ChunkLocation]) -> Result<Option<Vec<Bytes>>, RebuildError> {
    let extent = Extent::of(places);
    let bytes = match storage.read(&pack::key(extent.pack), extent.range()).await {
        Ok(bytes) => bytes,
        Err(error) if is_damage(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut rest = bytes;
    Ok(Some(places.iter().map(|place| rest.split_to(place.stored_size as usize)).collect()))
}

/// Reads a whole NAR, and compares it with what it should be; if it is something else, says what.
pub(super) async fn nar(
    storage: &Arc<dyn Storage>,
    database: &dyn Database,
    nar: &NewNar,
) -> Result<Result<(), String>, RebuildError> {
    let id = |pointer: &ChunkPointer| if let ChunkPointer::Known(id) = pointer { Some(*id) } else { None };
    let places = database.locate_chunks(&nar.manifest.iter().filter_map(id).collect()).await?;
    let mut whole = Whole { reader: Reader::new(Limits::default()), plain: Sha256::new(), file: Sha256::new() };
    let extents: Vec<Vec<ChunkLocation>> = extents(&places).map(|extent| extent.chunks.to_vec()).collect();
    let mut pieces = stream::iter(extents)
        .map(|places| async move { Ok::<_, RebuildError>((read(storage, &places).await?, places)) })
        .buffered(2);
    while let Some((frames, places)) = pieces.try_next().await? {
        let Some(frames) = frames else { return Ok(Err("a frame is gone".to_owned())) };
        let work = move || {
            let fed = frames.iter().zip(&places).try_for_each(|(frame, place)| whole.feed(frame, place.size));
            fed.map(|()| whole)
        };
        whole = match tokio::task::spawn_blocking(work).await {
            Ok(Ok(whole)) => whole,
            Ok(Err(why)) => return Ok(Err(why)),
            Err(_) => return Ok(Err("it cannot be read".to_owned())),
        };
    }
    Ok(whole.finish(nar))
}

/// A NAR while its frames pass by.
struct Whole {
    reader: Reader,
    plain: Sha256,
    file: Sha256,
}

impl Whole {
    fn feed(&mut self, frame: &[u8], size: u32) -> Result<(), String> {
        let plain = decompress_frame(frame, size).map_err(|error| error.to_string())?;
        self.file.update(frame);
        self.plain.update(&plain);
        self.reader.push(&plain, &mut |_| {}).map_err(|error| error.to_string())
    }

    fn finish(self, nar: &NewNar) -> Result<(), String> {
        if self.reader.position() != nar.nar_size {
            return Err(format!("it has {} bytes and not {}", self.reader.position(), nar.nar_size));
        }
        self.reader.finish().map_err(|error| error.to_string())?;
        if NarHash::from_bytes(self.plain.finalize().into()) != nar.nar_hash {
            return Err("it has another hash".to_owned());
        }
        if FileHash::from_bytes(self.file.finalize().into()) != nar.file_hash {
            return Err("its frames have another hash".to_owned());
        }
        Ok(())
    }
}
