//! `cache limits`

use clap::Args;
use database::{Act, CacheLimits, Database};
use protocol::{CacheName, keep::LimitsInfo};

use super::{Context, Failure, Output};
use crate::{audit::Deed, config::ByteSize, journal::Journal};

#[derive(Debug, Args)]
pub(in crate::cli) struct LimitsArgs {
    /// Which cache
    name: CacheName,
    /// Beyond this size the least recently used paths go, such as "10 GiB"; 0 is no limit
    #[arg(long, value_name = "SIZE")]
    max_size: Option<ByteSize>,
    /// Beyond this size pushes are refused; 0 is no limit
    #[arg(long, value_name = "SIZE")]
    quota: Option<ByteSize>,
    /// Take nothing in from now on
    #[arg(long, conflicts_with = "writable")]
    read_only: bool,
    /// Take pushes and changes in again
    #[arg(long)]
    writable: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Changes what is named, and shows the limits as they are then.
pub(super) async fn run(
    args: LimitsArgs,
    journal: &Journal,
    database: &dyn Database,
    context: &Context<'_>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let Some(cache) = database.find_cache(&args.name).await? else {
        return Err(
            Failure::failed(format!("there is no cache {}", args.name)).hint("`cache list` shows those that there are")
        );
    };
    let before = database.find_limits(cache.id).await?;
    let size = |new: Option<ByteSize>, old: Option<u64>| new.map_or(old, |new| Some(new.0).filter(|&size| size > 0));
    let limits = CacheLimits {
        max_size: size(args.max_size, before.max_size),
        quota: size(args.quota, before.quota),
        is_read_only: args.read_only || (before.is_read_only && !args.writable),
    };
    if limits != before {
        database.set_limits(cache.id, &limits).await?;
        journal.note_cache(database, &args.name).await?;
        context.note(database, Deed::done(Act::CacheLimits).on(&args.name)).await;
    }
    let used = database.used_bytes(cache.id).await?;
    let CacheLimits { max_size, quota, is_read_only } = limits;
    if args.json {
        let told = LimitsInfo { max_size, quota, read_only: Some(is_read_only), used: Some(used) };
        output.json(&told)?;
        return Ok(());
    }
    let shown = |size: Option<u64>| size.map_or_else(|| "none".to_owned(), |size| ByteSize(size).to_string());
    writeln!(output.data, "Used: {used} B")?;
    writeln!(output.data, "Max Size: {}", shown(max_size))?;
    writeln!(output.data, "Quota: {}", shown(quota))?;
    writeln!(output.data, "Read Only: {is_read_only}")?;
    Ok(())
}
