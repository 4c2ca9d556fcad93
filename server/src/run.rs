//! The server, from its configuration to its last request.

use std::{io::Write, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use database::{Cache, DEFAULT_PRIORITY, Database, NewCache};
use formats::{SecretKey, StoreDir};
use protocol::{CacheName, Clock, SystemClock};
use storage::{LocalStorage, Storage};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::{App, Parts, Settings},
    auth::{TokenKeys, secret_material},
    chores::{self, Keep},
    collect::{Collector, Policy},
    config::{self, Config, DatabaseUrl},
    exchange::Exchange,
    fetch::{Budget, Fetch, Frames},
    http::{self, Patience},
    ingest::{Ingest, Limits},
    inspect::{scrub::Scrub, stats::Taking},
    journal::{Journal, Seal},
    lifecycle::{Signals, allow_many_files, notify_ready, notify_stopping},
    metrics,
    promote::{self, Promote, policy, roots::PromotedRoots},
    quota::Quotas,
    store::ChunkStore,
    usage::Usage,
};

mod bucket;
mod patience;
mod read_cache;

pub use crate::index::open_database;
pub use bucket::{Expires, check_storage};
pub(crate) use bucket::{ROOTS, options as bucket_options};

/// How often the use of paths is written down.
const USAGE_INTERVAL: Duration = Duration::from_secs(30);
/// How long requests in flight are given to end when the server is told to stop.
const DRAIN: Duration = Duration::from_secs(25);

/// What the command line adds to the configuration.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A cache to make if there is none of that name.
    pub init_cache: Option<InitCache>,
    /// Print what to paste into nix.conf, and how to mint a token.
    pub welcome: bool,
    /// Collect now and then.
    pub collects: bool,
}

/// A cache to make at the start.
#[derive(Debug, Clone)]
pub struct InitCache {
    /// Its name.
    pub name: CacheName,
    /// Whether anybody may pull.
    pub is_public: bool,
}

/// A server that is up.
pub struct Server {
    app: App,
    listener: TcpListener,
    tracker: TaskTracker,
    patience: Patience,
    /// Looks through the storage meanwhile, if it is to.
    scrub: Option<Scrub>,
    /// How often it collects, if it does.
    collecting: Option<Duration>,
    /// Takes the statistics now and then, if it is to.
    taking: Option<Taking>,
    keep: Keep,
}

/// Serves until a signal comes; then ends what is in flight, and at the second signal or after [`DRAIN`] stops at once.
///
/// # Errors
/// If the server cannot start, or fails as a whole.
pub async fn serve(config: Config, options: Options) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut server = tokio::select! {
        started = Server::start(&config) => started?,
        // It may be waiting for its database or its bucket.
        () = signals.next() => {
            tracing::info!("stopped before it had started");
            return Ok(());
        }
    };
    if !options.collects {
        server.collecting = None;
    }
    let cache = match &options.init_cache {
        Some(init) => tokio::select! {
            made = server.init_cache(init) => Some(made?),
            () = signals.next() => {
                tracing::info!("stopped before it had started");
                return Ok(());
            }
        },
        None => None,
    };
    let address = server.address()?;
    tracing::info!(%address, "started");
    let policy = &server.app.promote.policy;
    tracing::info!(policy.version = policy.rules.version, policy.digest = %policy.digest, "the promotion policy");
    if options.welcome {
        welcome(address, cache.as_ref());
    }
    notify_ready();
    let soft = CancellationToken::new();
    let hard = CancellationToken::new();
    let (first, last) = (soft.clone(), hard.clone());
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!(seconds = DRAIN.as_secs(), "stopping: requests in flight may end");
        notify_stopping();
        first.cancel();
        let _ = tokio::time::timeout(DRAIN, signals.next()).await;
        last.cancel();
    });
    server.run(soft, hard).await
}

