//! A push from beginning to end: plan, then apply.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use formats::{KeyName, PathInfo, StoreDir, StoreDirError, StorePath};
use futures::{StreamExt, stream::FuturesUnordered};
use protocol::{
    CacheName, ErrorCode,
    attic::CacheConfig,
    push::{PushParameters, VERSION},
};
use tokio::sync::OnceCell;

use super::{
    Candidates, ProtocolChoice, PushPlan, Survey, Transfer, Tuning, UploadError, Uploaded, UpstreamFilter, native,
    rate::RateLimit, schedule::Schedule, upload::Uploader,
};
use crate::{
    api::{Api, ApiError, MetadataStyle, PushSupport},
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
    /// What the push was like on the wire, from [`Push::begin`] on.
    pub transfer: Transfer,
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
    tuning: Tuning,
    excluded: Vec<glob::Pattern>,
    /// How the server wants to be pushed to, once it has been asked: its own way, or Attic's.
    parameters: OnceCell<Option<PushParameters>>,
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
        let uploader = Arc::new(Uploader { api, store, reporter, cache, style: options.metadata, rate: None });
        let (tuning, excluded) = (Tuning::default(), Vec::new());
        Ok(Self { uploader, config, options, tuning, excluded, parameters: OnceCell::new() })
    }

    /// The same push, using machine and network as `tuning` says.
    #[must_use]
    pub fn tuned(mut self, tuning: Tuning) -> Self {
        let rate = tuning.limit_rate.map(|rate| Arc::new(RateLimit::new(rate)));
        let Uploader { api, store, reporter, cache, style, .. } = &*self.uploader;
        let (api, store, reporter) = (api.clone(), Arc::clone(store), Arc::clone(reporter));
        self.uploader = Arc::new(Uploader { api, store, reporter, cache: cache.clone(), style: *style, rate });
        Self { tuning, ..self }
    }

    /// The same push without the paths whose base names match one of `patterns`.
    #[must_use]
    pub fn excluding(self, patterns: Vec<glob::Pattern>) -> Self {
        Self { excluded: patterns, ..self }
    }

    /// Finds out what is to be sent of `roots`.
    ///
    /// # Errors
    /// A path is not valid, or Nix or the server cannot be asked.
    pub async fn plan(&self, roots: BTreeSet<StorePath>) -> Result<PushPlan, PushError> {
        let candidates = Candidates::new(self.path_infos(roots).await?, &self.filter()).excluding(&self.excluded);
        let hashes = candidates.hashes();
        let missing = self.uploader.api.get_missing_paths(&self.uploader.cache, &hashes).await?;
        Ok(candidates.decide(self.uploader.cache.clone(), &missing))
    }

    /// Sends what `plan` says, natively if the server can.
    ///
    /// A path is sent only after all its references in the plan have arrived, or behind them in one stream, so at no moment does
    /// the cache have a path of the plan without its references.
    pub async fn apply(&self, plan: &PushPlan) -> PushReport {
        self.uploader.reporter.report(Event::Began(plan));
        let mut report = match self.parameters(plan).await {
            Ok(Some(parameters)) => {
                let (results, transfer) = native::push(&self.uploader, parameters, self.tuning, plan).await;
                PushReport { results, transfer }
            }
            Ok(None) => self.apply_as_attic(plan).await,
            Err(error) => self.give_up(plan, error),
        };
        let traffic = self.uploader.api.traffic();
        report.transfer.requests = traffic.requests;
        report.transfer.wire_bytes = traffic.sent_bytes;
        report
    }

    /// Finds out what `plan` would cost: reads everything, sends nothing. `None` if the server has no native push.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn survey(&self, plan: &PushPlan) -> Result<Option<Survey>, PushError> {
        match self.parameters(plan).await? {
            Some(parameters) => Ok(Some(native::survey(&self.uploader, parameters, self.tuning, plan).await?)),
            None => Ok(None),
        }
    }

    /// How to push natively; nothing if it is to be Attic's way.
    async fn parameters(&self, plan: &PushPlan) -> Result<Option<PushParameters>, ApiError> {
        if plan.uploads().is_empty() || self.tuning.protocol == ProtocolChoice::Attic {
            return Ok(None);
        }
        self.parameters.get_or_try_init(|| self.ask_for_parameters()).await.cloned()
    }

    async fn ask_for_parameters(&self) -> Result<Option<PushParameters>, ApiError> {
        let Uploader { api, cache, reporter, .. } = &*self.uploader;
        let must = self.tuning.protocol == ProtocolChoice::Native;
        let refuse = |message: String| Err(api.refusal(cache, ErrorCode::NotFound, message));
        match api.push_parameters(cache).await? {
            PushSupport::Native(parameters) => Ok(Some(parameters)),
            PushSupport::None if must => refuse("The server has no native push.".to_owned()),
            PushSupport::Other { version } if must => {
                refuse(format!("The server has version {version} of native push, we have {VERSION}."))
            }
            PushSupport::None => Ok(None),
            PushSupport::Other { version } => {
                reporter.report(Event::OtherVersion { theirs: version, ours: VERSION });
                Ok(None)
            }
        }
    }

    fn give_up(&self, plan: &PushPlan, error: ApiError) -> PushReport {
        let mut report = PushReport::default();
        let mut error = Some(error);
        for info in plan.uploads() {
            let outcome = match error.take() {
                Some(error) => Outcome::Failed(error.into()),
                None => Outcome::NotTried(NotTried::GivenUp),
            };
            self.note(&mut report, info, outcome);
        }
        report
    }

    async fn apply_as_attic(&self, plan: &PushPlan) -> PushReport {
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
