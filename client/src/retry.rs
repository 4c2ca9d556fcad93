//! When to try a request again, and how long to wait before.

use std::{future::Future, num::NonZeroU32, time::Duration};

/// How often to try, and how the waits grow.
///
/// The wait before attempt *n* + 1 is drawn evenly from 0 up to `base` × 2^(*n* − 1), but no more than `cap` ("full jitter"):
/// many clients that lost the same server then do not come back in step. A server that says `Retry-After` is heard: the wait is
/// at least that long, up to `longest_asked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often to try in all; 1 means never again.
    pub attempts: NonZeroU32,
    /// The upper bound of the first wait.
    pub base: Duration,
    /// The upper bound of any wait that we choose.
    pub cap: Duration,
    /// The longest `Retry-After` that is obeyed; a longer one is shortened to it.
    pub longest_asked: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: NonZeroU32::new(6).unwrap_or(NonZeroU32::MIN),
            base: Duration::from_millis(500),
            cap: Duration::from_secs(20),
            longest_asked: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// The wait after `failed` failed attempts (1 for the first), for a `chance` from 0 to 1.
    #[must_use]
    pub fn wait(&self, failed: u32, chance: f64, asked: Option<Duration>) -> Duration {
        let doubled = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let bound = self.base.saturating_mul(doubled).min(self.cap);
        let jitter = bound.mul_f64(chance.clamp(0.0, 1.0));
        match asked {
            // The jitter comes on top, so that clients told the same time still spread.
            Some(asked) => asked.min(self.longest_asked) + jitter.min(self.base),
            None => jitter,
        }
    }
}

/// What an error says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The same request will fail the same way.
    Never,
    /// It may succeed later; the server may have said when.
    After(Option<Duration>),
}

/// An error that knows whether trying again may help.
pub trait Retryable {
    /// Tells whether the same request may succeed later.
    fn again(&self) -> Again;
}

/// Does `attempt` until it succeeds, fails for good, or has been tried often enough; `waiting` hears of each wait.
///
/// # Errors
/// The error of the last attempt.
pub async fn retry<T, E, F>(
    policy: &RetryPolicy,
    mut attempt: impl FnMut() -> F,
    mut waiting: impl FnMut(u32, Duration, &E),
) -> Result<T, E>
where
    E: Retryable,
    F: Future<Output = Result<T, E>>,
{
    let mut failed = 0;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        failed += 1;
        let Again::After(asked) = error.again() else { return Err(error) };
        if failed >= policy.attempts.get() {
            return Err(error);
        }
        let wait = policy.wait(failed, rand::random(), asked);
        waiting(failed, wait, &error);
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: NonZeroU32::new(4).unwrap(),
        base: Duration::from_millis(100),
        cap: Duration::from_millis(350),
        longest_asked: Duration::from_secs(5),
    };

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let bounds: Vec<u128> = (1..=5).map(|failed| POLICY.wait(failed, 1.0, None).as_millis()).collect();
        assert_eq!(bounds, [100, 200, 350, 350, 350]);
        assert_eq!(POLICY.wait(3, 0.0, None), Duration::ZERO);
        assert_eq!(POLICY.wait(2, 0.5, None), Duration::from_millis(100));
        assert_eq!(POLICY.wait(u32::MAX, 1.0, None), POLICY.cap);
    }

    #[test]
    fn a_server_that_names_a_time_is_heard_within_reason() {
        assert_eq!(POLICY.wait(1, 0.0, Some(Duration::from_secs(2))), Duration::from_secs(2));
        assert_eq!(POLICY.wait(3, 1.0, Some(Duration::from_secs(2))), Duration::from_millis(2100));
        assert_eq!(POLICY.wait(1, 0.0, Some(Duration::from_secs(3600))), Duration::from_secs(5));
    }

    #[derive(Debug, PartialEq)]
    struct Failure(u32, Again);

    impl Retryable for Failure {
        fn again(&self) -> Again {
            self.1
        }
    }

    async fn run(outcomes: Vec<Result<&'static str, Again>>) -> (Result<&'static str, Failure>, u32, Vec<u32>) {
        let policy = RetryPolicy { base: Duration::ZERO, ..POLICY };
        let (mut tried, mut waits) = (0, Vec::new());
        let mut outcomes = outcomes.into_iter();
        let result = retry(
            &policy,
            || {
                tried += 1;
                let outcome = outcomes.next().unwrap().map_err(|again| Failure(tried, again));
                async move { outcome }
            },
            |failed, _, _| waits.push(failed),
        )
        .await;
        (result, tried, waits)
    }

    #[tokio::test]
    async fn tries_until_success() {
        let later = Err(Again::After(None));
        assert_eq!(run(vec![later, later, Ok("done")]).await, (Ok("done"), 3, vec![1, 2]));
    }

    #[tokio::test]
    async fn gives_up_at_once_when_told_never_and_at_last_otherwise() {
        assert_eq!(run(vec![Err(Again::Never)]).await, (Err(Failure(1, Again::Never)), 1, vec![]));
        let later = Err(Again::After(None));
        assert_eq!(run(vec![later; 9]).await, (Err(Failure(4, Again::After(None))), 4, vec![1, 2, 3]));
    }
}
