//! Compresses a NAR anew, for the name under which a client once put it.

use std::{io, pin::Pin};

use async_compression::{
    Level,
    tokio::bufread::{BrotliEncoder, BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder},
};
use bytes::Bytes;
use formats::Compression;
use futures::{Stream, TryStreamExt};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use crate::fetch::FetchError;

/// Encodes a stream of plain bytes; quickly rather than tightly.
pub(crate) fn encode(
    compression: Compression,
    plain: impl Stream<Item = Result<Bytes, FetchError>> + Send + 'static,
) -> Pin<Box<dyn AsyncRead + Send>> {
    let plain = StreamReader::new(Box::pin(plain.map_err(io::Error::other)));
    match compression {
        Compression::None => Box::pin(plain),
        Compression::Xz => Box::pin(XzEncoder::with_quality(plain, Level::Fastest)),
        Compression::Bzip2 => Box::pin(BzEncoder::with_quality(plain, Level::Fastest)),
        Compression::Gzip => Box::pin(GzipEncoder::with_quality(plain, Level::Fastest)),
        Compression::Zstd => Box::pin(ZstdEncoder::with_quality(plain, Level::Precise(3))),
        Compression::Brotli => Box::pin(BrotliEncoder::with_quality(plain, Level::Precise(1))),
    }
}
