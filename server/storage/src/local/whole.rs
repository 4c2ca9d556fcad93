//! What of a file was lately found to be whole.
//!
//! What was compared with its checksum need not be compared again for as long as nobody writes to the file: the system would hand out
//! the same bytes from its memory. A disk that loses bits does so without saying, so nothing is believed for long.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// For how long what was found is believed.
const BELIEVED: Duration = Duration::from_secs(3600);
/// How many runs of bytes are remembered of one file; neighbours are one run.
const MOST: usize = 4096;

/// Runs of bytes that were found to be whole.
#[derive(Debug, Default)]
pub(super) struct Whole(Mutex<Runs>);

#[derive(Debug, Default)]
struct Runs {
    /// Ends by starts; no two of them touch.
    ends: BTreeMap<u64, u64>,
    /// When the first of them was found.
    since: Option<Instant>,
}

impl Whole {
    /// Remembers that these bytes are.
    pub(super) fn note(&self, range: &Range<u64>) {
        self.note_at(range, Instant::now());
    }

    /// Whether all of these bytes are.
    pub(super) fn has(&self, range: &Range<u64>) -> bool {
        self.has_at(range, Instant::now())
    }

    fn note_at(&self, range: &Range<u64>, now: Instant) {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.ends.len() >= MOST || runs.since.is_some_and(|since| now - since >= BELIEVED) {
            *runs = Runs::default();
        }
        runs.since.get_or_insert(now);
        let mut joined = range.clone();
        // From the back: what touches the new run becomes a part of it.
        while let Some((&start, &end)) = runs.ends.range(..=joined.end).next_back() {
            if end < joined.start {
                break;
            }
            runs.ends.remove(&start);
            joined = joined.start.min(start)..joined.end.max(end);
        }
        runs.ends.insert(joined.start, joined.end);
    }

    fn has_at(&self, range: &Range<u64>, now: Instant) -> bool {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = runs.since.is_some_and(|since| now - since < BELIEVED);
        is_fresh && runs.ends.range(..=range.start).next_back().is_some_and(|(_, &end)| range.end <= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_touch_become_one() {
        let whole = Whole::default();
        assert!(!whole.has(&(0..1)));
        for range in [10..20, 40..50, 30..35, 20..30, 0..5, 33..41, 12..14] {
            whole.note(&range);
        }
        assert_eq!(whole.0.lock().unwrap().ends, BTreeMap::from([(0, 5), (10, 50)]));
        let answers = [10..50, 11..12, 0..5, 4..6, 5..10, 49..51, 60..61].map(|range| whole.has(&range));
        assert_eq!(answers, [true, true, true, false, false, false, false]);
        whole.note(&(0..100));
        assert_eq!(whole.0.lock().unwrap().ends, BTreeMap::from([(0, 100)]));
    }

    #[test]
    fn nothing_is_believed_for_ever_and_memory_is_bounded() {
        let whole = Whole::default();
        let begun = Instant::now();
        whole.note_at(&(0..10), begun);
        whole.note_at(&(20..30), begun + BELIEVED / 2);
        assert!(whole.has_at(&(20..30), begun + BELIEVED / 2));
        // With the first of them.
        assert!(!whole.has_at(&(20..30), begun + BELIEVED));
        whole.note_at(&(50..60), begun + BELIEVED);
        assert!(!whole.has_at(&(0..10), begun + BELIEVED));
        assert!(whole.has_at(&(50..60), begun + BELIEVED));
        for start in 0..3 * MOST as u64 {
            whole.note_at(&(2 * start..2 * start + 1), begun + BELIEVED);
        }
        assert!(whole.0.lock().unwrap().ends.len() <= MOST);
    }
}
