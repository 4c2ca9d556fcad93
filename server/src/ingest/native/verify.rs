//! The stage that looks at every byte of every path, in order.

use std::sync::Arc;

use formats::{
    NarHash, PathInfo,
    nar::{self, ListingBuilder, Reader},
};
use protocol::{
    ErrorCode,
    attic::UploadPathNarInfo,
    push::{PathOutcome, PathResult},
};
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, time::Instant};

use super::{
    PathRefusal, Shared, Step,
    commit::Complete,
    taking::{Chunks, Taken, until},
};
use crate::{
    ingest::{
        IngestError,
        path::NewPathInfo,
        storing::{StoredNar, pieces},
    },
    store::{FileDigest, Placed, RawChunk, StoreError},
};

/// Complete paths are committed when there are this many …
const COMMIT_PATHS: usize = 1000;
/// … or when their NARs have this many bytes; else at the pace of the storage.
const COMMIT_BYTES: u64 = 256 << 20;

/// A path while its chunks pass by.
struct Passing {
    store_path: String,
    state: Result<Box<Open>, PathRefusal>,
}

/// A path that nothing has been wrong with so far.
struct Open {
    new: NewPathInfo,
    reader: Reader,
    hasher: Sha256,
    listing: ListingBuilder,
    placed: Vec<Placed>,
    digest: FileDigest,
    /// The largest NAR that is taken, in bytes.
    max_nar_size: u64,
}

/// A path whose chunks have all passed by.
struct Passed {
    store_path: String,
    outcome: Result<Whole, PathRefusal>,
}

/// A path whose NAR is what was announced.
struct Whole {
    new: NewPathInfo,
    placed: Vec<Placed>,
    digest: FileDigest,
    listing: Option<String>,
}

/// Verifies the paths of one stream, and has them committed.
pub(super) struct Verifying<'a> {
    shared: &'a Shared<'a>,
    results: mpsc::Sender<PathResult>,
    /// The path that the steps are in.
    current: Option<Passing>,
    /// Paths that are complete, and not committed yet.
    complete: Vec<Complete>,
    complete_bytes: u64,
    /// When they are committed at the latest.
    due: Option<Instant>,
}

impl<'a> Verifying<'a> {
    pub(super) fn new(shared: &'a Shared<'a>, results: mpsc::Sender<PathResult>) -> Self {
        Self { shared, results, current: None, complete: Vec::new(), complete_bytes: 0, due: None }
    }

    /// Takes batches until none comes any more, and commits what is complete by then.
    pub(super) async fn run(mut self, mut batches: mpsc::Receiver<Taken>) -> Result<(), IngestError> {
        loop {
            let batch = tokio::select! {
                batch = batches.recv() => batch,
                () = until(self.due) => {
                    self.commit().await?;
                    continue;
                }
            };
            let Some(batch) = batch else { return self.commit().await };
            self.verify(batch).await?;
            if self.has_enough().await {
                self.commit().await?;
            }
        }
    }

    /// Whether it is time to commit, however short a time the complete paths have waited.
    async fn has_enough(&self) -> bool {
        let is_much = self.complete.len() >= COMMIT_PATHS || self.complete_bytes >= COMMIT_BYTES;
        is_much || (!self.complete.is_empty() && self.shared.lane.has_enough().await)
    }

