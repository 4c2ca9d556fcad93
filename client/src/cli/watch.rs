//! The command line of what watches the store.

use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use protocol::{Clock, SystemClock, Timestamp};

/// Push each path as soon as it is built, until told to stop.
///
/// SIGTERM and SIGINT make it send what it has found and end; a second one ends it at once. What could not be sent stays in
/// the queue, and the exit status is 3.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct WatchStore {
    /// The cache; by default the one that ATTIC_CACHE names.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: Option<String>,
    #[command(flatten)]
    pub(crate) watching: Watching,
    /// Write the process id to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Send what was found and end once this process has ended.
    #[arg(long, value_name = "PID")]
    pub(crate) exit_with_pid: Option<u32>,
    #[command(subcommand)]
    pub(crate) verb: Option<WatchStoreVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WatchStoreVerb {
    Stop(Stop),
}

/// Tell a watcher to stop, and wait until it has sent everything.
///
/// The exit status is 3 if something is left in the queue.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// The cache that is watched for; by default the one that ATTIC_CACHE names.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: Option<String>,
    /// The file that the watcher wrote its process id to.
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// The watcher's queue.
    #[arg(long, value_name = "DIR")]
    pub(crate) queue_dir: Option<PathBuf>,
}

/// Run a command, and push each path as soon as it is built.
///
/// The exit status is that of the command, whatever becomes of the paths.
#[derive(Debug, Args)]
pub(crate) struct WatchExec {
    /// The cache; by default the one that ATTIC_CACHE names.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: Option<String>,
    #[command(flatten)]
    pub(crate) watching: Watching,
    /// The command and its arguments.
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// Queue what Nix has just built, for a watcher that runs now or later. To be called by Nix; never fails.
#[derive(Debug, Args)]
pub(crate) struct PostBuildHook {
    /// The cache that is watched for; by default the one that ATTIC_CACHE names.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: Option<String>,
    /// The watcher's queue; by default what FLYWHEEL_QUEUE_DIR names, or else that of the cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) queue_dir: Option<PathBuf>,
}

/// What can be chosen about watching.
#[derive(Debug, Args)]
pub(crate) struct Watching {
    /// How many paths to upload at once.
    #[arg(long, short, value_name = "N", default_value = "5")]
    pub(crate) jobs: NonZeroUsize,
    /// Push only the paths themselves, not what they refer to.
    #[arg(long)]
    pub(crate) no_closure: bool,
    /// Push also what an upstream cache has signed.
    #[arg(long)]
    pub(crate) ignore_upstream_cache_filter: bool,
    /// Send the metadata in front of the NAR even if it fits into a header.
    #[arg(long)]
    pub(crate) force_preamble: bool,
    /// Push derivations too.
    #[arg(long)]
    pub(crate) include_derivations: bool,
    /// Push paths too whose names end in -source.
    #[arg(long)]
    pub(crate) include_sources: bool,
    /// Push also what was registered before now: a time (2026-01-31T12:00:00Z), how long ago (10min), or @SECONDS since 1970.
    /// By default a watcher that was killed is taken up where it was.
    #[arg(long, value_name = "TIME", value_parser = parse_since, conflicts_with = "since_start_of")]
    pub(crate) since: Option<Since>,
    /// Push also what was registered since this process began.
    #[arg(long, value_name = "PID")]
    pub(crate) since_start_of: Option<u32>,
    /// Push once nothing new was found for so long …
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) batch_idle: Duration,
    /// … or so long after the first.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) batch_longest: Duration,
    /// How often to look through the store for what the kernel did not tell of.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) sweep_interval: Duration,
    /// How long to go on sending at the end.
    #[arg(long, value_name = "DURATION", default_value = "10min", value_parser = humantime::parse_duration)]
    pub(crate) drain_timeout: Duration,
    /// Where to keep the queue; by default what FLYWHEEL_QUEUE_DIR names, or else a folder of the cache's in XDG_STATE_HOME.
    #[arg(long, value_name = "DIR")]
    pub(crate) queue_dir: Option<PathBuf>,
    /// Print what happens as JSON, an object a line: on standard output, or where a command has that, on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A time in the past, as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since(pub(crate) Timestamp);

fn parse_since(text: &str) -> Result<Since, String> {
    since(text, SystemClock.now()).map(Since)
}

fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.parse().map(Timestamp).map_err(|_| "no number of seconds follows the @".to_owned());
    }
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(now.minus(ago));
    }
    let time = humantime::parse_rfc3339_weak(text).map_err(|error| error.to_string())?;
    let since = time.duration_since(std::time::UNIX_EPOCH).map_err(|_| "before 1970".to_owned())?;
    Ok(Timestamp(0).plus(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_spelling() {
        let now = Timestamp(1_000_000);
        for (text, seconds) in [
            ("now", 1_000_000),
            ("@7", 7),
            ("10min", 999_400),
            ("1970-01-02T00:00:00Z", 86_400),
            ("1970-01-02 00:00:01", 86_401),
        ] {
            assert_eq!(since(text, now), Ok(Timestamp(seconds)), "{text}");
        }
        for bad in ["", "@", "@x", "yesterday", "1970-13-02T00:00:00Z"] {
            assert!(since(bad, now).is_err(), "{bad}");
        }
    }
}
