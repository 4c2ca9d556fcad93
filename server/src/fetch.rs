//! The read path: plan first, then stream.
//!
//! What is stored is what is served: a NAR is its frames, one after the other. Every frame is checked against its checksum before it
//! leaves, and the first one is in hand before the status is sent. A frame that is damaged ends the connection, quarantines the NAR
//! (its narinfo turns 404, and Nix falls through to the next substituter), and takes the chunk out of deduplication, so that pushing
//! the path again heals it.

mod ahead;
mod budget;
mod cache;
mod extent;
mod frames;
mod leaving;
mod scan;
mod taken;

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use database::{ChunkId, ChunkLocation, ChunkRuns, Database, NarFile};
use futures::{Stream, StreamExt, TryStreamExt, future, stream, stream::BoxStream};

pub use budget::Budget;
pub use cache::{CacheSizes, FrameCache};
pub use extent::{Extent, extents};
use frames::Checked;
pub use frames::Frames;
pub use taken::{Piece, Taken};

use crate::{journal::Journal, store};

/// Why stored bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The storage failed; what it has may be whole.
    #[error("the storage failed")]
    Storage(#[from] storage::Error),
    /// The index failed.
    #[error("the index failed")]
    Database(#[from] database::Error),
    /// Everybody reads, and there is no memory for one more.
    #[error("too many are reading at the moment")]
    Overloaded,
    /// Stored bytes are damaged or gone.
    #[error("stored bytes are damaged: {chunks:?}")]
    Damaged {
        /// The chunks that are.
        chunks: Vec<ChunkId>,
    },
    /// The chunks of the NAR do not make up what its row says.
    #[error("the manifest has {found} bytes, its row says {expected}")]
    Length {
        /// By the row.
        expected: u64,
        /// By the chunks.
        found: u64,
    },
}

/// Tells damage (the object is gone or cut off) from a storage that is away.
#[must_use]
pub fn is_damage(error: &storage::Error) -> bool {
    matches!(error, storage::Error::NotFound { .. } | storage::Error::Truncated { .. })
}

/// Reads what is stored.
#[derive(Debug, Clone)]
pub struct Fetch {
    frames: Frames,
    journal: Arc<Journal>,
    database: Arc<dyn Database>,
}

impl Fetch {
    /// A reader of the journal's storage, by what `database` knows.
    #[must_use]
    pub fn new(journal: Arc<Journal>, database: Arc<dyn Database>) -> Self {
        Self::reading_by(Frames::new(Arc::clone(journal.storage())), journal, database)
    }

    /// The same; stored frames are read by way of `frames`.
    #[must_use]
    pub fn reading_by(frames: Frames, journal: Arc<Journal>, database: Arc<dyn Database>) -> Self {
        Self { frames, journal, database }
    }

    /// Answers if the storage does.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), FetchError> {
        Ok(self.journal.storage().ping().await?)
    }

    /// Where the chunks of a NAR are, in order.
    ///
    /// # Errors
    /// If they do not make up its file; then it is quarantined.
    pub async fn locate(&self, nar: &NarFile) -> Result<Arc<[ChunkLocation]>, FetchError> {
        let chunks = self.database.locate_chunks(&nar.manifest).await?;
        let found: u64 = chunks.iter().map(|c| u64::from(c.stored_size)).sum();
        if found != nar.file_size {
            return Err(self.report(Some(nar), FetchError::Length { expected: nar.file_size, found }).await);
        }
        Ok(chunks.into())
    }

    /// The bytes `range` of a NAR as it is served. The first of them have been read and checked when this returns.
    ///
    /// # Errors
    /// If nothing can be sent. On damage the NAR is quarantined.
    pub async fn nar(
        &self,
        nar: &NarFile,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, FetchError>> + Send + 'static, FetchError> {
        self.located(nar, &self.locate(nar).await?, range).await
    }

    /// The same, of a NAR whose chunks were here when they were looked up, as `T`.
    ///
    /// # Errors
    /// As [`Fetch::nar`].
    pub async fn located<T: Taken>(
        &self,
        nar: &NarFile,
        chunks: &[ChunkLocation],
        range: Range<u64>,
    ) -> Result<impl Stream<Item = Result<T, FetchError>> + Send + use<T>, FetchError> {
        let (chunks, skip) = within(chunks, &range);
        let mut left = range.end - range.start;
        let mut skip = skip;
        let this = self.clone();
        let nar = nar.clone();
        let pieces = self
            .extents(&chunks)
            .or_else(move |error| {
                let (this, nar) = (this.clone(), nar.clone());
                async move { Err(this.report(Some(&nar), error).await) }
            })
            .map_ok(move |(_, bytes): (_, T)| {
                let from = std::mem::take(&mut skip).min(bytes.size());
                let to = from.saturating_add(left).min(bytes.size());
                left -= to - from;
                bytes.part(from..to)
            });
        in_hand(pieces).await
    }

    /// The bytes `range` of such a NAR, if they are few and to be had without waiting.
    #[must_use]
    pub fn now(&self, chunks: &[ChunkLocation], range: &Range<u64>) -> Option<Bytes> {
        let (chunks, skip) = within(chunks, range);
        let bytes = self.frames.now(&chunks)?;
        Some(bytes.part(skip..skip + (range.end - range.start)))
    }

    /// The uncompressed bytes of a manifest. The first chunk has been read and checked when this returns.
    ///
    /// # Errors
    /// As [`Fetch::nar`]; if the bytes are those of `nar`, it is quarantined on damage.
    pub async fn plain(
        &self,
        manifest: &ChunkRuns,
        nar: Option<&NarFile>,
    ) -> Result<impl Stream<Item = Result<Bytes, FetchError>> + Send + 'static, FetchError> {
        let chunks = self.database.locate_chunks(manifest).await?;
        let (this, nar) = (self.clone(), nar.cloned());
        let pieces = self
            .extents(&chunks)
            .map_ok(|(chunks, bytes): (Vec<ChunkLocation>, Bytes)| {
                let frames: Vec<_> = Extent::of(&chunks).split(&bytes).collect();
                stream::iter(frames.into_iter().map(Ok))
            })
            .try_flatten()
            .and_then(|(chunk, frame)| async move {
                let plain = tokio::task::spawn_blocking(move || store::decompress(&frame, chunk.size)).await;
                plain.ok().and_then(Result::ok).map(Bytes::from).ok_or(FetchError::Damaged { chunks: vec![chunk.id] })
            })
            .or_else(move |error| {
                let (this, nar) = (this.clone(), nar.clone());
                async move { Err(this.report(nar.as_ref(), error).await) }
            });
        in_hand(pieces).await
    }

    /// The frames of `chunks`, in order, neighbours together; every frame was checked. The next ones are read ahead of time.
    fn extents<T: Taken>(&self, chunks: &[ChunkLocation]) -> BoxStream<'static, Checked<T>> {
        let frames = self.frames.stream(chunks, true).boxed();
        let (count, state) = (chunks.len(), (self.clone(), frames, VecDeque::from(chunks.to_vec())));
        stream::try_unfold(state, move |(this, mut frames, mut left)| async move {
            loop {
                match frames.try_next().await {
                    Ok(Some(next)) => {
                        left.drain(..next.0.len().min(left.len()));
                        return Ok(Some((next, (this, frames, left))));
                    }
                    Ok(None) => return Ok(None),
                    Err(FetchError::Damaged { chunks: damaged }) => {
                        // Collection moves frames: what was looked up a while ago may be somewhere else by now.
                        let now = this.database.locate_chunks(&left.iter().map(|chunk| chunk.id).collect()).await;
                        match now {
                            Ok(now) if now != *left.make_contiguous() => {
                                frames = this.frames.stream(&now, left.len() == count).boxed();
                                left = now.into();
                            }
                            _ => return Err(FetchError::Damaged { chunks: damaged }),
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        })
        .boxed()
    }

    /// Acts on damage, once, and passes the error on.
    async fn report(&self, nar: Option<&NarFile>, error: FetchError) -> FetchError {
        let now = self.journal.clock().now();
        match &error {
            FetchError::Damaged { chunks } => {
                metrics::counter!(crate::metrics::DAMAGED_CHUNKS).increment(chunks.len() as u64);
                if let Err(error) = self.database.mark_damaged(chunks, now).await {
                    tracing::error!(%error, "damaged chunks could not be marked");
                }
                match self.database.locate_chunks(&chunks.iter().copied().collect()).await {
                    Ok(frames) => self.journal.damaged(&frames).await,
                    Err(error) => tracing::error!(%error, "damaged chunks could not be recorded"),
                }
            }
            FetchError::Length { .. } => {}
            FetchError::Storage(_) | FetchError::Database(_) | FetchError::Overloaded => return error,
        }
        if let Some(nar) = nar {
            tracing::error!(nar.hash = %nar.nar_hash, %error, "a stored NAR is damaged and is quarantined; push it again to heal it");
            if let Err(error) = self.database.quarantine_nar(nar.id, now).await {
                tracing::error!(%error, "a damaged NAR could not be quarantined");
            }
        }
        error
    }
}

/// The chunks that hold `range` of a file, and how many bytes of the first come before it.
fn within(chunks: &[ChunkLocation], range: &Range<u64>) -> (Vec<ChunkLocation>, u64) {
    let mut position = 0;
    let mut skip = 0;
    let mut wanted = Vec::new();
    for chunk in chunks {
        let end = position + u64::from(chunk.stored_size);
        if end > range.start && position < range.end {
            if wanted.is_empty() {
                skip = range.start - position;
            }
            wanted.push(*chunk);
        }
        position = end;
    }
    (wanted, skip)
}

/// Waits for the first piece, so that its failure can still become a status.
async fn in_hand<S, T: Taken>(
    pieces: S,
) -> Result<impl Stream<Item = Result<T, FetchError>> + Send + 'static + use<S, T>, FetchError>
where
    S: Stream<Item = Result<T, FetchError>> + Send + 'static,
{
    let mut pieces = Box::pin(pieces);
    let first = pieces.next().await.transpose()?;
    Ok(stream::iter(first.map(Ok)).chain(pieces).try_filter(|piece| future::ready(piece.size() > 0)))
}

#[cfg(test)]
mod tests {
    use database::PackName;

    use super::*;

    fn chunk(id: i64, stored_size: u32) -> ChunkLocation {
        ChunkLocation { id: ChunkId(id), pack: PackName([0; 16]), offset: 0, stored_size, size: 1, check: 0 }
    }

    #[test]
    fn a_range_takes_the_chunks_that_hold_it() {
        let chunks = [chunk(1, 10), chunk(2, 20), chunk(3, 30)];
        let ids = |range: Range<u64>| {
            let (chunks, skip) = within(&chunks, &range);
            (chunks.iter().map(|c| c.id.0).collect::<Vec<_>>(), skip)
        };
        assert_eq!(ids(0..60), (vec![1, 2, 3], 0));
        assert_eq!(ids(10..11), (vec![2], 0));
        assert_eq!(ids(9..31), (vec![1, 2, 3], 9));
        assert_eq!(ids(59..60), (vec![3], 29));
        assert_eq!(ids(0..0), (vec![], 0));
    }
}
