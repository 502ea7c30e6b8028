//! What deltas cost, counted in comparisons of keys, which do not depend on the machine.

use std::cell::Cell;
use std::cmp::Ordering;

use isles_clock::ReplicaId;
use isles_crdt::update::SetUpdate;
use isles_crdt::{AwMap, AwSet, DeltaState, RwSet, op};
use serde::{Deserialize, Serialize};

const ELEMENTS: u32 = 100_000;
/// A goal of the crate.
const TIMES_CHEAPER_MIN: u64 = 1_000;

const EU: ReplicaId = ReplicaId::from_u128(1);
const US: ReplicaId = ReplicaId::from_u128(2);

thread_local! {
    static COMPARISONS: Cell<u64> = const { Cell::new(0) };
}

/// A number that counts how often it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counted(u32);

impl Ord for Counted {
    fn cmp(&self, other: &Self) -> Ordering {
        COMPARISONS.with(|count| count.set(count.get() + 1));
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Counted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn comparisons<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let before = COMPARISONS.get();
    let result = work();
    (COMPARISONS.get() - before, result)
}

/// The cost of making a delta, of applying it, and of merging the full state in its place.
fn check<S: DeltaState + Clone>(state: &S, change: impl FnOnce(&mut S) -> S::Delta) {
    let (mut here, mut there) = (state.clone(), state.clone());
    let (making, delta) = comparisons(|| change(&mut here));
    let (applying, ()) = comparisons(|| there.apply(&delta));
    let mut merged = state.clone();
    let (merging, ()) = comparisons(|| merged.merge(&here));
    let least = making.max(applying) * TIMES_CHEAPER_MIN;
    assert!(
        least <= merging,
        "making {making}, applying {applying}, merging {merging} comparisons"
    );
}

#[test]
fn the_delta_of_one_element_of_an_add_wins_set() {
    let mut set = AwSet::new();
    for element in 0..ELEMENTS {
        let _delta = set.add(EU, Counted(element));
    }
    check(&set, |set| set.add(US, Counted(ELEMENTS)));
    check(&set, |set| set.add(US, Counted(7)));
    check(&set, |set| set.remove(US, &Counted(7)));
}

#[test]
fn the_delta_of_one_element_of_a_remove_wins_set() {
    let mut set = RwSet::new();
    for element in 0..ELEMENTS {
        let _delta = set.add(EU, Counted(element));
    }
    check(&set, |set| set.add(US, Counted(ELEMENTS)));
    check(&set, |set| set.remove(US, Counted(7)));
}

#[test]
fn the_delta_deep_in_a_map() {
    let mut map: AwMap<u8, op::AwSet<Counted>> = AwMap::new();
    for element in 0..ELEMENTS {
        let _delta = map.update(EU, (element % 3) as u8, SetUpdate::Add(Counted(element)));
    }
    check(&map, |map| {
        map.update(US, 1, SetUpdate::Add(Counted(ELEMENTS)))
    });
    check(&map, |map| map.update(US, 1, SetUpdate::Remove(Counted(7))));
}

/// The context of what is lacking is as small as what is lacking, not as what is there.
#[test]
fn what_a_peer_lacks_is_small_where_little_is_lacking() {
    let mut here = AwSet::new();
    for element in 0..ELEMENTS {
        let _delta = here.add(EU, element);
    }
    let there = here.clone();
    let _delta = here.add(US, ELEMENTS);
    let _delta = here.remove(EU, &7);
    let delta = here.delta_since(&there.context());
    let bytes = postcard::to_allocvec(&delta).expect("a delta has an encoding");
    assert!(bytes.len() < 128, "{} bytes", bytes.len());

    let mut merged = there;
    merged.apply(&delta);
    assert_eq!(merged, here);
}

/// Clearing costs what is there, and no more than a look-up for each: one delta with everything that was removed.
#[test]
fn clearing_a_set_that_keeps_removals() {
    let mut set = RwSet::new();
    for element in 0..ELEMENTS {
        let _delta = set.add(EU, Counted(element));
    }
    let mut there = set.clone();
    let (clearing, delta) = comparisons(|| set.clear(US));
    let (applying, ()) = comparisons(|| there.apply(&delta));
    let bound = u64::from(ELEMENTS) * 200;
    assert!(clearing < bound, "clearing {clearing} comparisons");
    assert!(applying < bound, "applying {applying} comparisons");
    assert!(there.is_empty());
    assert_eq!(set, there);
}
