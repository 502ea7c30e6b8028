use std::collections::BTreeSet;

use isles_clock::{Hlc, ReplicaId, Stamp};
use isles_crdt::{LwwRegister, MvRegister};
use proptest::prelude::*;

use crate::history::surviving;
use crate::history::{Event, Subject, check, steps};

impl Subject for LwwRegister<u8> {
    type Op = u8;
    type View = u8;

    fn empty() -> Self {
        Self::new(Stamp::new(Hlc::ZERO, ReplicaId::from_u128(0)), 0)
    }

    fn apply(&mut self, stamp: Stamp, value: &u8) {
        assert!(self.write(stamp, *value));
    }

    fn view(&self) -> u8 {
        *self.value()
    }

    fn expected(events: &[&Event<u8>]) -> u8 {
        events
            .iter()
            .max_by_key(|event| event.stamp)
            .map_or(0, |event| event.op)
    }
}

impl Subject for MvRegister<u8> {
    /// A value to write, or nothing to clear.
    type Op = Option<u8>;
    type View = BTreeSet<u8>;

    fn empty() -> Self {
        Self::new()
    }

    fn apply(&mut self, stamp: Stamp, op: &Option<u8>) {
        match op {
            Some(value) => self.write(stamp.replica, *value),
            None => self.clear(),
        }
    }

    fn view(&self) -> BTreeSet<u8> {
        self.values().copied().collect()
    }

    fn expected(events: &[&Event<Option<u8>>]) -> BTreeSet<u8> {
        surviving(events, |_, _| true)
            .into_iter()
            .filter_map(|event| event.op)
            .collect()
    }
}

proptest! {
    #[test]
    fn last_write_wins(steps in steps(any::<u8>())) {
        check::<LwwRegister<u8>>(&steps);
    }

    #[test]
    fn every_concurrent_value_stays(steps in steps(prop::option::weighted(0.8, any::<u8>()))) {
        check::<MvRegister<u8>>(&steps);
    }
}

#[test]
fn an_older_write_is_refused() {
    let stamp = |ms| Stamp::new(Hlc::new(ms, 0), ReplicaId::from_u128(1));
    let mut register = LwwRegister::new(stamp(2), "new");
    assert!(!register.write(stamp(1), "old"));
    assert_eq!((register.stamp(), register.into_value()), (stamp(2), "new"));
}
