//! Reading no faster than one is told to.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// A limit on bytes per second. Whoever has read waits, before the next read, for as long as that should have taken.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: Option<u64>,
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// As fast as it goes.
    pub(super) fn unlimited() -> Self {
        Self { bytes_per_second: None, free_at: Mutex::default() }
    }

    /// So many bytes a second; at least one.
    pub(super) fn of(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: Some(bytes_per_second.max(1)), free_at: Mutex::default() }
    }

    /// Waits for its turn to read so many bytes.
    pub(super) async fn take(&self, bytes: u64) {
        if let Some(turn) = self.turn(bytes, Instant::now()) {
            sleep_until(turn).await;
        }
    }

    /// When whoever wants to read so many bytes now may do so, if not at once.
    fn turn(&self, bytes: u64, now: Instant) -> Option<Instant> {
        let rate = self.bytes_per_second?;
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = free_at.map_or(now, |at| at.max(now));
        let millis = bytes.saturating_mul(1000) / rate;
        *free_at = Some(turn + Duration::from_millis(millis));
        (turn > now).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_is_kept() {
        let now = Instant::now();
        let pace = Pace::of(1000);
        let turns: Vec<_> = (0..4).map(|_| pace.turn(500, now)).collect();
        let after = |millis| Some(now + Duration::from_millis(millis));
        assert_eq!(turns, [None, after(500), after(1000), after(1500)], "the first waits for nothing");
        let later = now + Duration::from_secs(60);
        assert_eq!(pace.turn(500, later), None, "what was not read is not saved up");
        assert_eq!(pace.turn(500, later), Some(later + Duration::from_millis(500)));
        assert_eq!(Pace::unlimited().turn(u64::MAX, now), None);
    }
}
