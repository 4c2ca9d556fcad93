//! Undoing compression that was done elsewhere, a great deal of it.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use memory::Buffers;

use super::{FrameError, frame::is_one_frame};

/// Decompresses frames. Contexts and large buffers are kept.
#[derive(Default)]
pub struct Decompressor {
    contexts: Mutex<Vec<zstd::bulk::Decompressor<'static>>>,
    buffers: Buffers,
}

impl Decompressor {
    /// Decompresses bytes that must be exactly one zstd frame that says its size, so that frames one after the other are what Nix
    /// reads. Takes CPU time: call it off the reactor.
    ///
    /// # Errors
    /// If they are anything else. Nothing is allocated before the frame has said `size`.
    pub fn decompress_frame(&self, frame: &[u8], size: u32) -> Result<Bytes, FrameError> {
        if !is_one_frame(frame, size) {
            return Err(FrameError::Decompression);
        }
        self.buffers.filled(size as usize, |chunk| match self.decompress(frame, chunk) {
            Ok(length) if length == chunk.len() => Ok(()),
            _ => Err(FrameError::Decompression),
        })
    }

    fn decompress(&self, frame: &[u8], chunk: &mut [u8]) -> io::Result<usize> {
        let idle = self.contexts.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut context = match idle {
            Some(context) => context,
            None => zstd::bulk::Decompressor::new()?,
        };
        let length = context.decompress_to_buffer(frame, chunk);
        self.contexts.lock().unwrap_or_else(PoisonError::into_inner).push(context);
        length
    }
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Compressor, *};

    #[test]
    fn only_one_whole_frame_will_do() {
        let decompressor = Decompressor::default();
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
    fn contexts_and_large_buffers_are_used_again() {
        let decompressor = Decompressor::default();
        let frame = Compressor::new(3).compress(&[5; 1 << 20]).unwrap();
        let first = decompressor.decompress_frame(&frame, 1 << 20).unwrap();
        let address = first.as_ptr();
        drop(first);
        assert_eq!(decompressor.decompress_frame(&frame, 1 << 20).unwrap().as_ptr(), address);
        assert_eq!(decompressor.contexts.lock().unwrap().len(), 1);
    }
}
