//! Group commit: small uploads that end at the same time share one pack, one fsync and one transaction.

use std::{collections::HashMap, sync::Arc};

use bytes::BytesMut;
use database::{
    ChunkId, ChunkPointer, Commit, CommitError, Database, NewDocument, NewNar, NewPack, NewPath, NewUpload, PackName,
    PathOutcome,
};
use protocol::ChunkHash;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{Frame, StoreError, divergence};
use crate::{
    journal::Journal,
    pack::{self, DocumentRecord, KeptOutRecord, Layout, NarRecord, PathRecord, Record},
};

/// A group ends when its frames have this many bytes …
const GROUP_BYTES: usize = 8 << 20;
/// … or when it has this many requests.
const GROUP_REQUESTS: usize = 256;

/// What becomes visible together, each with the record that says the same in the pack.
#[derive(Debug, Default)]
pub struct Records {
    /// NARs.
    pub nars: Vec<(NewNar, NarRecord)>,
    /// Names under which NARs came by plain PUT; they lapse, so no pack remembers them.
    pub uploads: Vec<NewUpload>,
    /// Paths.
    pub paths: Vec<(NewPath, PathRecord)>,
    /// Documents.
    pub documents: Vec<(NewDocument, DocumentRecord)>,
}

/// One upload that wants to be visible.
#[derive(Debug)]
pub(super) struct CommitRequest {
    pub(super) frames: Vec<Frame>,
    pub(super) records: Records,
    pub(super) reply: oneshot::Sender<Result<Vec<PathOutcome>, StoreError>>,
}

/// Starts the committer. It ends when every sender is gone.
pub(super) fn spawn(
    journal: Arc<Journal>,
    database: Arc<dyn Database>,
    tracker: &TaskTracker,
) -> mpsc::Sender<CommitRequest> {
    let (sender, mut requests) = mpsc::channel::<CommitRequest>(GROUP_REQUESTS);
    tracker.spawn(async move {
        while let Some(first) = requests.recv().await {
            // Whatever queued up while the last group was being written is the next group.
            let mut bytes = first.bytes();
            let mut group = vec![first];
            while bytes < GROUP_BYTES && group.len() < GROUP_REQUESTS {
                let Ok(next) = requests.try_recv() else { break };
                bytes += next.bytes();
                group.push(next);
            }
            commit_group(&journal, &*database, group).await;
        }
    });
    sender
}

impl CommitRequest {
    fn bytes(&self) -> usize {
        self.frames.iter().map(|f| f.bytes.len()).sum()
    }
}

async fn commit_group(journal: &Journal, database: &dyn Database, group: Vec<CommitRequest>) {
    let packs = match write_pack(journal, &group).await {
        Ok(pack) => Vec::from_iter(pack),
        Err(error) => return group.into_iter().for_each(|request| request.answer(Err(error.clone()))),
    };
    let mut all = Commit { packs, ..Commit::default() };
    group.iter().for_each(|request| request.records.add_to(&mut all));
    match database.commit(&all).await {
        Ok(outcomes) => {
            let paths = group.iter().flat_map(|request| &request.records.paths);
            note_kept_out(journal, database, paths, &outcomes).await;
            let mut outcomes = outcomes.into_iter();
            for request in group {
                let count = request.records.paths.len();
                let own = outcomes.by_ref().take(count).collect();
                request.answer(Ok(own));
            }
        }
        Err(error) if group.len() == 1 => {
            for pack in &all.packs {
                forget_if_refused(journal, pack.name, &error).await;
            }
            let error = StoreError::from(error);
            group.into_iter().for_each(|request| request.answer(Err(error.clone())));
        }
        Err(error) => {
            tracing::info!(%error, requests = group.len(), "a group commit was refused; committing one by one");
            commit_singly(journal, database, all.packs, group).await;
        }
    }
}

/// One request must not spoil the others of its group. Their frames are in one pack, which is made known first.
async fn commit_singly(journal: &Journal, database: &dyn Database, packs: Vec<NewPack>, group: Vec<CommitRequest>) {
    let names: Vec<PackName> = packs.iter().map(|pack| pack.name).collect();
    if let Err(error) = database.commit(&Commit { packs, ..Commit::default() }).await {
        for name in names {
            forget_if_refused(journal, name, &error).await;
        }
        let error = StoreError::from(error);
        return group.into_iter().for_each(|request| request.answer(Err(error.clone())));
    }
    for request in group {
        let outcome = commit_one(database, &request).await;
        if let Ok(outcomes) = &outcome {
            note_kept_out(journal, database, &request.records.paths, outcomes).await;
        }
        request.answer(outcome);
    }
}

