use std::collections::BTreeSet;

use isles_clock::{DotContext, ReplicaId, Stamp};
use isles_crdt::{AwSet, Merge};
use proptest::prelude::*;

use crate::history::{Event, Subject, check, steps, surviving};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SetOp {
    Add(u8),
    Remove(u8),
    Clear,
}

impl Subject for AwSet<u8> {
    type Op = SetOp;
    type View = BTreeSet<u8>;

    fn empty() -> Self {
        Self::new()
    }

    fn apply(&mut self, stamp: Stamp, op: &SetOp) {
        match op {
            SetOp::Add(element) => self.add(stamp.replica, *element),
            SetOp::Remove(element) => {
                self.remove(element);
            }
            SetOp::Clear => self.clear(),
        }
    }

    fn view(&self) -> BTreeSet<u8> {
        self.iter().copied().collect()
    }

    fn expected(events: &[&Event<SetOp>]) -> BTreeSet<u8> {
        let removes = |later: &Event<SetOp>, earlier: &Event<SetOp>| match later.op {
            SetOp::Add(_) => false,
            SetOp::Remove(element) => earlier.op == SetOp::Add(element),
            SetOp::Clear => true,
        };
        let added = |event: &Event<SetOp>| match event.op {
            SetOp::Add(element) => Some(element),
            SetOp::Remove(_) | SetOp::Clear => None,
        };
        surviving(events, removes)
            .into_iter()
            .filter_map(added)
            .collect()
    }
}

fn op() -> impl Strategy<Value = SetOp> {
    prop_oneof![
        4 => (0u8..3).prop_map(SetOp::Add),
        3 => (0u8..3).prop_map(SetOp::Remove),
        1 => Just(SetOp::Clear),
    ]
}

proptest! {
    #[test]
    fn a_concurrent_addition_beats_a_removal(steps in steps(op())) {
        check::<AwSet<u8>>(&steps);
    }
}

#[test]
fn what_was_removed_leaves_no_trace_but_a_clock() {
    let eu = ReplicaId::from_u128(1);
    let mut set = AwSet::new();
    for round in 0..1_000u32 {
        set.add(eu, round % 10);
        set.remove(&(round % 10));
    }
    let mut seen = DotContext::new();
    for _ in 0..1_000 {
        seen.next(eu);
    }
    let clock_bytes = postcard::to_allocvec(&seen).unwrap().len();
    assert_eq!(postcard::to_allocvec(&set).unwrap().len(), clock_bytes + 1); // 1: no elements
}

#[test]
fn a_removal_travels_without_a_tombstone() {
    let mut here = AwSet::new();
    here.add(ReplicaId::from_u128(1), "apple");
    let mut there = here.clone();
    here.remove("apple");
    there.merge(&here);
    assert!(there.is_empty());
}

#[test]
fn bytes_whose_context_does_not_cover_their_dots_are_refused() {
    let mut set = AwSet::new();
    set.add(ReplicaId::from_u128(1), 7u8);
    let mut bytes = postcard::to_allocvec(&set).unwrap();
    assert!(postcard::from_bytes::<AwSet<u8>>(&bytes).is_ok());
    // elements: count, element, dots: count, 16 bytes of replica, sequence
    bytes[1 + 1 + 1 + 16] = 2;
    assert!(postcard::from_bytes::<AwSet<u8>>(&bytes).is_err());
}

#[test]
fn bytes_of_an_element_that_nothing_makes_present_are_refused() {
    // one element, no dots; a context without clock or cloud
    assert!(postcard::from_bytes::<AwSet<u8>>(&[1, 7, 0, 0, 0]).is_err());
}
