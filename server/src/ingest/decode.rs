//! Undoes the compression of an uploaded file.

use std::pin::Pin;

use async_compression::{
    tokio::bufread::{BrotliDecoder, BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder},
    zstd::DParameter,
};
use formats::Compression;
use tokio::io::{AsyncBufRead, AsyncRead};

/// What a decoder of xz may allocate: `xz -9` needs 65 MiB.
const XZ_MEMORY_BYTES: u64 = 96 << 20;
/// The largest zstd window, as a power of two: what Nix itself reads.
const ZSTD_WINDOW_LOG: u32 = 27;

/// A body to be read, decoded.
pub(super) type Decoded = Pin<Box<dyn AsyncRead + Send>>;

/// Decodes `body`. Several compressed streams one after the other are one, as for every tool that reads these formats.
#[must_use]
pub(super) fn decode(compression: Compression, body: Pin<Box<dyn AsyncBufRead + Send>>) -> Decoded {
    match compression {
        Compression::None => Box::pin(body),
        Compression::Xz => {
            let mut decoder = XzDecoder::with_mem_limit(body, XZ_MEMORY_BYTES);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Compression::Bzip2 => {
            let mut decoder = BzDecoder::new(body);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Compression::Gzip => {
            let mut decoder = GzipDecoder::new(body);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Compression::Zstd => {
            let mut decoder = ZstdDecoder::with_params(body, &[DParameter::window_log_max(ZSTD_WINDOW_LOG)]);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Compression::Brotli => Box::pin(BrotliDecoder::new(body)),
    }
}
