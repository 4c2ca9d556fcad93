//! `fsck`: comparing what is stored with what the index says.

use std::{io, num::NonZeroU8, sync::Arc, time::Duration};

use clap::Args;
use database::{Act, Database};
use protocol::CacheName;
use serde::Serialize;
use tokio_util::task::TaskTracker;
use url::Url;

use super::{Context, ExitStatus, Failure, Output, block_on};
use crate::{
    audit::{self, Deed, Who},
    config::Config,
    index::open_database,
    ingest::Ingest,
    inspect::{
        Depth, Marked, Report,
        fsck::{Options, Progress, fsck},
        repair::{Mended, Repair, Upstream},
    },
    journal::Journal,
    run::{self, open_journal_beside},
    store::ChunkStore,
};

/// How often it tells how far it has come.
const TICK: Duration = Duration::from_secs(10);

/// Options of `fsck`.
#[derive(Debug, Args)]
pub(super) struct FsckArgs {
    /// Also decompress every chunk and hash every NAR
    #[arg(long)]
    deep: bool,
    /// Mend what is damaged
    #[arg(long, conflicts_with = "dry_run")]
    repair: bool,
    /// With --repair: another cache to fetch from, as one writes it under `substituters`; again for more
    #[arg(long, value_name = "URL", requires = "repair")]
    from: Vec<Url>,
    /// Only look: do not hide what cannot be served
    #[arg(long)]
    dry_run: bool,
    /// Only what this cache shows
    #[arg(long, value_name = "NAME")]
    cache: Option<CacheName>,
    /// How many packs to read at a time
    #[arg(long, value_name = "N", default_value = "4")]
    jobs: NonZeroU8,
    /// The report as one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: Report,
    /// What was mended, and what is wrong after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<Repaired>,
}

#[derive(Debug, Serialize)]
struct Repaired {
    mended: Mended,
    after: Report,
}

pub(super) fn run(args: &FsckArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    let who = Who::operator(&context.sources.environment);
    let outcome = block_on(check(args, &config, &who, output))??;
    if args.json {
        output.json(&outcome)?;
    } else {
        outcome.report.write(output.data)?;
        if let Some(Repaired { mended, after }) = &outcome.repair {
            write_mended(mended, output)?;
            after.write(output.data)?;
        }
    }
    match (&outcome.report, &outcome.repair) {
        (report, _) if report.is_clean() => Ok(()),
        (_, Some(repaired)) if repaired.after.is_clean() => Err(Failure::told(ExitStatus::Mended)),
        (_, Some(_)) => Err(Failure::told(ExitStatus::Damaged)
            .hint("push what is in quarantine again, or name a cache that has it with --from URL")),
        (_, None) => Err(Failure::told(ExitStatus::Damaged).hint("push what is in quarantine again, or say --repair")),
    }
}

fn write_mended(mended: &Mended, output: &mut Output<'_>) -> io::Result<()> {
    let Mended { packs, records, nars_from_chunks, nars_fetched, nars_left, documents, rows_dropped } = mended;
    writeln!(output.data, "mended: {packs} packs written anew, {records} records, {documents} documents")?;
    writeln!(output.data, "mended: {nars_from_chunks} NARs from chunks that are here, {nars_fetched} fetched")?;
    writeln!(output.data, "left: {nars_left} NARs in quarantine; {rows_dropped} rows that referred to nothing dropped")
}

async fn check(args: &FsckArgs, config: &Config, who: &Who, output: &mut Output<'_>) -> anyhow::Result<Outcome> {
    let journal = open_journal_beside(config).await?;
    let database = open_database(config).await?;
    if let Some(name) = &args.cache {
        anyhow::ensure!(database.find_cache(name).await?.is_some(), "there is no cache {name}");
    }
    let options = Options {
        depth: if args.deep { Depth::Hashes } else { Depth::Checksums },
        mark: !args.dry_run,
        cache: args.cache.clone(),
        readers: usize::from(args.jobs.get()),
    };
    let report = watched(&journal, &database, &options, output).await?;
    let now = journal.clock().now();
    if report.marked != Marked::default() {
        let deed = Deed::done(Act::FsckMark).detail(serde_json::to_string(&report.marked)?);
        audit::note(&*database, now, who, deed).await;
    }
    let repair = if args.repair && !report.is_clean() {
        let upstreams = args.from.iter().cloned().map(Upstream::new).collect::<Result<_, _>>()?;
        let mended = repair(config, &journal, &database, upstreams, &report).await?;
        let deed = Deed::done(Act::FsckRepair).detail(serde_json::to_string(&mended)?);
        audit::note(&*database, now, who, deed).await;
        Some(Repaired { mended, after: watched(&journal, &database, &options, output).await? })
    } else {
        None
    };
    Ok(Outcome { report, repair })
}

/// Looks at everything, and tells now and then how far it has come.
async fn watched(
    journal: &Arc<Journal>,
    database: &Arc<dyn Database>,
    options: &Options,
    output: &mut Output<'_>,
) -> anyhow::Result<Report> {
    let progress = Progress::default();
    let looking = fsck(Arc::clone(journal), Arc::clone(database), options, &progress);
    tokio::pin!(looking);
    loop {
        if let Ok(report) = tokio::time::timeout(TICK, &mut looking).await {
            return Ok(report?);
        }
        let (packs, nars, bytes) = progress.so_far();
        writeln!(output.notes, "{packs} packs, {nars} NARs, {} MiB", bytes >> 20)?;
    }
}

async fn repair(
    config: &Config,
    journal: &Arc<Journal>,
    database: &Arc<dyn Database>,
    upstreams: Vec<Upstream>,
    report: &Report,
) -> anyhow::Result<Mended> {
    let tracker = TaskTracker::new();
    let (journal, database) = (Arc::clone(journal), Arc::clone(database));
    let level = config.compression.level;
    let store = ChunkStore::new(Arc::clone(&journal), Arc::clone(&database), level, &tracker);
    let limits = run::limits(&config.flywheel.limits);
    let clock = Arc::clone(journal.clock());
    let ingest = Ingest::new(store, Arc::clone(&database), clock, config.chunking.0, limits, false);
    let repair = Repair { journal, database, ingest, upstreams };
    let mended = repair.run(report).await?;
    drop(repair);
    tracker.close();
    tracker.wait().await;
    Ok(mended)
}
