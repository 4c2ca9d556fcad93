//! Undoes the compression of an uploaded file.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_compression::{
    tokio::bufread::{BrotliDecoder, BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder},
    zstd::DParameter,
};
use formats::Compression;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

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
        Compression::Brotli => Box::pin(Whole(BrotliDecoder::new(body))),
    }
}

/// A brotli stream behind which nothing may follow. The other decoders look for another stream there, and fail if it is none.
struct Whole(BrotliDecoder<Pin<Box<dyn AsyncBufRead + Send>>>);

impl AsyncRead for Whole {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.0).poll_read(cx, buffer))?;
        if buffer.filled().len() == before && buffer.remaining() > 0 {
            let rest = ready!(self.0.get_mut().as_mut().poll_fill_buf(cx))?;
            if !rest.is_empty() {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "more follows the compressed stream",
                )));
            }
        }
        Poll::Ready(Ok(()))
    }
}