impl Server {
    /// Opens the storage and the index, and binds the port.
    ///
    /// # Errors
    /// If any of it is not to be had.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        config.validate()?;
        allow_many_files();
        // First, since opening a bucket counts requests.
        let metrics = metrics::install().context("metrics cannot be gathered")?;
        let storage = bucket::open_patiently(config).await?;
        let frames = Frames::new(Arc::clone(&storage)).with_cache(read_cache::open(config).await?);
        let database = open_database(config).await?;
        let tokens = TokenKeys::open(&config.jwt, &config.flywheel.tokens).context("the token secret cannot be had")?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let tracker = TaskTracker::new();
        let journal = journal(config, Arc::clone(&storage), Arc::clone(&clock))?;
        note_all_caches(&journal, &*database).await?;
        let ingest = ingest_reading_by(frames.clone(), config, &journal, &database, &tracker);
        let collector = Collector::new(Arc::clone(&database), Arc::clone(&journal), Policy::of(config))
            .with_roots(Arc::new(PromotedRoots(Arc::clone(&database))));
        let app = App::new(Parts {
            collector,
            quotas: Quotas::default(),
            fetch: Fetch::reading_by(
                frames.within(Budget::new(config.flywheel.limits.max_read_memory.0)),
                Arc::clone(&journal),
                Arc::clone(&database),
            ),
            database,
            caches: http::kept_caches(),
            standings: http::kept_standings(),
            nars: http::kept_nars(),
            narinfos: http::kept_narinfos(config.flywheel.narinfo_cache_size.0),
            ingest,
            journal: Arc::clone(&journal),
            tokens,
            exchange: Exchange::new(&config.flywheel.exchange).context("the issuers of identities cannot be asked")?,
            clock,
            figures: Arc::default(),
            views: http::kept_views(),
            view_narinfos: http::kept_view_narinfos(config.flywheel.narinfo_cache_size.0),
            view_nars: http::kept_view_nars(),
            promote: promote(config)?,
            usage: Usage::default(),
            metrics,
            settings: settings(config),
        });
        let scrub =
            config.flywheel.inspection.scrub().map(|options| Scrub::new(journal, Arc::clone(&app.database), options));
        let taking = config.flywheel.inspection.stats_every();
        let taking = taking.map(|every| Taking::new(Arc::clone(&app.database), Arc::clone(&app.clock), every));
        let listener = TcpListener::bind(config.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
        let collecting = config.garbage_collection.every().filter(|_| !config.flywheel.read_only);
        let limits = config.flywheel.limits;
        let patience =
            Patience { head: limits.head_timeout.0, idle: limits.idle_timeout.0, body: limits.body_idle_timeout.0 };
        Ok(Self { app, listener, tracker, patience, keep: Keep::of(config), scrub, collecting, taking })
    }

    /// Where it listens: the port, too, if it was to choose one.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Makes a cache if there is none of that name.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn init_cache(&self, init: &InitCache) -> anyhow::Result<Cache> {
        let Parts { journal, database, clock, .. } = &*self.app;
        let mut attempts = 0;
        patience::patiently("the cache cannot be made", async || {
            attempts += 1;
            let cache = ensure_cache(journal, &**database, init, &**clock).await?;
            if attempts > 1 {
                // The attempt before may have made it without recording it.
                journal.note_all_caches(&**database).await?;
            }
            Ok(cache)
        })
        .await
    }

    /// Serves until `soft` is cancelled; requests in flight may go on until `hard` is.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn run(self, soft: CancellationToken, hard: CancellationToken) -> anyhow::Result<()> {
        let Self { app, listener, tracker, patience, keep, scrub, collecting, taking } = self;
        let collecting = collecting.map(|interval| {
            let (collector, stop) = (app.collector.clone(), soft.clone());
            tokio::spawn(async move { collector.keep_collecting(interval, stop).await })
        });
        let taking = taking.map(|taking| tokio::spawn(taking.run(soft.clone())));
        let scrubbing = scrub.map(|scrub| tokio::spawn(scrub.run(soft.clone())));
        let usage = write_usage(app.clone(), soft.clone());
        let forgetting = chores::forget(app.clone(), keep, soft.clone());
        let promoting = tokio::spawn(promote::work::run(app.clone(), soft.clone()));
        let serving = http::serve(listener, http::Service::new(app.clone()), patience, soft);
        tokio::select! {
            () = serving => {}
            () = hard.cancelled() => tracing::warn!("requests in flight were cut off"),
        }
        usage.await?;
        for chore in scrubbing.into_iter().chain(taking).chain(collecting) {
            chore.await?;
        }
        forgetting.await?;
        promoting.await?;
        // What was used while requests ended.
        flush_usage(&app).await;
        tracker.close();
        drop(app);
        // The committer ends with the last upload; what was cut off may never let go of it.
        let _ = tokio::time::timeout(Duration::from_secs(1), tracker.wait()).await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Records the caches in the storage, which may be away for a moment even after it has answered.
