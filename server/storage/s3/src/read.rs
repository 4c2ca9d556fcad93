//! Reading: one GET for a range, continued where it broke off.

use std::{ops::Range, time::Duration};

use aws_sdk_s3::{operation::get_object::GetObjectOutput, primitives::ByteStream};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use storage::{Error, Key, Result};

use crate::{S3Error, bucket::S3Storage, request::wait_after};

/// The longest object that S3 has.
const MAX_OBJECT_BYTES: u64 = 5 << 40;
/// A body that broke off after less than this much counts as an attempt without success.
const PROGRESS_BYTES: u64 = 256 << 10;

/// A range that is being read.
struct Reading {
    storage: S3Storage,
    key: Key,
    range: Range<u64>,
    /// The next byte.
    at: u64,
    /// Where the last answer began.
    begun_at: u64,
    body: Option<ByteStream>,
    /// How many answers in a row broke off without getting on.
    broken: u32,
}

impl S3Storage {
    /// The bytes of a range as they come. The first answer has begun when this returns.
    pub(crate) async fn stream_range(&self, key: &Key, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes>>> {
        let wanted = range.end.saturating_sub(range.start);
        if wanted == 0 || range.end > MAX_OBJECT_BYTES {
            let size = self.length(key).await?.ok_or_else(|| Error::NotFound { key: key.clone() })?;
            return if wanted == 0 { Ok(stream::empty().boxed()) } else { Err(truncated(key, &range, size)) };
        }
        let (storage, key) = (self.clone(), key.clone());
        let mut reading =
            Reading { storage, key, at: range.start, begun_at: range.start, range, body: None, broken: 0 };
        reading.open().await?;
        Ok(reading.pieces())
    }

    /// The bytes of a whole object as they come, however many those are. The first answer has begun when this returns.
    ///
    /// Not more than what a connection holds is in memory, and an answer that breaks off is continued.
    ///
    /// # Errors
    /// If there is no such object, or the service does not give it.
    pub async fn stream_object(&self, key: &Key) -> Result<BoxStream<'static, Result<Bytes>>> {
        let (bucket, object) = (&self.options().bucket, self.object(key));
        // As a range, since the answer to one says how long the object is, whatever becomes of its own length on the way.
        let ask = || self.client().get_object().bucket(bucket).key(&object).range("bytes=0-").send();
        let answer = self.request_until("GetObject", 0, ask, |answer| object_length(answer).is_some()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(S3Error::NoSuchKey) => return Err(self.absent(key).await),
            // Nothing has no range.
            Err(S3Error::BadRange) if self.length(key).await? == Some(0) => return Ok(stream::empty().boxed()),
            Err(error) => return Err(error.about(key)),
        };
        let range = 0..object_length(&answer).unwrap_or(0);
        let (storage, key, body) = (self.clone(), key.clone(), Some(answer.body));
        Ok(Reading { storage, key, range, at: 0, begun_at: 0, body, broken: 0 }.pieces())
    }

    /// The bytes of a range.
    pub(crate) async fn read_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let mut pieces = self.stream_range(key, range.clone()).await?;
        let Some(first) = pieces.try_next().await? else { return Ok(Bytes::new()) };
        // The answer has begun, so the object is known to be that long: only now is memory taken.
        let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        if first.len() == wanted {
            return Ok(first);
        }
        let mut body = BytesMut::with_capacity(wanted);
        body.extend_from_slice(&first);
        while let Some(piece) = pieces.try_next().await? {
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// The length of an object, if there is one.
    pub(crate) async fn length(&self, key: &Key) -> Result<Option<u64>> {
        match self.head(key).await {
            Ok(head) => Ok(Some(head.content_length().and_then(|l| u64::try_from(l).ok()).unwrap_or(0))),
            Err(S3Error::NoSuchKey) => {
                self.is_there().await?;
                Ok(None)
            }
            Err(error) => Err(error.about(key)),
        }
    }

    pub(crate) async fn head(
        &self,
        key: &Key,
    ) -> Result<aws_sdk_s3::operation::head_object::HeadObjectOutput, S3Error> {
        let (bucket, object) = (&self.options().bucket, self.object(key));
        self.request("HeadObject", 0, || self.client().head_object().bucket(bucket).key(&object).send()).await
    }

    /// Tells an object that is gone from a bucket that is: the first is damage for ever, the second passes.
    async fn is_there(&self) -> Result<()> {
        Ok(self.ping_bucket().await?)
    }

    /// What is to be said of an object that is not known.
    async fn absent(&self, key: &Key) -> Error {
        match self.is_there().await {
            Ok(()) => Error::NotFound { key: key.clone() },
            Err(error) => error,
        }
    }
}

impl Reading {
    /// Asks for what is left of the range.
    async fn open(&mut self) -> Result<()> {
        let (storage, at, end) = (&self.storage, self.at, self.range.end);
        let (bucket, object) = (&storage.options().bucket, storage.object(&self.key));
        let header = format!("bytes={at}-{}", end - 1);
        let ask = || storage.client().get_object().bucket(bucket).key(&object).range(&header).send();
        let answer = match storage.request("GetObject", 0, ask).await {
            Ok(answer) => answer,
            Err(S3Error::NoSuchKey) => return Err(storage.absent(&self.key).await),
            Err(S3Error::BadRange) => {
                let size = storage.length(&self.key).await?.ok_or_else(|| Error::NotFound { key: self.key.clone() })?;
                return Err(truncated(&self.key, &self.range, size));
            }
            Err(error) => return Err(error.about(&self.key)),
        };
        match Part::of(&answer, at, end) {
            Part::Whole => {}
            Part::Short { size } => return Err(truncated(&self.key, &self.range, size)),
            Part::Other(got) => return Err(S3Error::RangesIgnored { asked: header, got }.into()),
        }
        self.begun_at = at;
        self.body = Some(answer.body);
        Ok(())
    }

