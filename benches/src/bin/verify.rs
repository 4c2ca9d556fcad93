//! How fast claims are verified: `verify`, or `verify --set NAME=FILE …` for contents of real files.
//!
//! Pushes a closure to a fresh server, claims it, and waits for the verdict, again and again. Beside the rate it prints what the
//! machine does of SHA-256 by itself, just before. docs/performance.md says how to read it.

use std::{hint::black_box, path::PathBuf, process::ExitCode, thread, time::Instant};

use anyhow::Context;
use benches::{
    account::ratio,
    contents::Contents,
    process::{forget_rss_peak, rss_now},
    promoted::{Promoting, Root, nar},
    roles::{Programs, in_its_role},
    served::Served,
    sets::DataSet,
    synthetic,
    table::{Samples, Table},
};
use clap::Parser;
use sha2::{Digest, Sha256};

/// Verifies a closure on a fresh server, and tells what it took.
#[derive(Debug, Parser)]
struct Options {
    /// A data set whose files' contents are taken: a name, and a file that lists store paths. Made up if there is none.
    #[arg(long = "set", value_name = "NAME=FILE", value_parser = DataSet::parse)]
    sets: Vec<DataSet>,
    /// How many paths the closure has.
    #[arg(long, default_value_t = 500)]
    paths: u32,
    /// How many bytes they have together, in MiB.
    #[arg(long, default_value_t = 2048)]
    mebibytes: u32,
    /// How often it is verified.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Another server than the one that is built in.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
    /// Where the server has its folder.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
}

fn main() -> ExitCode {
    in_its_role(|| run(&Options::parse()))
}

fn run(options: &Options) -> anyhow::Result<()> {
    let programs = Programs { server: options.server.clone(), client: None };
    let server = Served::start(&programs, &options.scratch)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let promoting = Promoting::at(server.address(), server.token())?;
    let (root, bytes) = runtime.block_on(push(&promoting, options))?;
    let [mut rate, mut of_one, mut of_all, mut wall, mut cpu, mut peak] = <[Samples; 6]>::default();
    let mut claim = None;
    for _ in 0..options.runs {
        let (one, all) = sha256_rates();
        forget_rss_peak(server.pid())?;
        let (before, begun) = (server.cpu_seconds()?, Instant::now());
        claim = Some(runtime.block_on(verify(&promoting, &root, claim))?);
        let seconds = begun.elapsed().as_secs_f64();
        let reached = ratio(bytes, 1_000_000) / seconds;
        rate.add(reached);
        of_one.add(100.0 * reached / one);
        of_all.add(100.0 * reached / all);
        wall.add(seconds);
        cpu.add(server.cpu_seconds()? - before);
        peak.add(ratio(server.rss_peak()?, 1 << 20));
    }
    let mut table = Table::new(&[
        "paths, MB",
        "MB/s",
        "% of SHA-256 on one core",
        "on all cores",
        "wall s",
        "CPU s",
        "peak RSS MiB",
        "RSS MiB afterwards",
    ]);
    table.row(vec![
        format!("{}, {:.0}", options.paths, ratio(bytes, 1_000_000)),
        rate.show(0),
        of_one.show(0),
        of_all.show(0),
        wall.show(2),
        cpu.show(2),
        peak.show(0),
        format!("{:.0}", ratio(rss_now(server.pid())?, 1 << 20)),
    ]);
    println!("{}", table.markdown());
    Ok(())
}

/// Pushes paths and one that refers to all of them; that one, and how long the NARs are together.
async fn push(promoting: &Promoting, options: &Options) -> anyhow::Result<(Root, u64)> {
    let mut contents = Contents::of(&options.sets)?;
    let parts = options.paths.checked_sub(1).filter(|parts| *parts > 0).context("a closure has two paths at least")?;
    let each = usize::try_from((u64::from(options.mebibytes) << 20) / u64::from(parts))?;
    let (mut references, mut bytes) = (Vec::new(), 0);
    for number in 0..parts {
        let path = synthetic::path(number.into())?;
        let nar = nar(&contents.take(each)?);
        promoting.push(&path, &[], &nar).await?;
        bytes += nar.len() as u64;
        references.push(path);
    }
    Ok((promoting.push_root(&references).await?, bytes))
}

/// Claims the closure, or has the claim verified again, and waits until it was found clean. Gives the claim.
async fn verify(promoting: &Promoting, root: &Root, claim: Option<i64>) -> anyhow::Result<i64> {
    let claim = match claim {
        None => promoting.claim(root).await?,
        Some(claim) => {
            promoting.verify_again(claim).await?;
            claim
        }
    };
    promoting.clean(claim).await?;
    Ok(claim)
}

/// How many megabytes of SHA-256 one core does in a second, and all cores together.
fn sha256_rates() -> (f64, f64) {
    const ROUNDS: usize = 512;
    let block = vec![7_u8; 1 << 20];
    let rate = |threads: usize| {
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut hasher = Sha256::new();
                    (0..ROUNDS).for_each(|_| hasher.update(&block));
                    black_box(hasher.finalize())
                });
            }
        });
        ratio((threads * ROUNDS * block.len()) as u64, 1_000_000) / begun.elapsed().as_secs_f64()
    };
    (rate(1), rate(thread::available_parallelism().map_or(1, usize::from)))
}
