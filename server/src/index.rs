//! Opening the index that the configuration names.

use std::{os::unix::fs::DirBuilderExt, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use database::Database;
use postgres::PostgresDatabase;
use tokio::time::{Instant, sleep};

use crate::config::{Config, DatabaseUrl, Postgresql};

/// The first pause while a database is waited for; each next one is twice as long, up to …
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The index that the configuration names.
///
/// A database that is away is waited for, for as long as the configuration says: it may be starting as we are.
///
/// # Errors
/// If it cannot be opened.
pub async fn open_database(config: &Config) -> anyhow::Result<Arc<dyn Database>> {
    open_url(&config.database.url, config.database.heartbeat, &config.flywheel.postgresql).await
}

/// As [`open_database`], at another place.
///
/// # Errors
/// If it cannot be opened.
pub async fn open_url(url: &DatabaseUrl, heartbeat: bool, settings: &Postgresql) -> anyhow::Result<Arc<dyn Database>> {
    match url {
        DatabaseUrl::Sqlite(path) => open_sqlite(path).await,
        DatabaseUrl::Postgres(url) => {
            let options = postgres::Options { max_connections: settings.max_connections.get().into(), heartbeat };
            let ends = Instant::now() + settings.start_timeout.0;
            let mut pause = PAUSE;
            loop {
                match PostgresDatabase::connect(url.expose(), options).await {
                    Ok(database) => return Ok(Arc::new(database)),
                    Err(error) if error.may_pass() && Instant::now() + pause < ends => {
                        let why = error_chain(&error);
                        tracing::warn!(error = why, retry_ms = pause.as_millis(), "waiting for the database");
                        sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                    Err(error) => return Err(error).context("cannot open the index"),
                }
            }
        }
    }
}

async fn open_sqlite(path: &Path) -> anyhow::Result<Arc<dyn Database>> {
    if let Some(folder) = path.parent() {
        // Only for its owner: the index holds the secret keys of the caches.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let database = sqlite::SqliteDatabase::open(path).await;
    Ok(Arc::new(database.with_context(|| format!("cannot open the index {}", path.display()))?))
}

/// An error with what caused it.
fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}
