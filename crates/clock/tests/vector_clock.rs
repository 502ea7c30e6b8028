//! A clock is a set of dots: every operation means what it means on sets.

use std::collections::BTreeSet;

use isles_clock::{Causality, Context, Dot, ReplicaId, VectorClock};
use proptest::prelude::*;

/// Enough replicas that clocks outgrow both the inline storage and the scan.
const REPLICAS: u128 = 24;
const SEQUENCE_MAX: u64 = 4;

fn replica() -> impl Strategy<Value = ReplicaId> {
    (0..REPLICAS).prop_map(ReplicaId::from_u128)
}

fn clock() -> impl Strategy<Value = VectorClock> {
    let entry = |replicas: u128| {
        (
            (0..replicas).prop_map(ReplicaId::from_u128),
            0..=SEQUENCE_MAX,
        )
    };
    prop_oneof![
        prop::collection::vec(entry(3), 0..6),
        prop::collection::vec(entry(REPLICAS), 0..60)
    ]
    .prop_map(VectorClock::from_iter)
}

fn dots(clock: &VectorClock) -> BTreeSet<Dot> {
    all_dots().filter(|dot| clock.covers(*dot)).collect()
}

fn all_dots() -> impl Iterator<Item = Dot> {
    (0..REPLICAS).flat_map(|id| {
        (1..=SEQUENCE_MAX + 1).map(move |sequence| Dot::new(ReplicaId::from_u128(id), sequence))
    })
}

fn merged(left: &VectorClock, right: &VectorClock) -> VectorClock {
    let mut clock = left.clone();
    clock.merge(right);
    clock
}

proptest! {
    #[test]
    fn comparison_is_inclusion(left in clock(), right in clock()) {
        let (ours, theirs) = (dots(&left), dots(&right));
        let expected = match (ours.is_superset(&theirs), ours.is_subset(&theirs)) {
            (true, true) => Causality::Equal,
            (true, false) => Causality::After,
            (false, true) => Causality::Before,
            (false, false) => Causality::Concurrent,
        };
        prop_assert_eq!(left.compare(&right), expected);
        prop_assert_eq!(left.partial_cmp(&right), expected.ordering());
        prop_assert_eq!(left == right, expected == Causality::Equal);
        prop_assert_eq!(left.dominates(&right), ours.is_superset(&theirs));
    }

    #[test]
    fn merging_is_union(a in clock(), b in clock(), c in clock()) {
        prop_assert_eq!(dots(&merged(&a, &b)), &dots(&a) | &dots(&b));
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
        prop_assert!(merged(&a, &b).dominates(&a));
    }

    #[test]
    fn intersecting_is_intersection(a in clock(), b in clock()) {
        let met = |left: &VectorClock, right: &VectorClock| {
            let mut clock = left.clone();
            clock.intersect(right);
            clock
        };
        prop_assert_eq!(dots(&met(&a, &b)), &dots(&a) & &dots(&b));
        prop_assert_eq!(met(&a, &b), met(&b, &a));
        prop_assert_eq!(met(&a, &merged(&a, &b)), a.clone());
        prop_assert_eq!(merged(&a, &met(&a, &b)), a);
    }

    #[test]
    fn minus_is_difference(left in clock(), right in clock()) {
        let ranges = left.minus(&right);
        prop_assert!(ranges.iter().all(|(_, after, through)| after < through));
        let listed: BTreeSet<_> = ranges
            .into_iter()
            .flat_map(|(replica, after, through)| (after + 1..=through).map(move |sequence| Dot::new(replica, sequence)))
            .collect();
        prop_assert_eq!(listed, &dots(&left) - &dots(&right));
    }

    #[test]
    fn observing_raises_and_setting_sets(clock in clock(), replica in replica(), sequence in 0..=SEQUENCE_MAX) {
        let (mut observed, mut set, mut removed) = (clock.clone(), clock.clone(), clock.clone());
        observed.observe(Dot::new(replica, sequence));
        prop_assert_eq!(observed.get(replica), clock.get(replica).max(sequence));
        prop_assert!(observed.dominates(&clock));
        let next = observed.next(replica);
        prop_assert_eq!(next, Dot::new(replica, clock.get(replica).max(sequence) + 1));
        prop_assert_eq!(observed.get(replica), next.sequence);
        set.set(replica, sequence);
        prop_assert_eq!(set.get(replica), sequence);
        prop_assert_eq!(removed.remove(replica).unwrap_or(0), clock.get(replica));
        prop_assert_eq!(removed.get(replica), 0);
    }

    #[test]
    fn entries_are_sorted_and_never_zero(clock in clock()) {
        let entries: Vec<_> = clock.iter().collect();
        prop_assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert!(entries.iter().all(|entry| entry.1 > 0));
        prop_assert_eq!((entries.len(), entries.is_empty()), (clock.len(), clock.is_empty()));
    }

    #[test]
    fn encodings_round_trip(clock in clock()) {
        let bytes = postcard::to_allocvec(&clock).expect("a clock has an encoding");
        prop_assert_eq!(&postcard::from_bytes::<VectorClock>(&bytes).expect("an encoding is a clock"), &clock);
        let text = serde_json::to_string(&clock).expect("a clock has a text");
        prop_assert_eq!(&serde_json::from_str::<VectorClock>(&text).expect("a text is a clock"), &clock);
    }

    #[test]
    fn bytes_that_are_no_clock_are_refused_or_have_one_encoding(bytes in prop::collection::vec(0u8..4, 0..60)) {
        if let Ok((clock, rest)) = postcard::take_from_bytes::<VectorClock>(&bytes) {
            let again = postcard::to_allocvec(&clock).expect("a clock has an encoding");
            prop_assert_eq!(again.as_slice(), &bytes[..bytes.len() - rest.len()]);
        }
    }
}

