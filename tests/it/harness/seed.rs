//! Chance that can be repeated.

use std::ops::Range;

/// A stream of bytes that follows from a seed and a label alone; incompressible.
#[derive(Clone)]
pub(crate) struct Seed {
    stream: blake3::OutputReader,
}

impl Seed {
    pub(crate) fn new(seed: u64, label: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(label.as_bytes());
        Self { stream: hasher.finalize_xof() }
    }

    /// From `FLYWHEEL_SEED`, else from the clock; printed, so that a failed run can be repeated.
    pub(crate) fn from_environment(label: &str) -> (u64, Self) {
        let told = std::env::var("FLYWHEEL_SEED").ok().filter(|text| !text.is_empty());
        let seed = match told {
            Some(text) => text.parse().expect("FLYWHEEL_SEED is a number"),
            None => u64::from(std::process::id()) << 32 | u64::from(clock_nanos()),
        };
        eprintln!("{label}: FLYWHEEL_SEED={seed}");
        (seed, Self::new(seed, label))
    }

    pub(crate) fn fill(&mut self, buffer: &mut [u8]) {
        self.stream.fill(buffer);
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    pub(crate) fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub(crate) fn in_range(&mut self, range: Range<usize>) -> usize {
        let span = (range.end - range.start) as u64;
        range.start + usize::try_from(self.number() % span).unwrap()
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.in_range(0..from.len())]
    }
}

/// A number that no other server of this or another run has.
pub(super) fn fresh() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    u64::from(std::process::id()) << 48 ^ u64::from(clock_nanos()) << 16 ^ next
}

#[expect(clippy::disallowed_methods, reason = "a seed that nobody chose, printed for who wants to choose it again")]
fn clock_nanos() -> u32 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos())
}
