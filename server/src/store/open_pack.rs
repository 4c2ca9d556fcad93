//! A pack that grows with a lane, and what a lane gives away when it is taken.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use database::{Commit, NewPack, PackName, PathOutcome};
use protocol::ChunkHash;

use super::{
    ChunkStore, Frame, Records, StoreError,
    committer::{forget_if_refused, note_kept_out},
    ticket::Reservation,
};
use crate::pack::{self, Layout};

/// Frames smaller than this are written together.
const WRITE_BYTES: usize = 256 << 10;

/// A pack of one lane, without its end yet. Dropped, it leaves nothing, and its frames are forgotten.
pub struct OpenPack {
    name: PackName,
    writer: Box<dyn storage::Writer>,
    layout: Layout,
    reservations: Vec<Reservation>,
}

/// What was not known to the index when a lane was taken.
#[derive(Debug)]
pub enum Unsealed {
    /// Frames in memory, for a pack that uploads share.
    Frames(Vec<Frame>),
    /// A pack of the lane's own, which ends with the records of what is committed with it.
    Pack(Box<OpenPack>),
}

impl Default for Unsealed {
    fn default() -> Self {
        Self::Frames(Vec::new())
    }
}

impl Unsealed {
    /// The names of its frames.
    pub(crate) fn hashes(&self) -> HashSet<ChunkHash> {
        match self {
            Self::Frames(frames) => frames.iter().map(Frame::hash).collect(),
            Self::Pack(open) => open.reservations.iter().map(Reservation::hash).collect(),
        }
    }
}

impl OpenPack {
    pub(super) async fn begin(store: &ChunkStore) -> Result<Self, StoreError> {
        let name = PackName(rand::random());
        let mut writer = store.journal.storage().begin(&pack::key(name)).await?;
        writer.write(Bytes::from_static(pack::MAGIC)).await?;
        Ok(Self { name, writer, layout: Layout::new(), reservations: Vec::new() })
    }

    /// How long it is.
    pub(super) fn length(&self) -> u64 {
        self.layout.offset
    }

    /// Appends frames, in order.
    pub(super) async fn append(&mut self, frames: Vec<Frame>) -> Result<(), StoreError> {
        let mut small = BytesMut::new();
        for frame in frames {
            self.layout.append(frame.hash(), frame.size, &frame.bytes, Some(frame.cache));
            self.reservations.push(frame.reservation);
            // Small frames are written together; a large one as it is, without a copy.
            if small.len() + frame.bytes.len() > WRITE_BYTES && !small.is_empty() {
                self.writer.write(small.split().freeze()).await?;
            }
            if frame.bytes.len() > WRITE_BYTES {
                self.writer.write(frame.bytes).await?;
            } else {
                small.extend_from_slice(&frame.bytes);
            }
        }
        if !small.is_empty() {
            self.writer.write(small.freeze()).await?;
        }
        Ok(())
    }

    /// Ends the pack with `records`, and makes all of it visible: one object, one transaction.
    ///
    /// If the transaction is refused nothing stays, frames included: whoever pushed has to send them again.
    pub(super) async fn commit(mut self, store: &ChunkStore, records: Records) -> Result<Vec<PathOutcome>, StoreError> {
        let journal = &store.journal;
        let (trailer, size) = self.layout.trailer(journal.stamp(), records.records());
        self.writer.write(trailer).await?;
        self.writer.finish().await?;
        let pack = NewPack { name: self.name, size, chunks: self.layout.chunks };
        let mut commit = Commit { packs: vec![pack], ..Commit::default() };
        records.add_to(&mut commit);
        match store.database.commit(&commit).await {
            Ok(outcomes) => {
                note_kept_out(journal, &*store.database, &records.paths, &outcomes).await;
                self.reservations.into_iter().for_each(Reservation::settle);
                Ok(outcomes)
            }
            Err(error) => {
                forget_if_refused(journal, self.name, &error).await;
                Err(error.into())
            }
        }
    }
}

impl std::fmt::Debug for OpenPack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenPack").field("name", &self.name).field("bytes", &self.length()).finish_non_exhaustive()
    }
}
