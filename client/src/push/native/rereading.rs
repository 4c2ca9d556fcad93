//! The stage that reads a large path once more, for the chunks that the cache needs of it.
//!
//! To hold them from the first time on would take memory without bound, and to send them before their path would make the server
//! read them back: a second look, mostly into the page cache, is cheaper than either.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use protocol::{ChunkHash, ErrorCode, Manifest};
use tokio::sync::mpsc;

use super::{Context, asking::Step, cutting::CutChunk, ledger::Ledger, packing::JOB_BYTES, window::Window};
use crate::{
    api::ApiError,
    nix::{DumpError, dump_through},
    push::UploadError,
};

/// What is to be read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) at: usize,
    pub(super) manifest: Manifest,
    /// The places of the chunks that are needed, in order.
    pub(super) wanted: Vec<usize>,
    /// Whether the path before them says that they follow.
    pub(super) promised: bool,
}

/// The jobs of a reading, as they are read.
pub(super) fn read(
    context: &Arc<Context>,
    ledger: &Arc<Ledger>,
    reading: Reading,
) -> mpsc::Receiver<Result<Vec<Step>, ApiError>> {
    let (out, jobs) = mpsc::channel(1);
    let (context, ledger) = (Arc::clone(context), Arc::clone(ledger));
    tokio::task::spawn_blocking(move || {
        let (at, promised) = (reading.at, reading.promised);
        if let Err(error) = Rereader::new(&context, &ledger, reading, out.clone()).run() {
            ledger.failed(at, error);
            if promised {
                // The stream cannot go on without what was promised; the next one goes without the path.
                let text = "The path changed while it was read.";
                let error =
                    context.uploader.api.refusal(&context.uploader.cache, ErrorCode::IncompleteBody, text.to_owned());
                // If nobody listens any more, the stream is over anyway.
                let _ = out.blocking_send(Err(error));
            }
        }
    });
    jobs
}

struct Rereader<'a> {
    context: &'a Context,
    ledger: &'a Ledger,
    reading: Reading,
    out: mpsc::Sender<Result<Vec<Step>, ApiError>>,
    window: Window,
    /// The largest job, so that a job that waits for room never holds all of it.
    job_limit: usize,
    job: Vec<Step>,
    job_bytes: usize,
    /// Which chunk comes next, and how much of it is left.
    position: usize,
    left: usize,
    /// How many of the wanted chunks are through.
    through: usize,
    /// What there is of a wanted chunk.
    chunk: Vec<u8>,
}

/// Why reading ends early.
enum Stop {
    /// Nobody wants more.
    Closed,
    /// A chunk is not what it was.
    Changed,
}

impl<'a> Rereader<'a> {
    fn new(
        context: &'a Context,
        ledger: &'a Ledger,
        reading: Reading,
        out: mpsc::Sender<Result<Vec<Step>, ApiError>>,
    ) -> Self {
        // A window of its own: those who wait behind this path may hold all of the other.
        let window = context.tuning.window_bytes / 4;
        Self {
            context,
            ledger,
            left: reading.manifest.0.first().map_or(0, |entry| entry.size as usize),
            reading,
            out,
            window: Window::new(window),
            job_limit: JOB_BYTES.min(window / 2),
            job: Vec::new(),
            job_bytes: 0,
            position: 0,
            through: 0,
            chunk: Vec::new(),
        }
    }

    fn run(mut self) -> Result<(), UploadError> {
        let info = self.ledger.info(self.reading.at);
        let contents = self.context.uploader.store.contents(&info.path);
        let mut stop = None;
        let dumped = dump_through(&contents, &mut Vec::new(), &mut |piece| {
            if self.through == self.reading.wanted.len() {
                return ControlFlow::Break(());
            }
            match self.take(piece) {
                Ok(()) => ControlFlow::Continue(()),
                Err(why) => {
                    stop = Some(why);
                    ControlFlow::Break(())
                }
            }
        });
        match (dumped, stop) {
            (Err(error), _) => Err(error.into()),
            (_, Some(Stop::Closed)) => Ok(()),
            (_, None) if self.through == self.reading.wanted.len() => {
                // If nobody wants the last job, so be it.
                let _ = self.hand_out();
                Ok(())
            }
            (_, Some(Stop::Changed) | None) => Err(DumpError::Changed(contents).into()),
        }
    }

    fn take(&mut self, mut piece: &[u8]) -> Result<(), Stop> {
        while !piece.is_empty() {
            let Some(entry) = self.reading.manifest.0.get(self.position) else { return Err(Stop::Changed) };
            let (part, rest) = piece.split_at(piece.len().min(self.left));
            piece = rest;
            self.left -= part.len();
            let wanted = self.reading.wanted.get(self.through) == Some(&self.position);
            if wanted {
                self.chunk.reserve_exact(entry.size as usize - self.chunk.len());
                self.chunk.extend_from_slice(part);
            }
            if self.left == 0 {
                if wanted {
                    self.through += 1;
                    self.chunk(entry.hash)?;
                }
                self.position += 1;
                self.left = self.reading.manifest.0.get(self.position).map_or(0, |entry| entry.size as usize);
            }
        }
        Ok(())
    }

    fn chunk(&mut self, hash: ChunkHash) -> Result<(), Stop> {
        let bytes = Bytes::from(std::mem::take(&mut self.chunk));
        if ChunkHash::of(&bytes) != hash {
            return Err(Stop::Changed);
        }
        if self.job_bytes + bytes.len() > self.job_limit {
            self.hand_out()?;
        }
        let room = self.window.take(bytes.len());
        self.job_bytes += bytes.len();
        let chunk = CutChunk { at: self.reading.at, position: self.position, hash, bytes, room };
        self.job.push(Step::Chunk { chunk, promised: self.reading.promised });
        Ok(())
    }

    fn hand_out(&mut self) -> Result<(), Stop> {
        self.job_bytes = 0;
        let job = std::mem::take(&mut self.job);
        if job.is_empty() { Ok(()) } else { self.out.blocking_send(Ok(job)).map_err(|_| Stop::Closed) }
    }
}
