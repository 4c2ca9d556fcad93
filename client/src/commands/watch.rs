//! What the commands that watch the store have in common.

mod folder;
mod output;
mod pid_file;
mod process;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use client::{
    api::MetadataStyle,
    nix::{CommandStore, LocalStore, StorePlace},
    push::{Push, PushError, PushOptions},
    report::Reporter,
    retry::RetryPolicy,
    watch::{
        Batching, Connect, PathFilter, Phase, Queue, QueueError, Since, Summary, Tally, Watch, WatchError, WatchOptions,
    },
};
use formats::StoreDir;
use protocol::SystemClock;
use tokio::{sync::watch, task::JoinHandle};

pub(super) use folder::queue_folder;
pub(super) use output::{Out, Stream, left_over};
pub(super) use pid_file::PidFile;
pub(super) use process::{exists, process_start, signal_stop};

use crate::{
    cli::Watching,
    environment::Environment,
    failure,
    output::{ExitStatus, Failure},
    target::Target,
};

/// How often one request is tried before the watcher, which never gives up, takes its own time.
const ATTEMPTS: std::num::NonZeroU32 = std::num::NonZeroU32::new(2).unwrap();

/// A watch that has begun.
pub(super) struct Begun {
    watch: Watch,
    folder: PathBuf,
    target: Target,
    out: Arc<Out>,
}

impl Begun {
    /// Begins as the command line says.
    pub(super) async fn new(
        cache: Option<&str>,
        given: &Watching,
        environment: &Environment,
        out: impl FnOnce(StoreDir) -> Out,
    ) -> Result<Self, Failure> {
        let target = Target::find(cache, environment)?;
        let place = StorePlace::new(environment.nix_store_dir.as_deref(), environment.nix_remote.as_deref())
            .map_err(|error| failure::place(&error))?;
        let folder = folder::of_target(given.queue_dir.as_deref(), &target, environment, &place)?;
        let out = Arc::new(out(place.store_dir().clone()));
        let store: Arc<dyn LocalStore> = Arc::new(CommandStore::new("nix".into(), place));
        let since = match (given.since, given.since_start_of) {
            (Some(since), _) => Since::Time(since.0),
            (None, Some(pid)) => Since::Time(process_start(pid)?),
            (None, None) => Since::LeftOff,
        };
        let options = WatchOptions {
            filter: PathFilter { derivations: given.include_derivations, sources: given.include_sources },
            since,
            batching: Batching { idle: given.batch_idle, longest: given.batch_longest },
            sweep: given.sweep_interval,
            drain_timeout: given.drain_timeout,
        };
        let queue = Queue::open(&folder).map_err(|error| queue_failure(&error))?;
        let tally = Arc::new(Tally::new(Arc::clone(&out) as Arc<dyn Reporter>));
        let connect = connect(cache, given, environment, &store, &tally)?;
        let reporter = Arc::clone(&out);
        let begun = Watch::begin(store, queue, connect, tally, reporter, Arc::new(SystemClock), options).await;
        Ok(Self { watch: begun.map_err(|error| watch_failure(&error))?, folder, target, out })
    }

    /// Where the queue is.
    pub(super) fn queue_folder(&self) -> &Path {
        &self.folder
    }

    /// Asks the cache whether it can be pushed to: what will not get better by waiting is an error, the rest a warning.
    pub(super) async fn check(mut self) -> Result<Self, Failure> {
        let Err(error) = self.watch.connect().await else { return Ok(self) };
        let failure = failure::push(&self.target, &error);
        if matches!(error, PushError::Api(ref error) if error.is_unreachable()) {
            self.out.warning(&failure.message);
            return Ok(self);
        }
        Err(failure)
    }

    /// Watches in the background until the phase is another.
    pub(super) fn start(self) -> Running {
        let (phase, heard) = watch::channel(Phase::Watching);
        let watching = tokio::spawn(self.watch.run(heard));
        Running { phase, watching, target: self.target, out: self.out }
    }
}

/// A watch that goes on in the background.
pub(super) struct Running {
    pub(super) phase: watch::Sender<Phase>,
    watching: JoinHandle<Summary>,
    target: Target,
    out: Arc<Out>,
}

impl Running {
    /// Waits for its end, and tells what came of it.
    pub(super) async fn end(self) -> Result<Summary, Failure> {
        let summary = self.watching.await.map_err(|error| Failure::of(ExitStatus::Failed, &error))?;
        self.out.summary(&summary, &self.target);
        Ok(summary)
    }
}

/// How a session is made, each time with what the environment and the files say by then.
fn connect(
    cache: Option<&str>,
    given: &Watching,
    environment: &Environment,
    store: &Arc<dyn LocalStore>,
    tally: &Arc<Tally>,
) -> Result<Connect, Failure> {
    let options = PushOptions {
        jobs: given.jobs,
        closure: !given.no_closure,
        ignore_upstream_filter: given.ignore_upstream_cache_filter,
        metadata: if given.force_preamble { MetadataStyle::Preamble } else { MetadataStyle::Shortest },
    };
    let retry = RetryPolicy { attempts: ATTEMPTS, ..RetryPolicy::default() };
    // The token may be in a file that somebody renews.
    let (cache, environment) = (cache.map(str::to_owned), environment.clone());
    let find = move || {
        let target = Target::find(cache.as_deref(), &environment)?;
        let api = target.api(|settings| settings.retry = retry)?;
        Ok::<_, Failure>((api, target.cache))
    };
    let first = find()?;
    let (store, tally) = (Arc::clone(store), Arc::clone(tally));
    Ok(Box::new(move || {
        let (api, cache) = find().unwrap_or_else(|_| first.clone());
        let (store, tally) = (Arc::clone(&store), Arc::clone(&tally) as Arc<dyn Reporter>);
        Box::pin(async move { Push::begin(api, store, tally, cache, options).await })
    }))
}

fn watch_failure(error: &WatchError) -> Failure {
    match error {
        WatchError::Queue(error) => queue_failure(error),
        WatchError::Store(error) => failure::store(error),
        WatchError::Folder { .. } => Failure::of(ExitStatus::Failed, error)
            .hint("is the store on this machine? see NIX_STORE_DIR and NIX_REMOTE"),
    }
}

pub(super) fn queue_failure(error: &QueueError) -> Failure {
    let failure = Failure::of(ExitStatus::Failed, error);
    match error {
        QueueError::Taken { .. } => {
            failure.hint("stop it with `watch-store stop`, or name another queue with --queue-dir")
        }
        QueueError::Io { .. } => failure.hint("name another folder with --queue-dir"),
    }
}
