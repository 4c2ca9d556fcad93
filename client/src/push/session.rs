//! A push from beginning to end: plan, then apply.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use formats::{KeyName, PathInfo, StoreDir, StoreDirError, StorePath};
use futures::{StreamExt, stream::FuturesUnordered};
use protocol::{CacheName, attic::CacheConfig};

use super::{Candidates, PushPlan, UploadError, Uploaded, UpstreamFilter, schedule::Schedule, upload::Uploader};
use crate::{
    api::{Api, ApiError, MetadataStyle},
    nix::{LocalStore, StoreError},
    report::{Event, Reporter},
};

/// What can be chosen about a push.
#[derive(Debug, Clone, Copy)]
pub struct PushOptions {
    /// How many paths are uploaded at once.
    pub jobs: NonZeroUsize,
    /// Whether everything that the paths refer to is pushed too.
    pub closure: bool,
    /// Whether paths that upstream has signed are pushed all the same.
    pub ignore_upstream_filter: bool,
    /// How the metadata travels.
    pub metadata: MetadataStyle,
}

/// A push could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The server.
    #[error("cannot ask the server")]
    Api(#[from] ApiError),
    /// The local store.
    #[error("cannot ask the local store")]
    Store(#[from] StoreError),
    /// The cache holds paths of another store dir.
    #[error("cache {cache} holds paths of {theirs}, the local store is {ours}")]
    StoreDir {
        /// The cache.
        cache: CacheName,
        /// Its store dir.
        theirs: StoreDir,
        /// That of the local store.
        ours: StoreDir,
    },
    /// The server names something that is no store dir.
    #[error("the server says that cache {cache} has the store dir {text:?}")]
    BadStoreDir {
        /// The cache.
        cache: CacheName,
        /// What it says.
        text: String,
        /// What is wrong with it.
        source: StoreDirError,
    },
}

/// What became of a path.
#[derive(Debug)]
pub enum Outcome {
    /// It is in the cache.
    Uploaded(Uploaded),
    /// It is not, and this is why.
    Failed(UploadError),
    /// It was not sent.
    NotTried(NotTried),
}

/// Why a path was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTried {
    /// Something that it refers to, near or far, is not in the cache.
    Reference(StorePath),
    /// The server turned another path away for a reason that holds for all, or cannot be reached.
    GivenUp,
}

/// A path and what became of it.
#[derive(Debug)]
pub struct PathResult {
    /// The path.
    pub path: StorePath,
    /// The size of its NAR in bytes.
    pub nar_size: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a push.
#[derive(Debug, Default)]
pub struct PushReport {
    /// One result for each upload of the plan, in the order in which they ended.
    pub results: Vec<PathResult>,
}

impl PushReport {
    /// The paths that were uploaded.
    pub fn uploaded(&self) -> impl Iterator<Item = (&PathResult, &Uploaded)> {
        self.results.iter().filter_map(|result| match &result.outcome {
            Outcome::Uploaded(uploaded) => Some((result, uploaded)),
            Outcome::Failed(_) | Outcome::NotTried(_) => None,
        })
    }

    /// The errors of the paths that failed.
    pub fn failures(&self) -> impl Iterator<Item = (&StorePath, &UploadError)> {
        self.results.iter().filter_map(|result| match &result.outcome {
            Outcome::Failed(error) => Some((&result.path, error)),
            Outcome::Uploaded(_) | Outcome::NotTried(_) => None,
        })
    }

    /// Tells whether every path is in the cache.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.uploaded().count() == self.results.len()
    }
}

/// A push to one cache.
pub struct Push {
    uploader: Arc<Uploader>,
    config: CacheConfig,
    options: PushOptions,
}

