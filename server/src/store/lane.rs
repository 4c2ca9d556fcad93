//! Lanes: where the new frames of one upload wait, side by side, for their pack.
//!
//! A few frames wait in memory and go into a pack that uploads share; once there are more, the lane streams into a pack of its own.
//! Either way the new frames of a NAR are neighbours, which is what makes reading it one extent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use database::{CacheId, Commit, NewPack, PackName};
use tokio::{sync::Mutex, time::Instant};

use super::{ChunkStore, Frame, Records, StoreError, ticket::Reservation};
use crate::pack::{self, Layout};

/// Frames beyond this many bytes get a pack of their own.
const SPOOL_BYTES: usize = 1 << 20;
/// Frames smaller than this are written together.
const WRITE_BYTES: usize = 256 << 10;
/// A pack is sealed when it has this many bytes, so that an object never grows without bound and a crash never costs more. With the
/// batch that fills it and its trailer it is still shorter than a part of an object in a bucket (32 MiB), and so one request.
const PACK_BYTES: u64 = 25 << 20;
/// An upload of many paths does not let frames wait for longer, so that a crash never costs more than what came in that time.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The new frames of one upload. Dropped before they are sealed, they are forgotten.
#[derive(Debug)]
pub struct Lane {
    store: Arc<ChunkStore>,
    cache: CacheId,
    waiting: Mutex<Waiting>,
    /// Another upload waits for a chunk of this lane.
    hurried: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    spool: Vec<Frame>,
    spooled: usize,
    /// When the oldest of the frames came.
    since: Option<Instant>,
    open: Option<OpenPack>,
}

struct OpenPack {
    name: PackName,
    writer: Box<dyn storage::Writer>,
    layout: Layout,
    reservations: Vec<Reservation>,
}

impl Lane {
    pub(super) fn new(store: Arc<ChunkStore>, cache: CacheId) -> Arc<Self> {
        Arc::new(Self { store, cache, waiting: Mutex::default(), hurried: AtomicBool::new(false) })
    }

    /// The cache that is pushed to.
    pub(super) fn cache(&self) -> CacheId {
        self.cache
    }

    /// Takes the next frames, in order.
    pub(super) async fn append(&self, frames: Vec<Frame>) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock().await;
        waiting.spooled += frames.iter().map(|f| f.bytes.len()).sum::<usize>();
        waiting.since.get_or_insert_with(Instant::now);
        waiting.spool.extend(frames);
        if waiting.open.is_some() || waiting.spooled > SPOOL_BYTES {
            self.spill(&mut waiting).await?;
        }
        if waiting.open.as_ref().is_some_and(|pack| pack.layout.offset >= PACK_BYTES) {
            self.seal_open(&mut waiting).await?;
            // The spool was emptied into the pack.
            waiting.since = None;
        }
        if self.hurried.swap(false, Ordering::SeqCst) {
            self.seal_all(&mut waiting).await?;
        }
        Ok(())
    }

    /// When to seal the lane at the latest, if anything waits in it.
    pub(crate) async fn due(&self) -> Option<Instant> {
        self.waiting.lock().await.since.map(|since| since + LONGEST_WAIT)
    }

    /// Makes every frame of the lane durable and known.
    pub(crate) async fn seal(&self) -> Result<(), StoreError> {
        self.seal_all(&mut *self.waiting.lock().await).await
    }

    /// Does so for somebody else; also with the frames that are being compressed at this moment.
    pub(super) async fn hurry(&self) {
        self.hurried.store(true, Ordering::SeqCst);
        // A failure settles the tickets, which tells whoever waits.
        let _ = self.seal().await;
    }

    /// The frames that wait in memory, to be committed together with what refers to them; seals the rest.
    pub(crate) async fn take(&self) -> Result<Vec<Frame>, StoreError> {
        let mut waiting = self.waiting.lock().await;
        self.seal_open(&mut waiting).await?;
        (waiting.spooled, waiting.since) = (0, None);
        Ok(std::mem::take(&mut waiting.spool))
    }

    async fn seal_all(&self, waiting: &mut Waiting) -> Result<(), StoreError> {
        self.seal_open(waiting).await?;
        (waiting.spooled, waiting.since) = (0, None);
        let frames = std::mem::take(&mut waiting.spool);
        if frames.is_empty() {
            return Ok(());
        }
        self.store.commit(frames, Records::default()).await.map(drop)
    }

    /// Moves the spool into the lane's own pack.
    async fn spill(&self, waiting: &mut Waiting) -> Result<(), StoreError> {
        let frames = std::mem::take(&mut waiting.spool);
        let length = std::mem::take(&mut waiting.spooled);
        let mut small = BytesMut::with_capacity(length.min(WRITE_BYTES) + pack::MAGIC.len());
        let mut open = match waiting.open.take() {
            Some(open) => open,
            None => {
                small.extend_from_slice(pack::MAGIC);
                OpenPack::begin(&self.store).await?
            }
        };
        for frame in frames {
            open.layout.append(frame.hash(), frame.size, &frame.bytes, Some(frame.cache));
            open.reservations.push(frame.reservation);
            // Small frames are written together; a large one as it is, without a copy.
            if small.len() + frame.bytes.len() > WRITE_BYTES && !small.is_empty() {
                open.write(small.split().freeze()).await?;
            }
            if frame.bytes.len() > WRITE_BYTES {
                open.write(frame.bytes).await?;
            } else {
                small.extend_from_slice(&frame.bytes);
            }
        }
        if !small.is_empty() {
            open.write(small.freeze()).await?;
        }
        waiting.open = Some(open);
        Ok(())
    }

    async fn seal_open(&self, waiting: &mut Waiting) -> Result<(), StoreError> {
        let Some(mut open) = waiting.open.take() else { return Ok(()) };
        let (trailer, size) = open.layout.trailer(self.store.journal.stamp(), []);
        open.write(trailer).await?;
        open.writer.finish().await?;
        let pack = NewPack { name: open.name, size, chunks: open.layout.chunks };
        let name = pack.name;
        if let Err(error) = self.store.database.commit(&Commit { packs: vec![pack], ..Commit::default() }).await {
            super::committer::forget_if_refused(&self.store.journal, name, &error).await;
            return Err(error.into());
        }
        open.reservations.into_iter().for_each(Reservation::settle);
        Ok(())
    }
}

impl OpenPack {
    async fn begin(store: &ChunkStore) -> Result<Self, StoreError> {
        let name = PackName(rand::random());
        let writer = store.journal.storage().begin(&pack::key(name)).await?;
        Ok(Self { name, writer, layout: Layout::new(), reservations: Vec::new() })
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        Ok(self.writer.write(bytes).await?)
    }
}

impl std::fmt::Debug for OpenPack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenPack").field("name", &self.name).field("bytes", &self.layout.offset).finish_non_exhaustive()
    }
}
