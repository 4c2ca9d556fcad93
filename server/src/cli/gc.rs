//! `gc`: collecting now, or seeing what would be collected; and the modes of `atticd` that do so.

use std::{sync::Arc, time::Duration};

use clap::Args;
use database::{Act, CollectedCache};
use tokio_util::sync::CancellationToken;

use super::{Context, Failure, Output, block_on};
use crate::{
    audit::Deed,
    collect::{CachePlan, Collector, Policy, Report},
    config::Config,
    promote::roots::PromotedRoots,
    run::{open_database, open_journal_beside},
};

/// How long a running server may keep the use of a path in memory before it writes it down, and a little more.
const UNWRITTEN_USES: Duration = Duration::from_secs(35);

#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// Show what a round would do to paths, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Make rounds until nothing is left to do, and end (this is what happens anyway)
    #[arg(long)]
    once: bool,
    /// How long what was found unused stays, in place of what is configured; "0s" frees what can be freed now
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    grace: Option<Duration>,
    /// Do not wait for what a running server has not written down yet; with --grace 0s, and no server running
    #[arg(long)]
    no_wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &GcArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    block_on(async {
        let collector = collector(&config, args.grace).await?;
        if args.dry_run {
            return show(&collector, args.json, output).await;
        }
        let collector = collector.acting_for(context.who());
        let report = collect(&collector, args, output).await?;
        let done = report.numbers().into_iter().filter(|(_, number)| *number > 0);
        let done: Vec<String> = done.map(|(name, number)| format!("{name} {number}")).collect();
        context.note(&**collector.database(), Deed::done(Act::Collect).detail(done.join(", "))).await;
        print(&report, args.json, output)
    })?
}

/// A collector beside a server that may be running.
pub(super) async fn collector(config: &Config, grace: Option<Duration>) -> Result<Collector, Failure> {
    let policy = Policy::of(config);
    let policy = match grace {
        Some(grace) => policy.with_grace(grace),
        None => policy,
    };
    let database = open_database(config).await?;
    let promoted = Arc::new(PromotedRoots(Arc::clone(&database)));
    Ok(Collector::new(database, open_journal_beside(config).await?, policy).with_roots(promoted))
}

/// `--mode garbage-collector-once`
pub(super) fn once(context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    run(&GcArgs { dry_run: false, once: true, grace: None, no_wait: false, json: false }, context, output)
}

/// `--mode garbage-collector`: until a signal comes.
pub(super) fn forever(context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    let Some(interval) = config.garbage_collection.every() else {
        return Err(Failure::failed("garbage-collection.interval is 0, which is never"));
    };
    crate::telemetry::install(config.flywheel.log_format, None).map_err(anyhow::Error::from)?;
    block_on(async {
        let mut signals = crate::lifecycle::Signals::listen()?;
        let collector = collector(&config, None).await?;
        let stop = CancellationToken::new();
        tracing::info!(interval = ?interval, "collecting");
        tokio::select! {
            () = signals.next() => {}
            () = collector.keep_collecting(interval, stop) => {}
        }
        Ok(())
    })?
}

async fn collect(collector: &Collector, args: &GcArgs, output: &mut Output<'_>) -> Result<Report, Failure> {
    let Some(chore) = collector.begin().await? else {
        return Err(Failure::failed("somebody is collecting already")
            .hint("a replica of the server does it now and then; try again in a minute"));
    };
    let mut report = collector.round(&chore).await?;
    if collector.policy().grace < UNWRITTEN_USES && report.paths_condemned > 0 && !args.no_wait {
        writeln!(
            output.notes,
            "Waiting {} seconds, so that a running server can write down which paths are in use (--no-wait if none runs).",
            UNWRITTEN_USES.as_secs()
        )?;
        tokio::time::sleep(UNWRITTEN_USES).await;
    }
    if !report.is_idle() {
        report.add(&collector.rounds(&chore).await?);
    }
    chore.end(serde_json::to_string(&report).unwrap_or_default()).await?;
    Ok(report)
}

fn print(report: &Report, json: bool, output: &mut Output<'_>) -> Result<(), Failure> {
    if json {
        let text = serde_json::to_string(report).unwrap_or_default();
        writeln!(output.data, "{text}")?;
        return Ok(());
    }
    if report.is_idle() {
        writeln!(output.data, "There was nothing to do.")?;
    }
    for (name, number) in report.numbers().into_iter().filter(|(_, number)| *number > 0) {
        writeln!(output.data, "{number:>14} {}", name.replace('_', " "))?;
    }
    Ok(())
}

async fn show(collector: &Collector, json: bool, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut all = Vec::new();
    for CachePlan { cache, plan, .. } in collector.plan().await? {
        if cache.deleted_at.is_some() && plan.paths == 0 {
            continue;
        }
        let condemn: Vec<_> = plan.condemn.iter().map(|(hash, _)| *hash).collect();
        let (condemn, remove, spare) = (
            collector.names(&cache, &condemn).await?,
            collector.names(&cache, &plan.remove).await?,
            collector.names(&cache, &plan.spare).await?,
        );
        if json {
            all.push(serde_json::json!({
                "cache": cache.name, "deleted": cache.deleted_at.is_some(), "paths": plan.paths, "kept": plan.kept,
                "spare": spare, "condemn": condemn, "remove": remove,
            }));
            continue;
        }
        writeln!(output.data, "{}: {} paths, {} kept", title(&cache), plan.paths, plan.kept)?;
        for (verb, paths) in [("spare", spare), ("condemn", condemn), ("remove", remove)] {
            for path in paths {
                writeln!(output.data, "  {verb} {path}")?;
            }
        }
    }
    if json {
        writeln!(output.data, "{}", serde_json::Value::from(all))?;
    }
    Ok(())
}

fn title(cache: &CollectedCache) -> String {
    if cache.deleted_at.is_some() { format!("{} (deleted)", cache.name) } else { cache.name.to_string() }
}
