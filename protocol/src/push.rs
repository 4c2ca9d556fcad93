//! Native push, version 1: only bytes that the cache has never seen.
//!
//! 1. `GET /_flywheel/v1/caches/{cache}/push` gives [`PushParameters`]; 404 means that the server speaks Attic's protocol only.
//! 2. `POST /_flywheel/v1/caches/{cache}/missing-chunks` takes digests, 32 bytes each, and answers with a [`Bitmap`] of those that
//!    have to be sent.
//! 3. `POST /_flywheel/v1/caches/{cache}/push` takes a stream of messages and answers with one [`PathResult`] as a line of JSON for
//!    each path, in their order, each when it is durable.
//!
//! ```text
//! stream   = "FLYPUSH1" message*
//! message  = kind (1 byte), length (varint), payload
//! path     = kind 1: length of JSON (varint), UploadPathNarInfo as JSON, manifest, bitmap of the chunks that are sent
//! chunk    = kind 2: BLAKE3 (32 bytes), size (varint), one zstd frame that says its size
//! opening  = kind 3: UploadPathNarInfo as JSON
//! part     = kind 4: manifest, bitmap of the chunks that are sent
//! closing  = kind 5: nothing
//! withdraw = kind 6: nothing
//! ```
//!
//! A manifest has its length in front of it (varint). After a path come those of its chunks that are sent, in the order of its
//! manifest. A chunk that occurs again, in the same path or in a later one of the stream, is not sent again. A chunk in front of any
//! path is stored, and waits for a path in a later stream.
//!
//! Whoever does not want to hold a whole path before the first chunk goes out sends it in parts: an opening, then parts, each
//! with those of its chunks that are sent behind it, then the closing. Or a withdrawal: the path does not come, there is no result,
//! and what came of it counts as chunks in front of a path.

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::{ChunkHash, ChunkSizes, Manifest, attic::UploadPathNarInfo, read_varint, write_varint};

/// The version that this module describes.
pub const VERSION: u32 = 1;
/// What a stream begins with.
pub const MAGIC: &[u8; 8] = b"FLYPUSH1";
/// The content type of a stream.
pub const CONTENT_TYPE: &str = "application/x-flywheel-push";
/// The most digests that may be asked about at once.
pub const MAX_ASKED: usize = 16 << 10;
/// The largest payload of a path: a manifest of some hundred thousand chunks.
pub const MAX_PATH_BYTES: usize = 16 << 20;
/// The largest chunk, uncompressed, in bytes: the largest that any [`ChunkSizes`] cut.
pub const MAX_CHUNK_SIZE: u32 = 16 << 20;
/// The largest payload of a chunk: a chunk of [`MAX_CHUNK_SIZE`] that does not compress.
pub const MAX_CHUNK_BYTES: usize = (16 << 20) + (128 << 10);

/// The most chunks that a path has, in however many parts.
pub const MAX_PATH_CHUNKS: usize = (MAX_PATH_BYTES - (1 << 20)) / 37;

const PATH: u8 = 1;
const CHUNK: u8 = 2;
const OPENING: u8 = 3;
const PART: u8 = 4;
const CLOSING: u8 = 5;
const WITHDRAWAL: u8 = 6;

/// What a client has to know before it pushes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushParameters {
    /// The version of the protocol: [`VERSION`].
    pub version: u32,
    /// How NARs are cut.
    pub chunking: ChunkSizes,
    /// The largest stream that the server takes, in bytes.
    pub max_stream_bytes: u64,
    /// The zstd level that the server would compress with itself.
    pub compression_level: i32,
}

/// One message of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A path that is pushed.
    Path(Box<PathMessage>),
    /// A chunk.
    Chunk(ChunkMessage),
    /// A path that is pushed in parts.
    Opening(Box<UploadPathNarInfo>),
    /// The next part of the path that was opened last.
    Part(PartMessage),
    /// It has no more parts.
    Closing,
    /// It does not come.
    Withdrawal,
}

/// A path that is pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct PathMessage {
    /// Its metadata.
    pub info: UploadPathNarInfo,
    /// The chunks of its NAR.
    pub manifest: Manifest,
    /// Which of them follow, by position in the manifest.
    pub sent: Bitmap,
}

/// A part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartMessage {
    /// The next chunks of its NAR.
    pub manifest: Manifest,
    /// Which of them follow, by position in the manifest.
    pub sent: Bitmap,
}

