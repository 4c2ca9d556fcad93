//! What each choice of chunk sizes stores: `chunking FILE`, where FILE lists store paths, one a line.
//!
//! Prints, for each choice, the number of distinct chunks, NAR bytes over distinct bytes, the bytes stored at zstd level 3, and the
//! CPU seconds that cutting and compressing took. The table in docs/performance.md comes from here.

use std::{
    collections::HashMap,
    io::Read,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use formats::nar::Limits;
use protocol::{ChunkHash, ChunkSizes, NarCutter};

/// The choices: threshold, min, avg, max, in KiB.
const CHOICES: [[u32; 4]; 8] = [
    [64, 16, 64, 256],
    [64, 4, 256, 1024],
    [64, 4, 1024, 4096],
    [64, 8, 1024, 4096],
    [64, 16, 512, 2048],
    [64, 16, 1024, 4096],
    [64, 32, 1024, 4096],
    [64, 16, 2048, 8192],
];

fn main() -> ExitCode {
    match std::env::args().nth(1).context("usage: chunking FILE").and_then(|file| run(&file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(file: &str) -> anyhow::Result<()> {
    let paths = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    println!("threshold/min/avg/max KiB | chunks | mean KiB | dedup | stored MB | cut s | zstd s");
    for [threshold, min, avg, max] in CHOICES {
        let sizes = ChunkSizes::new(threshold << 10, min << 10, avg << 10, max << 10)?;
        let tally = tally(sizes, paths.lines())?;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let [nar, distinct, stored] = [tally.nar, tally.distinct, tally.stored].map(|bytes| bytes as f64);
        println!(
            "{threshold}/{min}/{avg}/{max} | {} | {:.1} | {:.3} | {:.1} | {:.2} | {:.2}",
            tally.chunks.len(),
            distinct / 1024.0 / f64::from(u32::try_from(tally.chunks.len())?),
            nar / distinct,
            stored / 1e6,
            tally.cutting.as_secs_f64(),
            tally.compressing.as_secs_f64(),
        );
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    chunks: HashMap<ChunkHash, ()>,
    nar: u64,
    distinct: u64,
    stored: u64,
    cutting: Duration,
    compressing: Duration,
}

fn tally<'a>(sizes: ChunkSizes, paths: impl Iterator<Item = &'a str>) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut compressor = protocol::frame_compressor(3)?;
    let mut buffer = vec![0; 1 << 20];
    for path in paths {
        let mut dump = Command::new("nix-store").args(["--dump", path]).stdout(Stdio::piped()).spawn()?;
        let mut nar = dump.stdout.take().context("nix-store has no output")?;
        let mut cutter = NarCutter::new(sizes, Limits::default());
        loop {
            let length = nar.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            let started = Instant::now();
            cutter.push(&buffer[..length], |_| {})?;
            let chunks: Vec<_> = std::iter::from_fn(|| cutter.next_chunk()).map(|c| (ChunkHash::of(&c), c)).collect();
            tally.cutting += started.elapsed();
            tally.nar += length as u64;
            tally.take(&mut compressor, chunks)?;
        }
        let last = cutter.finish()?.into_iter().map(|c| (ChunkHash::of(&c), c)).collect();
        tally.take(&mut compressor, last)?;
        anyhow::ensure!(dump.wait()?.success(), "nix-store --dump {path} failed");
    }
    Ok(tally)
}

impl Tally {
    fn take(
        &mut self,
        compressor: &mut zstd::bulk::Compressor<'_>,
        chunks: Vec<(ChunkHash, bytes::Bytes)>,
    ) -> anyhow::Result<()> {
        for (hash, bytes) in chunks {
            if self.chunks.insert(hash, ()).is_none() {
                let started = Instant::now();
                self.stored += compressor.compress(&bytes)?.len() as u64;
                self.compressing += started.elapsed();
                self.distinct += bytes.len() as u64;
            }
        }
        Ok(())
    }
}
