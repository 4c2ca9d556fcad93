//! Bytes under keys: a folder, memory, and a store that fails on purpose.
//!
//! A store knows nothing of what it holds. Its contract is small enough for a folder and for an S3 bucket alike: whole
//! objects appear at once, are read in bounded pieces, and are never changed in place.

pub mod conformance;
mod error;
mod faulty;
mod file;
mod key;
mod local;
mod memory;

use std::{fmt::Debug, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};

pub use error::{Cause, Error, Result};
pub use faulty::{Fault, FaultPlan, FaultyStorage, Operation};
pub use file::{FilePart, LONGEST_PART};
pub use key::{Key, KeyError};
pub use local::{LocalStorage, OpenError};
pub use memory::MemoryStorage;

/// What a store reads at once if a request costs it next to nothing: large enough that a read costs little per byte, small enough
/// that many readers fit in memory.
pub const EXTENT_BYTES: u64 = 512 << 10;

/// Bytes under keys. Writes are atomic: a reader sees all of an object or none of it.
///
/// Every method may be called from many tasks at once. A future that is dropped leaves either the whole effect or none.
/// A key must not be a folder of another one: with an object `a`, a store may refuse `a/b`.
#[async_trait]
pub trait Storage: Send + Sync + Debug {
    /// Stores an object, in place of any that was there. It survives a crash of the machine once this returns.
    async fn put(&self, key: &Key, body: Bytes) -> Result<()>;

    /// Begins an object whose length is not known yet. Nothing of it is visible until [`Writer::finish`] returns.
    async fn begin(&self, key: &Key) -> Result<Box<dyn Writer>>;

    /// Reads exactly the bytes of `range`; fewer are [`Error::Truncated`], no object is [`Error::NotFound`].
    ///
    /// The answer is held in memory whole: callers read in bounded pieces.
    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes>;

    /// Reads the bytes of `range` piece by piece. Errors that are known at once, such as [`Error::NotFound`], come at once.
    ///
    /// The pieces make up the range exactly, or the last one is an error. Not more than a bounded part of them is held in memory
    /// if the range is not longer than [`Storage::extent_size`].
    async fn stream(&self, key: &Key, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes>>> {
        let bytes = self.read(key, range).await?;
        Ok(stream::once(async { Ok(bytes) }).boxed())
    }

    /// The bytes of `range`, if they are to be had without waiting.
    fn read_now(&self, _key: &Key, _range: &Range<u64>) -> Option<Bytes> {
        None
    }

    /// The bytes of `range` where they are, if that is a file of this machine from which they can be sent at once without a look at
    /// them: the system has them in its memory, and they were noted as whole since the file was last written to.
    fn in_file(&self, _key: &Key, _range: &Range<u64>) -> Option<FilePart> {
        None
    }

    /// Notes that somebody who read the bytes of `range` found them to be whole.
    fn note_whole(&self, _key: &Key, _range: &Range<u64>) {}

    /// The most adjacent bytes that are to be asked for at once: where each request costs time, many.
    fn extent_size(&self) -> u64 {
        EXTENT_BYTES
    }

    /// How many bytes are worth a request that writes. Where each costs money and a round trip, whoever can wait gathers as many.
    fn write_size(&self) -> u64 {
        0
    }

    /// Answers if the store does, quickly.
    async fn ping(&self) -> Result<()>;

    /// The length of an object, if there is one.
    async fn size(&self, key: &Key) -> Result<Option<u64>>;

    /// Removes an object; that there is none is success. A crash soon after may bring it back.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Every object whose key starts with `prefix`, with its length, in ascending order of the keys' bytes.
    ///
    /// The prefix is plain text: `packs/0` names `packs/0a` too. Objects that come or go meanwhile may be missed.
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<(Key, u64)>>;

    /// Removes what is left of objects below `prefix` that somebody began to write before that time, in seconds since 1970, and
    /// never finished; says how many there were. A store that sees to that by itself has nothing to do.
    async fn abort_unfinished(&self, _prefix: &str, _begun_before: i64) -> Result<u64> {
        Ok(0)
    }
}

/// An object that is being written. Dropped without [`Writer::finish`], it leaves nothing that a reader could see.
#[async_trait]
pub trait Writer: Send {
    /// Appends bytes. After a failure, or a future that was dropped, [`Writer::finish`] refuses.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the object visible. It survives a crash of the machine once this returns.
    async fn finish(self: Box<Self>) -> Result<()>;
}

#[async_trait]
impl<S: Storage + ?Sized> Storage for Arc<S> {
    async fn put(&self, key: &Key, body: Bytes) -> Result<()> {
        (**self).put(key, body).await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Writer>> {
        (**self).begin(key).await
    }

    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        (**self).read(key, range).await
    }

    async fn stream(&self, key: &Key, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes>>> {
        (**self).stream(key, range).await
    }

    fn read_now(&self, key: &Key, range: &Range<u64>) -> Option<Bytes> {
        (**self).read_now(key, range)
    }

    fn in_file(&self, key: &Key, range: &Range<u64>) -> Option<FilePart> {
        (**self).in_file(key, range)
    }

    fn note_whole(&self, key: &Key, range: &Range<u64>) {
        (**self).note_whole(key, range);
    }

    fn extent_size(&self) -> u64 {
        (**self).extent_size()
    }

    fn write_size(&self) -> u64 {
        (**self).write_size()
    }

    async fn ping(&self) -> Result<()> {
        (**self).ping().await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        (**self).size(key).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        (**self).delete(key).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<(Key, u64)>> {
        (**self).list(prefix)
    }

    async fn abort_unfinished(&self, prefix: &str, begun_before: i64) -> Result<u64> {
        (**self).abort_unfinished(prefix, begun_before).await
    }
}
