//! The stage that reads: from paths to batches of chunks.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use formats::{NarHash, nar};
use protocol::{
    ChunkHash, ChunkSizes, ErrorCode, Manifest, ManifestEntry, NarCutter,
    push::{MAX_ASKED, MAX_PATH_BYTES},
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
/// The most chunks that a path message has room for, beside the path's metadata.
const MAX_MANIFEST: usize = (MAX_PATH_BYTES - (1 << 20)) / 37;
/// How many chunks of a push are remembered; beyond that the memory starts anew, which costs questions only.
const MAX_SEEN: usize = 500_000;

/// A chunk whose bytes are held until it is known whether the cache needs them.
#[derive(Debug)]
pub(super) struct CutChunk {
    /// The path that it was found in.
    pub(super) at: usize,
    /// Its place in the path's manifest.
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

/// A path that was read whole, whose chunks are too many to be held. Those that are missing have to be read again.
#[derive(Debug)]
pub(super) struct LargePath {
    pub(super) at: usize,
    pub(super) manifest: Manifest,
    /// The places of those of its chunks that no batch has had, in order.
    pub(super) fresh: Vec<usize>,
}

/// A part of a batch.
#[derive(Debug)]
pub(super) enum Piece {
    /// A path, with its chunks.
    Path(CutPath),
    /// A large path.
    Large(LargePath),
    /// Chunks of a path that does not come.
    Loose(Vec<CutChunk>),
}

impl Piece {
    /// What is to be asked about, in order.
    pub(super) fn digests(&self) -> impl Iterator<Item = ChunkHash> {
        let (chunks, large) = match self {
            Self::Path(path) => (&path.chunks[..], None),
            Self::Loose(chunks) => (&chunks[..], None),
            Self::Large(large) => (&[][..], Some(large)),
        };
        let fresh = large.into_iter().flat_map(|large| large.fresh.iter().map(|&at| large.manifest.0[at].hash));
        chunks.iter().map(|chunk| chunk.hash).chain(fresh)
    }
}

/// Pieces that are asked about together.
pub(super) type Batch = Vec<Piece>;

/// When a batch is full.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The bytes held after which a batch is handed on, at the next end of a path.
    batch: usize,
    /// The bytes that a batch never exceeds, unless one chunk does: a path with more is large.
    path: usize,
}

impl Limits {
    /// Limits that leave room in a window for a batch being filled beside those under way.
    pub(super) fn within(window: usize) -> Self {
        Self { batch: window / 4, path: window / 2 }
    }
}

/// Reads paths, where blocking is allowed.
pub(super) struct Cutting {
    store: Arc<dyn LocalStore>,
    sizes: ChunkSizes,
    limits: Limits,
    window: Window,
    ledger: Arc<Ledger>,
    out: mpsc::Sender<Batch>,
    /// Chunks that some batch has had: the cache has them, or gets them before what comes later.
    seen: HashSet<ChunkHash>,
    batch: Batch,
    batch_bytes: usize,
    batch_digests: usize,
    batch_entries: usize,
    /// The new chunks of the path that is being read.
    open: Vec<CutChunk>,
    open_bytes: usize,
    /// The places of all its new chunks instead, once they are too many to be held.
    fresh: Option<Vec<usize>>,
}

/// Nobody wants to have more.
struct Closed;

impl Cutting {
    pub(super) fn new(context: &Context, ledger: Arc<Ledger>, out: mpsc::Sender<Batch>) -> Self {
        Self {
            store: Arc::clone(&context.uploader.store),
            sizes: context.parameters.chunking,
            limits: context.limits(),
            window: Window::new(context.tuning.window_bytes),
            ledger,
            out,
            seen: HashSet::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            batch_digests: 0,
            batch_entries: 0,
            open: Vec::new(),
            open_bytes: 0,
            fresh: None,
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
        let mut manifest = Vec::new();
        let mut closed = Ok(());
        let mut malformed = None;
        let contents = self.store.contents(&info.path);
        let dumped = dump_through(&contents, buffer, &mut |piece| {
            if let Err(error) = cutter.push(piece, |_| {}) {
                malformed = Some(error);
                return ControlFlow::Break(());
            }
            while let Some(chunk) = cutter.next_chunk() {
                closed = self.chunk(at, &mut manifest, &chunk);
                if closed.is_err() {
                    return ControlFlow::Break(());
                }
            }
            if cutter.position() > info.nar_size || manifest.len() > MAX_MANIFEST {
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
            Ok(_) if manifest.len() > MAX_MANIFEST => Some(self.too_many_chunks(at)),
            Ok(_) => match cutter.finish() {
                Ok(chunks) => {
                    for chunk in chunks {
                        self.chunk(at, &mut manifest, &chunk)?;
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
                self.loosen();
                for position in self.fresh.take().unwrap_or_default() {
                    self.seen.remove(&manifest[position].hash);
                }
            }
            None => self.end(at, Manifest(manifest))?,
        }
        let full = self.batch_bytes >= self.limits.batch
            || self.batch_digests >= MAX_ASKED
            || self.batch_entries >= MAX_ENTRIES;
        if full { self.hand_out() } else { Ok(()) }
    }

    fn chunk(&mut self, at: usize, manifest: &mut Vec<ManifestEntry>, bytes: &[u8]) -> Result<(), Closed> {
        let hash = ChunkHash::of(bytes);
        let position = manifest.len();
        manifest.push(ManifestEntry { hash, size: u32::try_from(bytes.len()).unwrap_or(u32::MAX) });
        if self.seen.len() >= MAX_SEEN {
            self.seen.clear();
        }
        if !self.seen.insert(hash) {
            self.ledger.passed(at, bytes.len() as u64);
            return Ok(());
        }
        if let Some(fresh) = &mut self.fresh {
            fresh.push(position);
            return Ok(());
        }
        let full = |cutting: &Self| {
            cutting.batch_bytes + cutting.open_bytes + bytes.len() > cutting.limits.path
                || cutting.batch_digests + cutting.open.len() >= MAX_ASKED
        };
        if full(self) && !self.batch.is_empty() {
            self.hand_out()?;
        }
        if full(self) && !self.open.is_empty() {
            self.open_bytes = 0;
            let held = self.open.drain(..).map(|chunk| chunk.position);
            self.fresh = Some(held.chain([position]).collect());
            return Ok(());
        }
        let room = self.window.take(bytes.len());
        self.open_bytes += bytes.len();
        // Copied, since a slice would keep alive the much larger buffer that it is a slice of.
        let bytes = Bytes::copy_from_slice(bytes);
        self.open.push(CutChunk { at, position, hash, bytes, room });
        Ok(())
    }

    /// Puts the path that was read into the batch.
    fn end(&mut self, at: usize, manifest: Manifest) -> Result<(), Closed> {
        self.ledger.cut(manifest.0.len());
        if let Some(fresh) = self.fresh.take() {
            self.hand_out()?;
            self.batch.push(Piece::Large(LargePath { at, manifest, fresh }));
            return self.hand_out();
        }
        self.batch_entries += manifest.0.len();
        self.batch_bytes += std::mem::take(&mut self.open_bytes);
        self.batch_digests += self.open.len();
        let chunks = std::mem::take(&mut self.open);
        self.batch.push(Piece::Path(CutPath { at, manifest, chunks }));
        Ok(())
    }

    /// Lets the chunks of the open path go without their path.
    fn loosen(&mut self) {
        if self.open.is_empty() {
            return;
        }
        self.batch_bytes += std::mem::take(&mut self.open_bytes);
        self.batch_digests += self.open.len();
        self.batch.push(Piece::Loose(std::mem::take(&mut self.open)));
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
        let message = format!("The path has more than {MAX_MANIFEST} chunks; push it with --protocol attic.");
        self.ledger.refusal(at, ErrorCode::TooLarge, &message)
    }
}
