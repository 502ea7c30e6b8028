//! A dot context is a set of dots, also where dots come out of order.

use std::collections::BTreeSet;

use isles_clock::{Causality, Context, Dot, DotContext, ReplicaId, VectorClock};
use proptest::prelude::*;

const REPLICAS: u128 = 3;

fn id(number: u128) -> ReplicaId {
    ReplicaId::from_u128(number)
}

fn dot() -> impl Strategy<Value = Dot> {
    (0..REPLICAS, 1u64..12).prop_map(|(number, sequence)| Dot::new(id(number), sequence))
}

fn set() -> impl Strategy<Value = Vec<Dot>> {
    prop::collection::vec(dot(), 0..24)
}

fn context(dots: &[Dot]) -> DotContext {
    dots.iter().copied().collect()
}

fn members(context: &DotContext) -> BTreeSet<Dot> {
    (0..REPLICAS)
        .flat_map(|number| (1u64..20).map(move |sequence| Dot::new(id(number), sequence)))
        .filter(|dot| context.covers(*dot))
        .collect()
}

/// Everything the type promises of one set.
fn check(context: &DotContext, expected: &BTreeSet<Dot>) {
    assert_eq!(&members(context), expected);
    assert_eq!(context.is_empty(), expected.is_empty());
    let prefixes = context.clock().iter().flat_map(|(replica, through)| {
        (1..=through).map(move |sequence| Dot::new(replica, sequence))
    });
    assert_eq!(
        &prefixes.chain(context.cloud()).collect::<BTreeSet<_>>(),
        expected
    );
    let mut reach = Dot::new(id(0), 0);
    for (replica, after, through) in context.runs() {
        let touches_run = reach.replica == replica && after <= reach.sequence;
        assert!(after < through && after > context.clock().get(replica) && !touches_run);
        reach = Dot::new(replica, through);
    }
    for number in 0..REPLICAS {
        let mut own = expected.iter().filter(|dot| dot.replica == id(number));
        assert_eq!(
            context.greatest(id(number)),
            own.next_back().map_or(0, |dot| dot.sequence)
        );
    }
}

proptest! {
    #[test]
    fn equal_sets_are_equal_values_whatever_the_order(dots in set()) {
        let expected = dots.iter().copied().collect();
        check(&context(&dots), &expected);
        prop_assert_eq!(dots.iter().rev().copied().collect::<DotContext>(), context(&dots));
    }

    #[test]
    fn merging_is_union(left in set(), right in set()) {
        let mut merged = context(&left);
        merged.merge(&context(&right));
        check(&merged, &left.iter().chain(&right).copied().collect());
        prop_assert_eq!(merged, left.into_iter().chain(right).collect());
    }

    #[test]
    fn comparison_is_inclusion(left in set(), right in set()) {
        let (ours, theirs) = (context(&left), context(&right));
        let (left, right): (BTreeSet<_>, BTreeSet<_>) = (left.into_iter().collect(), right.into_iter().collect());
        let expected = match (left.is_superset(&right), left.is_subset(&right)) {
            (true, true) => Causality::Equal,
            (true, false) => Causality::After,
            (false, true) => Causality::Before,
            (false, false) => Causality::Concurrent,
        };
        prop_assert_eq!(ours.compare(&theirs), expected);
        prop_assert_eq!(ours.dominates(&theirs), left.is_superset(&right));
    }

    #[test]
    fn the_next_dot_is_greater_than_all(dots in set(), number in 0..REPLICAS) {
        let mut context = context(&dots);
        let before = members(&context);
        let next = context.next(id(number));
        prop_assert!(before.iter().filter(|dot| dot.replica == next.replica).all(|dot| *dot < next));
        prop_assert!(context.covers(next));
    }

    #[test]
    fn encodings_round_trip(dots in set()) {
        let context = context(&dots);
        let bytes = postcard::to_allocvec(&context).expect("a context has an encoding");
        prop_assert_eq!(postcard::from_bytes::<DotContext>(&bytes).expect("an encoding is a context"), context);
    }
}

/// All pairs of sets over one replica with six sequences: small enough that none is left out.
#[test]
fn every_small_set_merges_with_every_other() {
    const SEQUENCES: u64 = 6;
    let sets: Vec<BTreeSet<Dot>> = (0u64..1 << SEQUENCES)
        .map(|bits| {
            let sequences = (0..SEQUENCES).filter(|bit| bits >> bit & 1 == 1);
            sequences.map(|bit| Dot::new(id(1), bit + 1)).collect()
        })
        .collect();
    for left in &sets {
        for right in &sets {
            let mut merged: DotContext = left.iter().copied().collect();
            merged.merge(&right.iter().copied().collect());
            check(&merged, &(left | right));
            assert!(merged.dominates(&right.iter().copied().collect()));
        }
    }
}

#[test]
fn a_long_run_beyond_a_hole_stays_small() {
    let mut seen: DotContext = (2..=1_000_000)
        .map(|sequence| Dot::new(id(1), sequence))
        .collect();
    assert_eq!(seen.runs().collect::<Vec<_>>(), [(id(1), 1, 1_000_000)]);
    seen.insert(Dot::new(id(1), 1));
    assert_eq!((seen.clock().get(id(1)), seen.runs().len()), (1_000_000, 0));
}

#[test]
fn the_last_sequence_there_is_can_be_held() {
    let last = Dot::new(id(1), u64::MAX);
    let mut seen = DotContext::from_iter([last, Dot::new(id(1), u64::MAX - 1)]);
    assert!(seen.covers(last) && !seen.covers(Dot::new(id(1), u64::MAX - 2)));
    seen.merge(&VectorClock::from_iter([(id(1), u64::MAX - 2)]).into());
    assert_eq!((seen.clock().get(id(1)), seen.runs().len()), (u64::MAX, 0));
}

#[test]
fn decoding_refuses_what_has_another_encoding() {
    let decode = |clock: u64, runs: &[(u64, u64)]| {
        let runs: Vec<_> = runs
            .iter()
            .map(|(first, more)| (id(1), *first, *more))
            .collect();
        let parts = (VectorClock::from_iter([(id(1), clock)]), runs);
        postcard::from_bytes::<DotContext>(&postcard::to_allocvec(&parts)?)
    };
    assert!(decode(3, &[(5, 0)]).is_ok());
    assert!(decode(3, &[(5, 1), (8, 0), (10, u64::MAX - 10)]).is_ok());
    for covered_adjacent_or_zero in [3, 4, 0] {
        assert!(decode(3, &[(covered_adjacent_or_zero, 0)]).is_err());
    }
    for second in [4, 5, 6, 7] {
        assert!(decode(3, &[(5, 1), (second, 0)]).is_err());
    }
    assert!(decode(3, &[(10, u64::MAX - 9)]).is_err());
}
