//! The directories of a store: made on demand, and durable before anything is put into them.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The directories under a root.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    /// Those whose own names are known to be on disk. It is not enough that a directory is there: another thread may
    /// have made it just now, and a crash would take it away with all that is in it.
    durable: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, durable: Mutex::default() }
    }

    /// Makes sure that `folder`, which lies under the root, is there and survives a crash.
    pub(super) fn ensure(&self, folder: &Path) -> io::Result<()> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let below_root = |f: &&Path| *f != self.root && f.starts_with(&self.root);
        let missing: Vec<&Path> =
            folder.ancestors().take_while(below_root).take_while(|&f| !durable.contains(f)).collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
            if let Some(parent) = folder.parent() {
                File::open(parent)?.sync_all()?;
            }
            durable.insert(folder.to_owned());
        }
        Ok(())
    }

    /// Forgets what is known of the directories, since one has turned out to be gone.
    pub(super) fn forget(&self) {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