/// Commits a request whose frames are known already.
async fn commit_one(database: &dyn Database, request: &CommitRequest) -> Result<Vec<PathOutcome>, StoreError> {
    let hashes: Vec<ChunkHash> = request.frames.iter().map(Frame::hash).collect();
    let mut rows: HashMap<ChunkHash, ChunkId> = HashMap::new();
    for batch in hashes.chunks(1000) {
        let found = database.find_chunks(batch).await?;
        rows.extend(batch.iter().zip(found).filter_map(|(hash, chunk)| Some((*hash, chunk?.id))));
    }
    let mut commit = Commit::default();
    request.records.add_to(&mut commit);
    let nars = commit.nars.iter_mut().flat_map(|nar| nar.manifest.iter_mut().chain(nar.listing.iter_mut().flatten()));
    for pointer in nars.chain(commit.documents.iter_mut().flat_map(|document| &mut document.manifest)) {
        if let ChunkPointer::New(hash) = pointer
            && let Some(id) = rows.get(hash)
        {
            *pointer = ChunkPointer::Known(*id);
        }
    }
    Ok(database.commit(&commit).await?)
}

/// Removes a pack that the index has refused, so that nobody takes its records for true. Best effort: who pushed was told that it failed.
pub(super) async fn forget_if_refused(journal: &Journal, name: PackName, error: &CommitError) {
    match error {
        CommitError::ChunkGone | CommitError::ChunkRaced | CommitError::NarGone | CommitError::CacheGone => {
            if let Err(error) = journal.storage().delete(&pack::key(name)).await {
                tracing::warn!(%error, pack.name = %name, "a refused pack could not be removed");
            }
        }
        // The transaction may have ended well, and only its answer been lost.
        CommitError::Database(_) => {}
    }
}

/// Records which paths stayed out, and that builders disagree. Best effort: for pushes through one server their order says the same.
pub(super) async fn note_kept_out(
    journal: &Journal,
    database: &dyn Database,
    paths: impl IntoIterator<Item = &(NewPath, PathRecord)>,
    outcomes: &[PathOutcome],
) {
    let kept_out = paths.into_iter().zip(outcomes).filter(|(_, outcome)| **outcome == PathOutcome::KeptOther);
    let kept_out: Vec<_> = kept_out.map(|(path, _)| path).collect();
    let records = kept_out.iter().map(|(path, record)| {
        let hash = path.info.path.hash().to_string();
        Record::KeptOut(KeptOutRecord { cache: record.cache.clone(), hash, nar_hash: record.nar_hash.clone() })
    });
    if let Err(error) = journal.record(journal.stamp(), records.collect()).await {
        tracing::warn!(%error, "paths that stayed out could not be recorded in the storage");
    }
    for (path, record) in kept_out {
        divergence::note(journal, database, &record.cache, path).await;
    }
}

/// Makes the frames and records of a group durable; gives the pack, if it has frames that the index must know.
async fn write_pack(journal: &Journal, group: &[CommitRequest]) -> Result<Option<NewPack>, StoreError> {
    let at = journal.stamp();
    if group.iter().all(|request| request.frames.is_empty()) {
        journal.record(at, group.iter().flat_map(|request| request.records.records()).collect()).await?;
        return Ok(None);
    }
    let mut layout = Layout::new();
    let mut body = BytesMut::with_capacity(group.iter().map(CommitRequest::bytes).sum::<usize>() + (4 << 10));
    body.extend_from_slice(pack::MAGIC);
    for frame in group.iter().flat_map(|request| &request.frames) {
        layout.append(frame.hash(), frame.size, &frame.bytes, Some(frame.cache));
        body.extend_from_slice(&frame.bytes);
    }
    let (trailer, size) = layout.trailer(at, group.iter().flat_map(|request| request.records.records()));
    body.extend_from_slice(&trailer);
    let name = PackName(rand::random());
    journal.storage().put(&pack::key(name), body.freeze()).await?;
    Ok(Some(NewPack { name, size, chunks: layout.chunks }))
}

impl CommitRequest {
    fn answer(self, outcome: Result<Vec<PathOutcome>, StoreError>) {
        if outcome.is_ok() {
            self.frames.into_iter().for_each(|frame| frame.reservation.settle());
        }
        // Whoever asked may have gone; what was committed stays.
        let _ = self.reply.send(outcome);
    }
}

impl Records {
    pub(super) fn add_to(&self, commit: &mut Commit) {
        commit.nars.extend(self.nars.iter().map(|(nar, _)| nar.clone()));
        commit.uploads.extend(self.uploads.iter().cloned());
        commit.paths.extend(self.paths.iter().map(|(path, _)| path.clone()));
        commit.documents.extend(self.documents.iter().map(|(document, _)| document.clone()));
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let nars = self.nars.iter().map(|(_, record)| Record::Nar(record.clone()));
        let paths = self.paths.iter().map(|(_, record)| Record::Path(record.clone()));
        let documents = self.documents.iter().map(|(_, record)| Record::Document(record.clone()));
        nars.chain(paths).chain(documents)
    }
}
