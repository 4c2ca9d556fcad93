//! The stage that reads: from paths to batches of chunks.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use formats::{NarHash, nar};
use protocol::{
    ChunkHash, ChunkSizes, ErrorCode, Manifest, ManifestEntry, NarCutter,
    push::{MAX_ASKED, MAX_PATH_CHUNKS},
};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{
    Context,
    ledger::Ledger,
    window::{Room, Window},
};
use crate::{
    nix::{DumpError, LocalStore, dump_through},
    push::upload::{NarIdentity, UploadError},
};

/// A batch with the manifests of so many chunks is handed on, however few of them are new.
const MAX_ENTRIES: usize = 64 << 10;
/// How many chunks of a push are remembered; beyond that the memory starts anew, which costs questions only.
const MAX_SEEN: usize = 500_000;

/// A chunk whose bytes are held until it is known whether the cache needs them.
#[derive(Debug)]
pub(super) struct CutChunk {
    /// The path that it was found in.
    pub(super) at: usize,
    /// Its place in the manifest of its piece.
    pub(super) position: usize,
    pub(super) hash: ChunkHash,
    pub(super) bytes: Bytes,
    pub(super) room: Room,
}

/// A path that was read whole.
#[derive(Debug)]
pub(super) struct CutPath {
    pub(super) at: usize,
    pub(super) manifest: Manifest,
    /// Those of its chunks that no batch has had, in order.
    pub(super) chunks: Vec<CutChunk>,
}

/// The next part of a path that is handed on while it is read.
#[derive(Debug)]
pub(super) struct PathPart {
    pub(super) at: usize,
    /// The chunks of the part.
    pub(super) manifest: Manifest,
    /// Those of them that no batch has had, in order.
    pub(super) chunks: Vec<CutChunk>,
    pub(super) is_first: bool,
    pub(super) is_last: bool,
}

/// A part of a batch.
#[derive(Debug)]
pub(super) enum Piece {
    /// A path, with its chunks.
    Path(CutPath),
    /// A part of a path.
    Part(PathPart),
    /// Chunks of a path that does not come, or comes behind them.
    Loose(Vec<CutChunk>),
    /// A path of which there were parts, and which does not come.
    Withdrawn(usize),
}

impl Piece {
    /// The chunks that no batch has had, in order.
    pub(super) fn chunks(&self) -> &[CutChunk] {
        match self {
            Self::Path(path) => &path.chunks,
            Self::Part(part) => &part.chunks,
            Self::Loose(chunks) => chunks,
            Self::Withdrawn(_) => &[],
        }
    }

    /// The same, to be thinned out.
    pub(super) fn chunks_mut(&mut self) -> Option<&mut Vec<CutChunk>> {
        match self {
            Self::Path(path) => Some(&mut path.chunks),
            Self::Part(part) => Some(&mut part.chunks),
            Self::Loose(chunks) => Some(chunks),
            Self::Withdrawn(_) => None,
        }
    }
}

/// Pieces that are asked about together.
pub(super) type Batch = Vec<Piece>;

/// How many batches a window has room for: one that is being filled, and those under way.
const BATCHES: usize = 8;

/// Reads paths, where blocking is allowed.
pub(super) struct Cutting {
    context: Context,
    store: Arc<dyn LocalStore>,
    sizes: ChunkSizes,
    /// A batch with so many bytes is handed on, also in the middle of a path.
    batch_limit: usize,
    window: Window,
    ledger: Arc<Ledger>,
    out: mpsc::Sender<Batch>,
    /// Chunks that some batch has had: the cache has them, or gets them before what comes later.
    seen: HashSet<ChunkHash>,
    batch: Batch,
    batch_bytes: usize,
    batch_digests: usize,
    batch_entries: usize,
    open: Open,
}

/// The path that is being read.
#[derive(Debug, Default)]
struct Open {
    manifest: Vec<ManifestEntry>,
    /// How many of its chunks have been handed on.
    handed_on: usize,
    /// The new ones among the rest.
    chunks: Vec<CutChunk>,
    bytes: usize,
}

