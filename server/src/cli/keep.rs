//! `explain`, `path` and `pin`: what is kept, why, and changing that by hand.

use std::time::Duration;

use clap::{Args, Subcommand};
use database::{Act, CollectedCache, NewPin, Outcome};
use formats::{StoreDir, StorePath};
use protocol::{CacheName, Timestamp};

use super::{Context, Failure, Output, block_on, gc};
use crate::{
    audit::Deed,
    collect::{Collector, Deletion, Explanation, Reach, Reason},
};

/// A path of a cache.
#[derive(Debug, Args)]
pub(super) struct PathArgs {
    /// The cache
    cache: CacheName,
    /// The store path, or its base name
    path: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum PathVerb {
    /// Delete a path from a cache; its bytes are freed by collection
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    path: PathArgs,
    /// Delete everything that refers to it, too
    #[arg(long)]
    referrers: bool,
    /// Delete everything that it refers to and that nothing else refers to, too
    #[arg(long)]
    closure: bool,
    /// Show what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum PinVerb {
    /// Keep a path, with everything that it refers to
    Add(AddArgs),
    /// List the pins of a cache
    List {
        /// The cache
        cache: CacheName,
    },
    /// Keep a path no longer
    Remove {
        /// The cache
        cache: CacheName,
        /// The name of the pin
        name: String,
        /// Only this revision
        #[arg(long)]
        revision: Option<u32>,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The cache
    cache: CacheName,
    /// The name of the pin
    name: String,
    /// The store path, or its base name
    path: String,
    /// How many revisions of the name to keep, this one among them [default: all]
    #[arg(long, value_name = "N")]
    keep_revisions: Option<u32>,
    /// How long to keep it [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    ttl: Option<Duration>,
}

/// A collector, and a cache of that name.
async fn open(
    cache: &CacheName,
    context: &Context<'_>,
    output: &mut Output<'_>,
) -> Result<(Collector, CollectedCache, StoreDir), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    let collector = gc::collector(&config, None).await?;
    let no_cache =
        || Failure::failed(format!("there is no cache {cache}")).hint("`cache list` shows those that there are");
    let found = collector.database().find_cache(cache).await?.ok_or_else(no_cache)?;
    let collected = collector.find_cache(found.id).await?.ok_or_else(no_cache)?;
    Ok((collector, collected, found.store_dir))
}

fn store_path(text: &str, store_dir: &StoreDir) -> Result<StorePath, Failure> {
    let parsed = store_dir.parse_path(text).or_else(|_| text.parse());
    parsed.map_err(|error| Failure::usage(format!("{text:?} is no store path: {error}")))
}

fn not_there(path: &StorePath, cache: &CacheName) -> Failure {
    Failure::failed(format!("{path} is not in the cache {cache}"))
}

pub(super) fn explain(args: &PathArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    block_on(async {
        let (collector, cache, store_dir) = open(&args.cache, context, output).await?;
        let path = store_path(&args.path, &store_dir)?;
        let explained = collector.explain(&cache, path.hash()).await?;
        let explained = explained.ok_or_else(|| not_there(&path, &args.cache))?;
        if args.json {
            writeln!(output.data, "{}", explained.to_json())?;
            return Ok(());
        }
        tell(&explained, output)
    })?
}

fn time(at: Timestamp) -> String {
    let since = Duration::from_secs(u64::try_from(at.0).unwrap_or(0));
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

fn tell(explained: &Explanation, output: &mut Output<'_>) -> Result<(), Failure> {
    writeln!(output.data, "{}", explained.path)?;
    writeln!(output.data, "last used {}", time(explained.last_used_at))?;
    if let Some(at) = explained.condemned_at {
        writeln!(output.data, "found unused {}", time(at))?;
    }
    for reason in &explained.reasons {
        let (why, chain) = match reason {
            Reason::ForEver => ("kept since the cache keeps everything".to_owned(), None),
            Reason::Used { until } => (format!("kept until {} since it was used", time(*until)), None),
            Reason::Root { why, chain } => (format!("kept by {why}"), Some(chain)),
            Reason::Referrer { until, chain } => {
                (format!("kept until {} since what refers to it was used", time(*until)), Some(chain))
            }
        };
        writeln!(output.data, "{why}")?;
        for (depth, path) in chain.into_iter().flatten().enumerate() {
            writeln!(output.data, "  {:indent$}{path}", "", indent = depth * 2)?;
        }
    }
    match explained.goes_at {
        Some(at) => writeln!(output.data, "goes {} at the earliest", time(at))?,
        None => writeln!(output.data, "does not go")?,
    }
    Ok(())
}

pub(super) fn path(verb: PathVerb, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let PathVerb::Delete(args) = verb;
    block_on(async {
        let (collector, cache, store_dir) = open(&args.path.cache, context, output).await?;
        let path = store_path(&args.path.path, &store_dir)?;
        let reach = Reach { referrers: args.referrers, closure: args.closure };
        let done = if args.dry_run {
            collector.plan_deletion(&cache, path.hash(), reach).await?
        } else {
            collector.delete_now(&cache, path.hash(), reach).await?
        };
        let done = done.ok_or_else(|| not_there(&path, &args.path.cache))?;
        if !args.dry_run {
            let outcome = if done.is_refused() { Outcome::Refused } else { Outcome::Done };
            let deed = Deed::done(Act::PathDelete).on(&args.path.cache).object(path.hash().to_string());
            let deed = deed.ended(outcome).detail(format!("{} paths", done.paths.len()));
            context.note(&**collector.database(), deed).await;
        }
        if args.path.json {
            writeln!(output.data, "{}", done.to_json())?;
        } else {
            tell_deletion(&done, args.dry_run, output)?;
        }
        if done.is_refused() {
            return Err(Failure::failed("nothing was deleted: something still needs it")
                .hint("--referrers deletes what refers to it too; a pin has to be removed first"));
        }
        Ok(())
    })?
}

fn tell_deletion(done: &Deletion, dry_run: bool, output: &mut Output<'_>) -> Result<(), Failure> {
    let verb = if dry_run || done.is_refused() { "would delete" } else { "deleted" };
    for path in &done.paths {
        writeln!(output.data, "{verb} {path}")?;
    }
    for path in &done.referrers {
        writeln!(output.data, "refers to it: {path}")?;
    }
    for why in &done.kept_by {
        writeln!(output.data, "keeps it: {why}")?;
    }
    for path in &done.spared {
        writeln!(output.data, "was used at this moment and stays: {path}")?;
    }
    Ok(())
}

pub(super) fn pin(verb: PinVerb, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    block_on(async {
        match verb {
            PinVerb::Add(args) => {
                let (collector, cache, store_dir) = open(&args.cache, context, output).await?;
                let now = context.clock.now();
                let pin = NewPin {
                    cache: cache.id,
                    path: store_path(&args.path, &store_dir)?,
                    name: args.name,
                    keep: args.keep_revisions,
                    expires_at: args.ttl.map(|ttl| now.plus(ttl)),
                    pinned_by: None,
                    now,
                };
                let revision = collector.database().add_pin(&pin).await?;
                let revision = revision.ok_or_else(|| not_there(&pin.path, &args.cache))?;
                collector.journal().note_cache(&**collector.database(), &args.cache).await?;
                let deed = Deed::done(Act::PinAdd).on(&args.cache).object(&pin.name).detail(pin.path.to_string());
                context.note(&**collector.database(), deed).await;
                writeln!(output.notes, "Pinned {} as {} (revision {revision}).", pin.path, pin.name)?;
            }
            PinVerb::List { cache } => {
                let (collector, cache, _) = open(&cache, context, output).await?;
                for pin in collector.database().list_pins(cache.id, context.clock.now()).await? {
                    let until =
                        pin.expires_at.map_or_else(|| "for ever".to_owned(), |at| format!("until {}", time(at)));
                    writeln!(output.data, "{}\t{}\t{}\t{until}", pin.name, pin.revision, pin.path)?;
                }
            }
            PinVerb::Remove { cache, name, revision } => {
                let (collector, collected, _) = open(&cache, context, output).await?;
                if collector.database().remove_pin(collected.id, &name, revision).await? == 0 {
                    return Err(Failure::failed(format!("there is no pin {name} in the cache {cache}")));
                }
                collector.journal().note_cache(&**collector.database(), &cache).await?;
                let deed = Deed::done(Act::PinRemove).on(&cache).object(name);
                context.note(&**collector.database(), deed).await;
            }
        }
        Ok(())
    })?
}
