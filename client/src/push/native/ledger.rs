//! What is known of each path of a push while it runs.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use formats::PathInfo;
use protocol::{
    CacheName, ErrorCode,
    attic::{UploadPathResult, UploadPathResultKind},
    push::{PathOutcome, PathResult as Heard},
};

use super::super::{NotTried, Outcome, PathResult, PushPlan, UploadError, schedule::referrers};
use crate::{
    api::{Api, ApiError},
    report::{Event, Reporter},
};

/// A server reads back and checks at least this many bytes in a second.
const CHECKED_PER_SECOND: u64 = 50 << 20;

/// What is known of each path, by its place in the plan.
pub(super) struct Ledger {
    uploads: Vec<PathInfo>,
    /// Places by absolute path, as the server names them.
    places: HashMap<String, usize>,
    referrers: Vec<Vec<usize>>,
    reporter: Arc<dyn Reporter>,
    api: Api,
    cache: CacheName,
    state: Mutex<State>,
    chunks: AtomicU64,
    chunks_sent: AtomicU64,
}

#[derive(Default)]
struct State {
    paths: Vec<PathState>,
    results: Vec<PathResult>,
}

#[derive(Debug, Clone, Copy, Default)]
struct PathState {
    stage: Stage,
    /// A path that it refers to, near or far, which will not come.
    lost: Option<usize>,
    /// How often it was sent without success, the connection being well.
    failed: u32,
    /// Bytes of its NAR that were new to the cache.
    new_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// It has not been sent in this round.
    #[default]
    Waiting,
    /// It will be tried again in the next round.
    HeldBack,
    /// It was sent, and nothing has been heard of it.
    Sent,
    /// It has its result.
    Done,
}

impl Ledger {
    pub(super) fn new(plan: &PushPlan, reporter: Arc<dyn Reporter>, api: Api, names: Vec<String>) -> Self {
        let uploads = plan.uploads().to_vec();
        let paths = vec![PathState::default(); uploads.len()];
        Self {
            places: names.into_iter().enumerate().map(|(at, name)| (name, at)).collect(),
            referrers: referrers(&plan.references_among_uploads()),
            uploads,
            reporter,
            api,
            cache: plan.cache().clone(),
            state: Mutex::new(State { paths, results: Vec::new() }),
            chunks: AtomicU64::default(),
            chunks_sent: AtomicU64::default(),
        }
    }

    pub(super) fn info(&self, at: usize) -> &PathInfo {
        &self.uploads[at]
    }

    /// Begins a round: gives the places of all paths that are not done with, references first.
    pub(super) fn begin_round(&self) -> Vec<usize> {
        let mut state = self.lock();
        let mut lost = Vec::new();
        let mut open = Vec::new();
        for (at, path) in state.paths.iter_mut().enumerate().filter(|(_, path)| path.stage != Stage::Done) {
            path.stage = Stage::Waiting;
            match path.lost {
                Some(reference) => lost.push((at, reference)),
                None => open.push(at),
            }
        }
        for (at, reference) in lost {
            self.end(&mut state, at, self.not_tried(reference));
        }
        open
    }

    /// Tells whether it is this path's turn.
    pub(super) fn is_waiting(&self, at: usize) -> bool {
        self.lock().paths[at].stage == Stage::Waiting
    }

    /// Notes that a path begins to be read.
    pub(super) fn started(&self, at: usize) {
        let info = &self.uploads[at];
        self.reporter.report(Event::Started { path: &info.path, nar_size: info.nar_size });
    }

    /// Notes that so many more bytes of a path need no more care.
    pub(super) fn passed(&self, at: usize, bytes: u64) {
        self.reporter.report(Event::Sent { path: &self.uploads[at].path, bytes });
    }

    /// Notes that a path was cut into so many chunks.
    pub(super) fn cut(&self, chunks: usize) {
        self.chunks.fetch_add(chunks as u64, Ordering::Relaxed);
    }

    /// Notes that a chunk goes out.
    pub(super) fn sent_chunk(&self, at: usize, bytes: u64) {
        self.chunks_sent.fetch_add(1, Ordering::Relaxed);
        self.lock().paths[at].new_bytes += bytes;
        self.passed(at, bytes);
    }

    /// How many chunks were cut, and how many were sent.
    pub(super) fn chunk_counts(&self) -> (u64, u64) {
        (self.chunks.load(Ordering::Relaxed), self.chunks_sent.load(Ordering::Relaxed))
    }

    /// Notes that a path goes out; false if it shall not any more.
    pub(super) fn sending(&self, at: usize) -> bool {
        let stage = &mut self.lock().paths[at].stage;
        let waits = *stage == Stage::Waiting;
        if waits {
            *stage = Stage::Sent;
        }
        waits
    }

    /// Takes in what the server says of a path; `attempts` is how often a path is tried.
    pub(super) fn heard(&self, heard: Heard, attempts: u32) {
        let mut state = self.lock();
        let Some(&at) = self.places.get(&heard.store_path) else { return };
        if state.paths[at].stage != Stage::Sent {
            return;
        }
        let again = match &heard.outcome {
            PathOutcome::ChunksMissing => true,
            PathOutcome::Refused { retryable, .. } => *retryable,
            PathOutcome::Stored { .. } | PathOutcome::KeptOther => false,
        };
        let file_size = match &heard.outcome {
            PathOutcome::Stored { file_size } => Some(*file_size),
            PathOutcome::KeptOther | PathOutcome::ChunksMissing | PathOutcome::Refused { .. } => None,
        };
        state.paths[at].failed += u32::from(again);
        if again && state.paths[at].failed < attempts {
            self.hold_back(&mut state, at);
            return;
        }
        match self.api.refusal_of(&self.cache, heard.outcome) {
            None => {
                let outcome = self.uploaded(state.paths[at], at, file_size);
                self.end(&mut state, at, outcome);
            }
            Some(error) => self.fail(&mut state, at, error.into()),
        }
    }

