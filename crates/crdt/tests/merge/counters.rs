use isles_clock::{Dot, DotContext, ReplicaId, Stamp, VectorClock};
use isles_crdt::{GCounter, PnCounter};
use proptest::prelude::*;

use crate::history::{Event, Subject, check, steps};

impl Subject for GCounter {
    type Op = u64;
    type View = u128;

    fn empty() -> Self {
        Self::new()
    }

    fn apply(&mut self, stamp: Stamp, by: &u64) {
        self.increment(stamp.replica, *by);
    }

    fn view(&self) -> u128 {
        self.value()
    }

    fn expected(events: &[&Event<u64>]) -> u128 {
        events.iter().map(|event| u128::from(event.op)).sum()
    }
}

impl Subject for PnCounter {
    type Op = i64;
    type View = i128;

    fn empty() -> Self {
        Self::new()
    }

    fn apply(&mut self, stamp: Stamp, by: &i64) {
        self.add(stamp.replica, *by);
    }

    fn view(&self) -> i128 {
        self.value()
    }

    fn expected(events: &[&Event<i64>]) -> i128 {
        events.iter().map(|event| i128::from(event.op)).sum()
    }
}

/// A clock that each replica moves by writing.
impl Subject for VectorClock {
    type Op = ();
    type View = VectorClock;

    fn empty() -> Self {
        Self::new()
    }

    fn apply(&mut self, stamp: Stamp, (): &()) {
        self.observe(Dot::new(stamp.replica, self.get(stamp.replica) + 1));
    }

    fn view(&self) -> VectorClock {
        self.clone()
    }

    fn expected(events: &[&Event<()>]) -> VectorClock {
        let mut clock = VectorClock::new();
        events
            .iter()
            .for_each(|event| clock.apply(event.stamp, &()));
        clock
    }
}

/// A context that takes in dots with holes.
impl Subject for DotContext {
    type Op = u64;
    type View = DotContext;

    fn empty() -> Self {
        Self::new()
    }

    fn apply(&mut self, stamp: Stamp, sequence: &u64) {
        self.insert(Dot::new(stamp.replica, *sequence));
    }

    fn view(&self) -> DotContext {
        self.clone()
    }

    fn expected(events: &[&Event<u64>]) -> DotContext {
        events
            .iter()
            .map(|event| Dot::new(event.stamp.replica, event.op))
            .collect()
    }
}

proptest! {
    #[test]
    fn grow_only_counters(steps in steps(0u64..5)) {
        check::<GCounter>(&steps);
    }

    #[test]
    fn counters_up_and_down(steps in steps(-5i64..5)) {
        check::<PnCounter>(&steps);
    }

    #[test]
    fn vector_clocks(steps in steps(Just(()))) {
        check::<VectorClock>(&steps);
    }

    #[test]
    fn dot_contexts(steps in steps(1u64..6)) {
        check::<DotContext>(&steps);
    }
}

#[test]
fn counts_stop_at_the_limit_and_the_sum_goes_on() {
    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let mut counter = GCounter::new();
    counter.increment(eu, u64::MAX);
    counter.increment(eu, 1);
    counter.increment(us, 1);
    assert_eq!(counter.get(eu), u64::MAX);
    assert_eq!(counter.value(), u128::from(u64::MAX) + 1);
}

#[test]
fn the_least_number_counts_down_by_all_of_it() {
    let mut counter = PnCounter::new();
    counter.add(ReplicaId::from_u128(1), i64::MIN);
    assert_eq!(counter.value(), i128::from(i64::MIN));
}
