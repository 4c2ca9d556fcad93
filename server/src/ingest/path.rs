//! Pushing a path together with its NAR, as Attic's protocol does.

use database::{Cache, CacheId, NewPath, PathOutcome};
use formats::PathInfo;
use sha2::{Digest, Sha256};

use super::{
    BodyReader, Ingest, IngestError,
    body::{self, fill},
    cutting::Cutting,
    decode,
    storing::{StoredNar, Storing},
};
use crate::{
    pack::PathRecord,
    store::{Records, StoreError, Unsealed},
};
use formats::{Compression, NarHash};

/// How much is read before it is looked at.
const READ_BYTES: usize = 256 << 10;
/// What any body may decode to before its expansion is judged.
const EXPANSION_FREE_BYTES: u64 = 256 << 20;

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pushed {
    /// What became of the path.
    pub outcome: PushOutcome,
    /// The length of the NAR as it is served, in bytes; none if the NAR was there already.
    pub file_size: Option<u64>,
    /// The share of the NAR that was there already, from 0 to 1.
    pub frac_deduplicated: Option<f64>,
}

/// What became of a pushed path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushOutcome {
    /// It is in the cache, as it was pushed.
    Stored,
    /// It was in the cache with another NAR, and stays as it was.
    KeptOther,
}

/// A path on its way into a cache.
#[derive(Debug)]
pub(super) struct NewPathInfo {
    /// The path.
    pub(super) info: PathInfo,
    /// Keys of its narinfo that Nix does not define.
    pub(super) extra: Vec<(String, String)>,
    /// The subject of the token that pushes it.
    pub(super) pushed_by: Option<String>,
}

impl Ingest {
    /// Takes a path and its uncompressed NAR.
    ///
    /// # Errors
    /// If the NAR is not what `info` says, or cannot be stored. Nothing is visible then.
    pub async fn push_path(
        &self,
        cache: &Cache,
        info: PathInfo,
        pushed_by: Option<String>,
        body: BodyReader,
    ) -> Result<Pushed, IngestError> {
        let (nar_hash, nar_size) = (info.nar_hash, info.nar_size);
        // First alone, then a turn: whoever waits for the same NAR must not hold up others.
        let _alone = self.alone_with(nar_hash).await;
        let _permit = self.permit().await?;
        let new = NewPathInfo { info, extra: Vec::new(), pushed_by };
        if let Some(nar) = self.database.find_nar(&nar_hash).await? {
            self.prove(body, nar_hash, nar_size).await?;
            if nar.nar_size != nar_size {
                return Err(IngestError::NarSize { expected: nar_size, found: nar.nar_size });
            }
            let outcome = self.commit_path(cache, new).await?;
            return Ok(Pushed { outcome, file_size: None, frac_deduplicated: None });
        }
        let stored = self.store_nar(cache.id, body, Compression::None, Some((nar_hash, nar_size))).await?;
        let frac_deduplicated = Some(stored.frac_deduplicated());
        let now = self.clock.now();
        let (unsealed, nar, record) = stored.ready(now).await?;
        let file_size = Some(nar.file_size);
        let mut records = Records { nars: vec![(nar, record)], ..Records::default() };
        let path = new.info.path.clone();
        records.paths.push(self.path_record(cache, new));
        let outcomes = self.store.commit(unsealed, records).await?;
        outcomes.iter().for_each(|outcome| Self::note(cache, &path, nar_size, *outcome));
        Ok(Pushed { outcome: outcome(&outcomes), file_size, frac_deduplicated })
    }

    /// Makes a path visible whose NAR is in the index.
    pub(super) async fn commit_path(&self, cache: &Cache, new: NewPathInfo) -> Result<PushOutcome, IngestError> {
        let (path, nar_size) = (new.info.path.clone(), new.info.nar_size);
        let paths = vec![self.path_record(cache, new)];
        let outcomes = self.store.commit(Unsealed::default(), Records { paths, ..Records::default() }).await?;
        outcomes.iter().for_each(|outcome| Self::note(cache, &path, nar_size, *outcome));
        Ok(outcome(&outcomes))
    }