impl Open {
    /// What has not been handed on.
    fn take_rest(&mut self) -> (Manifest, Vec<CutChunk>) {
        let rest = self.manifest[self.handed_on..].to_vec();
        self.handed_on = self.manifest.len();
        self.bytes = 0;
        (Manifest(rest), std::mem::take(&mut self.chunks))
    }
}

/// Nobody wants to have more.
struct Closed;

impl Cutting {
    pub(super) fn new(context: &Context, ledger: Arc<Ledger>, out: mpsc::Sender<Batch>) -> Self {
        Self {
            store: Arc::clone(&context.uploader.store),
            sizes: context.parameters.chunking,
            batch_limit: context.tuning.window_bytes / BATCHES,
            context: context.clone(),
            window: Window::new(context.tuning.window_bytes),
            ledger,
            out,
            seen: HashSet::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            batch_digests: 0,
            batch_entries: 0,
            open: Open::default(),
        }
    }

    /// Reads the paths at these places, in this order, until all are read or nobody wants more.
    pub(super) fn run(mut self, order: &[usize]) {
        let mut buffer = Vec::new();
        for &at in order {
            // A reference may have failed since.
            if self.ledger.is_waiting(at) && self.path(at, &mut buffer).is_err() {
                return;
            }
        }
        // If nobody wants the last batch, so be it.
        let _ = self.hand_out();
    }

