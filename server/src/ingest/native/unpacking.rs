//! The stage that decompresses what was sent, and compares it with its names.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use protocol::{ChunkHash, ManifestEntry};
use tokio::sync::mpsc;

use super::Step;
use crate::{
    ingest::IngestError,
    store::{Decompressor, RawChunk, StoreError, processors},
};

/// How many batches are decompressed at a time: small ones do not keep all processors busy.
const AT_ONCE: usize = 2;

/// A batch whose chunks, as far as they were sent, are decompressed and are what their names say.
pub(super) struct Unpacked {
    pub(super) steps: Vec<Step>,
    pub(super) raw: Vec<RawChunk>,
}

/// Decompresses what comes until nothing does, or nobody wants more.
pub(super) async fn run(
    decompressor: Arc<Decompressor>,
    batches: mpsc::Receiver<Vec<Step>>,
    out: mpsc::Sender<Unpacked>,
) -> Result<(), IngestError> {
    let batches = stream::unfold(batches, |mut batches| async move { Some((batches.recv().await?, batches)) });
    let mut unpacked = batches.map(|steps| unpack(Arc::clone(&decompressor), steps)).buffered(AT_ONCE).boxed();
    while let Some(unpacked) = unpacked.next().await {
        if out.send(unpacked?).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn unpack(decompressor: Arc<Decompressor>, steps: Vec<Step>) -> Result<Unpacked, IngestError> {
    let mut seen = HashSet::new();
    let sent = steps.iter().filter_map(|step| match step {
        Step::Sent(entry, frame) | Step::Loose(entry, frame) => Some((*entry, frame.clone())),
        Step::Begin(_) | Step::Known(_) | Step::End | Step::Withdrawn => None,
    });
    let sent = sent.filter(|(entry, _)| seen.insert(entry.hash)).collect();
    let raw = decompressed(&decompressor, sent, true).await?;
    Ok(Unpacked { steps, raw })
}

/// Decompresses frames, as many at a time as there are processors; `check` says whether to compare each with its name.
pub(super) async fn decompressed(
    decompressor: &Arc<Decompressor>,
    frames: Vec<(ManifestEntry, Bytes)>,
    check: bool,
) -> Result<Vec<RawChunk>, IngestError> {
    /// What one thread takes at a time: many small chunks together, a large one alone.
    const PORTION_BYTES: u64 = 512 << 10;
    let mut portions: Vec<Vec<(ManifestEntry, Bytes)>> = Vec::new();
    let mut bytes = PORTION_BYTES;
    for (entry, frame) in frames {
        if bytes >= PORTION_BYTES {
            portions.push(Vec::new());
            bytes = 0;
        }
        bytes += u64::from(entry.size);
        if let Some(portion) = portions.last_mut() {
            portion.push((entry, frame));
        }
    }
    let portions: Vec<Vec<RawChunk>> = stream::iter(portions.into_iter().map(|portion| {
        let decompressor = Arc::clone(decompressor);
        async move {
            let one = move |(entry, frame)| decompress_one(&decompressor, entry, frame, check);
            let work = move || portion.into_iter().map(one).collect::<Result<Vec<_>, IngestError>>();
            tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Stopped)?
        }
    }))
    .buffered(processors())
    .try_collect()
    .await?;
    Ok(portions.into_iter().flatten().collect())
}

fn decompress_one(
    decompressor: &Arc<Decompressor>,
    entry: ManifestEntry,
    frame: Bytes,
    check: bool,
) -> Result<RawChunk, IngestError> {
    let bytes = decompressor.decompress_frame(&frame, entry.size).map_err(|_| IngestError::Chunk(entry.hash))?;
    if check && ChunkHash::of(&bytes) != entry.hash {
        return Err(IngestError::Chunk(entry.hash));
    }
    Ok(RawChunk { hash: entry.hash, bytes, frame: Some(frame) })
}
