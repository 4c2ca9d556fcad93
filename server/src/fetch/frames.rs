//! Frames as they are stored, each checked before anybody sees it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use database::ChunkLocation;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use storage::{EXTENT_BYTES, Key, Storage};

use super::{
    Extent, FetchError, FrameCache,
    ahead::{Ahead, Part},
    budget::{Budget, Share, hold},
    extent::{extents_of, is_whole},
    is_damage,
    leaving::Leaving,
    taken::Taken,
};
use crate::pack;

/// How many extents are read at a time where all of them are wanted at once.
const AT_ONCE: usize = 8;

/// The most bytes that are read where somebody stands who must not wait: a few microseconds' worth.
const MOST_NOW: u64 = 64 << 10;

/// How often a frame is read again whose checksum is wrong.
const REREADS: usize = 2;

/// Reads frames.
///
/// A frame whose checksum is wrong is read again before it counts as damaged: what was wrong may have been the line.
#[derive(Debug, Clone)]
pub struct Frames {
    storage: Arc<dyn Storage>,
    /// What streams may hold in memory; unbounded if there is none.
    budget: Option<Budget>,
    cache: Option<FrameCache>,
}

/// Neighbours, and where they are to be had.
pub(super) enum Segment {
    Stored(Vec<ChunkLocation>),
    /// Here, in all likelihood; never more than are held in memory.
    Kept(Vec<ChunkLocation>),
}

/// Adjacent frames, each of them checked, and their bytes.
pub(super) type Checked<T = Bytes> = Result<(Vec<ChunkLocation>, T), FetchError>;

