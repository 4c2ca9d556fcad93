//! When a burst of news is over.

use std::time::{Duration, Instant};

/// How long to wait for more news before acting on some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Act once it has been quiet for so long.
    pub idle: Duration,
    /// Act after so long even if it is never quiet.
    pub longest: Duration,
}

impl Default for Batching {
    fn default() -> Self {
        Self { idle: Duration::from_secs(2), longest: Duration::from_secs(10) }
    }
}

/// News that wait to be acted on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Burst(Option<(Instant, Instant)>);

impl Burst {
    /// More news.
    pub(super) fn touch(&mut self, now: Instant) {
        let begin = self.0.map_or(now, |(begin, _)| begin);
        self.0 = Some((begin, now));
    }

    /// When to act, if there is anything to act on.
    pub(super) fn due(self, batching: Batching) -> Option<Instant> {
        self.0.map(|(begin, last)| (last + batching.idle).min(begin + batching.longest))
    }

    /// It was acted on.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_ends_a_burst_and_so_does_patience() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let batching = Batching::default();
        let mut burst = Burst::default();
        assert_eq!(burst.due(batching), None);
        burst.touch(at(0));
        assert_eq!(burst.due(batching), Some(at(2)));
        for second in 1..=7 {
            burst.touch(at(second));
        }
        assert_eq!(burst.due(batching), Some(at(9)));
        burst.touch(at(9));
        assert_eq!(burst.due(batching), Some(at(10)));
        burst.clear();
        assert_eq!(burst.due(batching), None);
    }
}
