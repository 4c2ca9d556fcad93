//! A store that fails on purpose, by plan.

mod plan;

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};

use crate::{Error, Key, Result, Storage, Writer};
pub use plan::{Fault, FaultPlan, Operation};

/// A decorator that disturbs a store as a [`FaultPlan`] says. Clones share the store and the plan.
#[derive(Debug, Clone)]
pub struct FaultyStorage<S> {
    inner: S,
    plan: SharedPlan,
}

type SharedPlan = Arc<Mutex<FaultPlan>>;

impl<S> FaultyStorage<S> {
    /// Disturbs `inner` by `plan`.
    pub fn new(inner: S, plan: FaultPlan) -> Self {
        Self { inner, plan: Arc::new(Mutex::new(plan)) }
    }

    /// Follows `plan` from now on; operations are counted anew.
    pub fn set_plan(&self, plan: FaultPlan) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// How many operations there have been since the plan was set.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).operations()
    }

    /// The store behind.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

/// Does `work`, disturbed by what the plan has for this operation. `work` is told how to distort bytes.
async fn disturbed<T>(
    plan: &SharedPlan,
    operation: Operation,
    work: impl AsyncFnOnce(Distortion) -> Result<T>,
) -> Result<T> {
    let fault = plan.lock().unwrap_or_else(PoisonError::into_inner).next(operation);
    match fault {
        None => work(Distortion::None).await,
        Some(Fault::Fail) => Err(injected()),
        Some(Fault::FailAfter) => {
            work(Distortion::None).await?;
            Err(injected())
        }
        Some(Fault::Full) => Err(Error::from(io::Error::from(io::ErrorKind::StorageFull))),
        Some(Fault::Delay(duration)) => {
            tokio::time::sleep(duration).await;
            work(Distortion::None).await
        }
        Some(Fault::Truncate(length)) => work(Distortion::Truncate(length)).await,
        Some(Fault::Corrupt) => work(Distortion::Corrupt).await,
    }
}

fn injected() -> Error {
    Error::Unavailable("injected fault".into())
}

/// What happens to bytes on their way.
#[derive(Clone, Copy)]
enum Distortion {
    None,
    Truncate(usize),
    Corrupt,
}

impl Distortion {
    fn apply(self, bytes: Bytes) -> Bytes {
        match self {
            Self::None => bytes,
            Self::Truncate(length) => bytes.slice(..length.min(bytes.len())),
            Self::Corrupt => {
                let mut changed = bytes.to_vec();
                let middle = changed.len() / 2;
                if let Some(byte) = changed.get_mut(middle) {
                    *byte ^= 1;
                }
                changed.into()
            }
        }
    }
}

#[async_trait]
impl<S: Storage> Storage for FaultyStorage<S> {
    async fn put(&self, key: &Key, body: Bytes) -> Result<()> {
        disturbed(&self.plan, Operation::Put, async |d| self.inner.put(key, d.apply(body)).await).await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Writer>> {
        let writer = disturbed(&self.plan, Operation::Begin, async |_| self.inner.begin(key).await).await?;
        Ok(Box::new(FaultyWriter { inner: writer, key: key.clone(), plan: Arc::clone(&self.plan), is_broken: false }))
    }

    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let wanted = range.end.saturating_sub(range.start);
        let read = async |d: Distortion| {
            let body = d.apply(self.inner.read(key, range).await?);
            let got = body.len() as u64;
            if got < wanted { Err(Error::Truncated { key: key.clone(), wanted, got }) } else { Ok(body) }
        };
        disturbed(&self.plan, Operation::Read, read).await
    }

    fn extent_size(&self) -> u64 {
        self.inner.extent_size()
    }

    fn write_size(&self) -> u64 {
        self.inner.write_size()
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        disturbed(&self.plan, Operation::Size, async |_| self.inner.size(key).await).await
    }

    async fn ping(&self) -> Result<()> {
        disturbed(&self.plan, Operation::Ping, async |_| self.inner.ping().await).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        disturbed(&self.plan, Operation::Delete, async |_| self.inner.delete(key).await).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<(Key, u64)>> {
        let prefix = prefix.to_owned();
        let begun = async move {
            match disturbed(&self.plan, Operation::List, async |_| Ok(())).await {
                Ok(()) => self.inner.list(&prefix),
                Err(e) => stream::iter([Err(e)]).boxed(),
            }
        };
        stream::once(begun).flatten().boxed()
    }

    async fn abort_unfinished(&self, prefix: &str, begun_before: i64) -> Result<u64> {
        disturbed(&self.plan, Operation::Delete, async |_| self.inner.abort_unfinished(prefix, begun_before).await)
            .await
    }
}

struct FaultyWriter {
    inner: Box<dyn Writer>,
    key: Key,
    plan: SharedPlan,
    /// A write failed, perhaps without the store behind knowing of it.
    is_broken: bool,
}

#[async_trait]
impl Writer for FaultyWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let was_broken = std::mem::replace(&mut self.is_broken, true);
        if was_broken {
            return Err(Error::Interrupted { key: self.key.clone() });
        }
        let inner = &mut self.inner;
        disturbed(&self.plan, Operation::Write, async |d| inner.write(d.apply(bytes)).await).await?;
        self.is_broken = false;
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let Self { inner, key, plan, is_broken } = *self;
        if is_broken {
            return Err(Error::Interrupted { key });
        }
        disturbed(&plan, Operation::Finish, async |_| inner.finish().await).await
    }
}

#[cfg(test)]
mod tests;
