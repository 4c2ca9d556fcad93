//! Buffers that are filled again and again.
//!
//! A fresh buffer of half a megabyte is mapped, cleared and faulted in page by page, which costs more than reading the bytes from
//! the system's cache does, and half as much as decompressing them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// A shorter buffer is the allocator's business …
const SHORTEST: usize = 64 << 10;
/// … and so is a longer one: few are needed at a time, and it would stay for ever.
const LONGEST: usize = 4 << 20;
/// How many bytes of buffers wait to be used again, at most.
const IDLE_BYTES: usize = 16 << 20;

/// Buffers that nobody uses at the moment. Clones share them.
#[derive(Debug, Default, Clone)]
pub struct Buffers(Arc<Mutex<Idle>>);

#[derive(Debug, Default)]
struct Idle {
    buffers: Vec<Box<[u8]>>,
    bytes: usize,
}

impl Buffers {
    /// Has `fill` fill `length` bytes, which hold anything before. The buffer comes back when nobody holds a part of the bytes any more.
    ///
    /// # Errors
    /// What `fill` says.
    pub fn filled<E>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Bytes, E> {
        if !(SHORTEST..=LONGEST).contains(&length) {
            let mut body = vec![0; length];
            fill(&mut body)?;
            return Ok(body.into());
        }
        let mut lent = Lent { buffer: self.take(length.next_power_of_two()), length, home: self.clone() };
        fill(&mut lent.buffer[..length])?;
        Ok(Bytes::from_owner(lent))
    }

    fn take(&self, size: usize) -> Box<[u8]> {
        let mut idle = self.lock();
        match idle.buffers.iter().rposition(|buffer| buffer.len() == size) {
            Some(at) => {
                idle.bytes -= size;
                idle.buffers.swap_remove(at)
            }
            None => {
                drop(idle);
                vec![0; size].into()
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer in use.
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
        let mut idle = self.home.lock();
        if idle.bytes + self.buffer.len() <= IDLE_BYTES {
            idle.bytes += self.buffer.len();
            idle.buffers.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(buffers: &Buffers) -> (usize, usize) {
        let idle = buffers.lock();
        assert_eq!(idle.buffers.iter().map(|buffer| buffer.len()).sum::<usize>(), idle.bytes);
        (idle.buffers.len(), idle.bytes)
    }

    #[expect(clippy::unnecessary_wraps, reason = "what is handed to `filled`")]
    fn nothing(_: &mut [u8]) -> Result<(), ()> {
        Ok(())
    }

    #[test]
    fn a_buffer_is_used_again_when_the_last_part_of_it_is_gone() {
        let buffers = Buffers::default();
        let read = |byte: u8| {
            let fill = |body: &mut [u8]| {
                assert_eq!(body.len(), 100_000);
                body.fill(byte);
                Ok::<_, ()>(())
            };
            buffers.filled(100_000, fill).unwrap()
        };
        let first = read(1);
        let part = first.slice(99_990..);
        drop(first);
        assert_eq!(idle(&buffers).0, 0, "a part is in use");
        let second = read(2);
        assert!(part.iter().all(|&byte| byte == 1));
        let address = part.as_ptr().addr() - 99_990;
        drop(part);
        assert_eq!(idle(&buffers).0, 1);
        let third = read(3);
        assert!(third.iter().all(|&byte| byte == 3));
        assert_eq!(third.as_ptr().addr(), address);
        assert!(second.iter().all(|&byte| byte == 2));
    }

    #[test]
    fn a_buffer_serves_its_own_size_only() {
        let buffers = Buffers::default();
        drop(buffers.filled(LONGEST, nothing).unwrap());
        let small = buffers.filled(SHORTEST, nothing).unwrap();
        assert_eq!((idle(&buffers), small.len()), ((1, LONGEST), SHORTEST));
    }

    #[test]
    fn few_bytes_are_kept_and_a_failed_filling_keeps_its_buffer() {
        let buffers = Buffers::default();
        buffers.filled(SHORTEST, |_| Err(())).unwrap_err();
        assert_eq!(idle(&buffers), (1, SHORTEST));
        let many: Vec<Bytes> = (0..8).map(|_| buffers.filled(LONGEST, nothing).unwrap()).collect();
        drop(many);
        assert!(idle(&buffers).1 <= IDLE_BYTES);
        let before = idle(&buffers);
        drop(buffers.filled(LONGEST + 1, nothing).unwrap());
        drop(buffers.filled(1, nothing).unwrap());
        assert_eq!(idle(&buffers), before);
    }
}
