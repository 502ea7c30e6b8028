use std::collections::{BTreeMap, BTreeSet};

use isles_clock::Stamp;
use isles_crdt::AwMap;
use isles_crdt::dots::{DotFun, DotMap, DotSet};
use proptest::prelude::*;

use crate::history::{Event, Subject, check, steps, surviving};

#[derive(Clone, Copy, Debug)]
pub(crate) enum MapOp {
    Put(u8, u8),
    Remove(u8),
}

impl Subject for AwMap<u8, DotFun<u8>> {
    type Op = MapOp;
    type View = BTreeMap<u8, BTreeSet<u8>>;

    fn empty() -> Self {
        Self::new()
    }

    fn apply(&mut self, stamp: Stamp, op: &MapOp) {
        match op {
            MapOp::Put(key, value) => {
                self.update(stamp.replica, *key, |values, dot| values.write(dot, *value))
            }
            MapOp::Remove(key) => {
                self.remove(key);
            }
        }
    }

    fn view(&self) -> Self::View {
        self.iter()
            .map(|(key, values)| (*key, values.values().copied().collect()))
            .collect()
    }

    fn expected(events: &[&Event<MapOp>]) -> Self::View {
        let key = |event: &Event<MapOp>| match event.op {
            MapOp::Put(key, _) | MapOp::Remove(key) => key,
        };
        let mut view = Self::View::new();
        for event in surviving(events, |later, earlier| key(later) == key(earlier)) {
            if let MapOp::Put(key, value) = event.op {
                view.entry(key).or_default().insert(value);
            }
        }
        view
    }
}

/// What is done to a map of maps of sets; each names the path it works on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NestedOp {
    Add(u8, u8, u8),
    RemoveElement(u8, u8, u8),
    RemoveInner(u8, u8),
    RemoveOuter(u8),
}

type Nested = AwMap<u8, DotMap<u8, DotMap<u8, DotSet>>>;

impl Subject for Nested {
    type Op = NestedOp;
    type View = BTreeSet<(u8, u8, u8)>;

    fn empty() -> Self {
        Self::new()
    }

    fn apply(&mut self, stamp: Stamp, op: &NestedOp) {
        let replica = stamp.replica;
        match *op {
            NestedOp::Add(outer, inner, element) => self.update(replica, outer, |map, dot| {
                map.update(inner, |set| set.update(element, |present| present.add(dot)));
            }),
            NestedOp::RemoveElement(outer, inner, element) => {
                self.update(replica, outer, |map, _| {
                    map.update(inner, |set| {
                        set.remove(&element);
                    });
                })
            }
            NestedOp::RemoveInner(outer, inner) => self.update(replica, outer, |map, _| {
                map.remove(&inner);
            }),
            NestedOp::RemoveOuter(outer) => {
                self.remove(&outer);
            }
        }
    }

    fn view(&self) -> Self::View {
        let mut view = Self::View::new();
        for (outer, map) in self.iter() {
            for (inner, set) in map.iter() {
                view.extend(set.iter().map(|(element, _)| (*outer, *inner, *element)));
            }
        }
        view
    }

    fn expected(events: &[&Event<NestedOp>]) -> Self::View {
        let removes = |later: &Event<NestedOp>, earlier: &Event<NestedOp>| {
            let NestedOp::Add(outer, inner, element) = earlier.op else {
                return false;
            };
            match later.op {
                NestedOp::Add(..) => false,
                NestedOp::RemoveElement(a, b, c) => (a, b, c) == (outer, inner, element),
                NestedOp::RemoveInner(a, b) => (a, b) == (outer, inner),
                NestedOp::RemoveOuter(a) => a == outer,
            }
        };
        let added = |event: &Event<NestedOp>| match event.op {
            NestedOp::Add(outer, inner, element) => Some((outer, inner, element)),
            _ => None,
        };
        surviving(events, removes)
            .into_iter()
            .filter_map(added)
            .collect()
    }
}

fn op() -> impl Strategy<Value = MapOp> {
    prop_oneof![
        3 => (0u8..3, any::<u8>()).prop_map(|(key, value)| MapOp::Put(key, value)),
        2 => (0u8..3).prop_map(MapOp::Remove),
    ]
}

fn nested_op() -> impl Strategy<Value = NestedOp> {
    let path = (0u8..2, 0u8..2, 0u8..2);
    prop_oneof![
        4 => path.clone().prop_map(|(outer, inner, element)| NestedOp::Add(outer, inner, element)),
        1 => path.prop_map(|(outer, inner, element)| NestedOp::RemoveElement(outer, inner, element)),
        1 => (0u8..2, 0u8..2).prop_map(|(outer, inner)| NestedOp::RemoveInner(outer, inner)),
        1 => (0u8..2).prop_map(NestedOp::RemoveOuter),
    ]
}

proptest! {
    #[test]
    fn a_concurrent_update_beats_a_removal(steps in steps(op())) {
        check::<AwMap<u8, DotFun<u8>>>(&steps);
    }

    #[test]
    fn maps_nest(steps in steps(nested_op())) {
        check::<Nested>(&steps);
    }
}
