//! What is left of what is gone.

use isles_clock::{ReplicaId, VectorClock};
use isles_crdt::sorted_set::Score;
use isles_crdt::update::{CounterUpdate, SetUpdate};
use isles_crdt::{
    AwMap, AwSet, Causal, Crdt, Delta, DeltaState, EwFlag, Merge, MvRegister, ResettableCounter,
    RwSet, SortedSet, op,
};
use serde::Serialize;

const EU: ReplicaId = ReplicaId::from_u128(1);
const US: ReplicaId = ReplicaId::from_u128(2);
const ROUNDS: u32 = 10_000;

/// A store with nothing in it, and a context of one clock: what a state that never held anything could be.
fn check_empty<S: isles_crdt::dots::DotStore + Serialize + PartialEq>(state: &Causal<S>) {
    assert!(*state.store() == S::default());
    assert_eq!(state.seen().runs().count(), 0);
    assert!(
        postcard::to_allocvec(state)
            .expect("a state has an encoding")
            .len()
            < 128
    );
}

/// Where a peer lacks nothing, it is told at most what is gone.
fn assert_lacks_nothing<S: isles_crdt::dots::DotStore + Serialize>(state: &Causal<S>) {
    let delta = state.delta_since(&state.context());
    assert!(delta.brings_nothing());
    let bytes = postcard::to_allocvec(&delta).expect("a delta has an encoding");
    let context = postcard::to_allocvec(state.seen()).expect("a context has an encoding");
    assert!(bytes.len() <= context.len() + 128, "{} bytes", bytes.len());
}

/// What one replica alone added and removed, nobody else can go on from: nothing is left, without any forgetting.
#[test]
fn churn_of_one_replica_leaves_a_clock_in_maps_of_counters_and_sorted_sets() {
    let mut counter = ResettableCounter::new();
    let mut map: AwMap<u32, op::ResettableCounter> = AwMap::new();
    let mut set = SortedSet::new();
    for round in 0..ROUNDS {
        let _delta = counter.add(EU, 1);
        let _delta = counter.reset(EU);
        let _delta = map.update(EU, round, CounterUpdate::Add(1));
        let _delta = map.remove(EU, &round);
        let _delta = set.add(EU, round, Score::from(1)).expect("it fits");
        let _delta = set.remove(EU, &round);
    }
    check_empty(&counter);
    check_empty(&map);
    check_empty(&set);
    assert_lacks_nothing(&map);
    assert_lacks_nothing(&set);
}

/// After forgetting, an addition says for how many others it had observed what they removed, not what everybody wrote.
#[test]
fn additions_after_forgetting_name_those_who_removed() {
    let mut set = RwSet::new();
    for writer in 0..200 {
        let _delta = set.add(ReplicaId::from_u128(writer + 3), writer);
    }
    let _delta = set.remove(EU, 7);
    set.forget(&set.seen().clock().clone());
    let delta = set.add(US, 7);
    let bytes = postcard::to_allocvec(&delta).expect("a delta has an encoding");
    assert!(bytes.len() < 64, "{} bytes", bytes.len());
}

#[test]
fn an_update_that_changes_nothing_is_the_delta_of_nothing() {
    let mut map: AwMap<u32, op::AwSet<u32>> = AwMap::new();
    assert!(map.update(EU, 3, SetUpdate::Remove(1)).is_empty());
    let mut all = Delta::<op::AwMap<u32, op::AwSet<u32>>>::default();
    for key in 0..100 {
        all.merge(&map.update(EU, key, SetUpdate::Remove(1)));
    }
    assert_eq!(all, Delta::default());
}

#[test]
fn forgetting_beyond_all_sequences_leaves_what_can_be_read() {
    let mut set = RwSet::new();
    let _delta = set.remove(EU, 1u8);
    set.forget(&VectorClock::from_iter([(EU, u64::MAX)]));
    let bytes = postcard::to_allocvec(&set).expect("a state has an encoding");
    assert_eq!(postcard::from_bytes(&bytes), Ok(set));
}