    fn path(&mut self, at: usize, buffer: &mut Vec<u8>) -> Result<(), Closed> {
        let ledger = Arc::clone(&self.ledger);
        let info = ledger.info(at);
        ledger.started(at);
        let mut cutter = NarCutter::new(self.sizes, nar::Limits::default());
        self.open = Open::default();
        let mut closed = Ok(());
        let mut malformed = None;
        let contents = self.store.contents(&info.path);
        let dumped = dump_through(&contents, buffer, &mut |piece| {
            if let Err(error) = cutter.push(piece, |_| {}) {
                malformed = Some(error);
                return ControlFlow::Break(());
            }
            while let Some(chunk) = cutter.next_chunk() {
                closed = self.chunk(at, &chunk);
                if closed.is_err() {
                    return ControlFlow::Break(());
                }
            }
            if cutter.position() > info.nar_size || self.open.manifest.len() > MAX_PATH_CHUNKS {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        closed?;
        let size = cutter.position();
        let unfit = |source| UploadError::Read(DumpError::Unfit { path: contents.clone(), source });
        let failed = match dumped {
            Err(error) => Some(error.into()),
            Ok(_) if malformed.is_some() => malformed.map(unfit),
            Ok(_) if size != info.nar_size => Some(self.damaged(at)),
            Ok(_) if self.open.manifest.len() > MAX_PATH_CHUNKS => Some(self.too_many_chunks(at)),
            Ok(_) => match cutter.finish() {
                Ok(chunks) => {
                    for chunk in chunks {
                        self.chunk(at, &chunk)?;
                    }
                    None
                }
                Err(error) => Some(unfit(error)),
            },
        };
        match failed {
            Some(error) => {
                ledger.failed(at, error);
                // Others may rely on these chunks, which count as seen.
                self.let_go(at);
            }
            None => self.end(at),
        }
        if self.is_full() { self.hand_out() } else { Ok(()) }
    }

    fn chunk(&mut self, at: usize, bytes: &[u8]) -> Result<(), Closed> {
        if self.is_full() {
            self.part(at, false);
            self.hand_out()?;
        }
        let hash = ChunkHash::of(bytes);
        let position = self.open.manifest.len() - self.open.handed_on;
        self.open.manifest.push(ManifestEntry { hash, size: u32::try_from(bytes.len()).unwrap_or(u32::MAX) });
        if self.seen.len() >= MAX_SEEN {
            self.seen.clear();
        }
        if !self.seen.insert(hash) {
            self.ledger.passed(at, bytes.len() as u64);
            return Ok(());
        }
        let room = self.window.take(bytes.len());
        self.open.bytes += bytes.len();
        // Copied, since a slice would keep alive the much larger buffer that it is a slice of.
        let bytes = Bytes::copy_from_slice(bytes);
        self.open.chunks.push(CutChunk { at, position, hash, bytes, room });
        Ok(())
    }

    /// Whether the batch has to be handed on, with what there is of the open path.
    fn is_full(&self) -> bool {
        self.batch_bytes + self.open.bytes >= self.batch_limit
            || self.batch_digests + self.open.chunks.len() >= MAX_ASKED
            || self.batch_entries + self.open.manifest.len() - self.open.handed_on >= MAX_ENTRIES
    }

    /// Puts what there is of the open path into the batch.
    fn part(&mut self, at: usize, is_last: bool) {
        let is_first = self.open.handed_on == 0;
        let (manifest, chunks) = self.open.take_rest();
        if manifest.0.is_empty() && !is_last {
            return;
        }
        self.batch_digests += chunks.len();
        self.batch_entries += manifest.0.len();
        self.batch.push(match self.context.fits_in_one(self.ledger.info(at).nar_size) {
            true => Piece::Part(PathPart { at, manifest, chunks, is_first, is_last }),
            false => Piece::Loose(chunks),
        });
    }

    /// Puts the path that was read to its end into the batch.
    fn end(&mut self, at: usize) {
        self.ledger.cut(self.open.manifest.len());
        self.batch_bytes += self.open.bytes;
        let is_whole = self.open.handed_on == 0;
        let fits = self.context.fits_in_one(self.ledger.info(at).nar_size);
        if !is_whole {
            self.part(at, true);
        }
        if is_whole || !fits {
            // All of it, or what goes behind the chunks that went ahead.
            let Open { manifest, chunks, .. } = std::mem::take(&mut self.open);
            self.batch_digests += chunks.len();
            self.batch_entries += manifest.len();
            self.batch.push(Piece::Path(CutPath { at, manifest: Manifest(manifest), chunks }));
        }
        self.open = Open::default();
    }

    /// Lets the chunks of the open path go without it.
    fn let_go(&mut self, at: usize) {
        self.batch_bytes += self.open.bytes;
        let has_parts = self.open.handed_on > 0 && self.context.fits_in_one(self.ledger.info(at).nar_size);
        let chunks = std::mem::take(&mut self.open).chunks;
        self.batch_digests += chunks.len();
        if has_parts {
            self.batch.push(Piece::Withdrawn(at));
        }
        if !chunks.is_empty() {
            self.batch.push(Piece::Loose(chunks));
        }
    }

    fn hand_out(&mut self) -> Result<(), Closed> {
        (self.batch_bytes, self.batch_digests, self.batch_entries) = (0, 0, 0);
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() { Ok(()) } else { self.out.blocking_send(batch).map_err(|_| Closed) }
    }

    /// What a path of the wrong size is, which takes another look.
    fn damaged(&self, at: usize) -> UploadError {
        let info = self.ledger.info(at);
        let (mut size, mut hasher) = (0, Sha256::new());
        let dumped = dump_through(&self.store.contents(&info.path), &mut Vec::new(), &mut |piece| {
            size += piece.len() as u64;
            hasher.update(piece);
            ControlFlow::Continue(())
        });
        match dumped {
            Ok(_) => UploadError::Damaged {
                registered: NarIdentity { size: info.nar_size, hash: info.nar_hash },
                found: NarIdentity { size, hash: NarHash::from_bytes(hasher.finalize().into()) },
            },
            Err(error) => error.into(),
        }
    }

    fn too_many_chunks(&self, at: usize) -> UploadError {
        let message = format!("The path has more than {MAX_PATH_CHUNKS} chunks; push it with --protocol attic.");
        self.ledger.refusal(at, ErrorCode::TooLarge, &message)
    }
}
