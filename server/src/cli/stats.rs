//! `stats`: how much there is.

use std::io;

use clap::Args;

use super::{Context, Failure, Output, block_on};
use crate::{
    inspect::stats::{self, Stats},
    run::open_database,
};

/// Options of `stats`.
#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// As one JSON object
    #[arg(long)]
    json: bool,
    /// The figures that the server has kept last, in place of counting now
    #[arg(long)]
    kept: bool,
}

pub(super) fn run(args: &StatsArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    let now = context.clock.now();
    let stats = block_on(async {
        let database = open_database(&config).await?;
        if args.kept {
            let kept = stats::last(&*database).await?;
            return kept.ok_or_else(|| anyhow::anyhow!("no figures have been kept yet"));
        }
        Ok(stats::take(&*database, now).await?)
    })??;
    if args.json {
        output.json(&stats)?;
    } else {
        write(&stats, output)?;
    }
    Ok(())
}

fn write(stats: &Stats, output: &mut Output<'_>) -> io::Result<()> {
    let out = &mut output.data;
    let totals = stats.totals;
    writeln!(out, "paths                  {:>16}", totals.paths)?;
    writeln!(out, "bytes as NARs          {:>16}", totals.nar_bytes)?;
    writeln!(out, "  after deduplication  {:>16}", totals.deduplicated_bytes)?;
    writeln!(out, "  after compression    {:>16}", totals.compressed_bytes)?;
    writeln!(out, "bytes of packs         {:>16}   in {} packs", totals.pack_bytes, totals.packs)?;
    writeln!(out, "  of which live        {:>15}%", totals.live_per_mille / 10)?;
    writeln!(out, "NARs in quarantine     {:>16}", totals.quarantined_nars)?;
    writeln!(out, "\ncache: paths, bytes as NARs, as served, as stored alone; hits, misses in 30 days")?;
    for cache in &stats.caches {
        let stats::CacheStats { cache, paths, nar_bytes, file_bytes, compressed_bytes, hits, misses } = cache;
        writeln!(out, "{cache}: {paths}, {nar_bytes}, {file_bytes}, {compressed_bytes}; {hits}, {misses}")?;
    }
    writeln!(out, "\nname: paths, bytes as NARs, as served")?;
    for prefix in &stats.prefixes {
        writeln!(out, "{}: {}, {}, {}", prefix.prefix, prefix.paths, prefix.nar_bytes, prefix.file_bytes)?;
    }
    for (title, paths) in [("largest", &stats.largest), ("most shared", &stats.most_shared)] {
        writeln!(out, "\n{title}: bytes")?;
        for path in paths {
            writeln!(out, "{}/{}: {}", path.cache, path.path, path.bytes)?;
        }
    }
    writeln!(out, "\nday: paths that came, bytes as NARs; bytes of packs then")?;
    for day in &stats.growth {
        let date = humantime::format_rfc3339_seconds(
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(day.day).unwrap_or(0)),
        );
        let packs = day.pack_bytes.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
        writeln!(out, "{}: {}, {}; {packs}", &date.to_string()[..10], day.paths, day.nar_bytes)?;
    }
    Ok(())
}
