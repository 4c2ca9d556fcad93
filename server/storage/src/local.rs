//! A store in a folder of a file system.
//!
//! ```text
//! lock       held while a server uses the folder
//! objects/   one file per object, at its key
//! tmp/       unfinished writes; swept when the folder is opened
//! ```
//! A write goes to a file in `tmp/`, is fsynced, and is renamed into `objects/`, whose directory is fsynced too.

mod cached;
mod folders;
mod handles;
mod list;
mod turns;
mod whole;
mod writer;

use std::{
    fs::{self, DirBuilder, File},
    hash::BuildHasher,
    io,
    ops::Range,
    os::unix::fs::{DirBuilderExt, FileExt},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use memory::Buffers;
use rustix::fs::FlockOperation;

use crate::{Error, FilePart, Key, LONGEST_PART, Result, Storage, Writer};
use folders::Folders;
use handles::Handles;
use turns::Turns;
use writer::{LocalWriter, Unfinished};

/// The most bytes that are copied without handing it to another thread: some 100 µs.
const MOST_AT_ONCE: u64 = 1 << 20;

/// A store in a folder, for one server or for several that share an index; clones share everything.
#[derive(Debug, Clone)]
pub struct LocalStorage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `objects/`.
    objects: PathBuf,
    /// `tmp/`.
    unfinished: PathBuf,
    /// Names the next file in `tmp/`.
    next_unfinished: AtomicU64,
    /// Keeps the files of processes apart that write there beside the one that holds the lock, whose prefix is empty.
    unfinished_prefix: String,
    /// The directories under `objects/`.
    folders: Folders,
    /// Open files of recently read objects.
    handles: Handles,
    /// What is read goes into.
    buffers: Buffers,
    /// Who reads what at the moment.
    turns: Turns,
    /// Locked until it is closed; none in a process beside the one that holds the lock.
    _lock: Option<File>,
}

/// Why a folder cannot be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the storage folder {0} is in use by another server")]
    InUse(PathBuf),
    /// It cannot be made, read or written.
    #[error("the storage folder {folder} cannot be used")]
    Unusable {
        /// Which.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LocalStorage {
    /// Opens the store in `folder`, makes the folder if there is none, and sweeps away what a crash left unfinished.
    ///
    /// # Errors
    /// If another process uses the folder, or this one may not.
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::open_as(folder.into(), Owner::Alone).await
    }

    /// Opens the store in `folder` together with other servers that open it in this way. What a crash left unfinished is swept
    /// away by one that finds itself alone.
    ///
    /// # Errors
    /// If a server that must be alone uses the folder, or this one may not.
    pub async fn open_shared(folder: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::open_as(folder.into(), Owner::Shared).await
    }

    /// Opens the store in `folder` beside a server that may have it open: for a few objects whose keys nobody else uses.
    ///
    /// # Errors
    /// If this process may not use the folder.
    pub async fn open_beside(folder: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::open_as(folder.into(), Owner::Beside).await
    }

    async fn open_as(folder: PathBuf, owner: Owner) -> Result<Self, OpenError> {
        let opened = tokio::task::spawn_blocking({
            let folder = folder.clone();
            move || open(&folder, owner)
        });
        let opened = opened.await.map_err(io::Error::other).flatten();
        match opened {
            Ok(inner) => Ok(Self(Arc::new(inner))),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(OpenError::InUse(folder)),
            Err(source) => Err(OpenError::Unusable { folder, source }),
        }
    }

    /// Does `work` on a thread that may block.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|e| Error::Unavailable(Box::new(e)))?
    }
}

/// Who opens a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The one process that takes the lock.
    Alone,
    /// One of several that hold the lock together.
    Shared,
    /// A process that does without.
    Beside,
}

/// Takes the lock together with others; `true` if nobody else has it, and until it is shared nobody else gets it.
fn lock_with_others(lock: &File) -> io::Result<bool> {
    // Who starts first has it alone for as long as it sweeps.
    let mut attempts = 0..100;
    loop {
        if rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(true);
        }
        match rustix::fs::flock(lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(false),
            Err(error) if attempts.next().is_none() => return Err(error.into()),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    }
}

fn open(folder: &Path, owner: Owner) -> io::Result<Inner> {
    let (objects, unfinished) = (folder.join("objects"), folder.join("tmp"));
    // For its owner only: caches may be private.
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let lock = match owner {
        Owner::Alone | Owner::Shared => {
            Some(File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?)
        }
        Owner::Beside => None,
    };
    let is_alone = match (owner, &lock) {
        (Owner::Alone, Some(lock)) => {
            rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive)?;
            true
        }
        (Owner::Shared, Some(lock)) => lock_with_others(lock)?,
        _ => false,
    };
    for child in [&objects, &unfinished] {
        fs::create_dir_all(child)?;
    }
    File::open(folder)?.sync_all()?;
    let mut swept = 0_u64;
    // Only whoever is alone here knows that nobody is still writing them.
    if is_alone {
        for entry in fs::read_dir(&unfinished)? {
            fs::remove_file(entry?.path())?;
            swept += 1;
        }
    }
    if let (Owner::Shared, true, Some(lock)) = (owner, is_alone, &lock) {
        rustix::fs::flock(lock, FlockOperation::NonBlockingLockShared)?;
    }
    if swept > 0 {
        tracing::info!(storage.swept = swept, "removed unfinished writes of an earlier run");
    }
    let folders = Folders::new(objects.clone());
    let (next_unfinished, handles, buffers) = (AtomicU64::new(0), Handles::default(), Buffers::default());
    let unfinished_prefix = match owner {
        Owner::Alone => String::new(),
        // Not the number of the process alone: others may count theirs on another machine.
        Owner::Shared => {
            let salt = std::collections::hash_map::RandomState::new().hash_one(std::process::id());
            format!("{}-{salt:016x}-", std::process::id())
        }
        Owner::Beside => format!("{}-", std::process::id()),
    };
    Ok(Inner {
        objects,
        unfinished,
        next_unfinished,
        unfinished_prefix,
        folders,
        handles,
        turns: Turns::default(),
        buffers,
        _lock: lock,
    })
}

