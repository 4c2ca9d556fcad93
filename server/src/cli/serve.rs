//! Serving: what happens without a verb, and in every `--mode`.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use protocol::CacheName;

use super::{Context, Failure, Output, check_config, migrate};
use crate::{
    config::{Config, Loaded},
    run::{InitCache, Options},
};

/// Options of serving.
#[derive(Debug, Default, PartialEq, Args)]
pub(super) struct ServeArgs {
    /// Where to listen [default: [::]:8080]
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// What to run [default: monolithic]
    #[arg(long)]
    mode: Option<Mode>,
    /// Create this cache first if there is none of that name [default: main and public, if there is no configuration]
    #[arg(long, value_name = "NAME")]
    init_cache: Option<CacheName>,
    /// Let anybody pull from the cache that --init-cache creates
    #[arg(long, requires = "init_cache")]
    public: bool,
}

/// The values of `--mode`, as `atticd` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Everything
    Monolithic,
    /// The API only
    ApiServer,
    /// The garbage collector only
    GarbageCollector,
    /// One run of the garbage collector
    GarbageCollectorOnce,
    /// Bring the database's schema up to date
    DbMigrations,
    /// As the command check-config
    CheckConfig,
}

pub(super) fn run<S>(
    args: ServeArgs,
    mut context: Context<'_>,
    output: &mut Output<'_>,
    serve: S,
) -> Result<(), Failure>
where
    S: FnOnce(Loaded, Options) -> anyhow::Result<()>,
{
    context.sources.listen = args.listen;
    match args.mode.unwrap_or(Mode::Monolithic) {
        Mode::CheckConfig => return check_config::run(&context, output),
        Mode::DbMigrations => return migrate::run(&context, output),
        Mode::GarbageCollector => return super::gc::forever(&context, output),
        Mode::GarbageCollectorOnce => return super::gc::once(&context, output),
        Mode::Monolithic | Mode::ApiServer => {}
    }
    let loaded = Config::load(&context.sources)?;
    loaded.config.validate()?;
    let told = args.init_cache.map(|name| InitCache { name, is_public: args.public });
    // Whoever starts it just so wants to try it: there is a cache, and they are told how to use it.
    let default = || loaded.config.flywheel.default_cache.clone().map(|name| InitCache { name, is_public: true });
    let welcome = !loaded.is_configured;
    let collects = args.mode != Some(Mode::ApiServer);
    let init_cache = told.or_else(|| if welcome { default() } else { None });
    Ok(serve(loaded, Options { init_cache, welcome, collects })?)
}
