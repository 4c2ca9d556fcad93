//! The end of a path: many are made visible together.

use database::PathOutcome as Committed;
use protocol::{ErrorCode, push::PathOutcome};

use super::{Shared, refused};
use crate::{
    ingest::{Ingest, IngestError, path::NewPathInfo, storing::StoredNar},
    store::{Placed, Records, StoreError},
};

/// A path whose NAR was verified.
pub(super) struct Complete {
    pub(super) store_path: String,
    pub(super) new: NewPathInfo,
    pub(super) nar: StoredNar,
}

impl Shared<'_> {
    /// Makes these paths visible, all in one transaction; gives what became of each.
    pub(super) async fn commit(&self, complete: Vec<Complete>) -> Result<Vec<(String, PathOutcome)>, IngestError> {
        if complete.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = complete.iter().map(|path| path.store_path.clone()).collect();
        let outcomes: Vec<PathOutcome> = match self.commit_all(complete).await {
            Ok(outcomes) => outcomes,
            Err(error @ IngestError::Store(StoreError::Stopped | StoreError::Storage(_) | StoreError::Database(_))) => {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(%error, paths = names.len(), "a batch of pushed paths was not committed");
                let message = "The push of this path has to be repeated.".to_owned();
                vec![refused(ErrorCode::Unavailable, message); names.len()]
            }
        };
        Ok(names.into_iter().zip(outcomes).collect())
    }

    async fn commit_all(&self, complete: Vec<Complete>) -> Result<Vec<PathOutcome>, IngestError> {
        let store = &self.ingest.store;
        let placed: Vec<Placed> = complete.iter().flat_map(|path| path.nar.placed()).cloned().collect();
        let is_whole = complete.iter().all(|path| path.nar.digest.is_whole());
        let unsealed = store.settle(&self.lane, &placed, is_whole).await?;
        let mut pointers = store.pointers(&placed, unsealed.hashes()).await?.into_iter();
        let now = self.ingest.clock.now();
        let mut records = Records::default();
        let mut sizes = Vec::with_capacity(complete.len());
        let mut paths = Vec::with_capacity(complete.len());
        for Complete { new, nar, .. } in complete {
            let own = pointers.by_ref().take(nar.placed().count()).collect();
            let (nar, record) = nar.rows(store, own, now).await?;
            sizes.push(nar.file_size);
            paths.push((new.info.path.clone(), nar.nar_size));
            records.nars.push((nar, record));
            records.paths.push(self.ingest.path_record(&self.context.cache, new));
        }
        let outcomes = store.commit(unsealed, records).await?;
        for (outcome, (path, nar_size)) in outcomes.iter().zip(&paths) {
            Ingest::note(&self.context.cache, path, *nar_size, *outcome);
        }
        Ok(outcomes
            .into_iter()
            .zip(sizes)
            .map(|(outcome, file_size)| match outcome {
                Committed::Created | Committed::Merged => PathOutcome::Stored { file_size },
                Committed::KeptOther => PathOutcome::KeptOther,
            })
            .collect())
    }
}
