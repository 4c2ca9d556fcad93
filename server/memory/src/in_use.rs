//! What belongs to a key for as long as somebody uses it.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Keys that nobody uses are looked for when there are this many, or twice as many as were in use the last time.
const TIDY: usize = 1024;

/// One value for each key that is in use: whoever asks for it while another one holds it gets the same.
pub struct InUse<K, V>(Mutex<Known<K, V>>);

struct Known<K, V> {
    values: HashMap<K, Weak<V>>,
    tidy_at: usize,
}

impl<K: Eq + Hash + Clone, V> InUse<K, V> {
    /// The value of this key, made if nobody holds it.
    pub fn get(&self, key: &K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.values.get(key).and_then(Weak::upgrade) {
            return value;
        }
        if known.values.len() >= known.tidy_at {
            known.values.retain(|_, value| value.strong_count() > 0);
            known.tidy_at = TIDY.max(2 * known.values.len());
        }
        let value = Arc::new(make());
        known.values.insert(key.clone(), Arc::downgrade(&value));
        value
    }
}

impl<K, V> Default for InUse<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Known { values: HashMap::new(), tidy_at: TIDY }))
    }
}

impl<K, V> fmt::Debug for InUse<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InUse")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_value_while_it_is_in_use() {
        let known = InUse::default();
        let first = known.get(&1, || "a");
        assert!(Arc::ptr_eq(&first, &known.get(&1, || "b")));
        assert_eq!(*known.get(&2, || "b"), "b");
        drop(first);
        assert_eq!(*known.get(&1, || "c"), "c");
    }

    #[test]
    fn what_nobody_uses_is_forgotten() {
        let known = InUse::default();
        let held: Vec<_> = (0..TIDY).map(|n| known.get(&n, || n)).collect();
        for n in 0..10 * TIDY {
            drop(known.get(&n, || n));
        }
        assert!(known.0.lock().unwrap().values.len() <= 2 * TIDY);
        assert!(held.iter().enumerate().all(|(n, value)| Arc::ptr_eq(value, &known.get(&n, || 0))));
    }
}
