//! How much of what is being sent is in memory at a time, for all readers together.
//!
//! A share is taken before an extent is read, and comes back when its bytes have left. Shares are given in the order in which they
//! were asked for, so under pressure readers take turns extent by extent: a small NAR waits for one extent of each large one, not
//! for all of it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::FetchError;

/// What shares are counted in, in bytes.
const UNIT: u64 = 4 << 10;
/// How long the first extent of an answer waits: Nix asks again after a refusal, and gives up on silence.
const FIRST_WAIT: Duration = Duration::from_secs(10);

/// Memory for extents.
#[derive(Debug, Clone)]
pub struct Budget {
    shares: Arc<Semaphore>,
    all: u32,
    first_wait: Duration,
}

/// A share of the memory, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share(#[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>);

impl Budget {
    /// So many bytes. An extent that is longer takes all there is, and goes alone.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3);
        Self { shares: Arc::new(Semaphore::new(all as usize)), all, first_wait: FIRST_WAIT }
    }

    /// Waits for a share. `is_first` says that no byte of the answer has left, so that it can still be refused.
    ///
    /// # Errors
    /// [`FetchError::Overloaded`], for a first one that had to wait for too long.
    pub(super) async fn take(&self, bytes: u64, is_first: bool) -> Result<Share, FetchError> {
        let wanted = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.all);
        let share = Arc::clone(&self.shares).acquire_many_owned(wanted);
        let share = if is_first {
            tokio::time::timeout(self.first_wait, share).await.map_err(|_| FetchError::Overloaded)?
        } else {
            share.await
        };
        // It is never closed.
        Ok(Share(share.ok()))
    }
}

/// The bytes, with their share: it is given back when nobody holds a part of them any more.
pub(super) fn hold(bytes: Bytes, share: Share) -> Bytes {
    struct Held {
        bytes: Bytes,
        _share: Share,
    }
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Bytes::from_owner(Held { bytes, _share: share })
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn readers_take_turns_and_the_first_extent_of_an_answer_is_refused_in_the_end() {
        let budget = Budget { first_wait: Duration::from_millis(20), ..Budget::new(4 * UNIT) };
        let sent = hold(Bytes::from_static(b"abc"), budget.take(3 * UNIT, true).await.unwrap());
        let part = sent.slice(1..);
        drop(sent);
        let mut next = Box::pin(budget.take(2 * UNIT, false));
        let mut small = Box::pin(budget.take(1, false));
        assert!(poll!(&mut next).is_pending());
        assert!(poll!(&mut small).is_pending(), "nobody overtakes");
        assert!(matches!(budget.take(1, true).await, Err(FetchError::Overloaded)));
        assert!(poll!(&mut next).is_pending(), "an answer that has begun waits");
        drop(part);
        let held = next.await.unwrap();
        small.await.unwrap();
        drop(held);
        // More than there is takes all there is.
        let all = budget.take(100 * UNIT, true).await.unwrap();
        assert_eq!(budget.shares.available_permits(), 0);
        drop(all);
        assert_eq!(budget.shares.available_permits(), 4);
    }
}
