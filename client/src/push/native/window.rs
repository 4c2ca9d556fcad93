//! How much may be held in memory at once.

use std::sync::Arc;

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
};

/// Room for bytes: whoever holds some has a [`Room`] of that size, and whoever needs more waits for it.
#[derive(Debug, Clone)]
pub(super) struct Window {
    left: Arc<Semaphore>,
    size: usize,
}

/// Room that is taken until it is dropped.
#[derive(Debug)]
pub(super) struct Room(Option<OwnedSemaphorePermit>);

impl Window {
    pub(super) fn new(bytes: usize) -> Self {
        let size = bytes.clamp(1, 1 << 31);
        Self { left: Arc::new(Semaphore::new(size)), size }
    }

    /// Waits for room, where blocking is allowed. More than the whole window counts as the whole.
    pub(super) fn take(&self, bytes: usize) -> Room {
        let count = u32::try_from(bytes.min(self.size)).unwrap_or(u32::MAX);
        let left = || Arc::clone(&self.left);
        // The semaphore is ours and is never closed, so there always is a permit in the end.
        Room(match left().try_acquire_many_owned(count) {
            Err(TryAcquireError::NoPermits) => Handle::current().block_on(left().acquire_many_owned(count)).ok(),
            taken => taken.ok(),
        })
    }
}

impl Room {
    /// Gives back what is not needed any more.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.0 {
            drop(permit.split(permit.num_permits().saturating_sub(bytes)));
        }
    }

    /// Puts the room of `other` to this.
    pub(super) fn join(&mut self, other: Self) {
        match (&mut self.0, other.0) {
            (Some(ours), Some(theirs)) => ours.merge(theirs),
            (ours, theirs) => *ours = theirs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_comes_back() {
        let window = Window::new(100);
        let mut first = window.take(60);
        first.join(window.take(40));
        assert_eq!(window.left.available_permits(), 0);
        first.shrink_to(30);
        assert_eq!(window.left.available_permits(), 70);
        drop(first);
        let whole = window.take(1000);
        assert_eq!(window.left.available_permits(), 0);
        let waiting = {
            let window = window.clone();
            tokio::task::spawn_blocking(move || window.take(1))
        };
        drop(whole);
        drop(waiting.await.unwrap());
        assert_eq!(window.left.available_permits(), 100);
    }
}