    /// What is left, as it comes.
    fn pieces(self) -> BoxStream<'static, Result<Bytes>> {
        let pieces = stream::try_unfold(self, |mut reading| async move {
            let piece = reading.next().await?;
            Ok(piece.map(|piece| (piece, reading)))
        });
        pieces.boxed()
    }

    /// The next piece; `None` at the end of the range.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let timeout: Duration = self.storage.options().timeout;
        while self.at < self.range.end {
            if self.body.is_none() {
                self.open().await?;
            }
            let Some(body) = &mut self.body else { continue };
            let reason = match tokio::time::timeout(timeout, body.next()).await {
                Ok(Some(Ok(mut piece))) => {
                    // Never more than was asked for, whatever comes.
                    piece.truncate(usize::try_from(self.range.end - self.at).unwrap_or(usize::MAX));
                    if piece.is_empty() {
                        continue;
                    }
                    self.at += piece.len() as u64;
                    return Ok(Some(piece));
                }
                Ok(Some(Err(error))) => error.to_string(),
                Ok(None) => "it ended".to_owned(),
                Err(_) => format!("nothing came for {timeout:?}"),
            };
            self.body = None;
            self.broken = if self.at - self.begun_at >= PROGRESS_BYTES { 1 } else { self.broken + 1 };
            let (got, wanted) = (self.at - self.range.start, self.range.end - self.range.start);
            let error = S3Error::BrokenBody { got, wanted, reason };
            if self.broken >= self.storage.options().attempts {
                return Err(error.about(&self.key));
            }
            tracing::debug!(key = %self.key, %error, "reading on where the answer broke off");
            tokio::time::sleep(wait_after(self.broken)).await;
        }
        Ok(None)
    }
}

/// What an answer holds of the bytes that were asked for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// All of them, by what it says.
    Whole,
    /// The object ends before they do.
    Short { size: u64 },
    /// Something else.
    Other(String),
}

impl Part {
    fn of(answer: &GetObjectOutput, start: u64, end: u64) -> Self {
        let length = answer.content_length().and_then(|length| u64::try_from(length).ok());
        Self::said(answer.content_range(), length, start, end)
    }

    fn said(range: Option<&str>, length: Option<u64>, start: u64, end: u64) -> Self {
        let Some(text) = range else {
            // The whole object, which is as good if that begins where the range does.
            return match length {
                Some(size) if start == 0 && size < end => Self::Short { size },
                Some(_) if start == 0 => Self::Whole,
                _ => Self::Other("the whole object".to_owned()),
            };
        };
        let numbers = || {
            let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
            let (first, last) = range.split_once('-')?;
            Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, size.parse::<u64>().ok()))
        };
        match numbers() {
            Some((first, _, _)) if first != start => Self::Other(text.to_owned()),
            Some((_, _, Some(size))) if size < end => Self::Short { size },
            // Less than was asked for of an object that has it: what is missing is asked for again.
            Some(_) => Self::Whole,
            None => Self::Other(text.to_owned()),
        }
    }
}

/// The length of the whole object, of which this has the beginning.
fn object_length(answer: &GetObjectOutput) -> Option<u64> {
    match answer.content_range() {
        Some(range) => range.rsplit_once('/')?.1.parse().ok(),
        None => answer.content_length().and_then(|length| u64::try_from(length).ok()),
    }
}

fn truncated(key: &Key, range: &Range<u64>, size: u64) -> Error {
    let wanted = range.end.saturating_sub(range.start);
    Error::Truncated { key: key.clone(), wanted, got: size.saturating_sub(range.start).min(wanted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_what_they_hold() {
        assert_eq!(Part::said(Some("bytes 2-9/100"), Some(8), 2, 10), Part::Whole);
        assert_eq!(Part::said(Some("bytes 2-9/*"), Some(8), 2, 10), Part::Whole);
        assert_eq!(Part::said(Some("bytes 2-4/5"), Some(3), 2, 10), Part::Short { size: 5 });
        assert_eq!(Part::said(Some("bytes 0-9/100"), Some(10), 2, 10), Part::Other("bytes 0-9/100".to_owned()));
        assert_eq!(Part::said(Some("?"), Some(10), 2, 10), Part::Other("?".to_owned()));
        assert_eq!(Part::said(None, Some(100), 0, 10), Part::Whole);
        assert_eq!(Part::said(None, Some(9), 0, 10), Part::Short { size: 9 });
        assert!(matches!(Part::said(None, Some(100), 2, 10), Part::Other(_)));
    }
}
