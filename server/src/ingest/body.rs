//! The body of a request: counted, hashed on request, and never waited for without end.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use formats::FileHash;
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;

/// Why a body did not arrive.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// It sent nothing for too long.
    #[error("the body sent nothing for {} seconds", .0.as_secs())]
    Idle(Duration),
    /// It is larger than the server takes.
    #[error("the body is larger than {0} bytes, the most that this server takes")]
    TooLarge(u64),
    /// It ended early, or the connection broke.
    #[error("the body was cut off: {0}")]
    Cut(String),
}

/// What came over the wire, as far as it was read.
#[derive(Debug, Clone, Default)]
pub struct WireDigest(Arc<Mutex<Wire>>);

#[derive(Debug, Default)]
struct Wire {
    length: u64,
    hasher: Option<Sha256>,
}

impl WireDigest {
    /// Counts, and hashes too.
    #[must_use]
    pub fn hashing() -> Self {
        Self(Arc::new(Mutex::new(Wire { length: 0, hasher: Some(Sha256::new()) })))
    }

    /// How many bytes came.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).length
    }

    /// The hash of what came, if it was asked for.
    #[must_use]
    pub fn hash(&self) -> Option<FileHash> {
        let wire = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wire.hasher.clone().map(|hasher| FileHash::from_bytes(hasher.finalize().into()))
    }

    fn feed(&self, bytes: &[u8]) -> u64 {
        let mut wire = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wire.length += bytes.len() as u64;
        if let Some(hasher) = &mut wire.hasher {
            hasher.update(bytes);
        }
        wire.length
    }
}

/// A body as bytes to read.
pub struct BodyReader {
    reader: Pin<Box<dyn AsyncBufRead + Send>>,
    wire: WireDigest,
}

impl BodyReader {
    /// Reads `body`: at most `limit` bytes, and never waiting longer than `idle` for the next.
    pub fn new<S, E>(body: S, limit: u64, idle: Duration, wire: WireDigest) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: std::fmt::Display,
    {
        let body: BoxStream<'static, Result<Bytes, BodyError>> =
            body.map_err(|error| BodyError::Cut(error.to_string())).boxed();
        let counted = wire.clone();
        let checked = futures::stream::try_unfold(body, move |mut body| {
            let wire = counted.clone();
            async move {
                let next = tokio::time::timeout(idle, body.next()).await.map_err(|_| BodyError::Idle(idle))?;
                let Some(bytes) = next.transpose()? else { return Ok(None) };
                if wire.feed(&bytes) > limit {
                    return Err(BodyError::TooLarge(limit));
                }
                Ok(Some((bytes, body)))
            }
        });
        let reader = StreamReader::new(checked.map_err(io::Error::other));
        Self { reader: Box::pin(reader), wire }
    }

    /// What came so far.
    #[must_use]
    pub fn wire(&self) -> &WireDigest {
        &self.wire
    }

    /// Takes exactly `length` bytes from the front.
    ///
    /// # Errors
    /// If the body is shorter.
    pub async fn take_front(&mut self, length: usize) -> Result<Vec<u8>, BodyError> {
        let mut front = vec![0; length];
        self.reader.read_exact(&mut front).await.map_err(|error| of_io(&error))?;
        Ok(front)
    }

    /// The rest, to be read.
    #[must_use]
    pub fn into_reader(self) -> Pin<Box<dyn AsyncBufRead + Send>> {
        self.reader
    }
}

/// Reads until `buffer` is full or the end is there, so that every piece but the last is large.
pub(super) async fn fill(reader: &mut (dyn AsyncRead + Send + Unpin), buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]).await? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// The body's own error inside an I/O error, if that is what it is.
pub(super) fn inner(error: &io::Error) -> Option<BodyError> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<BodyError>()).cloned()
}

fn of_io(error: &io::Error) -> BodyError {
    inner(error).unwrap_or_else(|| BodyError::Cut(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    fn pieces(pieces: &'static [&'static [u8]]) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::iter(pieces.iter().map(|p| Ok(Bytes::from_static(p))))
    }

    #[tokio::test]
    async fn a_body_is_counted_and_hashed() {
        let mut body = BodyReader::new(pieces(&[b"ab", b"cdef"]), 100, Duration::from_secs(1), WireDigest::hashing());
        assert_eq!(body.take_front(3).await.unwrap(), b"abc");
        let wire = body.wire().clone();
        let mut rest = Vec::new();
        body.into_reader().read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"def");
        assert_eq!((wire.length(), wire.hash()), (6, Some(FileHash::digest_of(b"abcdef"))));
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_or_stalls_is_refused() {
        let mut long = BodyReader::new(pieces(&[b"abc", b"def"]), 5, Duration::from_secs(1), WireDigest::default());
        assert!(matches!(long.take_front(6).await, Err(BodyError::TooLarge(5))));
        let never = stream::pending::<Result<Bytes, Infallible>>();
        let mut stalled = BodyReader::new(never, 5, Duration::from_millis(5), WireDigest::default());
        assert!(matches!(stalled.take_front(1).await, Err(BodyError::Idle(_))));
        let mut short = BodyReader::new(pieces(&[b"abc"]), 5, Duration::from_secs(1), WireDigest::default());
        assert!(matches!(short.take_front(4).await, Err(BodyError::Cut(_))));
    }
}
