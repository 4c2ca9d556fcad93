//! Which upload may begin when.

use std::collections::BinaryHeap;

/// The order of uploads: one begins when the uploads that it refers to have succeeded.
///
/// Among those that may begin, the largest goes first, so that it does not run alone at the end.
#[derive(Debug)]
pub(super) struct Schedule {
    ready: BinaryHeap<(u64, usize)>,
    sizes: Vec<u64>,
    waits: Vec<usize>,
    referrers: Vec<Vec<usize>>,
    dropped: Vec<bool>,
}

impl Schedule {
    /// For uploads of these sizes, each with the places of those that it waits for.
    pub(super) fn new(sizes: Vec<u64>, references: &[Vec<usize>]) -> Self {
        let referrers = referrers(references);
        let waits: Vec<usize> = references.iter().map(Vec::len).collect();
        let ready = (0..sizes.len()).filter(|&at| waits[at] == 0).map(|at| (sizes[at], at)).collect();
        Self { ready, dropped: vec![false; sizes.len()], sizes, waits, referrers }
    }

    /// The next upload that may begin now.
    pub(super) fn next(&mut self) -> Option<usize> {
        self.ready.pop().map(|(_, at)| at)
    }

    /// An upload has succeeded.
    pub(super) fn succeeded(&mut self, at: usize) {
        for &referrer in &self.referrers[at] {
            self.waits[referrer] -= 1;
            if self.waits[referrer] == 0 && !self.dropped[referrer] {
                self.ready.push((self.sizes[referrer], referrer));
            }
        }
    }

    /// An upload has failed: gives everything that refers to it, near or far, which will not begin any more.
    pub(super) fn failed(&mut self, at: usize) -> Vec<usize> {
        let mut lost = Vec::new();
        let mut from = vec![at];
        while let Some(at) = from.pop() {
            for &referrer in &self.referrers[at] {
                if !std::mem::replace(&mut self.dropped[referrer], true) {
                    lost.push(referrer);
                    from.push(referrer);
                }
            }
        }
        lost
    }
}

/// Turns references round: for each place, the places that refer to it.
pub(super) fn referrers(references: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut referrers = vec![Vec::new(); references.len()];
    for (at, references) in references.iter().enumerate() {
        for &reference in references {
            referrers[reference].push(at);
        }
    }
    referrers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(schedule: &mut Schedule) -> Vec<usize> {
        std::iter::from_fn(|| schedule.next()).collect()
    }

    #[test]
    fn the_largest_that_may_begin_goes_first() {
        let mut schedule = Schedule::new(vec![10, 30, 20, 99], &[vec![], vec![], vec![], vec![0, 1]]);
        assert_eq!(all(&mut schedule), [1, 2, 0]);
        schedule.succeeded(1);
        assert_eq!(all(&mut schedule), [0; 0]);
        schedule.succeeded(0);
        assert_eq!(all(&mut schedule), [3]);
    }

    #[test]
    fn a_failure_takes_its_referrers_along_once() {
        // 3 refers to 1 and 2, which refer to 0; 4 to nothing.
        let mut schedule = Schedule::new(vec![1; 5], &[vec![], vec![0], vec![0], vec![1, 2], vec![]]);
        assert_eq!(all(&mut schedule), [4, 0]);
        schedule.succeeded(0);
        assert_eq!(all(&mut schedule), [2, 1]);
        assert_eq!(schedule.failed(1), [3]);
        assert!(schedule.failed(2).is_empty());
        schedule.succeeded(2);
        assert_eq!(all(&mut schedule), [0; 0]);
    }
}
