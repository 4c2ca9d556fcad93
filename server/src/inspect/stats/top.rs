//! The largest of many, in little memory.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Keeps the `limit` largest things of all that it is shown.
#[derive(Debug)]
pub(super) struct Top<T> {
    limit: usize,
    heap: BinaryHeap<Reverse<T>>,
}

impl<T: Ord> Top<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::with_capacity(limit + 1) }
    }

    pub(super) fn show(&mut self, thing: T) {
        if self.heap.len() < self.limit || self.heap.peek().is_some_and(|least| least.0 < thing) {
            self.heap.push(Reverse(thing));
            if self.heap.len() > self.limit {
                self.heap.pop();
            }
        }
    }

    /// The largest, the very largest first.
    pub(super) fn into_vec(self) -> Vec<T> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(thing)| thing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_stay() {
        let mut top = Top::new(3);
        [5, 1, 9, 7, 2, 9].into_iter().for_each(|n| top.show(n));
        assert_eq!(top.into_vec(), [9, 9, 7]);
    }
}
