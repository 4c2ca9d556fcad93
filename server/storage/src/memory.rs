//! A store in memory, for tests.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream, stream::BoxStream};

use crate::{Error, Key, Result, Storage, Writer};

/// Objects in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage(Arc<Mutex<BTreeMap<Key, Bytes>>>);

impl MemoryStorage {
    /// A store without objects.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<Key, Bytes>> {
        // No method panics while it holds the lock, so a poisoned map is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn put(&self, key: &Key, body: Bytes) -> Result<()> {
        self.objects().insert(key.clone(), body);
        Ok(())
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Writer>> {
        Ok(Box::new(MemoryWriter { storage: self.clone(), key: key.clone(), body: BytesMut::new() }))
    }

    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let body = self.objects().get(key).cloned().ok_or_else(|| Error::NotFound { key: key.clone() })?;
        let wanted = range.end.saturating_sub(range.start);
        let place = |at: u64| usize::try_from(at).ok().filter(|&at| at <= body.len());
        match (place(range.start), place(range.end)) {
            _ if wanted == 0 => Ok(Bytes::new()),
            (Some(start), Some(end)) => Ok(body.slice(start..end)),
            _ => {
                let got = (body.len() as u64).saturating_sub(range.start).min(wanted);
                Err(Error::Truncated { key: key.clone(), wanted, got })
            }
        }
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        Ok(self.objects().get(key).map(|body| body.len() as u64))
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.objects().remove(key);
        Ok(())
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<(Key, u64)>> {
        let objects = self.objects();
        let found = objects.iter().filter(|(key, _)| key.as_str().starts_with(prefix));
        let found: Vec<_> = found.map(|(key, body)| Ok((key.clone(), body.len() as u64))).collect();
        stream::iter(found).boxed()
    }
}

struct MemoryWriter {
    storage: MemoryStorage,
    key: Key,
    body: BytesMut,
}

#[async_trait]
impl Writer for MemoryWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.body.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        self.storage.put(&self.key, self.body.freeze()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn conforms() {
        crate::conformance::all(|| async { MemoryStorage::new() }).await;
    }
}
