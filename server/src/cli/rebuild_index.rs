//! `rebuild-index`: the whole database again, from the storage alone.

use std::{io::Write, path::PathBuf, sync::Arc, time::Instant};

use clap::Args;
use protocol::SystemClock;

use super::{Context, Failure, Output, block_on, progress::Ticker};
use crate::{
    auth::secret_material,
    journal::Seal,
    rebuild::{self, Options, RebuildError, Report},
    run::{open_database, open_storage},
};

#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// Go on in an index that is not empty: one whose rebuilding was broken off
    #[arg(long)]
    resume: bool,
    /// Decompress and hash every frame and every NAR; what is damaged is left out
    #[arg(long)]
    verify: bool,
    /// Print what came of it as JSON
    #[arg(long)]
    json: bool,
    /// Where a scratch file goes, some 50 bytes for each chunk [default: $TMPDIR, else /tmp]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

pub(super) fn run(args: RebuildArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    let secret = secret_material(&config.jwt)?;
    let seal = secret.as_deref().and_then(Seal::of);
    let options =
        Options { resume: args.resume, verify: args.verify, scratch: args.scratch.unwrap_or_else(std::env::temp_dir) };
    let begun = Instant::now();
    let mut ticker = Ticker::new(&mut *output.notes);
    let report = block_on(async {
        let storage = open_storage(&config).await?;
        let database = open_database(&config).await?;
        let mut tell = |progress: rebuild::Progress| {
            let total = progress.total.map_or(String::new(), |total| format!(" of {total}"));
            ticker.tick(format_args!("{}: {}{total}", progress.stage.as_str(), progress.done));
        };
        let clock = SystemClock;
        rebuild::rebuild(storage, Arc::clone(&database), seal.as_ref(), &clock, options, &mut tell)
            .await
            .map_err(Failure::from)
    })??;
    if args.json {
        output.json(&report)?;
    } else {
        print(&report, output.data)?;
    }
    writeln!(output.notes, "The index was rebuilt in {:.1} s.", begun.elapsed().as_secs_f64())?;
    if report.is_complete() {
        return Ok(());
    }
    Err(Failure::failed("the index was rebuilt, but not everything could be restored")
        .hint("what is missing heals by pushing it again; `cache key add --import` gives a key back"))
}

fn print(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    let counts = [
        ("packs", report.packs),
        ("caches", report.caches),
        ("paths", report.paths),
        ("NARs", report.nars),
        ("chunks", report.chunks),
        ("documents", report.documents),
        ("claims", report.claims),
        ("tags", report.tags),
        ("revocations of tokens", report.revocations),
        ("bytes stored", report.stored_bytes),
    ];
    for (what, count) in counts {
        writeln!(out, "{what}: {count}")?;
    }
    let lists = [
        ("damaged pack", &report.damaged_packs),
        ("damaged frame", &report.damaged_frames),
        ("damaged NAR", &report.damaged_nars),
        ("path not shown", &report.hidden_paths),
        ("damaged document", &report.damaged_documents),
        ("malformed record", &report.malformed_records),
    ];
    for (what, list) in lists {
        for left_out in &list.first {
            writeln!(out, "{what}: {}: {}", left_out.what, left_out.why)?;
        }
        let unnamed = list.count - list.first.len() as u64;
        if unnamed > 0 {
            writeln!(out, "{what}: {unnamed} more")?;
        }
    }
    for cache in &report.assumed_caches {
        writeln!(out, "no settings: the cache {cache} is private now, and has a fresh key")?;
    }
    for key in &report.lost_keys {
        writeln!(out, "key lost: {} of the cache {}: {}", key.public, key.cache, key.why)?;
    }
    Ok(())
}

impl From<RebuildError> for Failure {
    fn from(error: RebuildError) -> Self {
        let failure = Self::of(&error);
        match error {
            RebuildError::NotEmpty { .. } => failure
                .hint("configure a fresh database; or, if the rebuilding of this one was broken off, say --resume"),
            RebuildError::Scratch { .. } => failure.hint("say --scratch DIR, with room for some 50 bytes per chunk"),
            RebuildError::Storage(_) | RebuildError::Database(_) | RebuildError::Commit(_) => {
                failure.hint("nothing is lost: say --resume once it works again")
            }
        }
    }
}
