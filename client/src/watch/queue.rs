//! What is to be pushed, on disk.
//!
//! The folder of a queue holds `journal` (the paths), `lock` (held by the one watcher that works on it, with its process id in
//! it), `seen` (see [`super::mark`]) and `inbox` (see [`super::inbox`]).

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use formats::StorePath;

use super::journal::{self, Change, Contents, Journal};

const JOURNAL: &str = "journal";
const LOCK: &str = "lock";
const LOCK_TRIES: u32 = 10;
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// The queue's folder cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another watcher works on it.
    #[error("another watcher, process {}, works on the queue in {folder}", holder.map_or("unknown".to_owned(), |pid| pid.to_string()))]
    Taken {
        /// The folder.
        folder: PathBuf,
        /// The process, if it says who it is.
        holder: Option<u32>,
    },
    /// A file cannot be read or written.
    #[error("cannot work on the queue in {folder}")]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// The paths that wait to be pushed. They survive the process.
#[derive(Debug)]
pub struct Queue {
    folder: PathBuf,
    journal: Journal,
    contents: Contents,
    _lock: File,
}

impl Queue {
    /// Opens the queue in `folder`, making it if there is none, for this process alone.
    ///
    /// # Errors
    /// Another process has it, or the folder cannot be written.
    pub fn open(folder: &Path) -> Result<Self, QueueError> {
        let failed = |source| QueueError::Io { folder: folder.to_owned(), source };
        make_folder(folder).map_err(failed)?;
        let path = folder.join(LOCK);
        let mut options = File::options();
        let mut lock = options.read(true).write(true).create(true).mode(0o600).open(&path).map_err(failed)?;
        let mut tries = 0;
        while let Err(error) = lock.try_lock() {
            tries += 1;
            match error {
                // Whoever looks whether there is a watcher has the lock for a moment.
                TryLockError::WouldBlock if tries < LOCK_TRIES => sleep(LOCK_WAIT),
                TryLockError::WouldBlock => {
                    return Err(QueueError::Taken { folder: folder.to_owned(), holder: read_pid(&mut lock) });
                }
                TryLockError::Error(source) => return Err(failed(source)),
            }
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed)?;
        let (journal, contents) = Journal::open(folder.join(JOURNAL)).map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), journal, contents, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What waits.
    #[must_use]
    pub fn paths(&self) -> &BTreeSet<StorePath> {
        &self.contents.paths
    }

    /// How many lines of the journal meant nothing when it was opened: the disk lost them.
    #[must_use]
    pub fn damaged_lines(&self) -> usize {
        self.contents.damaged
    }

    /// Adds paths; once this returns they survive a crash. Gives how many were not there yet.
    ///
    /// # Errors
    /// They cannot be written. They count as added all the same, but do not survive this process before a later change succeeds.
    pub fn add(&mut self, paths: impl IntoIterator<Item = StorePath>) -> Result<usize, QueueError> {
        let all = &mut self.contents.paths;
        let new: Vec<StorePath> = paths.into_iter().filter(|path| all.insert(path.clone())).collect();
        self.change(Change::Came, &new).map(|()| new.len())
    }

    /// Takes paths out that are done with.
    ///
    /// # Errors
    /// It cannot be written: the next watcher will find them in the queue.
    pub fn remove<'a>(&mut self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<(), QueueError> {
        let all = &mut self.contents.paths;
        let gone: Vec<StorePath> = paths.into_iter().filter_map(|path| all.take(path)).collect();
        self.change(Change::Went, &gone)
    }

    fn change(&mut self, change: Change, paths: &[StorePath]) -> Result<(), QueueError> {
        if paths.is_empty() {
            return Ok(());
        }
        let written = self.journal.append(change, paths, &self.contents.paths);
        written.map_err(|source| QueueError::Io { folder: self.folder.clone(), source })
    }
}

/// A queue as others see it.
#[derive(Debug, PartialEq, Eq)]
pub struct QueueState {
    /// The process that works on it, if any does; 0 if it does not say who it is.
    pub holder: Option<u32>,
    /// What waits in it.
    pub paths: BTreeSet<StorePath>,
}

impl QueueState {
    /// Looks at the queue in `folder`; one that is not there is empty.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn read(folder: &Path) -> Result<Self, QueueError> {
        let failed = |source| QueueError::Io { folder: folder.to_owned(), source };
        let holder = holder(&folder.join(LOCK)).map_err(failed)?;
        let contents = journal::read(&folder.join(JOURNAL)).map_err(failed)?;
        Ok(Self { holder, paths: contents.paths })
    }
}

/// Makes the folder, for its owner alone: names of store paths are nobody else's business.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn holder(path: &Path) -> io::Result<Option<u32>> {
    let mut lock = match File::open(path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(read_pid(&mut lock).unwrap_or(0))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Reads a small file; nothing if it is not there.
pub(super) fn read_small(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> StorePath {
        format!("{}-{name}", "a".repeat(32)).parse().unwrap()
    }

    #[test]
    fn paths_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep/down");
        let mut queue = Queue::open(&folder).unwrap();
        assert_eq!(queue.add([path("a"), path("b"), path("a")]).unwrap(), 2);
        assert_eq!(queue.add([path("b"), path("c")]).unwrap(), 1);
        queue.remove([&path("b"), &path("absent")]).unwrap();
        drop(queue);
        let queue = Queue::open(&folder).unwrap();
        assert_eq!(*queue.paths(), [path("a"), path("c")].into());
    }

    #[test]
    fn one_watcher_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(QueueState::read(folder.path()).unwrap(), QueueState { holder: None, paths: [].into() });
        let mut queue = Queue::open(folder.path()).unwrap();
        let own = std::process::id();
        assert!(matches!(Queue::open(folder.path()), Err(QueueError::Taken { holder, .. }) if holder == Some(own)));
        queue.add([path("a")]).unwrap();
        let paths = BTreeSet::from([path("a")]);
        assert_eq!(QueueState::read(folder.path()).unwrap(), QueueState { holder: Some(own), paths: paths.clone() });
        drop(queue);
        assert_eq!(QueueState::read(folder.path()).unwrap(), QueueState { holder: None, paths });
    }
}
