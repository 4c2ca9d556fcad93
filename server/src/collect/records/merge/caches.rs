//! The records of caches: of each life of a cache, from its making to its deletion, the first and the last one decide.

use std::collections::{BTreeMap, BTreeSet};

use super::super::StampedRecord;
use crate::pack::{CacheRecord, Record, Stamp};

/// Records of caches, gathered.
#[derive(Default)]
pub(super) struct Caches {
    /// When each cache was deleted.
    deletions: BTreeMap<String, BTreeSet<Stamp>>,
    /// By name, and how often one of that name was deleted before: what is known of it first, and last.
    lives: BTreeMap<(String, usize), (Stated, Option<Stated>)>,
}

type Stated = (Stamp, CacheRecord);

impl Caches {
    /// Takes note of deletions. All of them must be known before the first [`Caches::add`].
    pub(super) fn note_deletions(&mut self, records: &[StampedRecord]) {
        for (stamp, record) in records {
            if let Record::Cache(CacheRecord { name, state: None }) = record {
                self.deletions.entry(name.clone()).or_default().insert(*stamp);
            }
        }
    }

    /// Adds a record.
    pub(super) fn add(&mut self, stamp: Stamp, record: CacheRecord) {
        if record.state.is_none() {
            return;
        }
        let life = self.deletions.get(&record.name).map_or(0, |deletions| deletions.range(..=stamp).count());
        let new = (stamp, record);
        let Some((first, last)) = self.lives.get_mut(&(new.1.name.clone(), life)) else {
            self.lives.insert((new.1.name.clone(), life), (new, None));
            return;
        };
        if stamp < first.0 {
            let before = std::mem::replace(first, new);
            last.get_or_insert(before);
        } else if last.as_ref().is_none_or(|last| last.0 <= stamp) && stamp > first.0 {
            *last = Some(new);
        }
    }

    /// Every deletion, and what is left of the rest.
    pub(super) fn into_records(self) -> (Vec<StampedRecord>, Vec<StampedRecord>) {
        let record = |(stamp, record)| (stamp, Record::Cache(record));
        let deletions = self.deletions.into_iter().flat_map(|(name, stamps)| {
            stamps.into_iter().map(move |stamp| (stamp, CacheRecord { name: name.clone(), state: None }))
        });
        let states = self.lives.into_values().flat_map(|(first, last)| [first].into_iter().chain(last));
        (deletions.map(record).collect(), states.map(record).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pack::CacheState;

    fn state(priority: i32) -> CacheState {
        CacheState {
            is_public: true,
            store_dir: "/nix/store".to_owned(),
            priority,
            upstream_key_names: Vec::new(),
            retention: None,
            promotion_keys: Vec::new(),
            keys: Vec::new(),
            max_size: None,
            quota: None,
            is_read_only: false,
            pins: Vec::new(),
        }
    }

    /// What of it decides: for each life when it began and what it was last.
    fn lives(mut records: Vec<StampedRecord>) -> Vec<(Stamp, i32)> {
        records.sort_by_key(|(stamp, _)| *stamp);
        let mut lives: Vec<(Stamp, i32)> = Vec::new();
        let mut is_open = false;
        for (stamp, record) in records {
            let Record::Cache(record) = record else { panic!("{record:?}") };
            match record.state {
                None => is_open = false,
                Some(state) if is_open => lives.last_mut().unwrap().1 = state.priority,
                Some(state) => {
                    is_open = true;
                    lives.push((stamp, state.priority));
                }
            }
        }
        lives
    }

    proptest! {
        #[test]
        fn what_decides_stays(deleted in prop::collection::vec(prop::bool::weighted(0.2), 0..30), seed in any::<u64>()) {
            let records: Vec<StampedRecord> = (1..)
                .zip(deleted)
                .map(|(at, is_deleted)| {
                    let state = (!is_deleted).then(|| state(at));
                    let record = CacheRecord { name: "main".to_owned(), state };
                    (Stamp(at.try_into().unwrap()), Record::Cache(record))
                })
                .collect();
            let expected = lives(records.clone());
            let mut shuffled = records.clone();
            let place = |stamp: Stamp| blake3::hash(&[seed.to_le_bytes(), stamp.0.to_le_bytes()].concat()).to_hex();
            shuffled.sort_by_key(|(stamp, _)| place(*stamp));
            let mut caches = Caches::default();
            caches.note_deletions(&shuffled);
            // Some are there twice, as a crash may leave them.
            for (stamp, record) in shuffled.iter().chain(shuffled.iter().take(5)) {
                let Record::Cache(record) = record else { panic!("{record:?}") };
                caches.add(*stamp, record.clone());
            }
            let (deletions, states) = caches.into_records();
            prop_assert!(states.len() <= 2 * expected.len());
            prop_assert_eq!(lives([deletions, states].concat()), expected);
        }
    }
}
