//! A dot context is a set of dots, also where dots come out of order.

use std::collections::BTreeSet;

use isles_clock::{Context, Dot, DotContext, ReplicaId, VectorClock};
use proptest::prelude::*;

fn dot() -> impl Strategy<Value = Dot> {
    (0u128..3, 1u64..8).prop_map(|(id, sequence)| Dot::new(ReplicaId::from_u128(id), sequence))
}

fn set() -> impl Strategy<Value = Vec<Dot>> {
    prop::collection::vec(dot(), 0..16)
}

fn members(context: &DotContext) -> BTreeSet<Dot> {
    (0u128..3)
        .flat_map(|id| (1u64..20).map(move |sequence| Dot::new(ReplicaId::from_u128(id), sequence)))
        .filter(|dot| context.covers(*dot))
        .collect()
}

proptest! {
    #[test]
    fn equal_sets_are_equal_values_whatever_the_order(dots in set()) {
        let context: DotContext = dots.iter().copied().collect();
        prop_assert_eq!(members(&context), dots.iter().copied().collect());
        prop_assert_eq!(&dots.into_iter().rev().collect::<DotContext>(), &context);
        prop_assert!(context.cloud().all(|dot| dot.sequence > context.clock().get(dot.replica) + 1));
    }

    #[test]
    fn merging_is_union(left in set(), right in set()) {
        let mut context: DotContext = left.iter().copied().collect();
        context.merge(&right.iter().copied().collect());
        prop_assert_eq!(context, left.into_iter().chain(right).collect());
    }

    #[test]
    fn the_next_dot_is_greater_than_all(dots in set(), id in 0u128..3) {
        let mut context: DotContext = dots.into_iter().collect();
        let before = members(&context);
        let next = context.next(ReplicaId::from_u128(id));
        prop_assert!(before.iter().filter(|dot| dot.replica == next.replica).all(|dot| *dot < next));
        prop_assert!(context.covers(next));
    }

    #[test]
    fn encodings_round_trip(dots in set()) {
        let context: DotContext = dots.into_iter().collect();
        let bytes = postcard::to_allocvec(&context).expect("a context has an encoding");
        prop_assert_eq!(postcard::from_bytes::<DotContext>(&bytes).expect("an encoding is a context"), context);
    }
}

#[test]
fn decoding_refuses_what_has_another_encoding() {
    let replica = ReplicaId::from_u128(1);
    let decode = |clock: u64, dot: u64| {
        let parts = (
            VectorClock::from_iter([(replica, clock)]),
            vec![Dot::new(replica, dot)],
        );
        postcard::from_bytes::<DotContext>(&postcard::to_allocvec(&parts)?)
    };
    assert!(decode(3, 5).is_ok());
    for covered_adjacent_or_zero in [3, 4, 0] {
        assert!(decode(3, covered_adjacent_or_zero).is_err());
    }
}
