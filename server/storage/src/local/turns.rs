//! Turns at one object: a file that stalls holds up its own readers, and no others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Key;

/// How many read one object at a time; more wait without a thread. The runtime has some 500 threads for whatever may block.
const READERS: usize = 24;
/// Objects that nobody reads any more are forgotten when there are more than this.
const TIDY: usize = 1024;

/// Who reads what at the moment.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Key, Weak<Semaphore>>>);

impl Turns {
    /// Waits for a turn to read this object; it ends when what is returned is dropped.
    pub(super) async fn take(&self, key: &Key) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match objects.get(key).and_then(Weak::upgrade) {
                Some(turns) => turns,
                None => {
                    if objects.len() >= TIDY {
                        objects.retain(|_, turns| turns.strong_count() > 0);
                    }
                    let turns = Arc::new(Semaphore::new(READERS));
                    objects.insert(key.clone(), Arc::downgrade(&turns));
                    turns
                }
            }
        };
        // It is never closed.
        turns.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_object_does_not_take_the_turns_of_another() {
        let turns = Turns::default();
        let (a, b): (Key, Key) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut held = Vec::new();
        for _ in 0..READERS {
            held.push(turns.take(&a).await);
        }
        let waiting = turns.take(&a);
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(turns.take(&b).await);
        held.pop();
        assert!(waiting.await.is_some());
    }

    #[tokio::test]
    async fn what_nobody_reads_is_forgotten() {
        let turns = Turns::default();
        for i in 0..3 * TIDY {
            drop(turns.take(&i.to_string().parse().unwrap()).await);
        }
        assert!(turns.0.lock().unwrap().len() <= TIDY + 1);
    }
}
