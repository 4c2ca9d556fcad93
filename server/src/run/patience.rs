//! A start that waits for what is away, instead of ending and being started again.

use std::time::Duration;

use crate::journal::JournalError;

/// The first wait; it doubles …
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Makes attempts until one ends otherwise than because the storage or the index is away.
///
/// # Errors
/// That of the last attempt.
pub(super) async fn patiently<T>(
    what: &'static str,
    mut attempt: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut wait = FIRST_WAIT;
    loop {
        match attempt().await {
            Err(error) if may_pass(&error) => {
                let why = format!("{error:#}");
                tracing::warn!(error = why, seconds = wait.as_secs_f32(), "{what}; trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            done => return done,
        }
    }
}

fn may_pass(error: &anyhow::Error) -> bool {
    let is_away = |error: &database::Error| matches!(error, database::Error::Unavailable(_));
    error.chain().any(|cause| match (cause.downcast_ref(), cause.downcast_ref(), cause.downcast_ref()) {
        (Some(JournalError::Database(error)), _, _) | (_, Some(error), _) => is_away(error),
        (_, _, Some(storage::Error::Unavailable(_))) => true,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn away() -> database::Error {
        database::Error::Unavailable("away".into())
    }

    #[test]
    fn what_is_away_passes_and_nothing_else() {
        let storage = || storage::Error::Unavailable("away".into());
        let passes = |error: anyhow::Error| may_pass(&Err::<(), _>(error).context("cannot start").unwrap_err());
        assert!(passes(away().into()) && passes(storage().into()));
        assert!(passes(JournalError::Database(away()).into()) && passes(JournalError::Storage(storage()).into()));
        assert!(!passes(JournalError::Storage(storage::Error::NoSpace("full".into())).into()));
        assert!(!passes(JournalError::Database(database::Error::Failed("broken".into())).into()));
        assert!(!passes(anyhow::anyhow!("something else")));
    }

    #[tokio::test]
    async fn attempts_go_on_until_one_ends_otherwise() {
        let mut attempts = 0;
        let done = patiently("away", async || {
            attempts += 1;
            if attempts < 2 { Err(away().into()) } else { Ok(attempts) }
        });
        assert_eq!(done.await.unwrap(), 2);
        patiently::<()>("away", async || Err(anyhow::anyhow!("broken"))).await.unwrap_err();
    }
}
