//! Turns at one object: a file that stalls holds up its own readers, and no others.

use memory::InUse;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Key;

/// How many read one object at a time; more wait without a thread. The runtime has some 500 threads for whatever may block.
const READERS: usize = 24;

/// Who reads what at the moment.
#[derive(Debug, Default)]
pub(super) struct Turns(InUse<Key, Semaphore>);

impl Turns {
    /// Waits for a turn to read this object; it ends when what is returned is dropped.
    pub(super) async fn take(&self, key: &Key) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        self.0.get(key, || Semaphore::new(READERS)).acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_object_does_not_take_the_turns_of_another() {
        let turns = Turns::default();
        let (a, b): (Key, Key) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut held = Vec::new();
        for _ in 0..READERS {
            held.push(turns.take(&a).await);
        }
        let waiting = turns.take(&a);
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(turns.take(&b).await);
        held.pop();
        assert!(waiting.await.is_some());
    }
}