async fn note_all_caches(journal: &Journal, database: &dyn Database) -> anyhow::Result<()> {
    patience::patiently("the caches cannot be recorded in the storage", async || {
        journal.note_all_caches(database).await.context("the caches cannot be recorded in the storage")
    })
    .await
}

/// What promotion goes by.
fn promote(config: &Config) -> anyhow::Result<Promote> {
    let promotion = &config.flywheel.promotion;
    let policy = policy::Policy::open(promotion.policy_file.as_deref())?;
    Ok(Promote::new(policy, promotion.keep_revisions, promotion.keep_for.0))
}

/// Writes down the use of paths now and then.
fn write_usage(app: App, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let stopping = tokio::time::timeout(USAGE_INTERVAL, stop.cancelled()).await.is_ok();
            if stopping {
                return;
            }
            flush_usage(&app).await;
        }
    })
}

async fn flush_usage(app: &App) {
    if let Err(error) = app.usage.flush(&*app.database, app.clock.now()).await {
        tracing::warn!(%error, "the use of paths could not be written down");
    }
}

/// The storage that the configuration names.
///
/// # Errors
/// If it cannot be opened.
pub async fn open_storage(config: &Config) -> anyhow::Result<Arc<dyn Storage>> {
    match &config.storage {
        config::Storage::Local { path } => {
            // What a folder holds is known to one index: a file next to one server, or a database that many share.
            let storage = match &config.database.url {
                DatabaseUrl::Sqlite(_) => LocalStorage::open(path).await,
                DatabaseUrl::Postgres(_) => LocalStorage::open_shared(path).await,
            };
            Ok(Arc::new(storage.with_context(|| format!("cannot store in {}", path.display()))?))
        }
        config::Storage::S3(s3) => {
            let bucket = bucket::open(s3, &config.flywheel.s3).await;
            bucket.check_access().await.with_context(|| format!("cannot store in the bucket {}", s3.bucket))?;
            Ok(Arc::new(bucket))
        }
    }
}

/// The write path into the journal's storage. Its committer ends when it is dropped; `tracker` waits for that.
#[must_use]
pub fn ingest(config: &Config, journal: &Arc<Journal>, database: &Arc<dyn Database>, tracker: &TaskTracker) -> Ingest {
    ingest_reading_by(Frames::new(Arc::clone(journal.storage())), config, journal, database, tracker)
}

fn ingest_reading_by(
    frames: Frames,
    config: &Config,
    journal: &Arc<Journal>,
    database: &Arc<dyn Database>,
    tracker: &TaskTracker,
) -> Ingest {
    let level = config.compression.level;
    let store = ChunkStore::reading_by(frames, Arc::clone(journal), Arc::clone(database), level, tracker);
    Ingest::new(
        store,
        Arc::clone(database),
        Arc::clone(journal.clock()),
        config.chunking.0,
        limits(&config.flywheel.limits),
        config.require_proof_of_possession,
    )
}

