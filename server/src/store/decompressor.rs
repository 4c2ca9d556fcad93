//! Undoing compression that was done elsewhere, a great deal of it.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{FrameError, frame::is_one_frame};

/// Buffers of this size and more are used again: to have the system map and clear memory for each takes half as long again as
/// filling it. Smaller ones are the allocator's business.
const LARGE_BYTES: usize = 512 << 10;
/// How many bytes of buffers wait to be used again, at most.
const IDLE_BYTES: usize = 16 << 20;

/// Decompresses frames. Contexts and large buffers are kept.
#[derive(Default)]
pub struct Decompressor {
    contexts: Mutex<Vec<zstd::bulk::Decompressor<'static>>>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Decompressor {
    /// Decompresses bytes that must be exactly one zstd frame that says its size, so that frames one after the other are what Nix
    /// reads. Takes CPU time: call it off the reactor.
    ///
    /// # Errors
    /// If they are anything else. Nothing is allocated before the frame has said `size`.
    pub fn decompress_frame(self: &Arc<Self>, frame: &[u8], size: u32) -> Result<Bytes, FrameError> {
        if !is_one_frame(frame, size) {
            return Err(FrameError::Decompression);
        }
        let mut buffer = self.buffer(size as usize);
        match self.decompress(frame, &mut buffer) {
            Ok(length) if length == size as usize => Ok(self.lend(buffer)),
            _ => Err(FrameError::Decompression),
        }
    }

    fn decompress(&self, frame: &[u8], buffer: &mut Vec<u8>) -> io::Result<usize> {
        let idle = lock(&self.contexts).pop();
        let mut context = match idle {
            Some(context) => context,
            None => zstd::bulk::Decompressor::new()?,
        };
        let length = context.decompress_to_buffer(frame, buffer);
        lock(&self.contexts).push(context);
        length
    }

    fn buffer(&self, size: usize) -> Vec<u8> {
        if size < LARGE_BYTES {
            return Vec::with_capacity(size);
        }
        let mut buffers = lock(&self.buffers);
        // The smallest that will do, so that the larger ones are there for larger chunks.
        let fits = buffers.iter().enumerate().filter(|(_, buffer)| buffer.capacity() >= size);
        match fits.min_by_key(|(_, buffer)| buffer.capacity()).map(|(at, _)| at) {
            Some(at) => buffers.swap_remove(at),
            None => Vec::with_capacity(size.next_power_of_two()),
        }
    }

    /// Bytes whose buffer comes back when nobody has them any more.
    fn lend(self: &Arc<Self>, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() < LARGE_BYTES {
            return buffer.into();
        }
        Bytes::from_owner(Lent { buffer, owner: Arc::clone(self) })
    }
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

struct Lent {
    buffer: Vec<u8>,
    owner: Arc<Decompressor>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut buffers = lock(&self.owner.buffers);
        let idle: usize = buffers.iter().map(Vec::capacity).sum();
        if idle + buffer.capacity() <= IDLE_BYTES {
            buffers.push(buffer);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{super::Compressor, *};

    #[test]
    fn only_one_whole_frame_will_do() {
        let decompressor = Arc::new(Decompressor::default());
        let decompress_frame = |frame: &[u8], size| decompressor.decompress_frame(frame, size);
        let frame = Compressor::new(3).compress(&[5; 1000]).unwrap();
        assert_eq!(decompress_frame(&frame, 1000).unwrap(), [5; 1000][..]);
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0][..], &frame].concat();
        let unsized_frame = zstd::stream::encode_all(&[5; 1000][..], 3).unwrap();
        for bad in [
            &frame[..frame.len() - 1],
            &[&frame[..], &frame].concat(),
            &[&frame[..], b"x"].concat(),
            &skippable,
            &unsized_frame,
            b"",
        ] {
            assert_eq!(decompress_frame(bad, 1000), Err(FrameError::Decompression));
        }
        assert_eq!(decompress_frame(&frame, 999), Err(FrameError::Decompression));
    }

    #[test]
    fn large_buffers_are_used_again() {
        let decompressor = Arc::new(Decompressor::default());
        let frame = |length| Compressor::new(3).compress(&vec![5; length]).unwrap();
        let (large, larger) = (frame(LARGE_BYTES), frame(LARGE_BYTES + 1));
        let size = u32::try_from(LARGE_BYTES).unwrap();
        let bytes = decompressor.decompress_frame(&large, size).unwrap();
        let (address, part) = (bytes.as_ptr(), bytes.slice(5..10));
        drop(bytes);
        assert_eq!(lock(&decompressor.buffers).len(), 0, "somebody still reads it");
        drop(part);
        drop(decompressor.decompress_frame(&larger, size + 1).unwrap());
        assert_eq!(lock(&decompressor.buffers).len(), 2);
        assert_eq!(decompressor.decompress_frame(&large, size).unwrap().as_ptr(), address);
        assert_eq!(lock(&decompressor.contexts).len(), 1);
    }
}
