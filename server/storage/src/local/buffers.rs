//! Buffers that are read into, used again and again.
//!
//! A fresh buffer of half a megabyte is mapped, cleared and faulted in page by page, which costs more than reading the bytes from
//! the system's cache does.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

/// How long a buffer is that is worth keeping, in bytes: one read of the server's.
const BUFFER_BYTES: usize = 512 << 10;
/// How many buffers are kept while nobody uses them.
const CAPACITY: usize = 24;

/// Buffers that nobody uses at the moment.
#[derive(Debug, Default, Clone)]
pub(super) struct Buffers(Arc<Mutex<Vec<Box<[u8]>>>>);

impl Buffers {
    /// Has `fill` fill `length` bytes.
    pub(super) fn filled(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<Bytes> {
        // For a small one the allocator is as good, and a large one would stay for ever.
        if !(BUFFER_BYTES / 8..=BUFFER_BYTES).contains(&length) {
            let mut body = vec![0; length];
            fill(&mut body)?;
            return Ok(body.into());
        }
        let mut lent = Lent { buffer: self.take(), length, home: self.clone() };
        fill(&mut lent.buffer[..length])?;
        Ok(Bytes::from_owner(lent))
    }

    fn take(&self) -> Box<[u8]> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| vec![0; BUFFER_BYTES].into())
    }
}

/// A buffer in use; goes back when nobody holds a part of it any more.
struct Lent {
    buffer: Box<[u8]>,
    length: usize,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < CAPACITY {
            kept.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(buffers: &Buffers) -> usize {
        buffers.0.lock().unwrap().len()
    }

    #[test]
    fn a_buffer_is_used_again_when_the_last_part_of_it_is_gone() {
        let buffers = Buffers::default();
        let read = |byte: u8| {
            buffers
                .filled(100_000, |body| {
                    assert_eq!(body.len(), 100_000);
                    body.fill(byte);
                    Ok(())
                })
                .unwrap()
        };
        let first = read(1);
        let part = first.slice(99_990..);
        drop(first);
        assert_eq!(waiting(&buffers), 0, "a part is in use");
        let second = read(2);
        assert!(part.iter().all(|&byte| byte == 1));
        drop(part);
        assert_eq!(waiting(&buffers), 1);
        assert!(read(3).iter().all(|&byte| byte == 3));
        assert!(second.iter().all(|&byte| byte == 2));
    }

    #[test]
    fn few_are_kept_and_a_failed_read_keeps_its_buffer() {
        let buffers = Buffers::default();
        buffers.filled(BUFFER_BYTES, |_| Err(io::Error::other("gone"))).unwrap_err();
        assert_eq!(waiting(&buffers), 1);
        let many: Vec<Bytes> = (0..CAPACITY + 5).map(|_| buffers.filled(BUFFER_BYTES, |_| Ok(())).unwrap()).collect();
        drop(many);
        assert_eq!(waiting(&buffers), CAPACITY);
        drop(buffers.filled(BUFFER_BYTES + 1, |_| Ok(())).unwrap());
        drop(buffers.filled(1, |_| Ok(())).unwrap());
        assert_eq!(waiting(&buffers), CAPACITY);
    }
}
