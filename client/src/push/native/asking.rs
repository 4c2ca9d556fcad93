//! The stage that asks: from batches of chunks to what has to be sent.

use bytes::Bytes;
use protocol::{
    ErrorCode, Manifest,
    push::{Bitmap, MAX_PATH_BYTES, PathMessage},
};

use super::{
    Context,
    cutting::{Batch, CutChunk, CutPath, Piece},
    ledger::Ledger,
};
use crate::{api::ApiError, push::upload::metadata};

/// What goes over the wire before a frame, at most: kind, length, digest, size.
const CHUNK_HEAD_BYTES: usize = 64;

/// One message to be sent, in order.
#[derive(Debug)]
pub(super) enum Step {
    /// A path, as it goes over the wire.
    Path {
        at: usize,
        message: Bytes,
        /// How many of the chunks that follow belong to it.
        chunks: usize,
        /// No more bytes than that follow for it.
        follow: u64,
    },
    /// A chunk that the cache needs.
    Chunk {
        chunk: CutChunk,
        /// Whether the path before it says that it follows.
        promised: bool,
    },
}

/// Asks which chunks of a batch the cache needs, and lets go of the others.
pub(super) async fn missing(context: &Context, ledger: &Ledger, batch: Batch) -> Result<Batch, ApiError> {
    let digests: Vec<_> = batch.iter().flat_map(Piece::chunks).map(|chunk| chunk.hash).collect();
    if digests.is_empty() {
        return Ok(batch);
    }
    let missing = context.uploader.api.missing_chunks(&context.uploader.cache, &digests).await?;
    let mut position = 0;
    let mut is_missing = |chunk: &CutChunk| {
        position += 1;
        let missing = missing.contains(position - 1);
        if !missing {
            ledger.passed(chunk.at, chunk.bytes.len() as u64);
        }
        missing
    };
    let mut keep = |mut chunks: Vec<CutChunk>| {
        chunks.retain(&mut is_missing);
        chunks
    };
    Ok(batch
        .into_iter()
        .map(|piece| match piece {
            Piece::Path(path) => Piece::Path(CutPath { chunks: keep(path.chunks), ..path }),
            Piece::Loose(chunks) => Piece::Loose(keep(chunks)),
        })
        .collect())
}

/// Puts into order what has to be sent: a path in front of its chunks, unless one request might not hold them all.
pub(super) fn steps(context: &Context, ledger: &Ledger, batch: Batch) -> Vec<Step> {
    let loose = |chunk| Step::Chunk { chunk, promised: false };
    let mut steps = Vec::new();
    for piece in batch {
        let CutPath { at, manifest, chunks } = match piece {
            Piece::Path(path) => path,
            Piece::Loose(chunks) => {
                steps.extend(chunks.into_iter().map(loose));
                continue;
            }
        };
        let follow: u64 = chunks.iter().map(|chunk| bound(chunk.bytes.len())).sum();
        let room = context.max_request_bytes();
        let message = |sent: &[CutChunk]| encode(context, ledger, at, manifest.clone(), sent);
        let whole = message(&chunks);
        if whole.len() > MAX_PATH_BYTES || whole.len() as u64 > room {
            let text = "The path has too many chunks or references for one request.";
            ledger.failed(at, ledger.refusal(at, ErrorCode::TooLarge, text));
            steps.extend(chunks.into_iter().map(loose));
        } else if whole.len() as u64 + follow > room {
            let alone = message(&[]);
            steps.extend(chunks.into_iter().map(loose));
            steps.push(Step::Path { at, message: alone, chunks: 0, follow: 0 });
        } else {
            steps.push(Step::Path { at, message: whole, chunks: chunks.len(), follow });
            steps.extend(chunks.into_iter().map(|chunk| Step::Chunk { chunk, promised: true }));
        }
    }
    steps
}

/// The most bytes that a chunk of this size takes on the wire.
fn bound(size: usize) -> u64 {
    (zstd::zstd_safe::compress_bound(size) + CHUNK_HEAD_BYTES) as u64
}

fn encode(context: &Context, ledger: &Ledger, at: usize, manifest: Manifest, sent: &[CutChunk]) -> Bytes {
    let mut sent = sent.iter().map(|chunk| chunk.position).peekable();
    let sent: Bitmap = (0..manifest.0.len()).map(|position| sent.next_if_eq(&position).is_some()).collect();
    let info = metadata(&context.uploader.cache, ledger.info(at), context.uploader.store.as_ref());
    PathMessage { info, manifest, sent }.encode().into()
}