impl Push {
    /// Asks the server about `cache` and makes ready to push to it.
    ///
    /// # Errors
    /// No such cache, not allowed, not reachable, or the cache is for another store dir.
    pub async fn begin(
        api: Api,
        store: Arc<dyn LocalStore>,
        reporter: Arc<dyn Reporter>,
        cache: CacheName,
        options: PushOptions,
    ) -> Result<Self, PushError> {
        let config = api.cache_config(&cache).await?;
        if let Some(text) = &config.store_dir {
            let theirs: StoreDir = text.parse().map_err(|source| PushError::BadStoreDir {
                cache: cache.clone(),
                text: text.clone(),
                source,
            })?;
            if theirs != *store.store_dir() {
                return Err(PushError::StoreDir { cache, theirs, ours: store.store_dir().clone() });
            }
        }
        let api = match config.api_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()).map(|e| api.at(e)) {
            None => api,
            Some(Ok(api)) => api,
            Some(Err(endpoint)) => {
                reporter.report(Event::EndpointIgnored(endpoint));
                api
            }
        };
        let uploader = Arc::new(Uploader { api, store, reporter, cache, style: options.metadata });
        Ok(Self { uploader, config, options })
    }

    /// Finds out what is to be sent of `roots`.
    ///
    /// # Errors
    /// A path is not valid, or Nix or the server cannot be asked.
    pub async fn plan(&self, roots: BTreeSet<StorePath>) -> Result<PushPlan, PushError> {
        let candidates = Candidates::new(self.path_infos(roots).await?, &self.filter());
        let hashes = candidates.hashes();
        let missing = self.uploader.api.get_missing_paths(&self.uploader.cache, &hashes).await?;
        Ok(candidates.decide(self.uploader.cache.clone(), &missing))
    }

    /// Sends what `plan` says.
    ///
    /// A path is sent only after all its references in the plan have arrived, so at no moment does the cache have a path of the
    /// plan without its references.
    pub async fn apply(&self, plan: &PushPlan) -> PushReport {
        self.uploader.reporter.report(Event::Began(plan));
        let uploads = plan.uploads();
        let sizes = uploads.iter().map(|info| info.nar_size).collect();
        let mut schedule = Schedule::new(sizes, &plan.references_among_uploads());
        let mut running = FuturesUnordered::new();
        let mut report = PushReport::default();
        let mut done = vec![false; uploads.len()];
        let mut given_up = false;
        loop {
            while !given_up && running.len() < self.options.jobs.get() {
                let Some(at) = schedule.next() else { break };
                running.push(async move { (at, self.uploader.upload(&uploads[at]).await) });
            }
            let Some((at, result)) = running.next().await else { break };
            let mut note = |at: usize, outcome| {
                done[at] = true;
                self.note(&mut report, &uploads[at], outcome);
            };
            match result {
                Ok(uploaded) => {
                    schedule.succeeded(at);
                    note(at, Outcome::Uploaded(uploaded));
                }
                Err(error) => {
                    given_up |= concerns_all(&error);
                    note(at, Outcome::Failed(error));
                    for lost in schedule.failed(at) {
                        note(lost, Outcome::NotTried(NotTried::Reference(uploads[at].path.clone())));
                    }
                }
            }
        }
        for at in (0..uploads.len()).filter(|&at| !done[at]) {
            self.note(&mut report, &uploads[at], Outcome::NotTried(NotTried::GivenUp));
        }
        report
    }

    fn note(&self, report: &mut PushReport, info: &PathInfo, outcome: Outcome) {
        self.uploader.reporter.report(Event::Finished { path: &info.path, nar_size: info.nar_size, outcome: &outcome });
        report.results.push(PathResult { path: info.path.clone(), nar_size: info.nar_size, outcome });
    }

    fn filter(&self) -> UpstreamFilter {
        if self.options.ignore_upstream_filter {
            return UpstreamFilter::Ignore;
        }
        // A name that no key can have signs nothing.
        let names = self.config.upstream_cache_key_names.iter().flatten();
        UpstreamFilter::Skip(names.filter_map(|name| name.parse::<KeyName>().ok()).collect())
    }

    async fn path_infos(&self, roots: BTreeSet<StorePath>) -> Result<Vec<PathInfo>, StoreError> {
        let store = Arc::clone(&self.uploader.store);
        let closure = self.options.closure;
        let asking = move || if closure { store.closure(&roots) } else { store.path_infos(&roots) };
        match tokio::task::spawn_blocking(asking).await {
            Ok(infos) => infos,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// Tells whether every other upload would fail the same way.
fn concerns_all(error: &UploadError) -> bool {
    match error {
        UploadError::Api(error) => error.is_not_allowed() || error.is_unreachable(),
        UploadError::Read(_) | UploadError::Damaged { .. } => false,
    }
}