/// All pairs of clocks over three replicas with sequences 0 to 3: none is left out.
#[test]
fn every_pair_of_small_clocks_compares_point_by_point() {
    const SEQUENCES: u64 = 4;
    let points: Vec<[u64; 3]> = (0..SEQUENCES.pow(3))
        .map(|n| {
            [
                n % SEQUENCES,
                n / SEQUENCES % SEQUENCES,
                n / SEQUENCES.pow(2),
            ]
        })
        .collect();
    let clock = |point: [u64; 3]| {
        VectorClock::from_iter(
            point
                .into_iter()
                .zip(1..)
                .map(|(sequence, id)| (ReplicaId::from_u128(id), sequence)),
        )
    };
    for &left in &points {
        for &right in &points {
            let pairs = || left.into_iter().zip(right);
            let expected = match (pairs().all(|(l, r)| l >= r), pairs().all(|(l, r)| l <= r)) {
                (true, true) => Causality::Equal,
                (true, false) => Causality::After,
                (false, true) => Causality::Before,
                (false, false) => Causality::Concurrent,
            };
            assert_eq!(clock(left).compare(&clock(right)), expected);
            assert_eq!(
                clock(left).dominates(&clock(right)),
                pairs().all(|(l, r)| l >= r)
            );
            let upper = core::array::from_fn(|index| left[index].max(right[index]));
            assert_eq!(merged(&clock(left), &clock(right)), clock(upper));
            let (lower, mut met) = (
                core::array::from_fn(|index| left[index].min(right[index])),
                clock(left),
            );
            met.intersect(&clock(right));
            assert_eq!(met, clock(lower));
        }
    }
}

fn decode(entries: &[(u128, u64)]) -> Result<VectorClock, postcard::Error> {
    let entries: Vec<_> = entries
        .iter()
        .map(|(id, sequence)| (ReplicaId::from_u128(*id), *sequence))
        .collect();
    postcard::from_bytes(&postcard::to_allocvec(&entries)?)
}

#[test]
fn decoding_refuses_what_is_unsorted_repeated_or_zero() {
    assert!(decode(&[(1, 1), (2, 1)]).is_ok());
    assert!(decode(&[(2, 1), (1, 1)]).is_err());
    assert!(decode(&[(1, 1), (1, 2)]).is_err());
    assert!(decode(&[(1, 0)]).is_err());
}

#[test]
#[should_panic(expected = "nobody writes 2^64 times")]
fn the_last_sequence_has_no_next() {
    let replica = ReplicaId::from_u128(1);
    VectorClock::from_iter([(replica, u64::MAX)]).next(replica);
}

#[test]
fn a_clock_reads_as_its_last_dots() {
    let clock = VectorClock::from_iter([
        (ReplicaId::from_u128(0xab << 120), 3),
        (ReplicaId::from_u128(1 << 96), 7),
    ]);
    assert_eq!(clock.to_string(), "{00000001:7 ab000000:3}");
}
