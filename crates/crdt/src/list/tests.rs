use alloc::vec;

use isles_clock::{Dot, Everything, Hlc};
use proptest::prelude::*;

use super::place::{Gap, Spot};
use super::position::{Root, Run, Side, Slot};
use super::*;
use crate::Merge;

fn replica(number: u128) -> ReplicaId {
    ReplicaId::from_u128(number)
}

/// The path from the top, spelled out, as the documentation says that it is compared.
fn path(position: &Position) -> Vec<(i64, Root, Slot, Option<Side>)> {
    let mut path = Vec::new();
    let (mut here, mut below) = (position, None);
    loop {
        path.push((here.run.step, here.run.root, here.slot, below));
        match &here.run.above {
            Some(hook) => (here, below) = (&hook.element, Some(hook.side)),
            None => break,
        }
    }
    path.reverse();
    path
}

/// Level by level from the top: side, step, root, slot; an element lies between what hangs at its sides.
fn compare(left: &Position, right: &Position) -> core::cmp::Ordering {
    let (left, right) = (path(left), path(right));
    for (a, b) in left.iter().zip(&right) {
        let here = (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2));
        // The end of a path lies between its two sides.
        let side =
            |side: Option<Side>| side.map_or(1, |side| if side == Side::Left { 0 } else { 2 });
        let order = here.then(side(a.3).cmp(&side(b.3)));
        if order.is_ne() {
            return order;
        }
    }
    core::cmp::Ordering::Equal
}

/// Inserts one element between what is at `index - 1` and `index`, as a replica whose dots are `sequence`.
fn insert_at(elements: &mut Vec<Position>, index: usize, dot: Dot, manner: Manner) {
    let gap = Gap {
        left: index.checked_sub(1).map(|index| &elements[index]),
        right: elements.get(index),
    };
    let place = gap.place(dot, 0, manner).expect("there is room");
    let position = place.position(dot, 0).expect("the writer may be there");
    elements.insert(index, position);
}

proptest! {
    #[test]
    fn a_place_lies_between_its_neighbours(
        steps in prop::collection::vec((0u128..3, any::<prop::sample::Index>(), any::<bool>(), 0u8..4), 1..64),
    ) {
        let mut elements: Vec<Position> = Vec::new();
        for (sequence, (who, index, push, near)) in steps.into_iter().enumerate() {
            let dot = Dot::new(replica(who), sequence as u64 + 1);
            let middle = elements.len() / 2;
            let index = match near {
                0 => index.index(elements.len() + 1),
                1 => middle, // always between the two newest
                2 => elements.len(),
                _ => 0,
            };
            let at_end = index == 0 || index == elements.len();
            let manner = if push && at_end { Manner::Push } else { Manner::Type };
            insert_at(&mut elements, index, dot, manner);
        }
        for (at, a) in elements.iter().enumerate() {
            for (other, b) in elements.iter().enumerate() {
                prop_assert_eq!(a.cmp(b), at.cmp(&other), "{:?} {:?}", path(a), path(b));
                prop_assert_eq!(compare(a, b), at.cmp(&other));
                prop_assert_eq!(a == b, at == other);
            }
        }
    }
}

/// The depth after many insertions of one pattern.
fn depth_after(
    count: u64,
    writers: u128,
    manner: Manner,
    index: impl Fn(usize, u64) -> usize,
) -> u32 {
    let mut elements: Vec<Position> = Vec::new();
    for sequence in 1..=count {
        let dot = Dot::new(replica(u128::from(sequence) % writers), sequence);
        let index = index(elements.len(), sequence);
        insert_at(&mut elements, index, dot, manner);
    }
    elements.iter().map(Position::depth).max().unwrap_or(0)
}

#[test]
fn identifiers_do_not_grow_where_one_replica_goes_on() {
    assert_eq!(depth_after(2_000, 1, Manner::Type, |len, _| len), 1);
    assert_eq!(depth_after(2_000, 1, Manner::Type, |_, _| 0), 1);
    // between two fixed neighbours, before and behind the previous one
    assert!(depth_after(2_000, 1, Manner::Type, |len, _| len.min(1)) <= 2);
    assert!(depth_after(2_000, 1, Manner::Type, |len, _| len.saturating_sub(1)) <= 2);
}

#[test]
fn identifiers_do_not_grow_in_queues_with_many_writers() {
    assert_eq!(depth_after(2_000, 3, Manner::Push, |len, _| len), 1);
    assert_eq!(depth_after(2_000, 3, Manner::Push, |_, _| 0), 1);
    let both_ends = |len, sequence| if sequence % 2 == 0 { len } else { 0 };
    assert_eq!(depth_after(2_000, 3, Manner::Push, both_ends), 1);
}

#[test]
fn identifiers_stay_shallow_where_writers_take_turns() {
    assert!(depth_after(2_000, 2, Manner::Type, |len, _| len) <= 17);
    assert!(depth_after(2_000, 2, Manner::Type, |_, _| 0) <= 17);
    assert!(depth_after(2_000, 2, Manner::Type, |len, _| len.min(1)) <= 18);
}

