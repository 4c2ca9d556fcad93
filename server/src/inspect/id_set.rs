//! Many row ids in little memory.

use std::collections::HashMap;

/// Ids of one segment: 65,536 bits.
const WORDS: usize = 1024;
const SEGMENT: i64 = 64 * 1024;

/// A set of row ids: one bit for each, in segments that are there only if one of theirs is.
///
/// Ids are given out in order, so ten million of them take little more than a megabyte.
#[derive(Debug, Default, Clone)]
pub struct IdSet(HashMap<i64, Box<[u64; WORDS]>>);

impl IdSet {
    /// Adds an id; `false` if it was there.
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below the segment's size")]
    pub fn insert(&mut self, id: i64) -> bool {
        let bit = id.rem_euclid(SEGMENT) as usize;
        let words = self.0.entry(id.div_euclid(SEGMENT)).or_insert_with(|| Box::new([0; WORDS]));
        let mask = 1 << (bit % 64);
        let is_new = words[bit / 64] & mask == 0;
        words[bit / 64] |= mask;
        is_new
    }

    /// Whether the id is there.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below the segment's size")]
    pub fn contains(&self, id: i64) -> bool {
        let bit = id.rem_euclid(SEGMENT) as usize;
        self.0.get(&id.div_euclid(SEGMENT)).is_some_and(|words| words[bit / 64] & (1 << (bit % 64)) != 0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_apart() {
        let mut set = IdSet::default();
        assert!(set.is_empty());
        for id in [0, 1, 63, 64, SEGMENT - 1, SEGMENT, 10_000_000, -1] {
            assert!(!set.contains(id), "{id}");
            assert!(set.insert(id), "{id}");
            assert!(!set.insert(id), "{id}");
            assert!(set.contains(id), "{id}");
        }
        assert!(!set.contains(2) && !set.contains(SEGMENT + 1) && !set.contains(-2));
        assert_eq!(set.0.len(), 4);
    }
}
