//! The stage that asks: from batches of chunks to what has to be sent.

use bytes::Bytes;
use protocol::{
    ErrorCode, Manifest,
    push::{Bitmap, MAX_ASKED, MAX_PATH_BYTES, PathMessage},
};

use super::{
    Context,
    cutting::{Batch, CutChunk, CutPath, LargePath, Piece},
    ledger::Ledger,
    rereading::Reading,
};
use crate::{api::ApiError, push::upload::metadata};

/// What a chunk takes on the wire beside its contents, at most: kind, length, digest and size of the message, and what zstd adds
/// to a small frame.
const MESSAGE_BYTES: usize = 256;

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

/// Messages to be sent, or how to come by them.
#[derive(Debug)]
pub(super) enum Part {
    /// They are at hand.
    Steps(Vec<Step>),
    /// They have to be read.
    Reading(Reading),
}

/// Asks which chunks of a batch the cache needs, and lets go of the others.
pub(super) async fn missing(context: &Context, ledger: &Ledger, mut batch: Batch) -> Result<Batch, ApiError> {
    let digests: Vec<_> = batch.iter().flat_map(Piece::digests).collect();
    let mut answers = Vec::with_capacity(digests.len());
    for some in digests.chunks(MAX_ASKED) {
        let missing = context.uploader.api.missing_chunks(&context.uploader.cache, some).await?;
        answers.extend((0..some.len()).map(|position| missing.contains(position)));
    }
    let mut answers = answers.into_iter();
    let mut needed = |at: usize, size: u64| {
        let needed = answers.next().unwrap_or(true);
        if !needed {
            ledger.passed(at, size);
        }
        needed
    };
    for piece in &mut batch {
        match piece {
            Piece::Path(CutPath { chunks, .. }) | Piece::Loose(chunks) => {
                chunks.retain(|chunk| needed(chunk.at, chunk.bytes.len() as u64));
            }
            Piece::Large(LargePath { at, manifest, fresh }) => {
                fresh.retain(|&position| needed(*at, u64::from(manifest.0[position].size)));
            }
        }
    }
    Ok(batch)
}

/// Puts into order what has to be sent: a path in front of its chunks, unless one request might not hold them all.
pub(super) fn parts(context: &Context, ledger: &Ledger, batch: Batch) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut steps = Vec::new();
    for piece in batch {
        match piece {
            Piece::Loose(chunks) => steps.extend(loose(chunks)),
            Piece::Path(CutPath { at, manifest, chunks }) => {
                let sizes = chunks.iter().map(|chunk| chunk.bytes.len());
                let positions = chunks.iter().map(|chunk| chunk.position);
                match order(context, ledger, at, &manifest, positions.collect(), sizes.sum(), true) {
                    Order::PathFirst(path) => {
                        steps.push(path);
                        steps.extend(chunks.into_iter().map(|chunk| Step::Chunk { chunk, promised: true }));
                    }
                    Order::PathLast(path) => steps.extend(loose(chunks).chain([path])),
                    Order::NoPath => steps.extend(loose(chunks)),
                }
            }
            Piece::Large(LargePath { at, manifest, fresh }) => {
                let size: usize = fresh.iter().map(|&position| manifest.0[position].size as usize).sum();
                // While little is found nothing is sent, and a server that waits for what was promised would lose patience.
                let dense = size as u64 >= manifest.nar_size() / 2 && !context.cautious;
                let (before, after, promised) = match order(context, ledger, at, &manifest, fresh.clone(), size, dense)
                {
                    Order::PathFirst(path) => (Some(path), None, true),
                    Order::PathLast(path) => (None, Some(path), false),
                    Order::NoPath => continue,
                };
                steps.extend(before);
                parts.push(Part::Steps(std::mem::take(&mut steps)));
                parts.push(Part::Reading(Reading { at, manifest, wanted: fresh, promised }));
                steps.extend(after);
            }
        }
    }
    parts.push(Part::Steps(steps));
    parts
}

fn loose(chunks: Vec<CutChunk>) -> impl Iterator<Item = Step> {
    chunks.into_iter().map(|chunk| Step::Chunk { chunk, promised: false })
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

/// Finds the place of a path of which the chunks at `sent` are sent, `size` bytes in all; `may_promise` says whether the path may
/// come first if there is room.
fn order(
    context: &Context,
    ledger: &Ledger,
    at: usize,
    manifest: &Manifest,
    sent: Vec<usize>,
    size: usize,
    may_promise: bool,
) -> Order {
    let room = context.max_request_bytes();
    let chunks = sent.len();
    // No chunk takes more than it and its frame's head and the message's.
    let follow = (zstd::zstd_safe::compress_bound(size) + chunks * MESSAGE_BYTES) as u64;
    let message = |sent: Vec<usize>| encode(context, ledger, at, manifest.clone(), sent);
    let whole = message(sent);
    if whole.len() > MAX_PATH_BYTES || whole.len() as u64 > room {
        let text = "The path has too many chunks or references for one request.";
        ledger.failed(at, ledger.refusal(at, ErrorCode::TooLarge, text));
        Order::NoPath
    } else if may_promise && whole.len() as u64 + follow <= room {
        Order::PathFirst(Step::Path { at, message: whole, chunks, follow })
    } else {
        Order::PathLast(Step::Path { at, message: message(Vec::new()), chunks: 0, follow: 0 })
    }
}

fn encode(context: &Context, ledger: &Ledger, at: usize, manifest: Manifest, sent: Vec<usize>) -> Bytes {
    let mut sent = sent.into_iter().peekable();
    let sent: Bitmap = (0..manifest.0.len()).map(|position| sent.next_if_eq(&position).is_some()).collect();
    let info = metadata(&context.uploader.cache, ledger.info(at), context.uploader.store.as_ref());
    PathMessage { info, manifest, sent }.encode().into()
}
