//! Taking turns: of all replicas one works, under a lease that is renewed while it does.

use std::{sync::Arc, time::Duration};

use database::{Database, Lease};
use protocol::Clock;
use tokio_util::sync::CancellationToken;

use super::InspectError;

/// How long a lease holds without being renewed; it is renewed at a quarter of that.
const LEASE: Duration = Duration::from_secs(120);

/// Whose turn it is to do something.
#[derive(Debug)]
pub(super) struct Turn {
    name: &'static str,
    holder: String,
    database: Arc<dyn Database>,
    clock: Arc<dyn Clock>,
}

impl Turn {
    pub(super) fn new(name: &'static str, database: Arc<dyn Database>, clock: Arc<dyn Clock>) -> Self {
        Self { name, holder: format!("{:032x}", rand::random::<u128>()), database, clock }
    }

    /// Does `work` if it is this process's turn. `None` if it is not, if the turn is lost, or if the process is to stop: `work`
    /// is dropped where it stands then.
    pub(super) async fn take<T>(
        &self,
        stop: &CancellationToken,
        work: impl Future<Output = Result<T, InspectError>>,
    ) -> Result<Option<T>, InspectError> {
        if !self.acquire().await? {
            return Ok(None);
        }
        let lost = async {
            loop {
                tokio::time::sleep(LEASE / 4).await;
                match self.acquire().await {
                    Ok(true) => {}
                    Ok(false) => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
        };
        tokio::select! {
            done = work => done.map(Some),
            lost = lost => lost,
            () = stop.cancelled() => Ok(None),
        }
    }

    async fn acquire(&self) -> Result<bool, InspectError> {
        let now = self.clock.now();
        let lease = Lease { name: self.name.to_owned(), holder: self.holder.clone(), until: now.plus(LEASE) };
        Ok(self.database.acquire_lease(&lease, now).await?)
    }

    /// Lets somebody else have it.
    pub(super) async fn give_up(&self) {
        if let Err(error) = self.database.release_lease(self.name, &self.holder).await {
            tracing::debug!(%error, lease = self.name, "a lease could not be given back; it runs out by itself");
        }
    }
}
