//! Answers kept in memory for as long as the index stands where it stood when they were made.

use std::{cell::Cell, hash::Hash};

use database::{Database, Revision};
use quick_cache::{Weighter, sync::Cache};

/// How many bytes an answer takes in memory, roughly.
pub trait Weigh {
    /// The bytes.
    fn bytes(&self) -> usize;
}

tokio::task_local! {
    /// The state of the index that the request has asked for, if it has.
    static AS_OF: Cell<Option<Revision>>;
}

/// Does work to which the index has one state, which is looked at once. Only for work that writes
/// nothing, since it would not see that, and that is short.
pub fn as_of_one_state<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    AS_OF.scope(Cell::new(None), work)
}

/// The state of the index, as the request knows it or as the index tells it.
async fn state(database: &dyn Database) -> Option<Revision> {
    if let Ok(Some(known)) = AS_OF.try_with(Cell::get) {
        return Some(known);
    }
    let state = match database.revision() {
        Some(now) => Some(now),
        None => database.ask_revision().await,
    };
    // Outside of such work nothing is remembered.
    let _ = AS_OF.try_with(|known| known.set(state));
    state
}

/// Answers by what was asked, the most wanted ones, up to a number of bytes.
///
/// An answer carries the [`Revision`] that was read *before* it was made, and is given again only while that is still the state of
/// the index: whoever changed anything, in this process or another, changed it too. So nothing kept is ever out of date, and
/// forgetting any of it does no harm.
#[derive(Debug)]
pub struct Kept<K, V>(Cache<K, (Revision, V), ByBytes>);

#[derive(Debug, Clone)]
struct ByBytes;

/// What an entry costs beside what its answer owns.
const OVERHEAD: u64 = 200;

impl<K, V: Weigh> Weighter<K, (Revision, V)> for ByBytes {
    fn weight(&self, _: &K, (_, answer): &(Revision, V)) -> u64 {
        OVERHEAD + answer.bytes() as u64
    }
}

impl<K: Eq + Hash, V: Clone + Weigh> Kept<K, V> {
    /// Keeps up to so many bytes of answers, each of about `expected` bytes.
    #[must_use]
    pub fn new(capacity: u64, expected: u64) -> Self {
        let entries = usize::try_from(capacity / (OVERHEAD + expected)).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(entries, capacity, ByBytes))
    }

    /// The answer to `asked`: the one that is kept if it still holds, else what `make` gives.
    ///
    /// # Errors
    /// As `make`; an error is never kept.
    pub async fn get<E>(
        &self,
        database: &dyn Database,
        asked: K,
        make: impl AsyncFnOnce(&K) -> Result<V, E>,
    ) -> Result<V, E> {
        let now = state(database).await;
        if let Some(now) = now
            && let Some((then, answer)) = self.0.get(&asked)
            && then == now
        {
            return Ok(answer);
        }
        let answer = make(&asked).await?;
        if let Some(now) = now {
            self.0.insert(asked, (now, answer.clone()));
        }
        Ok(answer)
    }
}
