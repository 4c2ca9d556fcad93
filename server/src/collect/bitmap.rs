//! Sets of chunk ids, a bit for each.

use std::collections::BTreeMap;

/// How many ids one page has.
const PAGE: i64 = 1 << 15;
/// How many words that takes.
const WORDS: usize = (1 << 15) / 64;

/// A set of ids. Pages without any take no memory, so ids that were given out long ago cost nothing.
#[derive(Debug, Default)]
pub(super) struct Bitmap(BTreeMap<i64, Box<[u64; WORDS]>>);

impl Bitmap {
    /// Puts `length` ids from `first` on into the set.
    pub(super) fn insert_run(&mut self, first: i64, length: u32) {
        let mut id = first;
        let end = first + i64::from(length);
        while id < end {
            let (page, place) = (id.div_euclid(PAGE), id.rem_euclid(PAGE));
            let here = (PAGE - place).min(end - id);
            let words = self.0.entry(page).or_insert_with(|| Box::new([0; WORDS]));
            set(&mut words[..], place, here);
            id += here;
        }
    }

    /// Whether an id is in the set.
    #[must_use]
    pub(super) fn contains(&self, id: i64) -> bool {
        let (page, place) = (id.div_euclid(PAGE), id.rem_euclid(PAGE));
        let bit = 1_u64 << (place % 64);
        self.0.get(&page).and_then(|words| words.get(index(place))).is_some_and(|word| word & bit != 0)
    }

    /// The parts of `first..=last` that are not in the set, as first and last id.
    pub(super) fn gaps(&self, first: i64, last: i64) -> Vec<(i64, i64)> {
        runs((first..=last).filter(|&id| !self.contains(id)))
    }
}

/// Neighbouring ids together, as first and last; the ids ascend.
pub(super) fn runs(ids: impl IntoIterator<Item = i64>) -> Vec<(i64, i64)> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => runs.push((id, id)),
        }
    }
    runs
}

fn index(place: i64) -> usize {
    usize::try_from(place / 64).unwrap_or(usize::MAX)
}

/// Sets `count` bits from `place` on, word by word.
fn set(words: &mut [u64], place: i64, count: i64) {
    let (mut place, mut left) = (place, count);
    while left > 0 {
        let offset = place % 64;
        let here = (64 - offset).min(left);
        let mask = if here == 64 { u64::MAX } else { ((1_u64 << here) - 1) << offset };
        if let Some(word) = words.get_mut(index(place)) {
            *word |= mask;
        }
        place += here;
        left -= here;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_run_may_cross_pages() {
        let mut set = Bitmap::default();
        set.insert_run(PAGE - 2, 70_000);
        assert!(!set.contains(PAGE - 3) && set.contains(PAGE - 2));
        assert!(set.contains(PAGE + 69_997) && !set.contains(PAGE + 69_998));
        assert_eq!(set.gaps(PAGE - 4, PAGE), [(PAGE - 4, PAGE - 3)]);
    }

    proptest! {
        #[test]
        fn it_is_a_set(inserted in proptest::collection::vec((0_i64..70_000, 1_u32..500), 0..20)) {
            let mut bitmap = Bitmap::default();
            let mut set = BTreeSet::new();
            for (first, length) in inserted {
                bitmap.insert_run(first, length);
                set.extend(first..first + i64::from(length));
            }
            let missing = bitmap.gaps(0, 71_000).into_iter().flat_map(|(first, last)| first..=last);
            prop_assert!(missing.eq((0..=71_000).filter(|id| !set.contains(id))));
        }
    }
}