    /// Takes the steps of a batch.
    async fn verify(&mut self, Taken { steps, chunks, begun }: Taken) -> Result<(), IngestError> {
        let infos = steps.iter().filter_map(|step| if let Step::Begin(info) = step { Some(info) } else { None });
        let begun = infos.zip(begun).map(|(info, parsed)| self.begin(info, parsed)).collect();
        let current = self.current.take();
        let work = move || walk(steps, &chunks, current, begun);
        let (current, passed) = tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Stopped)?;
        self.current = current;
        self.complete(passed).await
    }

    fn begin(&self, info: &UploadPathNarInfo, parsed: Result<PathInfo, PathRefusal>) -> Passing {
        let Shared { ingest, context, .. } = self.shared;
        let state = parsed.map(|info| {
            Box::new(Open {
                new: NewPathInfo { info, extra: Vec::new(), pushed_by: context.pushed_by.clone() },
                reader: Reader::new(nar::Limits::default()),
                hasher: Sha256::new(),
                listing: ListingBuilder::new(),
                placed: Vec::new(),
                digest: FileDigest::default(),
                max_nar_size: ingest.limits.max_nar_size,
            })
        });
        Passing { store_path: info.store_path.clone(), state }
    }

    /// Stores the listings of the paths that are whole, all together; tells of those that are not.
    async fn complete(&mut self, passed: Vec<Passed>) -> Result<(), IngestError> {
        let Shared { ingest, lane, .. } = self.shared;
        let mut whole = Vec::new();
        let mut raw: Vec<RawChunk> = Vec::new();
        for Passed { store_path, outcome } in passed {
            match outcome {
                Ok(path) => {
                    let pieces = path.listing.as_ref().map(|text| pieces(text.as_bytes()));
                    let count = pieces.as_ref().map(Vec::len);
                    raw.extend(pieces.into_iter().flatten());
                    whole.push((store_path, path, count));
                }
                Err(refusal) => {
                    // In their order: what came before is settled first.
                    if !self.complete.is_empty() {
                        self.commit().await?;
                    }
                    self.tell(store_path, PathOutcome::from(refusal)).await;
                }
            }
        }
        let mut listings = ingest.store.place(lane, raw).await?.into_iter().map(|(placed, _)| placed);
        for (store_path, Whole { new, placed, digest, .. }, count) in whole {
            let listing = count.map(|count| listings.by_ref().take(count).collect());
            let (nar_hash, nar_size) = (new.info.nar_hash, new.info.nar_size);
            let (store, lane) = (Arc::clone(&ingest.store), Arc::clone(lane));
            let nar = StoredNar { store, lane, chunks: placed, listing, digest, nar_hash, nar_size };
            self.complete_bytes += nar_size;
            self.complete.push(Complete { store_path, new, nar });
            self.due.get_or_insert_with(|| Instant::now() + ingest.store.pace.paths);
        }
        Ok(())
    }

    /// Makes the complete paths visible, and tells what became of them.
    async fn commit(&mut self) -> Result<(), IngestError> {
        (self.complete_bytes, self.due) = (0, None);
        for (store_path, outcome) in self.shared.commit(std::mem::take(&mut self.complete)).await? {
            self.tell(store_path, outcome).await;
        }
        Ok(())
    }

    /// Tells what became of a path. Whoever asked may have gone, which is no reason to leave off.
    async fn tell(&self, store_path: String, outcome: PathOutcome) {
        let _ = self.results.send(PathResult { store_path, outcome }).await;
    }
}

/// Walks through the steps; takes CPU time.
fn walk(
    steps: Vec<Step>,
    chunks: &Chunks,
    mut current: Option<Passing>,
    begun: Vec<Passing>,
) -> (Option<Passing>, Vec<Passed>) {
    let mut begun = begun.into_iter();
    let mut passed = Vec::new();
    for step in steps {
        match step {
            Step::Begin(_) => current = begun.next(),
            Step::Sent(entry, _) | Step::Known(entry) => {
                if let Some(path) = &mut current {
                    path.chunk(chunks, &entry.hash);
                }
            }
            Step::End => passed.extend(current.take().map(Passing::finish)),
            Step::Withdrawn => current = None,
            Step::Loose(..) => {}
        }
    }
    (current, passed)
}

impl Passing {
    fn chunk(&mut self, chunks: &Chunks, hash: &protocol::ChunkHash) {
        let Ok(open) = &mut self.state else { return };
        let outcome = match chunks.get(hash) {
            Some(chunk) => {
                open.placed.push(chunk.placed.clone());
                open.digest.feed_or_skip(chunk.frame.as_ref());
                open.push(&chunk.plain)
            }
            None => Err(PathRefusal::ChunksMissing),
        };
        if let Err(refusal) = outcome {
            self.state = Err(refusal);
        }
    }

    fn finish(self) -> Passed {
        Passed { store_path: self.store_path, outcome: self.state.and_then(|open| open.finish()) }
    }
}

impl Open {
    fn push(&mut self, plain: &[u8]) -> Result<(), PathRefusal> {
        let position = self.reader.position() + plain.len() as u64;
        let expected = self.new.info.nar_size;
        if position > expected {
            return Err(refusal(&IngestError::NarSize { expected, found: position }));
        }
        if position > self.max_nar_size {
            return Err(refusal(&IngestError::TooLarge(self.max_nar_size)));
        }
        let listing = &mut self.listing;
        self.reader.push(plain, &mut |event| listing.push(event)).map_err(|error| refusal(&error.into()))?;
        self.hasher.update(plain);
        Ok(())
    }

    fn finish(self) -> Result<Whole, PathRefusal> {
        let (expected, found) = (self.new.info.nar_size, self.reader.position());
        if expected != found {
            return Err(refusal(&IngestError::NarSize { expected, found }));
        }
        self.reader.finish().map_err(|error| refusal(&error.into()))?;
        let found = NarHash::from_bytes(self.hasher.finalize().into());
        let expected = self.new.info.nar_hash;
        if expected != found {
            return Err(refusal(&IngestError::NarHash { expected, found }));
        }
        let listing = self.listing.finish().map(|listing| listing.render());
        Ok(Whole { new: self.new, placed: self.placed, digest: self.digest, listing })
    }
}

fn refusal(error: &IngestError) -> PathRefusal {
    let code: ErrorCode = error.code();
    PathRefusal::Error { code, message: error.to_string() }
}
