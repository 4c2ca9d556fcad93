//! Open files of recently read objects, so that one that is read in many pieces is opened once.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::whole::Whole;
use crate::Key;

/// How many files are kept open.
const CAPACITY: usize = 512;

/// An open object.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: Arc<File>,
    /// When it was opened; objects do not change in place.
    pub(super) length: u64,
    /// What of it was found to be whole.
    pub(super) whole: Whole,
    state: FileState,
}

/// Changes with every write to a file, and when its name is taken away.
#[derive(Debug, PartialEq, Eq)]
struct FileState {
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    names: u64,
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            names: metadata.nlink(),
        }
    }
}

impl Open {
    /// Whether nobody has written to the file since it was opened.
    pub(super) fn is_as_opened(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| FileState::of(&metadata) == self.state)
    }
}

/// Open files by key; the least recently used go first.
#[derive(Debug, Default)]
pub(super) struct Handles(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: HashMap<Key, (Arc<Open>, u64)>,
    /// Counts uses, to tell which are recent.
    uses: u64,
    /// Counts objects replaced or removed: a file that was opened before such a change must not be kept after it.
    changes: u64,
}

impl Handles {
    /// The object, if it was opened before. Costs no I/O.
    pub(super) fn known(&self, key: &Key) -> Option<Arc<Open>> {
        let mut state = self.lock();
        state.uses += 1;
        let now = state.uses;
        let (open, used) = state.open.get_mut(key)?;
        *used = now;
        Some(Arc::clone(open))
    }

    /// The object at `path`, opened now or before.
    pub(super) fn open(&self, key: &Key, path: &Path) -> io::Result<Arc<Open>> {
        // Counted first: a change between this and the look-up is one too many, not one too few.
        let changes = self.lock().changes;
        if let Some(open) = self.known(key) {
            return Ok(open);
        }
        let file = match File::open(path) {
            // A parent of the key is an object itself.
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Err(io::ErrorKind::NotFound.into()),
            file => file?,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let open = Arc::new(Open {
            file: Arc::new(file),
            length: metadata.len(),
            whole: Whole::default(),
            state: FileState::of(&metadata),
        });
        let mut state = self.lock();
        if state.changes == changes {
            if state.open.len() >= CAPACITY {
                let oldest = state.open.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
                oldest.and_then(|key| state.open.remove(&key));
            }
            let now = state.uses;
            state.open.insert(key.clone(), (Arc::clone(&open), now));
        }
        Ok(open)
    }

    /// Closes the file of an object that was replaced or removed.
    pub(super) fn forget(&self, key: &Key) {
        let mut state = self.lock();
        state.changes += 1;
        state.open.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_open_files_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let handles = Handles::default();
        for i in 0..CAPACITY + 10 {
            let path = dir.path().join(i.to_string());
            std::fs::write(&path, b"x").unwrap();
            handles.open(&i.to_string().parse().unwrap(), &path).unwrap();
            // The first is used all the time, so it stays.
            handles.open(&"0".parse().unwrap(), &dir.path().join("0")).unwrap();
        }
        let state = handles.lock();
        assert_eq!(state.open.len(), CAPACITY);
        assert!(state.open.contains_key(&"0".parse().unwrap()));
        assert!(!state.open.contains_key(&"1".parse().unwrap()));
    }
}
