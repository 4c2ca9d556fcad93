//! `cache`: looking after caches in the database of this machine.

mod create;
mod key;
mod limits;
mod show;

use clap::{Args, Subcommand};
use database::Database;
use protocol::CacheName;

use super::{Context, Failure, Output, block_on};
use crate::{config::Config, index::open_database, run::open_journal_beside};

#[derive(Debug, Subcommand)]
pub(super) enum CacheVerb {
    /// Create a cache and print its public key
    Create(create::CreateArgs),
    /// List the caches
    List,
    /// Show a cache
    Info(InfoArgs),
    /// Show or change what it may hold, and whether it takes anything in
    Limits(limits::LimitsArgs),
    /// Change the keys that sign its narinfos
    #[command(subcommand)]
    Key(key::KeyVerb),
}

#[derive(Debug, Args)]
pub(super) struct InfoArgs {
    /// Which cache
    name: CacheName,
}

pub(super) fn run(verb: CacheVerb, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    block_on(async { act(verb, &config, &*open_database(&config).await?, context, output).await })?
}

async fn act(
    verb: CacheVerb,
    config: &Config,
    database: &dyn Database,
    context: &Context<'_>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    match verb {
        CacheVerb::Create(args) => {
            create::run(args, &*open_journal_beside(config).await?, database, context, output).await
        }
        CacheVerb::List => show::list(database, output).await,
        CacheVerb::Key(verb) => key::run(verb, &*open_journal_beside(config).await?, database, context, output).await,
        CacheVerb::Limits(args) => {
            limits::run(args, &*open_journal_beside(config).await?, database, context, output).await
        }
        CacheVerb::Info(args) => show::info(&args.name, database, output).await,
    }
}
