//! Bytes that stay where they are: in a file, from which the system sends them by itself.

use std::{fs::File, io, ops::Range, os::fd::AsFd, sync::Arc};

/// The most bytes of a file that are handed on as one part.
pub const LONGEST_PART: u64 = 16 << 20;

/// A run of bytes in a file of this machine, which stays open for as long as any part of it is held.
#[derive(Debug, Clone)]
pub struct FilePart {
    file: Arc<File>,
    range: Range<u64>,
}

impl FilePart {
    /// These bytes of a file; the file has them all.
    #[must_use]
    pub const fn new(file: Arc<File>, range: Range<u64>) -> Self {
        Self { file, range }
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Whether none are.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A part of this part, counted from its start.
    #[must_use]
    pub fn slice(&self, part: Range<u64>) -> Self {
        let at = |offset: u64| self.range.start.saturating_add(offset).min(self.range.end);
        Self { file: Arc::clone(&self.file), range: at(part.start)..at(part.end) }
    }

    /// Has the system send the first bytes, and drops them from this part; says how many they were.
    ///
    /// # Errors
    /// If the socket takes nothing at the moment (`WouldBlock`) or is gone, or the file has become shorter.
    #[cfg(target_os = "linux")]
    pub fn send_to(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let wanted = usize::try_from(self.len()).unwrap_or(usize::MAX);
        if wanted == 0 {
            return Ok(0);
        }
        let sent = rustix::fs::sendfile(socket, &*self.file, Some(&mut self.range.start), wanted)?;
        if sent == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(sent) }
    }

    /// The system has no such call.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(target_os = "linux"))]
    pub fn send_to(&mut self, _: impl AsFd) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn a_part_of_a_part_is_sent_and_shrinks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        let mut part = FilePart::new(file, 1..9).slice(2..100);
        assert_eq!(part.len(), 6);
        let (mut here, there) = UnixStream::pair().unwrap();
        assert_eq!((part.send_to(&there).unwrap(), part.len(), part.send_to(&there).unwrap()), (6, 0, 0));
        drop(there);
        let mut sent = String::new();
        here.read_to_string(&mut sent).unwrap();
        assert_eq!(sent, "345678");
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"0123").unwrap();
        let mut part = FilePart::new(Arc::new(File::open(&path).unwrap()), 0..8);
        let (_here, there) = UnixStream::pair().unwrap();
        assert_eq!(part.send_to(&there).unwrap(), 4);
        assert_eq!(part.send_to(&there).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
