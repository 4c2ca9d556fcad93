//! The state of the index, as SQLite itself keeps it for all processes.
//!
//! In WAL mode a reader takes its snapshot from the header of the shared-memory file beside the database, and whoever commits
//! writes that header before the commit returns (<https://www.sqlite.org/walformat.html>, "The WAL-Index Header"). Its 48
//! bytes hold a count of commits, the length of the log, its salts and its checksum: they never come back. They stand there
//! twice, since they are written without a lock; when both are equal they are whole.

//!
//! A commit of notes ([`Noting`]) leaves the state what it was: the header after it stands for the one before. That nobody else
//! committed in between is known from the count of commits in the header.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use database::{Revision, Revisions};

use crate::SqliteDatabase;

const HEADER: usize = 48;
/// Where the count of commits is in it (`iChange`), in the byte order of the machine.
const COMMITS: std::ops::Range<usize> = 8..12;

type Header = [u8; HEADER];

/// The shared-memory file of an open index.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    file: Option<File>,
    /// The last header that notes left behind, and the one that it stands for.
    noted: Mutex<Option<(Header, Header)>>,
}

impl SharedMemory {
    /// Opens the file of the index at `path`. It is there, and stays the same one, while any connection is open.
    pub(crate) fn of(path: &Path) -> Self {
        let mut name = PathBuf::from(path).into_os_string();
        name.push("-shm");
        // Without it nothing is kept in memory, which costs time and nothing else.
        Self { file: File::open(name).ok(), noted: Mutex::default() }
    }

    fn header(&self) -> Option<Header> {
        let mut both = [0; 2 * HEADER];
        self.file.as_ref()?.read_exact_at(&mut both, 0).ok()?;
        let (first, second) = both.split_at(HEADER);
        // Unequal in the middle of a commit, and all zeros before the first connection has looked at the log.
        let whole = first == second && first.iter().any(|&byte| byte != 0);
        whole.then(|| first.try_into().ok()).flatten()
    }

    /// The header that this one stands for.
    fn stands_for(&self, header: Header) -> Header {
        match *self.noted.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((noted, before)) if noted == header => before,
            _ => header,
        }
    }
}

#[async_trait]
impl Revisions for SqliteDatabase {
    fn revision(&self) -> Option<Revision> {
        let header = self.shared_memory.header()?;
        Some(Revision::new(self.shared_memory.stands_for(header)))
    }
}

/// A transaction that makes notes.
pub(crate) struct Noting {
    shared_memory: Arc<SharedMemory>,
    before: Header,
}

impl Noting {
    /// To be called when the transaction has the lock.
    pub(crate) fn begin(shared_memory: &Arc<SharedMemory>) -> Option<Self> {
        Some(Self { shared_memory: Arc::clone(shared_memory), before: shared_memory.header()? })
    }

    /// To be called when it is committed.
    pub(crate) fn end(self) {
        let Some(after) = self.shared_memory.header() else { return };
        let commits = |header: &Header| header[COMMITS].try_into().map(u32::from_ne_bytes).ok();
        let (Some(first), Some(last)) = (commits(&self.before), commits(&after)) else { return };
        if last == first.wrapping_add(1) {
            let before = self.shared_memory.stands_for(self.before);
            *self.shared_memory.noted.lock().unwrap_or_else(PoisonError::into_inner) = Some((after, before));
        }
    }
}
