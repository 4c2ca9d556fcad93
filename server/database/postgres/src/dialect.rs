//! How PostgreSQL is asked and written to, for the code that both databases share.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use database::{Error, Result};
use sqlx::{PgConnection, Postgres, pool::PoolConnection, raw_sql};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep, timeout},
};

pub(crate) use crate::PostgresDatabase as Index;
use crate::{
    error::{InDoubt, failed, may_pass},
    statistics::Young,
};

/// What a statement is sent through.
pub(crate) type Connection = PgConnection;

/// How long a call goes on while the database is away, restarts or fails over.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one attempt may take: beyond that whoever should answer is gone without a word.
const ATTEMPT: Duration = Duration::from_secs(60);
/// The first pause between two attempts; each next one is twice as long, up to a second.
const PAUSE: Duration = Duration::from_millis(20);

/// The advisory lock that stands for the whole index ("flywheel" in ASCII). Who takes something away, or marks it as broken,
/// takes it alone; who only adds takes it together with the others. It ends with the transaction.
///
/// In one round trip with BEGIN. The lock is fair: who wants it alone is not kept waiting by those who come later.
const BEGIN_ALONE: &str = "BEGIN; SELECT pg_advisory_xact_lock(7380407443112945004)";
const BEGIN_BESIDE: &str = "BEGIN; SELECT pg_advisory_xact_lock_shared(7380407443112945004)";

/// The attempts of one call.
pub(crate) struct Attempts {
    ends: Instant,
    pause: Duration,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self { ends: Instant::now() + PATIENCE, pause: PAUSE }
    }

    /// Makes one attempt. `None` if it failed in a way that may pass; by then it is time for the next one.
    pub(crate) async fn run<T, E: From<Error> + std::error::Error + 'static>(
        &mut self,
        attempt: impl Future<Output = std::result::Result<T, E>>,
    ) -> Option<std::result::Result<T, E>> {
        let Ok(done) = timeout(ATTEMPT, attempt).await else {
            return Some(Err(Error::Unavailable("the database does not answer".into()).into()));
        };
        match &done {
            Err(error) if may_pass(error) && Instant::now() < self.ends => {
                sleep(self.pause.mul_f64(rand::random_range(0.5..1.5))).await;
                self.pause = (self.pause * 2).min(Duration::from_secs(1));
                None
            }
            _ => Some(done),
        }
    }
}

/// A connection out of the pool. It goes back only when it is known to be as good as new, and is closed otherwise: whoever
/// was waiting for an answer may have given up, or the connection is lost.
pub(crate) struct Reader(Option<PoolConnection<Postgres>>);

impl Reader {
    /// Says that all went well.
    pub(crate) fn give_back(mut self) {
        self.0 = None;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

/// A transaction that holds the lock on the index; undone unless it ends well.
pub(crate) struct Writer {
    connection: Reader,
    /// What the loss of the connection means while COMMIT is under way.
    is_repeatable: bool,
    young: Arc<Young>,
    _permit: OwnedSemaphorePermit,
}

impl Writer {
    /// Keeps what was done, if it was.
    pub(crate) async fn end<T, E: From<Error>>(mut self, done: std::result::Result<T, E>) -> std::result::Result<T, E> {
        match done {
            Ok(done) => {
                let committed = raw_sql("COMMIT").execute(&mut *self.connection).await;
                committed.map_err(|error| if self.is_repeatable { failed(error) } else { InDoubt::of(error) })?;
                // If this fails the connection is closed; what was done stays done.
                if !self.young.is_due() || self.young.look(&mut self.connection).await.is_ok() {
                    self.connection.give_back();
                }
                Ok(done)
            }
            Err(error) => {
                // If this fails the connection is closed, which does the same.
                if raw_sql("ROLLBACK").execute(&mut *self.connection).await.is_ok() {
                    self.connection.give_back();
                }
                Err(error)
            }
        }
    }
}

impl Index {
    pub(crate) async fn reader(&self) -> Result<Reader> {
        Ok(Reader(Some(self.pool.acquire().await.map_err(failed)?)))
    }

    /// Begins a transaction that no other one of this index runs beside, here or on another server.
    pub(crate) async fn begin_alone(&self) -> Result<Writer> {
        self.begin(BEGIN_ALONE, false).await
    }

    /// Begins a transaction that others of its kind may run beside; it is repeated if its answer is lost.
    pub(crate) async fn begin_beside(&self) -> Result<Writer> {
        self.begin(BEGIN_BESIDE, true).await
    }

    /// The same, for notes.
    pub(crate) async fn begin_noting(&self) -> Result<Writer> {
        self.begin_beside().await
    }

    async fn begin(&self, begin: &'static str, is_repeatable: bool) -> Result<Writer> {
        let permit = self.writers.clone().acquire_owned().await;
        let permit = permit.map_err(|closed| Error::Unavailable(closed.into()))?;
        let mut connection = self.reader().await?;
        raw_sql(begin).execute(&mut *connection).await.map_err(failed)?;
        Ok(Writer { connection, is_repeatable, young: Arc::clone(&self.young), _permit: permit })
    }
}

/// Keeps others from changing these paths, and waits for those who do; `keys` as in `path_lock.sql`, in its order.
pub(crate) async fn lock_paths(connection: &mut Connection, keys: &str) -> Result<()> {
    sqlx::query_file!("sql/path_lock.sql", keys).fetch_all(connection).await.map_err(failed)?;
    Ok(())
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.as_ref().expect("it is there until it is given back")
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Connection {
        self.0.as_mut().expect("it is there until it is given back")
    }
}

impl Deref for Writer {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Writer {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
