//! When a store fails, and how.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// What a caller can ask of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`crate::Storage::put`]
    Put,
    /// [`crate::Storage::begin`]
    Begin,
    /// [`crate::Writer::write`]
    Write,
    /// [`crate::Writer::finish`]
    Finish,
    /// [`crate::Storage::read`]
    Read,
    /// [`crate::Storage::size`]
    Size,
    /// [`crate::Storage::ping`]
    Ping,
    /// [`crate::Storage::delete`]
    Delete,
    /// [`crate::Storage::list`]
    List,
}

/// How an operation is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails as unavailable and has no effect.
    Fail,
    /// It takes effect and still fails as unavailable.
    FailAfter,
    /// It fails for want of space.
    Full,
    /// It takes longer.
    Delay(Duration),
    /// Only so many of its bytes arrive: a read fails as truncated, a put or write succeeds with less.
    Truncate(usize),
    /// One bit of its bytes is changed, and it succeeds.
    Corrupt,
}

/// When operations are disturbed. The first rule that applies counts.
#[derive(Debug, Default)]
pub struct FaultPlan {
    rules: Vec<Rule>,
    operations: u64,
}

#[derive(Debug)]
struct Rule {
    /// `None` is any.
    operation: Option<Operation>,
    /// How many operations of that kind there have been.
    seen: u64,
    when: When,
    fault: Fault,
}

#[derive(Debug)]
enum When {
    /// The one with that number, from 0.
    Nth(u64),
    /// Every one from that number on.
    From(u64),
    /// So many of a thousand.
    Sometimes(u32, Box<StdRng>),
}

impl FaultPlan {
    /// Nothing is disturbed.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Disturbs the `n`-th `operation` from now, counted from 0.
    #[must_use]
    pub fn nth(self, operation: Operation, n: u64, fault: Fault) -> Self {
        self.rule(Some(operation), When::Nth(n), fault)
    }

    /// Disturbs every `operation`.
    #[must_use]
    pub fn every(self, operation: Operation, fault: Fault) -> Self {
        self.rule(Some(operation), When::From(0), fault)
    }

    /// Lets `n` operations of any kind pass and fails all that follow, as a store that dies.
    #[must_use]
    pub fn dies_after(self, n: u64) -> Self {
        self.rule(None, When::From(n), Fault::Fail)
    }

    /// Disturbs about `per_mille` of a thousand operations of any kind; the same seed disturbs the same ones.
    #[must_use]
    pub fn sometimes(self, seed: u64, per_mille: u32, fault: Fault) -> Self {
        self.rule(None, When::Sometimes(per_mille.min(1000), Box::new(StdRng::seed_from_u64(seed))), fault)
    }

    fn rule(mut self, operation: Option<Operation>, when: When, fault: Fault) -> Self {
        self.rules.push(Rule { operation, seen: 0, when, fault });
        self
    }

    /// How many operations were asked about.
    pub(super) const fn operations(&self) -> u64 {
        self.operations
    }

    /// What happens to the operation that comes now.
    pub(super) fn next(&mut self, operation: Operation) -> Option<Fault> {
        self.operations += 1;
        let mut fault = None;
        // Every rule counts, even behind one that applied: else a rule would shift those after it.
        for rule in self.rules.iter_mut().filter(|r| r.operation.is_none_or(|o| o == operation)) {
            let number = rule.seen;
            rule.seen += 1;
            let applies = match &mut rule.when {
                When::Nth(n) => number == *n,
                When::From(n) => number >= *n,
                When::Sometimes(per_mille, rng) => rng.random_ratio(*per_mille, 1000),
            };
            if applies && fault.is_none() {
                fault = Some(rule.fault);
            }
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_what_fails() {
        let faults = |seed| {
            let mut plan = FaultPlan::none().sometimes(seed, 200, Fault::Fail);
            (0..1000).map(|_| plan.next(Operation::Read).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(faults(7), faults(7));
        assert_ne!(faults(7), faults(8));
        let share = faults(7).into_iter().filter(|&f| f).count();
        assert!((100..300).contains(&share), "{share}");
    }

    #[test]
    fn rules_count_their_own_operations() {
        use Operation::{Put, Read};
        let mut plan = FaultPlan::none().nth(Read, 1, Fault::Corrupt).dies_after(4);
        let seen: Vec<_> = [Put, Read, Put, Read, Put, Read].into_iter().map(|o| plan.next(o)).collect();
        assert_eq!(seen, [None, None, None, Some(Fault::Corrupt), Some(Fault::Fail), Some(Fault::Fail)]);
        assert_eq!(plan.operations(), 6);
    }
}
