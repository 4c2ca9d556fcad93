//! A limit on the bytes that are sent in a second.

use std::{
    num::NonZeroU64,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How far sending may run ahead of the limit after a pause.
const BURST: Duration = Duration::from_millis(100);

/// Spreads bytes over time, whoever of many sends them.
#[derive(Debug)]
pub(super) struct RateLimit {
    bytes_per_second: NonZeroU64,
    /// When all that was reserved has gone out.
    free: Mutex<Option<Instant>>,
}

impl RateLimit {
    pub(super) fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, free: Mutex::default() }
    }

    /// Reserves time for `bytes`; they may go out after the wait that is given.
    pub(super) fn reserve(&self, bytes: usize) -> Duration {
        self.reserve_at(Instant::now(), bytes)
    }

    fn reserve_at(&self, now: Instant, bytes: usize) -> Duration {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.get() as f64);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = free.unwrap_or(now).max(now.checked_sub(BURST).unwrap_or(now));
        *free = Some(begin + takes);
        (begin + takes).saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time_whoever_sends_them() {
        let limit = RateLimit::new(NonZeroU64::new(1000).unwrap());
        let start = Instant::now();
        let millis = |after: u64, bytes| limit.reserve_at(start + Duration::from_millis(after), bytes).as_millis();
        assert_eq!((millis(0, 500), millis(0, 500), millis(400, 100)), (500, 1000, 700));
        // After a pause a little may go at once, and not all that might have gone in the meantime.
        assert_eq!((millis(9000, 100), millis(9000, 100)), (0, 100));
    }
}
