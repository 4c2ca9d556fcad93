//! Connecting, and bringing the schema up to date.

use std::{str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgConnection, Postgres,
    migrate::{MigrateError, Migrator},
    pool::PoolOptions,
    postgres::PgConnectOptions,
};
use tokio::sync::Semaphore;

use crate::{PostgresDatabase, revision::Line};

static MIGRATIONS: Migrator = sqlx::migrate!("../../../migrations/postgres");

/// How long a call waits for a connection, made anew if need be.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// What every connection asks for, whatever the database's defaults are.
const SETTINGS: [(&str, &str); 9] = [
    // What the shared code is written for.
    ("default_transaction_isolation", "read committed"),
    // A server that was cut off in the midst of a transaction must not keep its locks; no lock is waited for without end.
    ("idle_in_transaction_session_timeout", "60s"),
    ("lock_timeout", "30s"),
    // Every statement is a walk along indices, whatever was known of the tables when it was first planned.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    // It would take longer than any of the statements.
    ("jit", "off"),
    ("application_name", "flywheel-cache"),
];

/// How to connect.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The most connections that are open at once, beside the one that tells where the index stands.
    pub max_connections: u32,
    /// Whether a connection is asked for a sign of life before each use. Without that a lost one is seen when it is used,
    /// and the statement sent again.
    pub heartbeat: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_connections: 8, heartbeat: false }
    }
}

/// Why an index cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The address cannot be read.
    #[error("this is no address of a PostgreSQL database, as postgresql://user:password@host/database is")]
    Url(#[source] sqlx::Error),
    /// The database does not let us in, or is not there.
    #[error("cannot connect to {place}")]
    Connect {
        /// The address without its password.
        place: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// The database cannot hold every text.
    #[error("the database {place} has the encoding {encoding}: make it with the encoding UTF8")]
    Encoding {
        /// The address without its password.
        place: String,
        /// What it has.
        encoding: String,
    },
    /// A later version of this program has changed the schema.
    #[error("the index {place} was changed by a newer version of this program (migration {version} is not known here)")]
    Newer {
        /// The address without its password.
        place: String,
        /// The first migration that is not known.
        version: i64,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot bring the index {place} up to date")]
    Migrate {
        /// The address without its password.
        place: String,
        /// Why not.
        #[source]
        source: MigrateError,
    },
}

impl OpenError {
    /// Whether the same may succeed later, when the database has started.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connect { source, .. } => crate::error::may_pass(source),
            Self::Migrate { source: MigrateError::Execute(source), .. } => crate::error::may_pass(source),
            Self::Url(_) | Self::Encoding { .. } | Self::Newer { .. } | Self::Migrate { .. } => false,
        }
    }
}

impl PostgresDatabase {
    /// Opens the index at an address (`postgresql://user:password@host/database?sslmode=require`), and brings its schema up
    /// to date.
    ///
    /// # Errors
    /// If the address is malformed, the database is away, or it holds the index of a newer version.
    pub async fn connect(url: &str, options: Options) -> Result<Self, OpenError> {
        let connecting = PgConnectOptions::from_str(url).map_err(OpenError::Url)?;
        let place = place(&connecting);
        let connecting = connecting.options(SETTINGS);
        let mut connection =
            connecting.connect().await.map_err(|source| OpenError::Connect { place: place.clone(), source })?;
        prepare(&mut connection, &place).await?;
        // It served its purpose, whatever it says in the end.
        let _ = connection.close().await;
        let line = Line::open(&connecting);
        let pool = PoolOptions::<Postgres>::new()
            .max_connections(options.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(options.heartbeat)
            .connect_lazy_with(connecting);
        let writers = Arc::new(Semaphore::new((options.max_connections as usize).div_ceil(2).max(1)));
        Ok(Self { pool, writers, young: Arc::default(), line, place })
    }
}

/// Checks the database and applies what is missing. One migrator at a time: sqlx takes an advisory lock for as long.
async fn prepare(connection: &mut PgConnection, place: &str) -> Result<(), OpenError> {
    let place = || place.to_owned();
    let failed = |source| OpenError::Connect { place: place(), source };
    let encoding: String =
        sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut *connection).await.map_err(failed)?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding { place: place(), encoding });
    }
    // Another one may be at it, and a large table takes its time.
    sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0").execute(&mut *connection).await.map_err(failed)?;
    MIGRATIONS.run(connection).await.map_err(|source| match source {
        MigrateError::VersionMissing(version) => OpenError::Newer { place: place(), version },
        source => OpenError::Migrate { place: place(), source },
    })
}

/// Where it is, for messages.
fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    format!("postgresql://{}:{}/{database}", options.get_host(), options.get_port())
}