/// A chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkMessage {
    /// Its name.
    pub hash: ChunkHash,
    /// Its size, uncompressed, in bytes.
    pub size: u32,
    /// Its bytes, as one zstd frame.
    pub frame: Bytes,
}

/// What became of a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathResult {
    /// The path, absolute, as it was sent.
    pub store_path: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: PathOutcome,
}

/// What became of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum PathOutcome {
    /// It is in the cache.
    Stored {
        /// The size of the NAR as stored, in bytes.
        file_size: u64,
    },
    /// It was in the cache, with another NAR, and stays as it was.
    KeptOther,
    /// A chunk that was not sent is not there (any more): ask for the missing chunks again.
    ChunksMissing,
    /// It was refused.
    Refused {
        /// The stable name of the error.
        error: String,
        /// What happened.
        message: String,
        /// Whether the same push may succeed later.
        retryable: bool,
    },
}

/// A set of positions: one bit each, the least significant first, eight a byte; bits beyond the end are 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bitmap(Vec<u8>);

impl Bitmap {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A bitmap of `length` positions from its bytes; `None` if there are too few or too many, or bits beyond the end.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>, length: usize) -> Option<Self> {
        let spare = bytes.len() * 8 - length.min(bytes.len() * 8);
        let clean = spare == 0 || bytes.last().is_none_or(|last| last.leading_zeros() as usize >= spare);
        (bytes.len() == length.div_ceil(8) && clean).then_some(Self(bytes))
    }

    /// Whether `position` is in the set.
    #[must_use]
    pub fn contains(&self, position: usize) -> bool {
        self.0.get(position / 8).is_some_and(|byte| byte & (1 << (position % 8)) != 0)
    }
}

impl FromIterator<bool> for Bitmap {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut bytes = Vec::new();
        for (position, bit) in bits.into_iter().enumerate() {
            if position % 8 == 0 {
                bytes.push(0);
            }
            if let (true, Some(last)) = (bit, bytes.last_mut()) {
                *last |= 1 << (position % 8);
            }
        }
        Self(bytes)
    }
}

/// A stream that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It does not begin with [`MAGIC`].
    #[error("this is no push stream of version 1")]
    Magic,
    /// A message of a kind that this version does not know.
    #[error("a message of kind {0} is not known here")]
    Kind(u8),
    /// A message larger than allowed.
    #[error("a message of {0} bytes is larger than allowed")]
    TooLarge(u64),
    /// A message that cannot be read.
    #[error("a malformed message: {0}")]
    Malformed(String),
    /// The stream ended in a message.
    #[error("the stream was cut off")]
    Cut,
}

impl PathMessage {
    /// The message as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let json = json(&self.info);
        let mut payload = Vec::new();
        write_varint(&mut payload, json.len() as u64);
        payload.extend_from_slice(&json);
        write_chunks(&mut payload, &self.manifest, &self.sent);
        message(PATH, &payload)
    }

    fn decode(payload: &[u8]) -> Result<Self, StreamError> {
        let mut input = payload;
        let info = parse_info(part_of(&mut input)?)?;
        let (manifest, sent) = parse_chunks(input)?;
        Ok(Self { info, manifest, sent })
    }
}

impl PartMessage {
    /// The message as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        write_chunks(&mut payload, &self.manifest, &self.sent);
        message(PART, &payload)
    }
}

/// The message that opens a path in parts.
#[must_use]
pub fn encode_opening(info: &UploadPathNarInfo) -> Vec<u8> {
    message(OPENING, &json(info))
}

/// The message that closes it.
#[must_use]
pub fn encode_closing() -> Vec<u8> {
    message(CLOSING, &[])
}

/// The message that withdraws it.
#[must_use]
pub fn encode_withdrawal() -> Vec<u8> {
    message(WITHDRAWAL, &[])
}

fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    write_varint(&mut out, payload.len() as u64);
    out.extend_from_slice(payload);
    out
}

fn json(info: &UploadPathNarInfo) -> Vec<u8> {
    serde_json::to_vec(info).unwrap_or_default()
}

fn write_chunks(payload: &mut Vec<u8>, manifest: &Manifest, sent: &Bitmap) {
    let manifest = manifest.encode();
    write_varint(payload, manifest.len() as u64);
    payload.extend_from_slice(&manifest);
    payload.extend_from_slice(sent.as_bytes());
}

fn parse_info(json: &[u8]) -> Result<UploadPathNarInfo, StreamError> {
    serde_json::from_slice(json).map_err(|error| StreamError::Malformed(error.to_string()))
}

