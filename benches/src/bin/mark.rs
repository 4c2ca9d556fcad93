//! What collection takes with many paths: `mark [--paths N] [--database sqlite|postgres]`.
//!
//! Makes up an index and objects without contents, starts a real server on it, asks that for narinfos at a steady rate, and has a
//! whole round of collection made beside it (`gc`), by a process of its own: read all paths and what they refer to, decide, mark by
//! all manifests, sweep all chunks, look at all packs, compare with the storage. Nothing is to go. `--database postgres` takes the
//! server that FLYWHEEL_TEST_POSTGRES names, as `scripts/postgres` sets it, else starts one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use benches::{
    process::measure,
    roles::{Programs, in_its_role},
    served::Served,
    synthetic::{Chance, Shape, fill, path},
};
use clap::Parser;
use database::Database;

/// Measures collection beside reads.
#[derive(Debug, Parser)]
struct Options {
    /// How many paths.
    #[arg(long, default_value_t = 1_000_000)]
    paths: u64,
    /// Of how many chunks each consists.
    #[arg(long, default_value_t = 10)]
    chunks: u64,
    /// How many paths each refers to.
    #[arg(long, default_value_t = 5)]
    references: u64,
    /// What the index is in.
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Kind,
    /// How many rounds.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How many narinfos are asked for in a second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// How long reads are measured with nothing beside them, in seconds.
    #[arg(long, default_value_t = 20)]
    idle: u64,
    /// Where the index and the objects go.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Sqlite,
    Postgres,
}

fn main() -> ExitCode {
    in_its_role(|| run(&Options::parse()))
}

fn run(options: &Options) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("flywheel-mark-").tempdir_in(&options.scratch)?;
    let data = folder.path().join("data");
    fs::create_dir_all(&data)?;
    let postgres = (options.database == Kind::Postgres).then(scratch::Database::new);
    let programs = Programs::default();
    let command = || -> anyhow::Result<Command> {
        let mut command = programs.server()?;
        command.arg("--data-dir").arg(&data).stdin(Stdio::null());
        if let Some(database) = &postgres {
            command.env("ATTIC_SERVER_DATABASE_URL", database.url());
        }
        Ok(command)
    };
    let made = command()?.args(["cache", "create", "main", "--public"]).stdout(Stdio::null()).status()?;
    anyhow::ensure!(made.success(), "no cache could be made");

    let begun = Instant::now();
    let shape = Shape { paths: options.paths, chunks_each: options.chunks, references_each: options.references };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(make_up(&data, postgres.as_ref().map(scratch::Database::url), shape))?;
    println!("{} paths made up in {:.0} s", options.paths, begun.elapsed().as_secs_f64());

    let served = Served::of(command()?, folder.path())?;
    // Nothing of the first seconds counts.
    reads(&runtime, &served, options, &Stop::after(Duration::from_secs(3)))?;
    let idle = reads(&runtime, &served, options, &Stop::after(Duration::from_secs(options.idle)))?;
    println!("idle: {idle}");
    for _ in 0..options.rounds {
        let stop = Stop::default();
        let round = std::thread::spawn({
            let (stop, mut command) = (stop.clone(), command()?);
            // With no grace every row counts as old enough to be looked at.
            command.args(["gc", "--once", "--json", "--grace", "0s", "--no-wait"]).stdout(Stdio::inherit());
            move || {
                let usage = measure(&mut command);
                stop.now();
                usage
            }
        });
        let beside = reads(&runtime, &served, options, &stop)?;
        let usage = round.join().map_err(|_| anyhow::anyhow!("the round could not be measured"))??;
        anyhow::ensure!(usage.status.success(), "the round failed");
        println!(
            "a round: {:.1} s, {:.1} CPU s, {} MiB; reads beside it: {beside}; p99 {:.2} times as long",
            usage.wall,
            usage.cpu,
            usage.rss >> 20,
            beside.p99 / idle.p99
        );
    }
    println!("the server: {} MiB", served.rss_peak()? >> 20);
    Ok(())
}

async fn make_up(data: &Path, postgres: Option<String>, shape: Shape) -> anyhow::Result<()> {
    let database: Arc<dyn Database> = match postgres {
        None => Arc::new(sqlite::SqliteDatabase::open(data.join("index.sqlite")).await?),
        Some(url) => Arc::new(postgres::PostgresDatabase::connect(&url, postgres::Options::default()).await?),
    };
    let cache = database.find_cache(&"main".parse()?).await?.context("the cache is there")?;
    fill(&*database, cache.id, &data.join("store/objects"), shape).await
}

/// When to end.
#[derive(Debug, Clone, Default)]
struct Stop(Arc<AtomicBool>, Option<Instant>);

impl Stop {
    fn after(time: Duration) -> Self {
        Self(Arc::default(), Some(Instant::now() + time))
    }

    fn now(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_now(&self) -> bool {
        self.0.load(Ordering::SeqCst) || self.1.is_some_and(|end| Instant::now() >= end)
    }
}

/// How long answers took, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Latencies {
    count: usize,
    median: f64,
    p99: f64,
    most: f64,
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, median, p99, most } = self;
        write!(f, "{count} narinfos, median {median:.2} ms, p99 {p99:.2} ms, most {most:.1} ms")
    }
}

/// Asks for narinfos of any paths at a steady rate, until it is told to stop. Each answer counts from when it was to be asked for.
fn reads(
    runtime: &tokio::runtime::Runtime,
    served: &Served,
    options: &Options,
    stop: &Stop,
) -> anyhow::Result<Latencies> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
    let mut chance = Chance(u64::from(std::process::id()) << 32 | u64::from(options.rate));
    let mut took = runtime.block_on(async {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / options.rate.max(1));
        let mut asked = tokio::task::JoinSet::new();
        while !stop.is_now() {
            let due = ticks.tick().await;
            let hash = path(chance.below(options.paths))?.hash().to_string();
            let request = client.get(format!("http://{}/main/{hash}.narinfo", served.address()));
            asked.spawn(async move {
                let answer = request.send().await?.error_for_status()?.bytes().await?;
                anyhow::ensure!(answer.starts_with(b"StorePath: "), "this is no narinfo");
                Ok(due.elapsed().as_secs_f64() * 1000.0)
            });
        }
        asked.join_all().await.into_iter().collect::<anyhow::Result<Vec<f64>>>()
    })?;
    took.sort_by(f64::total_cmp);
    let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1))).copied();
    let none = || anyhow::anyhow!("nothing was asked");
    Ok(Latencies {
        count: took.len(),
        median: at(50).ok_or_else(none)?,
        p99: at(99).ok_or_else(none)?,
        most: at(100).ok_or_else(none)?,
    })
}