impl Frames {
    /// Reads from `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, budget: None, cache: None }
    }

    /// The same; all streams together hold no more than `budget`.
    #[must_use]
    pub fn within(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The same, with what was read lately before it.
    #[must_use]
    pub fn with_cache(self, cache: Option<FrameCache>) -> Self {
        Self { cache, ..self }
    }

    /// The frames of `chunks`, if they are few bytes side by side that are to be had without waiting, and all of them whole.
    pub(super) fn now(&self, chunks: &[ChunkLocation]) -> Option<Bytes> {
        let mut extents = extents_of(chunks, MOST_NOW);
        let extent = extents.next().filter(|_| extents.next().is_none())?;
        self.extent_now(&pack::key(extent.pack), extent)
    }

    fn extent_now(&self, key: &Key, extent: Extent<'_>) -> Option<Bytes> {
        let range = extent.range();
        let length = range.end - range.start;
        if length > MOST_NOW {
            return None;
        }
        let share = match &self.budget {
            Some(budget) => Some(budget.take_now(extent.pack, length)?),
            None => None,
        };
        let bytes = self.storage.read_now(key, &range)?;
        let is_whole = extent.frames(&bytes).all(|(_, frame)| frame.is_ok());
        if !is_whole {
            return None;
        }
        Some(match share {
            Some(share) => hold(bytes, share),
            None => bytes,
        })
    }

    /// The frames of `chunks`, in order, neighbours together; every frame was checked, now or lately. The next ones are read ahead of
    /// time. `is_first` says that no byte of the answer has left, so that it can still be refused.
    pub fn stream<T: Taken>(
        &self,
        chunks: &[ChunkLocation],
        is_first: bool,
    ) -> impl Stream<Item = Checked<T>> + Send + 'static + use<T> {
        Leaving::new(self.clone(), self.segments(chunks, self.storage.extent_size()), is_first)
    }

    /// The frames of a segment that stays in its file or, if they may take memory, is to be had without waiting; or the segment.
    pub(super) fn at_once<T: Taken>(
        &self,
        segment: Segment,
        may_take_memory: bool,
    ) -> Result<(Vec<ChunkLocation>, T), Segment> {
        let Segment::Stored(chunks) = segment else { return Err(segment) };
        let extent = Extent::of(&chunks);
        let key = pack::key(extent.pack);
        if let Some(left) = T::left(&*self.storage, &key, &extent.range()) {
            return Ok((chunks, left));
        }
        let read = if may_take_memory { self.extent_now(&key, extent) } else { None };
        let Some(bytes) = read else { return Err(Segment::Stored(chunks)) };
        self.storage.note_whole(&key, &extent.range());
        Ok((chunks, bytes.into()))
    }

    /// The frames of segments that are read; the next ones ahead of time. `is_first` says that no byte of the answer has left.
    pub(super) fn read_ahead<T: Taken>(
        &self,
        segments: Vec<Segment>,
        is_first: bool,
    ) -> impl Stream<Item = Checked<T>> + Send + 'static + use<T> {
        let this = self.clone();
        Ahead::new(segments.into_iter().enumerate().map(move |(at, segment)| {
            let this = this.clone();
            let (Segment::Stored(chunks) | Segment::Kept(chunks)) = &segment;
            let (pack, range) = (Extent::of(chunks).pack, Extent::of(chunks).range());
            let length = range.end - range.start;
            let weight = if is_held_whole(chunks, length) { length } else { EXTENT_BYTES };
            let open = async move {
                let share = match &this.budget {
                    Some(budget) => Some(budget.take(pack, weight, is_first && at == 0).await?),
                    None => None,
                };
                let frames = match segment {
                    Segment::Stored(chunks) => this.open(chunks, share).await?,
                    Segment::Kept(chunks) => this.open_kept(chunks, share).await?,
                };
                Ok(frames.map_ok(|(chunks, bytes)| (chunks, bytes.into())).boxed())
            };
            Part { weight, open: open.boxed() }
        }))
    }

    /// Extents of at most `limit` bytes, and in between what the cache has.
    fn segments(&self, chunks: &[ChunkLocation], limit: u64) -> Vec<Segment> {
        let Some(cache) = &self.cache else {
            return extents_of(chunks, limit).map(|extent| Segment::Stored(extent.chunks.to_vec())).collect();
        };
        let here: Vec<bool> = chunks.iter().map(|chunk| cache.has(chunk)).collect();
        let mut segments = Vec::new();
        let mut rest = chunks;
        for run in here.chunk_by(|one, other| one == other) {
            let (chunks, after) = rest.split_at(run.len());
            rest = after;
            if run[0] {
                segments.extend(extents_of(chunks, EXTENT_BYTES).map(|extent| Segment::Kept(extent.chunks.to_vec())));
            } else {
                segments.extend(extents_of(chunks, limit).map(|extent| Segment::Stored(extent.chunks.to_vec())));
            }
        }
        segments
    }

    /// Begins to read the frames of an extent that the cache should have; from the first on that it has not, it is read as any other.
    async fn open_kept(
        self,
        mut chunks: Vec<ChunkLocation>,
        share: Option<Share>,
    ) -> Result<BoxStream<'static, Checked>, FetchError> {
        let kept = match &self.cache {
            Some(cache) => cache.get(&chunks).await,
            None => Vec::new(),
        };
        let rest = chunks.split_off(kept.len());
        let kept = stream::iter(chunks.into_iter().zip(kept).map(|(chunk, frame)| Ok((vec![chunk], frame))));
        let frames = if rest.is_empty() { kept.boxed() } else { kept.chain(self.open(rest, None).await?).boxed() };
        // The share is for all of it, and is held until the last frame has been handed on.
        Ok(stream::unfold((frames, share), |(mut frames, share)| async move {
            frames.next().await.map(|frame| (frame, (frames, share)))
        })
        .boxed())
    }

    fn keep(&self, chunk: &ChunkLocation, frame: &Bytes) {
        if let Some(cache) = &self.cache {
            cache.keep(chunk, frame);
        }
    }

    /// The frames of `chunks`, in order; `None` for one that is damaged. All of them are held in memory.
    ///
    /// # Errors
    /// If the storage is away. A pack that is gone or cut off is damage, not an error.
    pub async fn read(&self, chunks: &[ChunkLocation]) -> Result<Vec<Option<Bytes>>, storage::Error> {
        let read = stream::iter(self.segments(chunks, EXTENT_BYTES)).map(|segment| async move {
            match &segment {
                Segment::Stored(chunks) => self.read_extent(chunks).await,
                Segment::Kept(chunks) => self.read_kept(chunks).await,
            }
        });
        read.buffered(AT_ONCE).try_concat().await
    }

    async fn read_kept(&self, chunks: &[ChunkLocation]) -> Result<Vec<Option<Bytes>>, storage::Error> {
        let mut frames: Vec<Option<Bytes>> = match &self.cache {
            Some(cache) => cache.get(chunks).await.into_iter().map(Some).collect(),
            None => Vec::new(),
        };
        if frames.len() < chunks.len() {
            frames.extend(self.read_extent(&chunks[frames.len()..]).await?);
        }
        Ok(frames)
    }

    async fn read_extent(&self, chunks: &[ChunkLocation]) -> Result<Vec<Option<Bytes>>, storage::Error> {
        let extent = Extent::of(chunks);
        match self.storage.read(&pack::key(extent.pack), extent.range()).await {
            Ok(bytes) => {
                let mut frames = Vec::with_capacity(chunks.len());
                for (chunk, frame) in extent.frames(&bytes) {
                    let frame = match frame {
                        Ok(frame) => Some(frame),
                        Err(_) => self.read_again(&chunk).await?,
                    };
                    frame.iter().for_each(|frame| self.keep(&chunk, frame));
                    frames.push(frame);
                }
                Ok(frames)
            }
            Err(error) if is_damage(&error) && chunks.len() == 1 => Ok(vec![None]),
            Err(error) if is_damage(&error) => {
                // A pack that was cut off may still have the frames before the cut.
                let mut frames = Vec::with_capacity(chunks.len());
                for chunk in chunks {
                    frames.extend(Box::pin(self.read_extent(std::slice::from_ref(chunk))).await?);
                }
                Ok(frames)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a frame by itself, after its checksum was wrong.
    async fn read_again(&self, chunk: &ChunkLocation) -> Result<Option<Bytes>, storage::Error> {
        let range = chunk.offset..chunk.offset + u64::from(chunk.stored_size);
        for _ in 0..REREADS {
            match self.storage.read(&pack::key(chunk.pack), range.clone()).await {
                Ok(frame) if is_whole(chunk, &frame) => {
                    tracing::warn!(pack = %chunk.pack, offset = chunk.offset, "a frame was read wrong, and then right");
                    return Ok(Some(frame));
                }
                Ok(_) => {}
                Err(error) if is_damage(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Begins to read the frames of an extent.
    async fn open(
        self,
        chunks: Vec<ChunkLocation>,
        share: Option<Share>,
    ) -> Result<BoxStream<'static, Checked>, FetchError> {
        let extent = Extent::of(&chunks);
        let range = extent.range();
        let start = range.start;
        if is_held_whole(&chunks, range.end - start) {
            return self.open_short(chunks, share).await;
        }
        let pieces = match self.storage.stream(&pack::key(extent.pack), range).await {
            Ok(pieces) => pieces,
            Err(error) => return Err(damage_to(&chunks, start, error)),
        };
        let state =
            Pieces { frames: self, pieces, waiting: BytesMut::new(), chunks: chunks.into(), start, _share: share };
        Ok(stream::try_unfold(state, |mut state| async move {
            let next = state.next().await?;
            Ok(next.map(|next| (next, state)))
        })
        .boxed())
    }

    /// Reads an extent that is held in memory whole.
    async fn open_short(
        self,
        chunks: Vec<ChunkLocation>,
        share: Option<Share>,
    ) -> Result<BoxStream<'static, Checked>, FetchError> {
        let extent = Extent::of(&chunks);
        let bytes = match self.storage.read(&pack::key(extent.pack), extent.range()).await {
            Ok(bytes) => bytes,
            Err(error) => return Err(damage_to(&chunks, extent.range().start, error)),
        };
        let bytes = match share {
            Some(share) => hold(bytes, share),
            None => bytes,
        };
        if extent.frames(&bytes).all(|(_, frame)| frame.is_ok()) {
            self.storage.note_whole(&pack::key(extent.pack), &extent.range());
            if self.cache.is_some() {
                extent.split(&bytes).for_each(|(chunk, frame)| self.keep(&chunk, &frame));
            }
            return Ok(stream::once(async { Ok((chunks, bytes)) }).boxed());
        }
        let mut frames: Vec<Checked> = Vec::with_capacity(chunks.len());
        for (chunk, frame) in extent.frames(&bytes) {
            frames.push(match frame {
                Ok(frame) => Ok((vec![chunk], frame)),
                Err(_) => match self.read_again(&chunk).await? {
                    Some(frame) => Ok((vec![chunk], frame)),
                    None => Err(FetchError::Damaged { chunks: vec![chunk.id] }),
                },
            });
        }
        Ok(stream::iter(frames).boxed())
    }
}

/// Whether an extent is in memory whole before any of it is handed on: a frame has to be, and a short one may as well be.
const fn is_held_whole(chunks: &[ChunkLocation], length: u64) -> bool {
    chunks.len() == 1 || length <= EXTENT_BYTES
}

/// An extent of which pieces come, of any length.
struct Pieces {
    frames: Frames,
    pieces: BoxStream<'static, storage::Result<Bytes>>,
    /// What came of the next frames.
    waiting: BytesMut,
    /// What is still to come.
    chunks: std::collections::VecDeque<ChunkLocation>,
    /// Where the extent begins in its pack.
    start: u64,
    /// Of the memory, as long as pieces come.
    _share: Option<Share>,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<(Vec<ChunkLocation>, Bytes)>, FetchError> {
        let Some(chunk) = self.chunks.front().copied() else { return Ok(None) };
        let wanted = chunk.stored_size as usize;
        self.waiting.reserve(wanted.saturating_sub(self.waiting.len()));
        while self.waiting.len() < wanted {
            match self.pieces.try_next().await {
                Ok(Some(piece)) => self.waiting.extend_from_slice(&piece),
                Ok(None) => return Err(FetchError::Damaged { chunks: vec![chunk.id] }),
                Err(error) => return Err(damage_to(self.chunks.make_contiguous(), self.start, error)),
            }
        }
        self.chunks.pop_front();
        let frame = self.waiting.split_to(wanted).freeze();
        if is_whole(&chunk, &frame) {
            self.frames.keep(&chunk, &frame);
            return Ok(Some((vec![chunk], frame)));
        }
        match self.frames.read_again(&chunk).await? {
            Some(frame) => Ok(Some((vec![chunk], frame))),
            None => Err(FetchError::Damaged { chunks: vec![chunk.id] }),
        }
    }
}

/// What the failure of a read that began at `start` says of its chunks.
fn damage_to(chunks: &[ChunkLocation], start: u64, error: storage::Error) -> FetchError {
    let is_gone = |chunk: &&ChunkLocation| match &error {
        storage::Error::NotFound { .. } => true,
        storage::Error::Truncated { got, .. } => chunk.offset + u64::from(chunk.stored_size) > start + got,
        _ => false,
    };
    let gone: Vec<_> = chunks.iter().filter(is_gone).map(|chunk| chunk.id).collect();
    if gone.is_empty() { error.into() } else { FetchError::Damaged { chunks: gone } }
}

#[cfg(test)]
mod tests;
