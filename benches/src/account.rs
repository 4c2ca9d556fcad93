//! The work that a push cannot avoid, done by itself on one core: what each byte costs at the least.

use std::{collections::HashSet, ops::ControlFlow, path::Path};

use bytes::Bytes;
use client::nix::dump_through;
use formats::nar::Limits;
use protocol::{ChunkHash, ChunkSizes, NarCutter, frame_compressor};
use sha2::{Digest, Sha256};
use zstd::bulk::{Compressor, Decompressor};

use crate::{process::thread_cpu_seconds, sets::DataSet};

/// Bytes and CPU seconds by kind of work, for one data set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Account {
    /// Bytes of all NARs.
    pub nar_bytes: u64,
    /// Bytes of the distinct chunks.
    pub new_bytes: u64,
    /// The same, compressed, one frame a chunk.
    pub compressed_bytes: u64,
    /// Reading the files, mostly from the page cache, and framing them.
    pub read: f64,
    /// Finding the cut points.
    pub cut: f64,
    /// Naming every chunk.
    pub name: f64,
    /// Compressing the distinct chunks.
    pub compress: f64,
    /// Decompressing the distinct chunks.
    pub decompress: f64,
    /// SHA-256 of every NAR.
    pub hash: f64,
    /// SHA-256 of the distinct chunks as they are stored.
    pub hash_stored: f64,
}

impl Account {
    /// Does the work of `set` with these sizes and this zstd level.
    ///
    /// # Errors
    /// A path cannot be read.
    pub fn take(set: &DataSet, sizes: ChunkSizes, level: i32) -> anyhow::Result<Self> {
        let mut worker = Worker {
            account: Self::default(),
            seen: HashSet::new(),
            compressor: frame_compressor(level)?,
            decompressor: Decompressor::new()?,
            frame: Vec::new(),
            plain: Vec::with_capacity(sizes.max_size()),
        };
        let mut buffer = Vec::new();
        // Once for nothing, so that the disk is not what is measured: a push reads what was just built.
        for path in &set.paths {
            let _ended = dump_through(Path::new(path), &mut buffer, &mut |_| ControlFlow::Continue(()))?;
        }
        for path in &set.paths {
            worker.path(Path::new(path), sizes, &mut buffer)?;
        }
        Ok(worker.account)
    }

    /// What a native push cannot avoid, on both sides together: the client reads, cuts, names and compresses; the server names what
    /// came, decompresses all there is of each NAR and hashes it.
    #[must_use]
    pub fn native(&self) -> f64 {
        let again = ratio(self.nar_bytes, self.new_bytes);
        let client = self.read + self.cut + self.name + self.compress;
        client + self.decompress * again + self.name / again + self.hash + self.hash_stored
    }

    /// The same over Attic's protocol: the client reads and hashes, the server does all the rest.
    #[must_use]
    pub fn attic(&self) -> f64 {
        self.read + self.hash + self.cut + self.name + self.compress + self.hash + self.hash_stored
    }
}

/// One number over another.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other.max(1) as f64
}

struct Worker {
    account: Account,
    seen: HashSet<ChunkHash>,
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
    frame: Vec<u8>,
    plain: Vec<u8>,
}

impl Worker {
    fn path(&mut self, path: &Path, sizes: ChunkSizes, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
        let mut cutter = NarCutter::new(sizes, Limits::default());
        let mut hasher = Sha256::new();
        let mut outcome = Ok(());
        let mut mark = thread_cpu_seconds()?;
        let _ended = dump_through(path, buffer, &mut |piece| {
            outcome = self.piece(piece, &mut cutter, &mut hasher, &mut mark);
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome?;
        for chunk in cutter.finish()? {
            self.chunk(&chunk, &mut hasher)?;
        }
        Ok(())
    }

    fn piece(
        &mut self,
        piece: &[u8],
        cutter: &mut NarCutter,
        hasher: &mut Sha256,
        mark: &mut f64,
    ) -> anyhow::Result<()> {
        self.account.read += thread_cpu_seconds()? - *mark;
        self.account.nar_bytes += piece.len() as u64;
        timed(&mut self.account.cut, || cutter.push(piece, |_| {}))??;
        while let Some(chunk) = timed(&mut self.account.cut, || cutter.next_chunk())? {
            self.chunk(&chunk, hasher)?;
        }
        *mark = thread_cpu_seconds()?;
        Ok(())
    }

    fn chunk(&mut self, chunk: &Bytes, hasher: &mut Sha256) -> anyhow::Result<()> {
        let Self { account, seen, compressor, decompressor, frame, plain } = self;
        let hash = timed(&mut account.name, || ChunkHash::of(chunk))?;
        timed(&mut account.hash, || hasher.update(chunk))?;
        if seen.insert(hash) {
            frame.clear();
            frame.reserve(zstd::zstd_safe::compress_bound(chunk.len()));
            timed(&mut account.compress, || compressor.compress_to_buffer(chunk, frame))??;
            timed(&mut account.hash_stored, || Sha256::digest(&frame))?;
            plain.clear();
            timed(&mut account.decompress, || decompressor.decompress_to_buffer(frame, plain))??;
            account.new_bytes += chunk.len() as u64;
            account.compressed_bytes += frame.len() as u64;
        }
        Ok(())
    }
}

/// Does `work`, and adds what it took of this thread.
fn timed<T>(sum: &mut f64, work: impl FnOnce() -> T) -> anyhow::Result<T> {
    let before = thread_cpu_seconds()?;
    let result = work();
    *sum += thread_cpu_seconds()? - before;
    Ok(result)
}