    /// Notes that the cache has a path, though nobody said that it is ours.
    pub(super) fn is_there(&self, at: usize) {
        let mut state = self.lock();
        if state.paths[at].stage != Stage::Done {
            let outcome = self.uploaded(state.paths[at], at, None);
            self.end(&mut state, at, outcome);
        }
    }

    /// An error about a path in the server's terms.
    pub(super) fn refusal(&self, at: usize, code: ErrorCode, message: &str) -> UploadError {
        let name = self.uploads[at].path.name();
        self.api.refusal(&self.cache, code, format!("{name}: {message}")).into()
    }

    /// Notes that a path cannot be pushed.
    pub(super) fn failed(&self, at: usize, error: UploadError) {
        let mut state = self.lock();
        if state.paths[at].stage != Stage::Done {
            self.fail(&mut state, at, error);
        }
    }

    /// Ends the push for the sake of `error`: the first path that is open has it, the others are given up.
    pub(super) fn give_up(&self, error: ApiError) {
        let mut state = self.lock();
        let mut error = Some(error);
        for at in 0..self.uploads.len() {
            if state.paths[at].stage != Stage::Done {
                let outcome = match error.take() {
                    Some(error) => Outcome::Failed(error.into()),
                    None => Outcome::NotTried(NotTried::GivenUp),
                };
                self.end(&mut state, at, outcome);
            }
        }
    }

    /// Which of `paths` were sent without anything being heard of them.
    pub(super) fn unanswered(&self, paths: &[usize]) -> usize {
        let state = self.lock();
        paths.iter().filter(|&&at| state.paths[at].stage == Stage::Sent).count()
    }

    /// How many paths are done with.
    pub(super) fn done(&self) -> usize {
        self.lock().results.len()
    }

    /// How long a server may take to check what was sent and is not answered.
    pub(super) fn patience(&self) -> Duration {
        let state = self.lock();
        let sent = state.paths.iter().zip(&self.uploads).filter(|(path, _)| path.stage == Stage::Sent);
        Duration::from_secs(sent.map(|(_, info)| info.nar_size).sum::<u64>() / CHECKED_PER_SECOND)
    }

    /// The results, in the order in which the paths ended.
    pub(super) fn take_results(&self) -> Vec<PathResult> {
        std::mem::take(&mut self.lock().results)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uploaded(&self, path: PathState, at: usize, file_size: Option<u64>) -> Outcome {
        let nar_size = self.uploads[at].nar_size;
        let new = path.new_bytes.min(nar_size);
        let known = if nar_size == 0 { 0.0 } else { (nar_size - new) as f64 / nar_size as f64 };
        Outcome::Uploaded(if new == 0 {
            UploadPathResult { kind: UploadPathResultKind::Deduplicated, file_size, frac_deduplicated: Some(1.0) }
        } else {
            UploadPathResult { kind: UploadPathResultKind::Uploaded, file_size, frac_deduplicated: Some(known) }
        })
    }

    fn not_tried(&self, reference: usize) -> Outcome {
        Outcome::NotTried(NotTried::Reference(self.uploads[reference].path.clone()))
    }

    fn end(&self, state: &mut State, at: usize, outcome: Outcome) {
        state.paths[at].stage = Stage::Done;
        let info = &self.uploads[at];
        self.reporter.report(Event::Finished { path: &info.path, nar_size: info.nar_size, outcome: &outcome });
        state.results.push(PathResult { path: info.path.clone(), nar_size: info.nar_size, outcome });
    }

    /// A path has failed, and whatever refers to it and has not been sent is not sent any more.
    fn fail(&self, state: &mut State, at: usize, error: UploadError) {
        self.end(state, at, Outcome::Failed(error));
        for referrer in self.above(at) {
            let path = &mut state.paths[referrer];
            path.lost.get_or_insert(at);
            if matches!(path.stage, Stage::Waiting | Stage::HeldBack) {
                self.end(state, referrer, self.not_tried(at));
            }
        }
    }

    /// A path waits for the next round, and so does whatever refers to it.
    fn hold_back(&self, state: &mut State, at: usize) {
        state.paths[at].stage = Stage::HeldBack;
        for referrer in self.above(at) {
            let stage = &mut state.paths[referrer].stage;
            if *stage == Stage::Waiting {
                *stage = Stage::HeldBack;
            }
        }
    }

    /// Everything that refers to a path, near or far.
    fn above(&self, at: usize) -> Vec<usize> {
        let mut seen = vec![false; self.uploads.len()];
        let mut above = Vec::new();
        let mut from = vec![at];
        while let Some(at) = from.pop() {
            for &referrer in &self.referrers[at] {
                if !std::mem::replace(&mut seen[referrer], true) {
                    above.push(referrer);
                    from.push(referrer);
                }
            }
        }
        above
    }
}
