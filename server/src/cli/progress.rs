//! Progress of long verbs: one line in a second, for people who wait and for logs.

use std::{
    fmt,
    io::Write,
    time::{Duration, Instant},
};

/// How often a line is written.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes how far something is, now and then.
pub(super) struct Ticker<'a> {
    notes: &'a mut dyn Write,
    last: Instant,
}

impl<'a> Ticker<'a> {
    pub(super) fn new(notes: &'a mut dyn Write) -> Self {
        Self { notes, last: Instant::now() }
    }

    /// Says it, unless the last line is too recent.
    pub(super) fn tick(&mut self, line: fmt::Arguments<'_>) {
        if self.last.elapsed() >= INTERVAL {
            self.last = Instant::now();
            // Nobody may be reading, which is no reason to stop.
            let _ = writeln!(self.notes, "{line}");
        }
    }
}
