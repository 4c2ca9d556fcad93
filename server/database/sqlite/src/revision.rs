//! The state of the index, as SQLite itself keeps it for all processes.
//!
//! In WAL mode a reader takes its snapshot from the header of the shared-memory file beside the database, and whoever commits
//! writes that header before the commit returns (<https://www.sqlite.org/walformat.html>, "The WAL-Index Header"). Its 48
//! bytes hold a count of commits, the length of the log, its salts and its checksum: they never come back. They stand there
//! twice, since they are written without a lock; when both are equal they are whole.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use database::{Revision, Revisions};

use crate::SqliteDatabase;

const HEADER: usize = 48;

/// The shared-memory file of an open index.
#[derive(Debug)]
pub(crate) struct SharedMemory(Option<File>);

impl SharedMemory {
    /// Opens the file of the index at `path`. It is there, and stays the same one, while any connection is open.
    pub(crate) fn of(path: &Path) -> Self {
        let mut name = PathBuf::from(path).into_os_string();
        name.push("-shm");
        // Without it nothing is kept in memory, which costs time and nothing else.
        Self(File::open(name).ok())
    }
}

impl Revisions for SqliteDatabase {
    fn revision(&self) -> Option<Revision> {
        use std::os::unix::fs::FileExt;
        let mut both = [0; 2 * HEADER];
        self.shared_memory.0.as_ref()?.read_exact_at(&mut both, 0).ok()?;
        let (first, second) = both.split_at(HEADER);
        // Unequal in the middle of a commit, and all zeros before the first connection has looked at the log.
        let whole = first == second && first.iter().any(|&byte| byte != 0);
        whole.then(|| first.try_into().map(Revision::new).ok()).flatten()
    }
}
