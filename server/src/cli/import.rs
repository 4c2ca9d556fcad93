//! `import`: paths of another binary cache.

use std::{
    error::Error,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use clap::Args;
use database::Database;
use formats::{PublicKey, StorePathHash};
use protocol::{CacheName, SystemClock};
use tokio_util::task::TaskTracker;

use super::{Context, Failure, Output, progress::Ticker};
use crate::{
    config::Config,
    import::{ImportError, ImportOptions, ImportReport, Importer, import_paths},
    ingest::Ingest,
    journal::Journal,
    run::{ingest, journal, open_database, open_storage},
};

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The cache to import from: an http or https URL, file:///folder, or a folder
    source: String,
    /// The cache to import into
    #[arg(long, value_name = "NAME")]
    cache: CacheName,
    /// Store paths, or their hash parts, which come with all that they refer to; `-` reads them from standard input
    paths: Vec<String>,
    /// Import all that a folder has
    #[arg(long, conflicts_with = "paths", required_unless_present = "paths")]
    all: bool,
    #[command(flatten)]
    common: Common,
    /// A file with a token for the source
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Options of every import.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Take only what this key has signed, as name:base64; may be given more than once
    #[arg(long, value_name = "KEY")]
    trusted_key: Vec<PublicKey>,
    /// How many paths to fetch at a time
    #[arg(long, value_name = "N", default_value_t = 8)]
    jobs: usize,
    /// Print what came of it as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Common {
    pub(super) fn options(&self) -> ImportOptions {
        ImportOptions { trusted: self.trusted_key.clone(), jobs: self.jobs.max(1) }
    }
}

/// The parts of a server that take paths in, without one.
pub(super) struct Inside {
    pub(super) database: Arc<dyn Database>,
    pub(super) journal: Arc<Journal>,
    pub(super) ingest: Ingest,
    tracker: TaskTracker,
}

impl Inside {
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let storage = open_storage(config).await?;
        let database = open_database(config).await?;
        let journal = journal(config, storage, Arc::new(SystemClock))?;
        let tracker = TaskTracker::new();
        let ingest = ingest(config, &journal, &database, &tracker);
        Ok(Self { database, journal, ingest, tracker })
    }

    /// Waits until everything is written.
    pub(super) async fn close(self) {
        let Self { ingest, tracker, .. } = self;
        drop(ingest);
        tracker.close();
        tracker.wait().await;
    }
}

/// Waits for work that keeps several processors busy.
pub(super) fn block_on_all<T>(work: impl Future<Output = T>) -> io::Result<T> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work))
}

pub(super) fn run(args: &ImportArgs, context: &Context<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let config = context.config(output)?;
    config.validate()?;
    let roots = if args.all { None } else { Some(roots(&args.paths)?) };
    let token = match &args.token_file {
        Some(file) => Some(
            std::fs::read_to_string(file)
                .map_err(|error| Failure::failed(format!("{} cannot be read: {error}", file.display())))?,
        ),
        None => None,
    };
    let source = source::binary_cache(&args.source, token.as_deref().map(str::trim)).map_err(ImportError::from)?;
    let mut ticker = Ticker::new(&mut *output.notes);
    let report = block_on_all(async {
        let inside = Inside::open(&config).await?;
        let Some(cache) = inside.database.find_cache(&args.cache).await? else {
            return Err(Failure::failed(format!("there is no cache {}", args.cache)).hint("`cache create` makes one"));
        };
        let importer = Importer::new(&inside.ingest, &inside.database, args.common.options(), cache);
        let report = import_paths(&importer, &*source, roots, &mut |state| ticker.tick(format_args!("{state}"))).await;
        inside.close().await;
        Ok(report?)
    })??;
    if args.common.json {
        output.json(&report)?;
    } else {
        print(&report, output.data)?;
    }
    if report.failed.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("{} paths could not be imported", report.failed.len()))
        .hint("the same command again fetches only what is missing"))
}

pub(super) fn print(report: &ImportReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{} paths: {} imported ({} bytes of NARs), {} were there, {} failed",
        report.paths,
        report.imported,
        report.nar_bytes,
        report.present,
        report.failed.len()
    )?;
    for failed in &report.failed {
        writeln!(out, "failed: {}: {}", failed.path, failed.why)?;
    }
    for path in &report.kept_other {
        writeln!(out, "kept: {path}: the cache has it with another NAR")?;
    }
    for path in &report.absent {
        writeln!(out, "absent: {path}: something refers to it, and the source does not have it")?;
    }
    Ok(())
}

fn roots(paths: &[String]) -> Result<Vec<StorePathHash>, Failure> {
    let mut roots = Vec::new();
    for path in paths {
        if path == "-" {
            for line in io::read_to_string(io::stdin())?.split_ascii_whitespace() {
                roots.push(root(line)?);
            }
        } else {
            roots.push(root(path)?);
        }
    }
    Ok(roots)
}

/// The hash part of a store path, wherever it lies, or the hash part itself.
fn root(text: &str) -> Result<StorePathHash, Failure> {
    let name = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let hash = name.split('-').next().unwrap_or_default();
    hash.parse().map_err(|error| Failure::usage(format!("{text:?} is no store path: {error}")))
}

/// What to try if it is a bucket that cannot be read.
fn bucket_hint(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(s3) = error.downcast_ref::<s3::S3Error>() {
            return Some(s3.hint());
        }
        next = error.source();
    }
    None
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let failure = Self::of(&error);
        match error {
            ImportError::NoListing => failure.hint("name the paths to import; only folders can be listed"),
            ImportError::StoreDir { .. } => failure.hint("`cache create --store-dir` makes a cache for that store"),
            ImportError::Source(error) => match bucket_hint(&error) {
                Some(hint) => failure.hint(hint),
                None => failure,
            },
            ImportError::Database(_) | ImportError::Journal(_) => failure,
        }
    }
}
