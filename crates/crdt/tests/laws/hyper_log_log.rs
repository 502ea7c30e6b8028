//! The count of different things, held against sets of them. Few things are counted exactly.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::ReplicaId;
use isles_crdt::hyper_log_log::Sketch;
use isles_crdt::update::HyperLogLogUpdate::{self, Add, Clear, Join};
use isles_crdt::update::MapUpdate::{Clear as ClearMap, Remove, Update};
use isles_crdt::{AwMap, HyperLogLog, op};

use crate::laws;
use crate::oracle::{Event, Keys, Oracle, seen_by};

pub(crate) struct Different;

impl Oracle for Different {
    type Update = HyperLogLogUpdate;
    type Value = u64;

    fn read(events: &[Event<HyperLogLogUpdate>]) -> Option<u64> {
        let sets = view(events);
        let all: BTreeSet<u64> = sets.values().flatten().copied().collect();
        (!sets.is_empty()).then_some(all.len() as u64)
    }
}

/// The sets that are there, by who created them.
fn view(events: &[Event<HyperLogLogUpdate>]) -> BTreeMap<(ReplicaId, u32), BTreeSet<u64>> {
    let mut sets = BTreeMap::<_, BTreeSet<u64>>::new();
    let mut gone = BTreeSet::new();
    for event in events {
        let before = view(&seen_by(event, events));
        if event.removed_by != 0 {
            gone.insert((event.at.replica, event.bit));
        }
        let hashes = match &event.update {
            Add(hashes) => hashes.clone(),
            Join(sketch) => hashes_of(sketch),
            Clear => {
                gone.extend(before.into_keys());
                continue;
            }
        };
        if !hashes.is_empty() {
            let own = (event.at.replica, event.bit);
            let named = before.keys().next().copied().unwrap_or(own);
            sets.entry(named).or_default().extend(hashes);
        }
    }
    sets.retain(|name, _| !gone.contains(name));
    sets
}

/// What the sketches of the menu were made of; no sketch says it.
const SKETCHED: [&[u64]; 2] = [&[2, 9], &[]];

fn sketch(number: usize) -> Sketch {
    SKETCHED[number].iter().copied().collect()
}

fn hashes_of(sketched: &Sketch) -> Vec<u64> {
    let number = (0..SKETCHED.len()).find(|number| sketch(*number) == *sketched);
    SKETCHED[number.expect("the sketch is on the menu")].to_vec()
}

// Hashes that choose different registers, or the same with different ranks beside others.
laws!(hyper_log_log: Different, HyperLogLog, op::HyperLogLog, [
    Add(vec![1, 2]),
    Clear,
    Add(vec![2, 3 | 1 << 40]),
    Join(sketch(0)),
    Add(vec![4 | 1 << 14, 5]),
    Add(vec![]),
    Join(sketch(1)),
]);

laws!(map_of_hyper_log_logs: Keys<Different>, AwMap<u8, op::HyperLogLog>, op::AwMap<u8, op::HyperLogLog>, [
    Update(0, Add(vec![1, 2])),
    Remove(0),
    Update(0, Add(vec![2, 3])),
    Update(0, Clear),
    Update(1, Join(sketch(0))),
    Update(0, Join(sketch(0))),
    ClearMap,
]);
