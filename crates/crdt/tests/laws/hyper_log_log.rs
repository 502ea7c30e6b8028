//! The count of different things, held against sets of them. Few things are counted exactly.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::ReplicaId;
use isles_crdt::update::HyperLogLogUpdate::{self, Add, Clear, Join};
use isles_crdt::{HyperLogLog, op};

use crate::laws;
use crate::oracle::{Event, Oracle};

pub(crate) struct Different;

impl Oracle for Different {
    type Update = HyperLogLogUpdate;
    type Value = u64;

    fn read(events: &[Event<HyperLogLogUpdate>]) -> Option<u64> {
        let all: BTreeSet<u64> = view(events).into_values().flatten().collect();
        Some(all.len() as u64)
    }
}

/// The sets that are there, by who created them.
fn view(events: &[Event<HyperLogLogUpdate>]) -> BTreeMap<(ReplicaId, u32), BTreeSet<u64>> {
    let mut sets = BTreeMap::<_, BTreeSet<u64>>::new();
    let mut gone = BTreeSet::new();
    for event in events {
        let seen: Vec<_> = events
            .iter()
            .filter(|other| event.saw(other))
            .cloned()
            .collect();
        let before = view(&seen);
        match &event.update {
            Add(hashes) if !hashes.is_empty() => {
                let own = (event.at.replica, event.bit);
                let named = before.keys().next().copied().unwrap_or(own);
                sets.entry(named).or_default().extend(hashes);
            }
            Add(_) | Join(_) => {}
            Clear => gone.extend(before.into_keys()),
        }
    }
    sets.retain(|name, _| !gone.contains(name));
    sets
}

// Hashes that choose different registers, or the same with different ranks beside others.
laws!(hyper_log_log: Different, HyperLogLog, op::HyperLogLog, [
    Add(vec![1, 2]),
    Clear,
    Add(vec![2, 3 | 1 << 40]),
    Add(vec![4 | 1 << 14, 5]),
    Add(vec![]),
]);