    /// Parses, cuts and stores a NAR; `expected` is what was announced of it.
    pub(super) async fn store_nar(
        &self,
        cache: CacheId,
        body: BodyReader,
        compression: Compression,
        expected: Option<(NarHash, u64)>,
    ) -> Result<StoredNar, IngestError> {
        let wire = body.wire().clone();
        let mut reader = decode(compression, body.into_reader());
        let mut cutting = Cutting::new(self.sizes);
        let mut storing = Storing::new(std::sync::Arc::clone(&self.store), cache);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let filled = fill(&mut reader, &mut buffer).await.map_err(|error| read_error(&error))?;
            if filled == 0 {
                break;
            }
            let position = cutting.position() + filled as u64;
            self.check_size(position, compression, wire.length(), expected.map(|(_, size)| size))?;
            let chunks;
            (cutting, buffer, chunks) = off_reactor(move || {
                let chunks = cutting.push(&buffer[..filled]);
                (cutting, buffer, chunks)
            })
            .await?;
            storing.push(chunks?).await?;
        }
        drop(reader);
        let cut = off_reactor(move || cutting.finish()).await??;
        if let Some((hash, size)) = expected {
            if cut.nar_size != size {
                return Err(IngestError::NarSize { expected: size, found: cut.nar_size });
            }
            if cut.nar_hash != hash {
                return Err(IngestError::NarHash { expected: hash, found: cut.nar_hash });
            }
        }
        storing.push(cut.last).await?;
        storing.finish(cut.nar_hash, cut.nar_size, cut.listing).await
    }

    fn check_size(
        &self,
        position: u64,
        compression: Compression,
        wire: u64,
        expected: Option<u64>,
    ) -> Result<(), IngestError> {
        if let Some(expected) = expected.filter(|&expected| position > expected) {
            return Err(IngestError::NarSize { expected, found: position });
        }
        if position > self.limits.max_nar_size {
            return Err(IngestError::TooLarge(self.limits.max_nar_size));
        }
        let expansion = self.limits.max_expansion;
        if compression != Compression::None && position > EXPANSION_FREE_BYTES.max(wire.saturating_mul(expansion)) {
            return Err(IngestError::Bomb(expansion));
        }
        Ok(())
    }

    /// Reads a NAR that is stored already, to see that the sender has it.
    async fn prove(&self, body: BodyReader, nar_hash: NarHash, nar_size: u64) -> Result<(), IngestError> {
        if !self.proof_of_possession {
            return Ok(());
        }
        let mut reader = decode(Compression::None, body.into_reader());
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut found = 0;
        loop {
            let filled = fill(&mut reader, &mut buffer).await.map_err(|error| read_error(&error))?;
            if filled == 0 {
                break;
            }
            found += filled as u64;
            self.check_size(found, Compression::None, found, Some(nar_size))?;
            (hasher, buffer) = off_reactor(move || {
                hasher.update(&buffer[..filled]);
                (hasher, buffer)
            })
            .await?;
        }
        let hash = NarHash::from_bytes(hasher.finalize().into());
        if found != nar_size {
            return Err(IngestError::NarSize { expected: nar_size, found });
        }
        if hash != nar_hash {
            return Err(IngestError::NarHash { expected: nar_hash, found: hash });
        }
        Ok(())
    }

    /// The row of a path, and the record that says the same in its pack.
    pub(super) fn path_record(&self, cache: &Cache, new: NewPathInfo) -> (NewPath, PathRecord) {
        let now = self.clock.now();
        let info = &new.info;
        let record = PathRecord {
            cache: cache.name.to_string(),
            store_dir: cache.store_dir.to_string(),
            path: info.path.to_string(),
            nar_hash: info.nar_hash.to_string(),
            nar_size: info.nar_size,
            references: info.references.iter().map(ToString::to_string).collect(),
            deriver: info.deriver.as_ref().map(ToString::to_string),
            signatures: info.signatures.iter().map(ToString::to_string).collect(),
            ca: info.ca.as_ref().map(ToString::to_string),
            extra: new.extra.clone(),
            pushed_by: new.pushed_by.clone(),
            at: now.0,
        };
        let NewPathInfo { info, extra, pushed_by } = new;
        (NewPath { cache: cache.id, info, extra, pushed_by, now }, record)
    }
}

fn outcome(outcomes: &[PathOutcome]) -> PushOutcome {
    match outcomes {
        [PathOutcome::KeptOther, ..] => PushOutcome::KeptOther,
        _ => PushOutcome::Stored,
    }
}

fn read_error(error: &std::io::Error) -> IngestError {
    match body::inner(error) {
        Some(error) => IngestError::Body(error),
        None => IngestError::Compression(error.to_string()),
    }
}

/// Runs work that takes CPU time where it does not hold up anybody's I/O.
async fn off_reactor<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Stopped)
}
