//! Lanes: where the new frames of one upload wait, side by side, for their pack.
//!
//! A few frames wait in memory and go into a pack that uploads share; once there are more, the lane streams into a pack of its own.
//! Either way the new frames of a NAR are neighbours, which is what makes reading it one extent.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use database::CacheId;
use tokio::{sync::Mutex, time::Instant};

use super::{ChunkStore, Frame, OpenPack, Records, StoreError, Unsealed};

/// Frames beyond this many bytes get a pack of their own.
const SPOOL_BYTES: usize = 1 << 20;
/// A pack is sealed when it has this many bytes, so that an object never grows without bound and a crash never costs more. With the
/// batch that fills it and its trailer it is still shorter than a part of an object in a bucket (32 MiB), and so one request.
const PACK_BYTES: u64 = 25 << 20;

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
    open: Option<Box<OpenPack>>,
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
        let is_hurried = self.hurried.swap(false, Ordering::SeqCst);
        if is_hurried || waiting.open.as_ref().is_some_and(|pack| pack.length() >= PACK_BYTES) {
            self.seal_all(&mut waiting).await?;
        }
        Ok(())
    }

    /// When to seal the lane at the latest, if anything waits in it.
    pub(crate) async fn due(&self) -> Option<Instant> {
        let since = self.waiting.lock().await.since;
        since.map(|since| since + self.store.pace.frames)
    }

    /// Whether enough waits to be written without waiting for more.
    pub(crate) async fn has_enough(&self) -> bool {
        let enough = self.store.pace.enough;
        enough > 0 && self.waiting.lock().await.bytes() >= enough
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

    /// What is not known to the index yet, to be committed together with what refers to it.
    pub(crate) async fn take(&self) -> Unsealed {
        self.waiting.lock().await.take()
    }

    async fn seal_all(&self, waiting: &mut Waiting) -> Result<(), StoreError> {
        match waiting.take() {
            Unsealed::Frames(frames) if frames.is_empty() => Ok(()),
            unsealed => self.store.commit(unsealed, Records::default()).await.map(drop),
        }
    }

    /// Moves the spool into the lane's own pack.
    async fn spill(&self, waiting: &mut Waiting) -> Result<(), StoreError> {
        let frames = std::mem::take(&mut waiting.spool);
        waiting.spooled = 0;
        let mut open = match waiting.open.take() {
            Some(open) => open,
            None => Box::new(OpenPack::begin(&self.store).await?),
        };
        open.append(frames).await?;
        waiting.open = Some(open);
        Ok(())
    }
}

impl Waiting {
    /// How many bytes there are.
    fn bytes(&self) -> u64 {
        self.spooled as u64 + self.open.as_ref().map_or(0, |open| open.length())
    }

    /// All of it. With a pack of its own a lane has nothing in memory.
    fn take(&mut self) -> Unsealed {
        let Self { spool, open, .. } = std::mem::take(self);
        match open {
            Some(open) => Unsealed::Pack(open),
            None => Unsealed::Frames(spool),
        }
    }
}
