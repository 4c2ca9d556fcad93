//! What the server does now and then beside its requests.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{app::App, config::Config};

/// How often old rows are forgotten.
const INTERVAL: Duration = Duration::from_secs(3600);
/// How many at once: no statement takes long, and writers wait for none.
const BATCH: u32 = 1000;

/// How long rows are kept that nothing but people reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    ended_tokens: Duration,
    acts: Duration,
    max_acts: u64,
}

impl Keep {
    pub(crate) fn of(config: &Config) -> Self {
        let (tokens, audit) = (&config.flywheel.tokens, &config.flywheel.audit);
        Self { ended_tokens: tokens.keep_ended.0, acts: audit.keep.0, max_acts: audit.max_rows }
    }
}

/// Forgets old rows at the start and every hour. Replicas that do it at once do no harm.
pub(crate) fn forget(app: App, keep: Keep, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                result = forget_once(&app, keep) => {
                    if let Err(error) = result {
                        tracing::warn!(%error, "old tokens and acts could not be forgotten");
                    }
                }
            }
            if tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_ok() {
                return;
            }
        }
    })
}

async fn forget_once(app: &App, keep: Keep) -> database::Result<()> {
    let now = app.clock.now();
    while app.database.prune_tokens(now.minus(keep.ended_tokens), BATCH).await? > 0 {}
    while app.database.prune_acts(now.minus(keep.acts), keep.max_acts, BATCH).await? > 0 {}
    Ok(())
}