#[test]
fn bisecting_makes_them_grow_slowly() {
    for writers in [1, 2, 3] {
        let depth = depth_after(2_000, writers, Manner::Type, |len, _| len / 2);
        assert!(depth <= 17 + 2_000 / 25, "{writers}: {depth}");
    }
}

#[test]
fn nesting_has_a_limit_and_neither_comparing_nor_dropping_needs_the_stack_for_it() {
    let mut above = None;
    let mut deepest = None;
    for sequence in 1..=u64::from(position::DEPTH_MAX) {
        let root = Root {
            replica: replica(1),
            sequence,
            ordinal: 0,
        };
        let run = alloc::sync::Arc::new(Run::new(above.take(), 0, root));
        let element = Position::new(run, Slot::new(0, sequence, 0));
        deepest = Some(element.clone());
        let side = Side::Right;
        above = Some(position::Hook { element, side });
    }
    drop(above);
    let deepest = deepest.unwrap();
    let gap = Gap {
        left: Some(&deepest),
        right: None,
    };
    // The writer's own run goes on, another writer steps to the side, and a queue does not care.
    assert!(gap.place(later(replica(1)), 0, Manner::Type).is_some());
    let other = gap.place(later(replica(2)), 0, Manner::Type).unwrap();
    assert!(matches!(other.0, Spot::Open { above: None, .. }));
    let right = Position::new(
        alloc::sync::Arc::new(Run::new(
            Some(position::Hook {
                element: deepest.clone(),
                side: Side::Right,
            }),
            0,
            Root {
                replica: replica(3),
                sequence: 1,
                ordinal: 0,
            },
        )),
        Slot::new(0, 1, 0),
    );
    assert!(right > deepest);
    let gap = Gap {
        left: Some(&deepest),
        right: Some(&right),
    };
    assert!(
        gap.place(later(replica(2)), 0, Manner::Type).is_some(),
        "it steps before the right one"
    );
    let bytes = postcard::to_allocvec(&deepest).unwrap();
    assert_eq!(postcard::from_bytes::<Position>(&bytes).unwrap(), deepest);
    let bytes = postcard::to_allocvec(&right).unwrap();
    assert!(postcard::from_bytes::<Position>(&bytes).is_err());
}

#[test]
fn a_run_is_one_node_in_memory() {
    let mut list: List<u32> = List::new();
    let _ = list.push_back(replica(1), (0..64).collect::<Vec<_>>());
    assert_eq!(list.store().body.chunks().count(), 1);
    let mut list: List<u32> = List::new();
    for value in 0..64 {
        let _ = list.push_front(replica(1), vec![value]);
    }
    assert_eq!(list.store().body.chunks().count(), 1);
    assert!(list.iter().copied().eq((0..64).rev()));
}

#[test]
fn chunks_grow_together_again_when_what_parted_them_goes() {
    let mut list: List<u32> = List::new();
    let _ = list.push_back(replica(1), (0..40).collect::<Vec<_>>());
    let _ = list.insert(replica(2), 20, vec![99]).unwrap();
    assert_eq!(list.store().body.chunks().count(), 3);
    let _ = list.remove(replica(1), 20..21);
    assert_eq!(list.store().body.chunks().count(), 1);
}

#[test]
fn one_write_can_bring_several_runs() {
    let dot = Dot::new(replica(1), 1);
    let mut list: op::List<&str> = op::List::new();
    let place = list.back(dot, 0).unwrap();
    list.insert(&place, dot, 0, vec!["b", "c"]);
    let place = list.front(dot, 2).unwrap();
    list.insert(&place, dot, 2, vec!["a"]);
    let place = list.front(dot, 3).unwrap();
    list.insert(&place, dot, 3, vec!["x", "y"]);
    let place = list.place(4, dot, 5).unwrap();
    list.insert(&place, dot, 5, vec!["z"]);
    assert_eq!(
        list.iter().copied().collect::<Vec<_>>(),
        ["x", "y", "a", "b", "z", "c"]
    );
    list.insert(&place, dot, 5, vec!["z"]); // again
    assert_eq!(list.len(), 6);
    list.remove(&list.position(2).unwrap(), &Everything);
    assert_eq!(list.len(), 5);
}

#[test]
fn a_run_is_grown_by_its_own_replica_only() {
    let (eu, us) = (replica(1), replica(2));
    let mut list: op::List<&str> = op::List::new();
    let place = list.back(Dot::new(eu, 1), 0).unwrap();
    list.insert(&place, Dot::new(eu, 1), 0, vec!["a"]);
    let grown = list.back(Dot::new(eu, 2), 0).unwrap();
    list.insert(&grown, Dot::new(us, 1), 0, vec!["b"]); // no honest replica sends this
    assert_eq!(list.len(), 1);
}

#[test]
fn a_write_that_its_removal_had_not_observed_brings_the_element_back_to_its_place() {
    let stamp = Stamp::new(Hlc::new(1, 0), replica(2));
    let mut here: List<&str> = List::new();
    let _ = here.push_back(replica(1), ["a", "b", "c"]);
    let mut there = here.clone();
    let _ = here.remove(replica(1), 0..2);
    let _ = there.set(stamp, 1, "B");
    here.merge(&there);
    assert!(here.iter().eq(&["B", "c"]));
}
