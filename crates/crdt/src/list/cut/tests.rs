use alloc::vec;
use alloc::vec::Vec;

use isles_clock::{Dot, Everything, Hlc, ReplicaId, VectorClock};
use proptest::prelude::*;

use super::*;
use crate::list::{NAME_BYTES, Position, Positions};
use crate::op::Version;

/// Everything that is there must show in it, once.
fn digester() -> Digester<u32> {
    Digester {
        salt: 7,
        of: |salt, name: &[u8; NAME_BYTES], version| {
            let bytes = name.iter().map(|byte| u128::from(*byte));
            let name = bytes.fold(u128::from(salt), |sum, byte| {
                sum.wrapping_mul(1_000_003) ^ byte
            });
            let dot = version.dot.replica.as_u128() << 64 | u128::from(version.dot.sequence);
            name.wrapping_mul(31).wrapping_add(dot).wrapping_mul(31) + u128::from(*version.value)
        },
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Insert(prop::sample::Index, u32),
    /// Concurrently to what is there, or not.
    Write(prop::sample::Index, bool),
    Remove(prop::sample::Index),
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        3 => (1u32..700).prop_map(Step::Push),
        3 => (index(), 1u32..80).prop_map(|(index, len)| Step::Insert(index, len)),
        3 => (index(), any::<bool>()).prop_map(|(index, seen)| Step::Write(index, seen)),
        1 => index().prop_map(Step::Remove),
    ];
    (1..3u64, step)
}

fn grown(steps: &[(u64, Step)]) -> List<u32> {
    let mut list = List::new();
    list.set_digester(digester());
    for (sequence, (who, step)) in (1..).zip(steps) {
        let dot = Dot::new(ReplicaId::from_u128(u128::from(*who)), sequence);
        let len = list.len();
        let at = |index: &prop::sample::Index| list.position(index.index(len));
        match step {
            Step::Push(count) => {
                let place = list.back(dot, 0).expect("there is room at the end");
                list.insert(&place, dot, 0, (0..*count).collect());
            }
            Step::Insert(index, count) => {
                let place = list.place(index.index(len + 1), dot, 0);
                let place = place.expect("there is room");
                list.insert(&place, dot, 0, (0..*count).collect());
            }
            Step::Write(index, seen) if len > 0 => {
                let position = at(index).expect("it is there");
                let (hlc, value) = (Hlc::ZERO, 99);
                let version = Version { dot, hlc, value };
                match seen {
                    true => list.set(&position, version, &Everything),
                    false => list.set(&position, version, &VectorClock::new()),
                }
            }
            Step::Remove(index) if len > 0 => {
                let position = at(index).expect("it is there");
                list.remove(&position, &Everything);
            }
            _ => {}
        }
    }
    list
}

proptest! {
    #[test]
    fn cutting_is_removing_each(
        steps in prop::collection::vec(step(), 1..40),
        ends in any::<[prop::sample::Index; 2]>(),
        seen in prop::option::of((0u64..40, 0u64..40)),
        stored in any::<bool>(),
    ) {
        let mut cut = grown(&steps);
        if stored {
            let _ = cut.take_changes();
        }
        prop_assert!(cut.is_sound());
        prop_assume!(!cut.is_empty());
        let mut each = cut.clone();
        let mut ends = ends.map(|end| end.index(cut.len()));
        ends.sort_unstable();
        let [first, last] = ends;
        let stretch = cut.stretch(first..last + 1).expect("there are elements");
        let positions = each.positions(first..last + 1);
        let written = positions.iter().filter(|position| {
            let index = each.index_of(position).expect("it is there");
            each.versions(index).any(|version| version.dot != position.dot())
        });
        prop_assert_eq!(cut.written(&stretch), written.collect::<Positions>());
        let removed = match seen {
            None => {
                prop_assert!(!each.remove_each(&positions, &Everything));
                cut.cut(&stretch, &Everything)
            }
            Some((eu, us)) => {
                let ids = [1, 2].map(ReplicaId::from_u128);
                let seen: VectorClock = ids.into_iter().zip([eu, us]).collect();
                each.remove_each(&positions, &seen);
                cut.cut(&stretch, &seen)
            }
        };
        prop_assert_eq!(removed.removed.len(), last + 1 - first);
        prop_assert_eq!(&cut, &each);
        prop_assert_eq!(cut.digest(), each.digest());
        prop_assert!(cut.is_sound());
        prop_assert!(each.is_sound());
        // The pages that are stored now make up the list.
        let mut numbers: Vec<u32> = cut.take_changes().gone;
        numbers.extend(cut.body.chunks().filter_map(|chunk| chunk.page.number));
        numbers.sort_unstable();
        prop_assert!(numbers.is_sorted_by(|one, other| one < other));
        prop_assert!(cut.body.chunks().all(|chunk| chunk.page.number.is_some()));
    }

    #[test]
    fn clearing_leaves_what_was_not_seen(
        steps in prop::collection::vec(step(), 1..40), seen in (0u64..40, 0u64..40),
    ) {
        let list = grown(&steps);
        let ids = [1, 2].map(ReplicaId::from_u128);
        let seen: VectorClock = ids.into_iter().zip([seen.0, seen.1]).collect();
        let (mut cleared, mut each) = (list.clone(), list.clone());
        prop_assert_eq!(cleared.clear(&seen), list);
        each.remove_each(&each.positions(0..usize::MAX), &seen);
        prop_assert_eq!(&cleared, &each);
        prop_assert_eq!(cleared.digest(), each.digest());
        prop_assert!(cleared.is_sound());
    }
}

/// Has observed everything but one write, and counts how often it is asked.
struct Asked {
    unseen: Dot,
    times: core::cell::Cell<usize>,
}

impl Context for Asked {
    fn covers(&self, dot: Dot) -> bool {
        self.times.set(self.times.get() + 1);
        dot != self.unseen
    }
}

#[test]
fn only_the_neighbours_of_what_was_not_seen_are_looked_at() {
    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let mut list = List::new();
    for sequence in 1..=1_000 {
        let dot = Dot::new(eu, sequence);
        let place = list.back(dot, 0).expect("there is room at the end");
        list.insert(&place, dot, 0, vec![0; 100]);
    }
    let (dot, hlc, value) = (Dot::new(us, 1), Hlc::ZERO, 1);
    let position: Position = list.position(50_000).expect("it is there");
    list.set(&position, Version { dot, hlc, value }, &Everything);
    for unseen in [dot, Dot::new(us, 2)] {
        let (mut list, times) = (list.clone(), core::cell::Cell::new(0));
        let asked = Asked { unseen, times };
        let stretch = list.stretch(10..99_990).expect("there are elements");
        let cut = list.cut(&stretch, &asked);
        let kept = usize::from(unseen == dot);
        assert_eq!(list.len(), 20 + kept);
        assert_eq!(cut.left, kept > 0);
        assert!(asked.times.get() < 3_000, "{}", asked.times.get());
    }
}

#[test]
fn a_stretch_reads_as_it_was_written() {
    let list = grown(&[(1, Step::Push(10)), (2, Step::Push(10))]);
    let stretch = list.stretch(3..14).expect("there are elements");
    let bytes = postcard::to_allocvec(&stretch).expect("it can be encoded");
    assert_eq!(postcard::from_bytes::<Stretch>(&bytes), Ok(stretch.clone()));
    let inside: Positions = list.positions(3..14);
    assert!(inside.iter().all(|position| stretch.contains(&position)));
    assert!(!stretch.contains(&list.position(14).expect("it is there")));
    assert_eq!(
        Stretch::new(stretch.last().clone(), stretch.first().clone()),
        None
    );
}
