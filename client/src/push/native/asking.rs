//! The stage that asks: from batches of chunks to what has to be sent.

use bytes::Bytes;
use protocol::{
    ErrorCode, Manifest,
    attic::UploadPathNarInfo,
    push::{
        Bitmap, MAX_ASKED, MAX_PATH_BYTES, PartMessage, PathMessage, encode_closing, encode_opening, encode_withdrawal,
    },
};

use super::{
    Context, MESSAGE_BYTES,
    cutting::{Batch, CutChunk, CutPath, PathPart, Piece},
    ledger::Ledger,
    packing::Kind,
};
use crate::{api::ApiError, push::upload::metadata};

/// One message to be sent, in order.
#[derive(Debug)]
pub(super) enum Step {
    /// Something about a path, as it goes over the wire.
    Path { message: Bytes, kind: Kind },
    /// A chunk that the cache needs.
    Chunk {
        chunk: CutChunk,
        /// Whether the path before it says that it follows.
        promised: bool,
    },
}

/// Asks which chunks of a batch the cache needs, and lets go of the others.
pub(super) async fn missing(context: &Context, ledger: &Ledger, mut batch: Batch) -> Result<Batch, ApiError> {
    let digests: Vec<_> = batch.iter().flat_map(Piece::chunks).map(|chunk| chunk.hash).collect();
    let mut answers = Vec::with_capacity(digests.len());
    for some in digests.chunks(MAX_ASKED) {
        let missing = context.uploader.api.missing_chunks(&context.uploader.cache, some).await?;
        answers.extend((0..some.len()).map(|position| missing.contains(position)));
    }
    let mut answers = answers.into_iter();
    for chunks in batch.iter_mut().filter_map(Piece::chunks_mut) {
        chunks.retain(|chunk| {
            let needed = answers.next().unwrap_or(true);
            if !needed {
                ledger.passed(chunk.at, chunk.bytes.len() as u64);
            }
            needed
        });
    }
    Ok(batch)
}

/// Puts into order what has to be sent: a path in front of its chunks, unless one request might not hold them all.
pub(super) fn steps(context: &Context, ledger: &Ledger, batch: Batch) -> Vec<Step> {
    let mut steps = Vec::new();
    for piece in batch {
        match piece {
            Piece::Loose(chunks) => steps.extend(loose(chunks)),
            Piece::Withdrawn(at) => {
                steps.push(Step::Path { message: encode_withdrawal().into(), kind: Kind::Closing { at } });
            }
            Piece::Part(PathPart { at, manifest, chunks, is_first, is_last }) => {
                if is_first {
                    let message = encode_opening(&info(context, ledger, at)).into();
                    let follow = context.most_on_the_wire(ledger.info(at).nar_size);
                    steps.push(Step::Path { message, kind: Kind::Opening { at, follow } });
                }
                let sent = bitmap(&manifest, &chunks);
                let message = PartMessage { manifest, sent }.encode().into();
                steps.push(Step::Path { message, kind: Kind::Part { at } });
                steps.extend(promised(chunks));
                if is_last {
                    steps.push(Step::Path { message: encode_closing().into(), kind: Kind::Closing { at } });
                }
            }
            Piece::Path(path) => match order(context, ledger, &path) {
                Order::PathFirst(step) => {
                    steps.push(step);
                    steps.extend(promised(path.chunks));
                }
                Order::PathLast(step) => steps.extend(loose(path.chunks).chain([step])),
                Order::NoPath => steps.extend(loose(path.chunks)),
            },
        }
    }
    steps
}

fn loose(chunks: Vec<CutChunk>) -> impl Iterator<Item = Step> {
    chunks.into_iter().map(|chunk| Step::Chunk { chunk, promised: false })
}

fn promised(chunks: Vec<CutChunk>) -> impl Iterator<Item = Step> {
    chunks.into_iter().map(|chunk| Step::Chunk { chunk, promised: true })
}

/// Where a path goes.
enum Order {
    /// In front of its chunks.
    PathFirst(Step),
    /// Behind them: in another request, perhaps.
    PathLast(Step),
    /// Nowhere: its message is too large.
    NoPath,
}

/// Finds the place of a path.
fn order(context: &Context, ledger: &Ledger, path: &CutPath) -> Order {
    let CutPath { at, manifest, chunks } = path;
    let at = *at;
    let room = context.max_request_bytes();
    let size = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
    // No chunk takes more than it and its frame's head and the message's.
    let follow = (zstd::zstd_safe::compress_bound(size) + chunks.len() * MESSAGE_BYTES) as u64;
    let message = |sent| -> Bytes {
        PathMessage { info: info(context, ledger, at), manifest: manifest.clone(), sent }.encode().into()
    };
    let whole = message(bitmap(manifest, chunks));
    let kind = |chunks, follow| Kind::Path { at, chunks, follow };
    if whole.len() > MAX_PATH_BYTES || whole.len() as u64 > room {
        let text = "The path has too many chunks or references for one request.";
        ledger.failed(at, ledger.refusal(at, ErrorCode::TooLarge, text));
        Order::NoPath
    } else if whole.len() as u64 + follow <= room {
        Order::PathFirst(Step::Path { message: whole, kind: kind(chunks.len(), follow) })
    } else {
        Order::PathLast(Step::Path { message: message(bitmap(manifest, &[])), kind: kind(0, 0) })
    }
}

/// Which chunks of a manifest are among these.
fn bitmap(manifest: &Manifest, chunks: &[CutChunk]) -> Bitmap {
    let mut sent = chunks.iter().map(|chunk| chunk.position).peekable();
    (0..manifest.0.len()).map(|position| sent.next_if_eq(&position).is_some()).collect()
}

fn info(context: &Context, ledger: &Ledger, at: usize) -> UploadPathNarInfo {
    metadata(&context.uploader.cache, ledger.info(at), context.uploader.store.as_ref())
}