#[test]
fn churn_leaves_a_clock_in_an_add_wins_set() {
    let (mut here, mut there) = (AwSet::new(), AwSet::new());
    for round in 0..ROUNDS {
        there.apply(&here.add(EU, round));
        there.apply(&here.add(EU, 0));
        here.apply(&there.remove(US, &round));
        here.apply(&there.add(US, round / 2));
        here.apply(&there.clear(US));
    }
    check_empty(&here);
    assert_eq!(here, there);
}

#[test]
fn churn_leaves_a_clock_in_maps_registers_and_flags() {
    let mut map: AwMap<u32, op::AwMap<u32, op::AwSet<u32>>> = AwMap::new();
    let (mut register, mut flag) = (MvRegister::new(), EwFlag::new());
    for round in 0..ROUNDS {
        let add = isles_crdt::update::MapUpdate::Update(round, SetUpdate::Add(round));
        let _delta = map.update(EU, round, add);
        let _delta = map.remove(EU, &round);
        let _delta = register.write(EU, round);
        let _delta = register.clear(EU);
        let _delta = flag.enable(EU);
        let _delta = flag.disable(EU);
    }
    check_empty(&map);
    check_empty(&register);
    check_empty(&flag);
}

#[test]
fn removals_of_a_remove_wins_set_go_when_they_are_stable() {
    let (mut here, mut there) = (RwSet::new(), RwSet::new());
    for round in 0..ROUNDS {
        there.apply(&here.add(EU, round));
        here.apply(&there.remove(US, round));
    }
    // Both have seen everything, and nothing is on its way.
    let stable = here.seen().clock().clone();
    here.forget(&stable);
    check_empty(&here);

    // The other one has not forgotten yet: it learns by merging, and brings nothing back.
    here.merge(&there);
    check_empty(&here);
    there.merge(&here);
    check_empty(&there);
}

/// F1c: one replica has collected a removal and adds again; another one still holds the removal.
#[test]
fn an_addition_after_a_forgotten_removal_is_not_hidden_by_it() {
    let (mut here, mut there) = (RwSet::new(), RwSet::new());
    let first = here.add(EU, "x");
    there.apply(&first);
    here.apply(&there.remove(US, "x"));
    let stable: VectorClock = here.seen().clock().clone();
    here.forget(&stable);
    let again = here.add(EU, "x");
    here.apply(&first); // late, and once too often

    there.apply(&again);
    assert!(there.contains("x"));
    there.forget(&stable);
    assert!(there.contains("x") && here.contains("x"));
    here.merge(&there);
    there.merge(&here);
    assert_eq!(here, there);
    assert!(here.contains("x"));
}

#[test]
fn an_addition_that_a_forgotten_removal_beat_does_not_come_back() {
    let (mut here, mut there) = (RwSet::new(), RwSet::new());
    let addition = here.add(EU, "x");
    let removal = there.remove(US, "x"); // concurrently
    here.apply(&removal);
    there.apply(&addition);
    let stable = here.seen().clock().clone();
    here.forget(&stable);
    assert!(!here.contains("x"));
    here.apply(&addition);
    here.merge(&there);
    assert!(!here.contains("x"));
    check_empty(&here);
}

#[test]
fn resets_of_what_others_added_go_when_they_are_stable() {
    let mut counter = ResettableCounter::new();
    let mut map: AwMap<u32, op::ResettableCounter> = AwMap::new();
    for round in 0..ROUNDS {
        let _delta = counter.add(EU, round.into());
        let _delta = counter.reset(US);
        let _delta = map.update(EU, round, CounterUpdate::Add(1));
        let _delta = map.remove(US, &round);
    }
    assert!(map.is_empty());
    assert_lacks_nothing(&counter);
    assert_lacks_nothing(&map);

    let (mut behind, mut also) = (counter.clone(), map.clone());
    let (stable, map_stable) = (counter.seen().clock().clone(), map.seen().clock().clone());
    counter.forget(&stable);
    map.forget(&map_stable);
    check_empty(&counter);
    check_empty(&map);
    // The other one has not forgotten yet: it brings nothing back, and learns by merging.
    map.merge(&also);
    check_empty(&map);
    also.apply(&map.delta_since(&also.context()));
    check_empty(&also);

    // A replica that has not forgotten takes over what begins anew.
    behind.apply(&counter.add(EU, 5));
    assert_eq!((counter.total(), behind.total()), (5, 5));
}
