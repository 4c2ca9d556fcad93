//! The stage that compresses: from what has to be sent to bytes for the wire, on several cores.

use std::{
    io,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use protocol::{frame_compressor, push::ChunkMessage};
use tokio::sync::Semaphore;
use zstd::{bulk::Compressor, zstd_safe::compress_bound};

use super::{asking::Step, cutting::CutChunk, window::Room};

/// A job has so many bytes, so that handing it to another thread costs nothing beside doing it.
const JOB_BYTES: usize = 512 << 10;
/// … or so many steps.
const JOB_STEPS: usize = 1024;

/// What all cores together work with takes no more, unless they are told to.
const TOOLS_BYTES: usize = 80 << 20;

/// Messages, one after the other, as they go over the wire.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) wire: Bytes,
    pub(super) messages: Vec<Message>,
    /// What the chunks among them take of the window.
    pub(super) room: Option<Room>,
}

/// A message in the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    /// Where it ends.
    pub(super) end: usize,
    pub(super) kind: Kind,
}

/// What a message is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A path, all of it.
    Path {
        at: usize,
        /// How many chunks it promises.
        chunks: usize,
        /// How many bytes they have at most.
        follow: u64,
    },
    /// A path that comes in parts.
    Opening {
        at: usize,
        /// How many bytes the parts and their chunks have at most.
        follow: u64,
    },
    /// The next part of the path that was opened.
    Part { at: usize },
    /// Its end, one way or the other.
    Closing { at: usize },
    Chunk {
        at: usize,
        /// The size, uncompressed.
        size: u64,
        promised: bool,
    },
}

/// Cuts steps into jobs.
pub(super) fn jobs(steps: Vec<Step>) -> Vec<Vec<Step>> {
    let mut jobs = Vec::new();
    let (mut job, mut bytes) = (Vec::new(), 0);
    for step in steps {
        bytes += match &step {
            Step::Path { message, .. } => message.len(),
            Step::Chunk { chunk, .. } => chunk.bytes.len(),
        };
        job.push(step);
        if bytes >= JOB_BYTES || job.len() >= JOB_STEPS {
            jobs.push(std::mem::take(&mut job));
            bytes = 0;
        }
    }
    jobs.extend((!job.is_empty()).then_some(job));
    jobs
}

/// On how many cores to compress unless told: on all, as far as what they work with takes little memory.
pub(super) fn default_cores(level: i32) -> NonZeroUsize {
    let all = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    all.min(NonZeroUsize::new(TOOLS_BYTES / tools_bytes(level)).unwrap_or(NonZeroUsize::MIN))
}

/// What one core works with takes about so much at a level: tables that grow with it, and a frame.
const fn tools_bytes(level: i32) -> usize {
    match level {
        ..=4 => 5 << 20,
        5..=10 => 12 << 20,
        11..=15 => 40 << 20,
        16.. => 80 << 20,
    }
}

/// Compresses; keeps its contexts, since making one costs more than a small chunk.
pub(super) struct Packer {
    level: i32,
    cores: Semaphore,
    idle: Mutex<Vec<Tools>>,
}

/// What one core works with.
struct Tools {
    compressor: Compressor<'static>,
    scratch: Vec<u8>,
}

impl Packer {
    pub(super) fn new(level: i32, cores: NonZeroUsize) -> Self {
        Self { level, cores: Semaphore::new(cores.get()), idle: Mutex::default() }
    }

    pub(super) fn cores(&self) -> usize {
        self.cores.available_permits().max(1)
    }

    /// Does a job when a core is free.
    pub(super) async fn pack(self: std::sync::Arc<Self>, job: Vec<Step>) -> io::Result<Packed> {
        // The semaphore is ours and is never closed.
        let _core = self.cores.acquire().await.ok();
        let packer = std::sync::Arc::clone(&self);
        match tokio::task::spawn_blocking(move || packer.pack_here(job)).await {
            Ok(packed) => packed,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn pack_here(&self, job: Vec<Step>) -> io::Result<Packed> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut tools = match idle {
            Some(tools) => tools,
            None => Tools { compressor: frame_compressor(self.level)?, scratch: Vec::new() },
        };
        let packed = tools.pack(job);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(tools);
        packed
    }
}

impl Tools {
    fn pack(&mut self, job: Vec<Step>) -> io::Result<Packed> {
        let mut wire = Vec::new();
        let mut messages = Vec::with_capacity(job.len());
        let mut room: Option<Room> = None;
        let mut held = 0;
        for step in job {
            let kind = match step {
                Step::Path { message, kind } => {
                    wire.extend_from_slice(&message);
                    kind
                }
                Step::Chunk { chunk: CutChunk { at, hash, bytes, room: taken, .. }, promised } => {
                    let size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
                    self.scratch.clear();
                    self.scratch.reserve(compress_bound(bytes.len()));
                    self.compressor.compress_to_buffer(&bytes, &mut self.scratch)?;
                    let frame = std::mem::take(&mut self.scratch).into();
                    let message = ChunkMessage { hash, size, frame };
                    wire.extend_from_slice(&message.encode_head());
                    wire.extend_from_slice(&message.frame);
                    held += message.frame.len();
                    self.scratch = message.frame.into();
                    match &mut room {
                        Some(room) => room.join(taken),
                        None => room = Some(taken),
                    }
                    Kind::Chunk { at, size: u64::from(size), promised }
                }
            };
            messages.push(Message { end: wire.len(), kind });
        }
        wire.shrink_to_fit();
        room.iter_mut().for_each(|room| room.shrink_to(held));
        Ok(Packed { wire: wire.into(), messages, room })
    }
}