impl Inner {
    fn path(&self, key: &Key) -> PathBuf {
        self.objects.join(key.as_str())
    }

    fn read(&self, key: &Key, range: &Range<u64>) -> Result<Bytes> {
        let object = match self.handles.open(key, &self.path(key)) {
            Ok(object) => object,
            Err(e) => {
                if e.kind() == io::ErrorKind::NotFound {
                    self.is_there()?;
                }
                return Err(Error::from_io(key, e));
            }
        };
        let wanted = range.end.saturating_sub(range.start);
        let truncated = |length: u64| Error::Truncated {
            key: key.clone(),
            wanted,
            got: length.saturating_sub(range.start).min(wanted),
        };
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        // Compared before anything is allocated.
        if range.end > object.length {
            return Err(truncated(object.length));
        }
        let length = usize::try_from(wanted).map_err(|_| truncated(object.length))?;
        match self.buffers.filled(length, |body| object.file.read_exact_at(body, range.start)) {
            Ok(body) => Ok(body),
            // Something cut the file short since it was opened.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(truncated(object.file.metadata()?.len())),
            Err(e) => Err(e.into()),
        }
    }

    /// The bytes, if that takes no waiting and is not much: the object is open, and the system has them in its cache.
    fn read_cached(&self, key: &Key, range: &Range<u64>) -> Option<Bytes> {
        let length = range.end.checked_sub(range.start).filter(|length| (1..=MOST_AT_ONCE).contains(length))?;
        let object = self.handles.known(key).filter(|object| range.end <= object.length)?;
        let length = usize::try_from(length).ok()?;
        // Whatever is wrong, the way that may wait says it better.
        self.buffers.filled(length, |body| cached::read(&object.file, body, range.start)).ok()
    }

    fn in_file(&self, key: &Key, range: &Range<u64>) -> Option<FilePart> {
        let object = self.handles.known(key)?;
        if !object.whole.has(range) || range.end.checked_sub(range.start).is_none_or(|length| length > LONGEST_PART) {
            return None;
        }
        if !object.is_as_opened() {
            self.handles.forget(key);
            return None;
        }
        cached::holds(&object.file, range).then(|| FilePart::new(Arc::clone(&object.file), range.clone()))
    }

    fn size(&self, key: &Key) -> Result<Option<u64>> {
        match fs::metadata(self.path(key)) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Ok(None),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                self.is_there()?;
                Ok(None)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Tells an object that is gone from a disk that is: the first is damage for ever, the second passes.
    fn is_there(&self) -> Result<()> {
        fs::metadata(&self.objects).map(drop).map_err(|e| Error::Unavailable(Box::new(e)))
    }

    fn delete(&self, key: &Key) -> Result<()> {
        let removed = fs::remove_file(self.path(key));
        self.handles.forget(key);
        match removed {
            Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Err(e.into()),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Storage for LocalStorage {
    async fn put(&self, key: &Key, body: Bytes) -> Result<()> {
        let key = key.clone();
        self.blocking(move |inner| {
            let mut unfinished = Unfinished::create(inner)?;
            unfinished.append(&body)?;
            unfinished.publish(inner, &key)
        })
        .await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Writer>> {
        let unfinished = self.blocking(Unfinished::create).await?;
        Ok(Box::new(LocalWriter::new(self.clone(), key.clone(), unfinished)))
    }

    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        if let Some(bytes) = self.read_now(key, &range) {
            return Ok(bytes);
        }
        let turn = self.0.turns.take(key).await;
        let key = key.clone();
        self.blocking(move |inner| {
            // Kept until the read has ended, also when nobody waits for it any more.
            let _turn = turn;
            inner.read(&key, &range)
        })
        .await
    }

    fn read_now(&self, key: &Key, range: &Range<u64>) -> Option<Bytes> {
        self.0.read_cached(key, range)
    }

    fn in_file(&self, key: &Key, range: &Range<u64>) -> Option<FilePart> {
        self.0.in_file(key, range)
    }

    fn note_whole(&self, key: &Key, range: &Range<u64>) {
        if let Some(object) = self.0.handles.known(key) {
            object.whole.note(range);
        }
    }

    async fn ping(&self) -> Result<()> {
        self.blocking(Inner::is_there).await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        let key = key.clone();
        self.blocking(move |inner| inner.size(&key)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let key = key.clone();
        self.blocking(move |inner| inner.delete(&key)).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<(Key, u64)>> {
        list::stream(self.0.objects.clone(), prefix.to_owned())
    }
}

#[cfg(test)]
mod tests;
