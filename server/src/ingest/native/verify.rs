//! The stage that looks at every byte of every path, in order.

use formats::{
    NarHash,
    nar::{self, ListingBuilder, Reader},
};
use protocol::{ErrorCode, attic::UploadPathNarInfo, push::PathOutcome};
use sha2::{Digest, Sha256};

use super::{Complete, Native, PathRefusal, Step, batch::Chunks};
use crate::{
    ingest::{
        IngestError,
        path::NewPathInfo,
        storing::{StoredNar, pieces},
    },
    store::{FileDigest, Placed, RawChunk, StoreError},
};

/// A path while its chunks pass by.
pub(super) struct Verifying {
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

impl Native<'_> {
    /// Takes the steps of a batch, whose chunks are at hand.
    pub(super) async fn verify(&mut self, steps: Vec<Step>, chunks: Chunks) -> Result<(), IngestError> {
        let mut begun = Vec::new();
        for step in &steps {
            if let Step::Begin(info) = step {
                begun.push(self.begin(info));
            }
        }
        let current = self.current.take();
        let work = move || walk(steps, &chunks, current, begun);
        let (current, passed) = tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Stopped)?;
        self.current = current;
        self.complete(passed).await
    }

    fn begin(&self, info: &UploadPathNarInfo) -> Verifying {
        let state = (self.context.parse)(info).map(|parsed| {
            Box::new(Open {
                new: NewPathInfo { info: parsed, extra: Vec::new(), pushed_by: self.context.pushed_by.clone() },
                reader: Reader::new(nar::Limits::default()),
                hasher: Sha256::new(),
                listing: ListingBuilder::new(),
                placed: Vec::new(),
                digest: FileDigest::default(),
                max_nar_size: self.ingest.limits.max_nar_size,
            })
        });
        Verifying { store_path: info.store_path.clone(), state }
    }

    /// Stores the listings of the paths that are whole, all together; tells of those that are not.
    async fn complete(&mut self, passed: Vec<Passed>) -> Result<(), IngestError> {
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
        let mut listings = self.ingest.store.place(&self.lane, raw).await?.into_iter().map(|(placed, _)| placed);
        for (store_path, Whole { new, placed, digest, .. }, count) in whole {
            let listing = count.map(|count| listings.by_ref().take(count).collect());
            let (nar_hash, nar_size) = (new.info.nar_hash, new.info.nar_size);
            let store = std::sync::Arc::clone(&self.ingest.store);
            let lane = std::sync::Arc::clone(&self.lane);
            let nar = StoredNar { store, lane, chunks: placed, listing, digest, nar_hash, nar_size };
            self.complete_bytes += nar_size;
            self.complete.push(Complete { store_path, new, nar });
        }
        Ok(())
    }
}

/// Walks through the steps; takes CPU time.
fn walk(
    steps: Vec<Step>,
    chunks: &Chunks,
    mut current: Option<Verifying>,
    begun: Vec<Verifying>,
) -> (Option<Verifying>, Vec<Passed>) {
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
            Step::End => passed.extend(current.take().map(Verifying::finish)),
            Step::Loose(..) => {}
        }
    }
    (current, passed)
}

impl Verifying {
    /// Whether something has been wrong with the path.
    pub(super) fn is_refused(&self) -> bool {
        self.state.is_err()
    }

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
