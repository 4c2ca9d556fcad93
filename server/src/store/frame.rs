//! Frames: chunks as they are stored.

use std::{io, sync::Mutex};

use bytes::Bytes;
use database::CacheId;
use protocol::ChunkHash;

use super::ticket::Reservation;

/// A new chunk, compressed, on its way into a pack.
#[derive(Debug)]
pub struct Frame {
    /// The length of the chunk, uncompressed, in bytes.
    pub size: u32,
    /// The cache that it is pushed to.
    pub cache: CacheId,
    /// One zstd frame.
    pub bytes: Bytes,
    /// The claim to store this chunk; if it is dropped unsettled, whoever waits for the chunk is told.
    pub(super) reservation: Reservation,
}

impl Frame {
    /// The chunk's name.
    #[must_use]
    pub fn hash(&self) -> ChunkHash {
        self.reservation.hash()
    }
}

/// Makes frames. Compression contexts are kept: making one for each chunk costs more than the compression.
pub struct Compressor {
    level: i32,
    idle: Mutex<Vec<Context>>,
}

struct Context {
    compressor: zstd::bulk::Compressor<'static>,
    output: Vec<u8>,
}

impl Compressor {
    /// A compressor of zstd's `level`.
    #[must_use]
    pub fn new(level: i32) -> Self {
        Self { level, idle: Mutex::default() }
    }

    /// Compresses a chunk into one zstd frame that says its size. Takes CPU time: call it off the reactor.
    ///
    /// # Errors
    /// If zstd has no memory.
    pub fn compress(&self, chunk: &[u8]) -> io::Result<Bytes> {
        let idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let mut context = match idle {
            Some(context) => context,
            None => Context { compressor: protocol::frame_compressor(self.level)?, output: Vec::new() },
        };
        context.output.clear();
        context.output.reserve(zstd::zstd_safe::compress_bound(chunk.len()));
        context.compressor.compress_to_buffer(chunk, &mut context.output)?;
        let frame = Bytes::copy_from_slice(&context.output);
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(context);
        Ok(frame)
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("level", &self.level).finish_non_exhaustive()
    }
}

/// Bytes that are not the frame of the chunk they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame's checksum is wrong.
    #[error("the frame's checksum is wrong")]
    Checksum,
    /// The frame does not decompress to the chunk's size.
    #[error("the frame does not decompress to the chunk's size")]
    Decompression,
}

/// Undoes [`Compressor::compress`]; allocates `size` bytes at the most.
///
/// # Errors
/// If the frame does not hold exactly `size` bytes.
pub fn decompress(frame: &[u8], size: u32) -> Result<Vec<u8>, FrameError> {
    let chunk = zstd::bulk::decompress(frame, size as usize).map_err(|_| FrameError::Decompression)?;
    if chunk.len() == size as usize { Ok(chunk) } else { Err(FrameError::Decompression) }
}

/// Undoes compression that was done elsewhere, once. [`super::Decompressor`] is for more than that.
///
/// # Errors
/// If the bytes are not exactly one frame of `size` bytes.
pub fn decompress_frame(frame: &[u8], size: u32) -> Result<Vec<u8>, FrameError> {
    if is_one_frame(frame, size) { decompress(frame, size) } else { Err(FrameError::Decompression) }
}

/// Whether the bytes are exactly one zstd frame that says this size, so that frames one after the other are what Nix reads.
pub(super) fn is_one_frame(frame: &[u8], size: u32) -> bool {
    let whole = zstd::zstd_safe::find_frame_compressed_size(frame) == Ok(frame.len());
    let says = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten() == Some(u64::from(size));
    // A skippable frame is one that has another magic.
    whole && says && frame.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_decompress_alone_and_together() {
        let compressor = Compressor::new(3);
        let chunks = [vec![7_u8; 100_000], b"short".to_vec(), vec![]];
        let frames: Vec<Bytes> = chunks.iter().map(|c| compressor.compress(c).unwrap()).collect();
        for (chunk, frame) in chunks.iter().zip(&frames) {
            assert_eq!(&decompress(frame, u32::try_from(chunk.len()).unwrap()).unwrap(), chunk);
            assert_eq!(decompress(frame, 4), Err(FrameError::Decompression));
        }
        let whole = zstd::stream::decode_all(&frames.concat()[..]).unwrap();
        assert_eq!(whole, chunks.concat(), "concatenated frames are one zstd stream");
        assert_eq!(compressor.idle.lock().unwrap().len(), 1, "one context served all");
    }
}