/// The journal in `storage`, with the seal that belongs to the token secret.
///
/// # Errors
/// If the token secret cannot be had.
pub fn journal(config: &Config, storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<Journal>> {
    let secret = secret_material(&config.jwt).context("the token secret cannot be had")?;
    Ok(Journal::new(storage, clock, secret.as_deref().and_then(Seal::of)))
}

/// The journal of a server that may be running beside this process.
///
/// # Errors
/// If the storage or the token secret cannot be had.
pub async fn open_journal_beside(config: &Config) -> anyhow::Result<Arc<Journal>> {
    let storage: Arc<dyn Storage> = match &config.storage {
        config::Storage::Local { path } => {
            let storage = LocalStorage::open_beside(path).await;
            Arc::new(storage.with_context(|| format!("cannot store in {}", path.display()))?)
        }
        config::Storage::S3(_) => open_storage(config).await?,
    };
    journal(config, storage, Arc::new(SystemClock))
}

/// The cache of that name; made with a key of its own if there is none.
///
/// # Errors
/// If the index fails.
pub async fn ensure_cache(
    journal: &Journal,
    database: &dyn Database,
    init: &InitCache,
    clock: &dyn Clock,
) -> anyhow::Result<Cache> {
    if let Some(cache) = database.find_cache(&init.name).await? {
        return Ok(cache);
    }
    let new = NewCache {
        name: init.name.clone(),
        is_public: init.is_public,
        store_dir: StoreDir::default(),
        priority: DEFAULT_PRIORITY,
        upstream_key_names: Vec::new(),
        retention: None,
        key: SecretKey::generate(init.name.as_str().parse()?, rand::random()),
        now: clock.now(),
    };
    // Another replica may have made it in between.
    let made = journal.create_cache(database, &new).await?;
    let cache = if made.is_some() { made } else { database.find_cache(&init.name).await? };
    cache.with_context(|| format!("the cache {} was made and is gone again", init.name))
}

fn settings(config: &Config) -> Settings {
    Settings {
        default_cache: config.flywheel.default_cache.clone(),
        allowed_hosts: config.allowed_hosts.clone(),
        api_endpoint: config.api_endpoint.clone(),
        substituter_endpoint: config.substituter_endpoint.clone(),
        chunking: config.chunking.0,
        compression_level: config.compression.level,
        max_nar_info_size: config.max_nar_info_size as usize,
        read_only: config.flywheel.read_only,
        require_registered: config.flywheel.tokens.require_registered,
        everybody: (!config.flywheel.anonymous.is_empty()).then(|| Arc::new(config.flywheel.anonymous.scope())),
    }
}

pub(crate) fn limits(limits: &config::Limits) -> Limits {
    Limits {
        max_nar_size: limits.max_nar_size.0,
        max_upload_size: limits.max_upload_size.0,
        max_document_size: limits.max_document_size.0,
        max_concurrent_uploads: usize::from(limits.max_concurrent_uploads.get()),
        body_idle_timeout: limits.body_idle_timeout.0,
        max_expansion: u64::from(limits.max_decompression_ratio.get()),
    }
}

/// Tells what to paste, on the first screen that a new user sees.
fn welcome(address: SocketAddr, cache: Option<&Cache>) {
    let host = if address.ip().is_unspecified() { "localhost".to_owned() } else { address.ip().to_string() };
    let base = format!("http://{host}:{}", address.port());
    let mut text = format!("Flywheel Cache is up at {base}\n");
    if let Some(cache) = cache {
        let keys: Vec<String> = cache.keys.iter().map(|key| key.public_key().to_string()).collect();
        text += &format!(
            "\nIn nix.conf:\n  substituters = {base}/{name}\n  trusted-public-keys = {keys}\n\nTo push:\n  \
             flywheel-server token make --sub me --cache {name} --validity 1y\n  \
             flywheel-push login local {base} TOKEN\n  flywheel-push push {name} ./result\n",
            name = cache.name,
            keys = keys.join(" "),
        );
    }
    let mut out = std::io::stdout().lock();
    // Nobody may be reading, which is no reason to stop.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
