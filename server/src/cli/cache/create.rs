//! `cache create`

use clap::Args;
use database::{Act, DEFAULT_PRIORITY, Database, NewCache};
use formats::{KeyName, SecretKey, StoreDir};
use protocol::CacheName;

use crate::journal::Journal;

use super::{Context, Failure, Output, show};
use crate::audit::Deed;

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArgs {
    /// Its name
    name: CacheName,
    /// Let anybody pull from it
    #[arg(long)]
    public: bool,
    /// Its priority among substituters; lower goes first [default: 41]
    #[arg(long)]
    priority: Option<i32>,
    /// The store dir of its paths [default: /nix/store]
    #[arg(long, value_name = "DIR")]
    store_dir: Option<StoreDir>,
    /// The name of a key whose paths clients need not push
    #[arg(long, value_name = "NAME")]
    upstream_cache_key_name: Vec<KeyName>,
}

pub(super) async fn run(
    args: CreateArgs,
    journal: &Journal,
    database: &dyn Database,
    context: &Context<'_>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let key_name: KeyName = args.name.as_str().parse().map_err(|e| Failure::usage(format!("{}: {e}", args.name)))?;
    let cache = NewCache {
        key: SecretKey::generate(key_name, rand::random()),
        name: args.name,
        is_public: args.public,
        store_dir: args.store_dir.unwrap_or_default(),
        priority: args.priority.unwrap_or(DEFAULT_PRIORITY),
        upstream_key_names: args.upstream_cache_key_name,
        retention: None,
        now: context.clock.now(),
    };
    let Some(created) = journal.create_cache(database, &cache).await? else {
        let name = &cache.name;
        return Err(
            Failure::failed(format!("there is a cache {name} already")).hint(format!("`cache info {name}` shows it"))
        );
    };
    context.note(database, Deed::done(Act::CacheCreate).on(&created.name)).await;
    writeln!(output.notes, "Created the {} cache {}.", show::visibility(&created), created.name)?;
    show::public_keys(&created, output)
}
