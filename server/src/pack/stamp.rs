//! Stamps: the order in which records became true.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use protocol::{Clock, Timestamp};

const MICROS: u64 = 1_000_000;

/// When a record became true, in microseconds since 1970. Of two records, the one with the later stamp happened later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The beginning of that second: what is left of the order of records that have no stamp of their own.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        Self(u64::try_from(time.0).unwrap_or(0).saturating_mul(MICROS))
    }

    /// The second that it falls into.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp(i64::try_from(self.0 / MICROS).unwrap_or(i64::MAX))
    }

    /// The stamp `duration` earlier; saturates.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / MICROS, self.0 % MICROS)
    }
}

/// Gives out stamps, each later than the one before.
#[derive(Debug, Default)]
pub struct Stamps(AtomicU64);

impl Stamps {
    /// The stamp of this moment. A clock that stands still or goes back does not turn the order round.
    pub fn next(&self, clock: &dyn Clock) -> Stamp {
        let now = clock.now_micros();
        let step = |last: u64| Some(now.max(last.saturating_add(1)));
        let last = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).unwrap_or_default();
        Stamp(now.max(last.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use protocol::FixedClock;

    use super::*;

    #[test]
    fn stamps_ascend_though_the_clock_stands_still() {
        let clock = FixedClock::new(Timestamp(100));
        let stamps = Stamps::default();
        let (first, second) = (stamps.next(&clock), stamps.next(&clock));
        assert_eq!(first, Stamp::of(Timestamp(100)));
        assert!(second > first && second.timestamp() == Timestamp(100));
        clock.advance(Duration::from_secs(1));
        assert_eq!(stamps.next(&clock), Stamp::of(Timestamp(101)));
        assert_eq!(first.minus(Duration::from_secs(1)), Stamp::of(Timestamp(99)));
    }
}
