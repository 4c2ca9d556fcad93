//! When to try what failed before.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use formats::StorePath;

use crate::retry::RetryPolicy;

/// How the waits grow while the server is away. There is no last attempt.
const SERVER: RetryPolicy = RetryPolicy {
    attempts: NonZeroU32::MAX,
    base: Duration::from_secs(1),
    cap: Duration::from_secs(60),
    longest_asked: Duration::from_secs(300),
};
/// The same while somebody waits for the end.
const SERVER_DRAINING: RetryPolicy = RetryPolicy { cap: Duration::from_secs(5), ..SERVER };
/// How the waits grow for a path that cannot be sent.
const PATH: RetryPolicy = RetryPolicy { base: Duration::from_secs(60), cap: Duration::from_secs(3600), ..SERVER };

/// Who failed how often, and when to try again.
#[derive(Debug, Default)]
pub(super) struct Pace {
    server: Waiting,
    paths: BTreeMap<StorePath, Waiting>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    failed: u32,
    until: Option<Instant>,
}

impl Waiting {
    fn failed(&mut self, policy: &RetryPolicy, asked: Option<Duration>, now: Instant) -> Duration {
        self.failed = self.failed.saturating_add(1);
        // At least half the bound: a wait of nothing helps nobody who waits for a server.
        let chance = 0.5 + rand::random::<f64>() / 2.0;
        let wait = policy.wait(self.failed, chance, asked);
        self.until = Some(now + wait);
        wait
    }

    fn is_over(self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

impl Pace {
    /// The server failed us; gives how long to leave it alone.
    pub(super) fn server_failed(&mut self, is_draining: bool, asked: Option<Duration>, now: Instant) -> Duration {
        let policy = if is_draining { &SERVER_DRAINING } else { &SERVER };
        self.server.failed(policy, asked, now)
    }

    /// The server answered.
    pub(super) fn server_succeeded(&mut self) {
        self.server = Waiting::default();
    }

    /// A path cannot be sent; gives how long to leave it alone.
    pub(super) fn path_failed(&mut self, path: &StorePath, now: Instant) -> Duration {
        self.paths.entry(path.clone()).or_default().failed(&PATH, None, now)
    }

    /// Tells whether a path has failed since the last [`Pace::hurry`].
    pub(super) fn is_stuck(&self, path: &StorePath) -> bool {
        self.paths.contains_key(path)
    }

    /// A path is done with.
    pub(super) fn forget(&mut self, path: &StorePath) {
        self.paths.remove(path);
    }

    /// Somebody waits: everything gets one more chance at once.
    pub(super) fn hurry(&mut self) {
        *self = Self::default();
    }

    /// Tells whether the server may be asked.
    pub(super) fn server_is_due(&self, now: Instant) -> bool {
        self.server.is_over(now)
    }

    /// Tells whether a path may be tried.
    pub(super) fn path_is_due(&self, path: &StorePath, now: Instant) -> bool {
        self.paths.get(path).is_none_or(|waiting| waiting.is_over(now))
    }

    /// When the next of `paths` will be due, if none is now.
    pub(super) fn next<'a>(&self, paths: impl Iterator<Item = &'a StorePath>, now: Instant) -> Option<Instant> {
        if !self.server_is_due(now) {
            return self.server.until;
        }
        paths.filter_map(|path| self.paths.get(path)?.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> StorePath {
        format!("{}-{name}", "a".repeat(32)).parse().unwrap()
    }

    #[test]
    fn a_server_that_is_away_is_asked_ever_less_often() {
        let now = Instant::now();
        let mut pace = Pace::default();
        let waits: Vec<Duration> = (0..12).map(|_| pace.server_failed(false, None, now)).collect();
        assert!(waits[0] <= Duration::from_secs(1));
        assert!(waits[11] >= Duration::from_secs(30) && waits[11] <= Duration::from_secs(60));
        assert!(!pace.server_is_due(now) && pace.server_is_due(now + waits[11]));
        assert_eq!(pace.next([path("a")].iter(), now), Some(now + waits[11]));
        assert!(pace.server_failed(true, None, now) <= Duration::from_secs(5));
        assert!(pace.server_failed(true, Some(Duration::from_secs(90)), now) >= Duration::from_secs(90));
        pace.server_succeeded();
        assert!(pace.server_is_due(now));
    }

    #[test]
    fn a_path_that_fails_holds_up_no_other() {
        let now = Instant::now();
        let mut pace = Pace::default();
        let wait = pace.path_failed(&path("a"), now);
        assert!(wait >= Duration::from_secs(30));
        assert!(pace.is_stuck(&path("a")) && !pace.path_is_due(&path("a"), now));
        assert!(pace.path_is_due(&path("b"), now));
        assert_eq!(pace.next([path("a")].iter(), now), Some(now + wait));
        pace.hurry();
        assert!(pace.path_is_due(&path("a"), now) && !pace.is_stuck(&path("a")));
    }
}