fn parse_chunks(mut input: &[u8]) -> Result<(Manifest, Bitmap), StreamError> {
    let manifest = part_of(&mut input)?;
    let manifest = Manifest::decode(manifest).map_err(|error| StreamError::Malformed(error.to_string()))?;
    let sent = Bitmap::from_bytes(input.to_vec(), manifest.0.len()).ok_or_else(cut_off)?;
    Ok((manifest, sent))
}

/// Takes something that has its length in front of it.
fn part_of<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], StreamError> {
    let length = read_varint(input).and_then(|n| usize::try_from(n).ok()).ok_or_else(cut_off)?;
    let (part, rest) = input.split_at_checked(length).ok_or_else(cut_off)?;
    *input = rest;
    Ok(part)
}

fn cut_off() -> StreamError {
    StreamError::Malformed("a path is cut off".to_owned())
}

impl ChunkMessage {
    /// What goes over the wire before the frame.
    #[must_use]
    pub fn encode_head(&self) -> Vec<u8> {
        let mut head = self.hash.as_bytes().to_vec();
        write_varint(&mut head, u64::from(self.size));
        let mut out = vec![CHUNK];
        write_varint(&mut out, (head.len() + self.frame.len()) as u64);
        out.extend_from_slice(&head);
        out
    }

    fn decode(mut payload: Bytes) -> Result<Self, StreamError> {
        let cut = || StreamError::Malformed("a chunk is cut off".to_owned());
        let hash = ChunkHash(*payload.first_chunk::<32>().ok_or_else(cut)?);
        payload.advance(32);
        let mut input = &payload[..];
        let size = read_varint(&mut input).and_then(|n| u32::try_from(n).ok()).ok_or_else(cut)?;
        // A few kilobytes of zstd can say that they are gigabytes: nobody is to make room for those.
        if size > MAX_CHUNK_SIZE {
            return Err(StreamError::TooLarge(size.into()));
        }
        let head = payload.len() - input.len();
        payload.advance(head);
        Ok(Self { hash, size, frame: payload })
    }
}

/// Reads a stream of messages, without I/O: bytes in, messages out. Holds one message at the most, and what was pushed last.
#[derive(Debug, Default)]
pub struct StreamReader {
    buffer: BytesMut,
    begun: bool,
}

impl StreamReader {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, if all of it has come.
    ///
    /// # Errors
    /// If the stream makes no sense. A message that is too large is refused by its length, before it is gathered.
    pub fn next_message(&mut self) -> Result<Option<Message>, StreamError> {
        if !self.begun {
            let Some(magic) = self.buffer.first_chunk::<8>() else { return Ok(None) };
            if magic != MAGIC {
                return Err(StreamError::Magic);
            }
            self.buffer.advance(MAGIC.len());
            self.begun = true;
        }
        let Some((&kind, mut rest)) = self.buffer.split_first() else { return Ok(None) };
        let limit = match kind {
            PATH | OPENING | PART => MAX_PATH_BYTES,
            CHUNK => MAX_CHUNK_BYTES,
            CLOSING | WITHDRAWAL => 0,
            kind => return Err(StreamError::Kind(kind)),
        };
        let Some(length) = read_varint(&mut rest) else {
            return if rest.len() >= 10 { Err(StreamError::TooLarge(u64::MAX)) } else { Ok(None) };
        };
        let size = usize::try_from(length).ok().filter(|&size| size <= limit).ok_or(StreamError::TooLarge(length))?;
        if rest.len() < size {
            return Ok(None);
        }
        let head = self.buffer.len() - rest.len();
        self.buffer.advance(head);
        let payload = self.buffer.split_to(size).freeze();
        Ok(Some(match kind {
            PATH => Message::Path(Box::new(PathMessage::decode(&payload)?)),
            OPENING => Message::Opening(Box::new(parse_info(&payload)?)),
            PART => {
                let (manifest, sent) = parse_chunks(&payload)?;
                Message::Part(PartMessage { manifest, sent })
            }
            CLOSING => Message::Closing,
            WITHDRAWAL => Message::Withdrawal,
            _ => Message::Chunk(ChunkMessage::decode(payload)?),
        }))
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// If it ended in a message, or before its magic.
    pub fn finish(&self) -> Result<(), StreamError> {
        if self.begun && self.buffer.is_empty() { Ok(()) } else { Err(StreamError::Cut) }
    }
}

#[cfg(test)]
mod tests;
