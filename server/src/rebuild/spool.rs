//! The scratch file: records on their way from the packs to the index, to be read again in another order.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use database::PackName;

use super::RebuildError;
use crate::pack::{MAGIC, Record, Stamp};

/// Some records of one pack that have one stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// First, since entries are sorted by it; the pack's name makes the order the same each time.
    pub(super) stamp: Stamp,
    pub(super) pack: PackName,
    /// The length of the pack, in bytes.
    pub(super) size: u64,
    offset: u64,
    length: u32,
}

/// A file that has no name, and is gone with the process.
pub(super) struct Spool {
    folder: PathBuf,
    file: BufWriter<File>,
    offset: u64,
}

impl Spool {
    pub(super) fn make(folder: &Path) -> Result<Self, RebuildError> {
        let made = make(folder).map_err(|source| RebuildError::Scratch { folder: folder.to_owned(), source })?;
        Ok(Self { folder: folder.to_owned(), file: BufWriter::with_capacity(1 << 20, made), offset: 0 })
    }

    pub(super) fn append(
        &mut self,
        stamp: Stamp,
        pack: PackName,
        size: u64,
        records: &[Record],
    ) -> Result<Entry, RebuildError> {
        let mut bytes = Vec::new();
        for record in records {
            record.encode(&mut bytes);
        }
        self.file.write_all(&bytes).map_err(|source| self.failed(source))?;
        // A trailer has at most 256 MiB, and these are part of one.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let entry = Entry { stamp, pack, size, offset: self.offset, length };
        self.offset += u64::from(length);
        Ok(entry)
    }

    /// Ends the writing.
    pub(super) fn flush(&mut self) -> Result<(), RebuildError> {
        self.file.flush().map_err(|source| self.failed(source))
    }

    /// The records of an entry.
    pub(super) fn read(&self, entry: &Entry) -> Result<Vec<Record>, RebuildError> {
        let mut bytes = vec![0; entry.length as usize];
        self.file.get_ref().read_exact_at(&mut bytes, entry.offset).map_err(|source| self.failed(source))?;
        let (mut input, mut offset) = (&bytes[..], MAGIC.len() as u64);
        let mut records = Vec::new();
        while !input.is_empty() {
            let record = Record::decode(&mut input, &mut offset);
            let invalid = |_| self.failed(io::Error::from(io::ErrorKind::InvalidData));
            records.extend(record.map_err(invalid)?);
        }
        Ok(records)
    }

    fn failed(&self, source: io::Error) -> RebuildError {
        RebuildError::Scratch { folder: self.folder.clone(), source }
    }
}

fn make(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!(".flywheel-rebuild-{:016x}", rand::random::<u64>()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
