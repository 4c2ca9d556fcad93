//! Frames that came a short while ago: what repeats does so soon, and need not be read back then.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use protocol::ChunkHash;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::Placed;

/// How many bytes of frames all streams together keep.
pub(crate) const RECENT_BYTES: usize = 32 << 20;

/// The frames that a stream brought last.
#[derive(Debug)]
pub(super) struct Recent {
    room: Arc<Semaphore>,
    frames: HashMap<ChunkHash, Kept>,
    /// The oldest first.
    order: VecDeque<ChunkHash>,
}

#[derive(Debug)]
struct Kept {
    placed: Placed,
    frame: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Recent {
    /// None yet. `room` has a permit for each byte that may be kept, here and elsewhere.
    pub(super) fn new(room: Arc<Semaphore>) -> Self {
        Self { room, frames: HashMap::new(), order: VecDeque::new() }
    }

    /// Keeps a frame, in the place of older ones if need be, unless others have all the room.
    pub(super) fn keep(&mut self, placed: Placed, frame: Bytes) {
        let hash = placed.hash;
        let Ok(length) = u32::try_from(frame.len()) else { return };
        if self.frames.contains_key(&hash) {
            return;
        }
        loop {
            if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(length) {
                self.frames.insert(hash, Kept { placed, frame, _room: room });
                self.order.push_back(hash);
                return;
            }
            match self.order.pop_front() {
                Some(oldest) => drop(self.frames.remove(&oldest)),
                None => return,
            }
        }
    }

    /// A chunk, if it is kept: where it is, and its frame.
    pub(super) fn find(&self, hash: &ChunkHash) -> Option<(Placed, Bytes)> {
        self.frames.get(hash).map(|kept| (kept.placed.clone(), kept.frame.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Place;

    fn placed(n: u8) -> Placed {
        Placed { hash: ChunkHash([n; 32]), size: 1, place: Place::New }
    }

    #[test]
    fn the_oldest_make_room_and_others_are_left_alone() {
        let room = Arc::new(Semaphore::new(100));
        let frame = |length| Bytes::from(vec![0; length]);
        let (mut one, mut other) = (Recent::new(Arc::clone(&room)), Recent::new(Arc::clone(&room)));
        one.keep(placed(1), frame(40));
        one.keep(placed(2), frame(40));
        other.keep(placed(3), frame(30));
        assert!(other.find(&ChunkHash([3; 32])).is_none(), "others keep theirs");
        one.keep(placed(4), frame(50));
        assert!(one.find(&ChunkHash([1; 32])).is_none());
        let (found, frame) = one.find(&ChunkHash([2; 32])).unwrap();
        assert_eq!((found.hash, frame.len()), (ChunkHash([2; 32]), 40));
        drop(one);
        assert_eq!(room.available_permits(), 100);
    }
}
