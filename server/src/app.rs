//! Everything that a request needs, put together once.

use std::sync::Arc;

use database::Database;
use metrics_exporter_prometheus::PrometheusHandle;
use protocol::{CacheName, ChunkSizes, Clock, Scope};

use crate::{
    auth::TokenKeys,
    collect::Collector,
    config::Endpoint,
    exchange::Exchange,
    fetch::Fetch,
    figures::Figures,
    http::{Caches, NarInfos, Nars, Standings, ViewNarInfos, ViewNars, Views},
    ingest::Ingest,
    journal::Journal,
    promote::Promote,
    quota::Quotas,
    usage::Usage,
};

/// The server's parts, shared by all requests.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    /// The index.
    pub database: Arc<dyn Database>,
    /// The caches that requests name.
    pub caches: Caches,
    /// What the registry knows of the tokens that were used.
    pub standings: Standings,
    /// The NARs that were asked for.
    pub nars: Nars,
    /// The narinfos that were asked for.
    pub narinfos: NarInfos,
    /// The write path.
    pub ingest: Ingest,
    /// The read path.
    pub fetch: Fetch,
    /// What happens to the index beside pushes, for the storage to remember.
    pub journal: Arc<Journal>,
    /// The keys that tokens are checked with.
    pub tokens: TokenKeys,
    /// Whose identities are exchanged for tokens.
    pub exchange: Exchange,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What the index holds altogether.
    pub figures: Arc<Figures>,
    /// The views that requests name.
    pub views: Views,
    /// Narinfos of views.
    pub view_narinfos: ViewNarInfos,
    /// NARs of views.
    pub view_nars: ViewNars,
    /// What promotion goes by.
    pub promote: Promote,
    /// Which paths were used.
    pub usage: Usage,
    /// The metrics, to be shown.
    pub metrics: PrometheusHandle,
    /// What removes what is not kept any more.
    pub collector: Collector,
    /// How much caches hold that may not hold everything.
    pub quotas: Quotas,
    /// The settings that requests look at.
    pub settings: Settings,
}

/// The settings that requests look at.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The cache at the root of the server.
    pub default_cache: Option<CacheName>,
    /// The hosts that a request may name; all if there are none.
    pub allowed_hosts: Vec<String>,
    /// Where clients find the API, if not where they came from.
    pub api_endpoint: Option<Endpoint>,
    /// Where Nix finds the caches, if not where it came from.
    pub substituter_endpoint: Option<Endpoint>,
    /// How NARs are cut.
    pub chunking: ChunkSizes,
    /// The zstd level of frames.
    pub compression_level: i32,
    /// The most metadata that an upload may carry, in bytes.
    pub max_nar_info_size: usize,
    /// Whether the server takes nothing in.
    pub read_only: bool,
    /// Whether a token must be in the registry.
    pub require_registered: bool,
    /// What everybody may do, if anything.
    pub everybody: Option<Arc<Scope>>,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
