//! How much of what is being sent is in memory at a time, for all readers together.
//!
//! A share is taken before an extent is read, and comes back when its bytes have left. Shares are given in the order in which they
//! were asked for, so under pressure readers take turns extent by extent: a small NAR waits for one extent of each large one, not
//! for all of it. One pack has a part of the memory only: if its disk stalls, its readers do not hold up those of others.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use database::PackName;
use memory::InUse;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::FetchError;

/// What shares are counted in, in bytes.
const UNIT: u64 = 4 << 10;
/// How long the first extent of an answer waits: Nix asks again after a refusal, and gives up on silence.
const FIRST_WAIT: Duration = Duration::from_secs(10);

/// One pack has this part of the memory.
const PACK_PART: u32 = 4;

/// Memory for extents.
#[derive(Debug, Clone)]
pub struct Budget {
    shares: Arc<Semaphore>,
    all: u32,
    packs: Arc<InUse<PackName, Semaphore>>,
    first_wait: Duration,
}

/// A share of the memory, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    _of_pack: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// So many bytes. An extent that is longer than a pack's part takes that part, and goes alone.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3);
        Self { shares: Arc::new(Semaphore::new(all as usize)), all, packs: Arc::default(), first_wait: FIRST_WAIT }
    }

    /// The same, where nobody waits for long.
    #[cfg(test)]
    pub(super) fn impatient(bytes: u64) -> Self {
        Self { first_wait: Duration::from_millis(20), ..Self::new(bytes) }
    }

    /// Waits for a share. `is_first` says that no byte of the answer has left, so that it can still be refused.
    ///
    /// # Errors
    /// [`FetchError::Overloaded`], for a first one that had to wait for too long.
    pub(super) async fn take(&self, pack: PackName, bytes: u64, is_first: bool) -> Result<Share, FetchError> {
        let wanted = self.units(bytes);
        let share = async {
            // In this order: who waits for a pack holds nothing of what others wait for. Neither is ever closed.
            let of_pack = self.of_pack(pack).acquire_many_owned(wanted).await.ok();
            let of_all = Arc::clone(&self.shares).acquire_many_owned(wanted).await.ok();
            Share { _of_pack: of_pack, _of_all: of_all }
        };
        if is_first {
            tokio::time::timeout(self.first_wait, share).await.map_err(|_| {
                metrics::counter!(crate::metrics::REFUSED_READS).increment(1);
                FetchError::Overloaded
            })
        } else {
            Ok(share.await)
        }
    }

    /// A share, if nobody has to wait for one.
    pub(super) fn take_now(&self, pack: PackName, bytes: u64) -> Option<Share> {
        let wanted = self.units(bytes);
        let of_pack = self.of_pack(pack).try_acquire_many_owned(wanted).ok()?;
        let of_all = Arc::clone(&self.shares).try_acquire_many_owned(wanted).ok()?;
        Some(Share { _of_pack: Some(of_pack), _of_all: Some(of_all) })
    }

    /// So many bytes as shares are counted.
    fn units(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.part())
    }

    /// How much one pack has.
    fn part(&self) -> u32 {
        (self.all / PACK_PART).max(1)
    }

    fn of_pack(&self, pack: PackName) -> Arc<Semaphore> {
        self.packs.get(&pack, || Semaphore::new(self.part() as usize))
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

    const fn pack(n: u8) -> PackName {
        PackName([n; 16])
    }

    /// Memory for four units, one for each pack.
    fn small() -> Budget {
        Budget::impatient(4 * UNIT)
    }

    #[tokio::test]
    async fn readers_take_turns_and_the_first_extent_of_an_answer_is_refused_in_the_end() {
        let budget = small();
        let mut sent = Vec::new();
        for n in 0..4 {
            sent.push(hold(Bytes::from_static(b"abc"), budget.take(pack(n), UNIT, true).await.unwrap()));
        }
        let part = sent.pop().unwrap().slice(1..);
        let mut next = Box::pin(budget.take(pack(10), UNIT, false));
        let mut small = Box::pin(budget.take(pack(11), 1, false));
        assert!(poll!(&mut next).is_pending());
        assert!(poll!(&mut small).is_pending(), "nobody overtakes");
        assert!(matches!(budget.take(pack(12), 1, true).await, Err(FetchError::Overloaded)));
        assert!(poll!(&mut next).is_pending(), "an answer that has begun waits");
        drop(part);
        let held = next.await.unwrap();
        assert!(poll!(&mut small).is_pending());
        drop(held);
        small.await.unwrap();
        drop(sent);
        assert_eq!(budget.shares.available_permits(), 4);
    }

    #[tokio::test]
    async fn one_pack_does_not_take_the_memory_of_another() {
        let budget = small();
        // More than the part there is takes all of it.
        let held = budget.take(pack(1), 100 * UNIT, true).await.unwrap();
        assert!(matches!(budget.take(pack(1), 1, true).await, Err(FetchError::Overloaded)));
        drop(budget.take(pack(2), UNIT, true).await.unwrap());
        drop(held);
        budget.take(pack(1), 1, true).await.unwrap();
    }
}
