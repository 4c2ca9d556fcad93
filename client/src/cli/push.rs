//! The command line of `push`.

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
};

use clap::{Args, ValueEnum};

/// The smallest request that may be asked for: a chunk has to fit, and not every one has an answer to wait for.
const MIN_REQUEST_BYTES: u64 = 1 << 20;

/// Push store paths and everything that they refer to.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The cache; may be left out if ATTIC_CACHE names one and what follows has a slash.
    #[arg(value_name = "[SERVER:]CACHE")]
    pub(crate) cache: Option<String>,
    /// Store paths, or links to them such as `result`.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Read more paths from standard input, one a line.
    #[arg(long)]
    pub(crate) stdin: bool,
    /// Push every valid path of the local store.
    #[arg(long)]
    pub(crate) all_valid: bool,
    /// Leave out paths whose names match, such as "*-source"; give it again for more.
    #[arg(long, value_name = "GLOB", value_parser = glob::Pattern::new)]
    pub(crate) exclude: Vec<glob::Pattern>,
    /// Push only the paths themselves.
    #[arg(long)]
    pub(crate) no_closure: bool,
    /// Push also what an upstream cache has signed.
    #[arg(long)]
    pub(crate) ignore_upstream_cache_filter: bool,
    /// Say what would be sent, and send nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Say of every path whether it is sent, and why not; with --dry-run also how much of it is new to the cache.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Print the result as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which protocol to speak.
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) protocol: Protocol,
    /// The level of zstd to compress with, by default the server's.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-7..=22))]
    pub(crate) level: Option<i32>,
    /// On how many cores to compress, by default on all.
    #[arg(long, value_name = "N")]
    pub(crate) compression_jobs: Option<NonZeroUsize>,
    /// Send no request larger than this, such as 90MiB; for proxies that take no more.
    #[arg(long, value_name = "BYTES", value_parser = request_bytes)]
    pub(crate) max_request_size: Option<NonZeroU64>,
    /// Send no more than this in a second, such as 500K or 5MiB.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) limit_rate: Option<NonZeroU64>,
    /// How many paths to upload at once, when the protocol is Attic's.
    #[arg(long, short, value_name = "N", default_value = "5")]
    pub(crate) jobs: NonZeroUsize,
    /// How often to try in all before giving up.
    #[arg(long, value_name = "N", default_value = "6")]
    pub(crate) attempts: NonZeroU32,
    /// Send the metadata in front of the NAR even if it fits into a header, when the protocol is Attic's.
    #[arg(long)]
    pub(crate) force_preamble: bool,
}

impl Push {
    /// What a plain `push CACHE PATH…` is.
    pub(crate) fn of(cache: String, paths: Vec<PathBuf>) -> Self {
        Self {
            cache: Some(cache),
            paths,
            stdin: false,
            all_valid: false,
            exclude: Vec::new(),
            no_closure: false,
            ignore_upstream_cache_filter: false,
            dry_run: false,
            explain: false,
            json: false,
            protocol: Protocol::Auto,
            level: None,
            compression_jobs: None,
            max_request_size: None,
            limit_rate: None,
            jobs: const { NonZeroUsize::new(5).unwrap() },
            attempts: const { NonZeroU32::new(6).unwrap() },
            force_preamble: false,
        }
    }
}

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Ours if the server has it, else Attic's.
    Auto,
    /// Ours: only chunks that the cache has never seen.
    Native,
    /// Attic's: whole NARs.
    Attic,
}

fn request_bytes(text: &str) -> Result<NonZeroU64, String> {
    match bytes(text)? {
        bytes if bytes.get() >= MIN_REQUEST_BYTES => Ok(bytes),
        _ => Err("it must be 1 MiB at least".to_owned()),
    }
}

/// The same, and 0.
pub(super) fn bytes_or_none(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { bytes(text).map(NonZeroU64::get) }
}

/// A number of bytes, with the units that people use: `K` and `KiB` are 1024 bytes, `KB` is 1000.
fn bytes(text: &str) -> Result<NonZeroU64, String> {
    let malformed = || format!("{text:?} is no number of bytes above 0; write 1000000, 500K or 90MiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (base, power): (u64, u32) = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => (1, 0),
        "k" | "kib" => (1024, 1),
        "m" | "mib" => (1024, 2),
        "g" | "gib" => (1024, 3),
        "kb" => (1000, 1),
        "mb" => (1000, 2),
        "gb" => (1000, 3),
        _ => return Err(malformed()),
    };
    let number: u64 = number.parse().map_err(|_| malformed())?;
    base.checked_pow(power).and_then(|unit| number.checked_mul(unit)).and_then(NonZeroU64::new).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_bytes_have_units() {
        let read = |text| bytes(text).map(NonZeroU64::get).ok();
        assert_eq!(
            ["7", "500K", "5MiB", "2 GB", "1kb", "3b"].map(read),
            [Some(7), Some(512_000), Some(5 << 20), Some(2_000_000_000), Some(1000), Some(3)]
        );
        assert_eq!(["", "0", "K", "-1", "1.5M", "9T", "99999999999999G"].map(read), [None; 7]);
        assert_eq!(request_bytes("1MiB").map(NonZeroU64::get), Ok(1 << 20));
    }
}
