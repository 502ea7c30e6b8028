//! The histories by which counters were found to go wrong, one by one.

use isles_clock::{Dot, ReplicaId, VectorClock};
use isles_crdt::op::{Contribution, Increment, Reset, Tally};

const A: ReplicaId = ReplicaId::from_u128(0xa);
const B: ReplicaId = ReplicaId::from_u128(0xb);

/// An increment of A, executed here and returned for others.
fn add(tally: &mut Tally, sequence: u64, by: i128) -> (Dot, Increment) {
    let (dot, increment) = (Dot::new(A, sequence), tally.next(A, by));
    tally.apply(dot, increment);
    (dot, increment)
}

fn tally_of(increments: &[(Dot, Increment)]) -> Tally {
    let mut tally = Tally::new();
    increments
        .iter()
        .for_each(|(dot, increment)| tally.apply(*dot, *increment));
    tally
}

/// F4a: a clock cannot reset a counter, because nobody knows any more what the total was then.
#[test]
fn a_reset_takes_away_what_it_had_observed_and_not_what_came_after() {
    let mut at_a = Tally::new();
    let first = add(&mut at_a, 1, 5);
    let observed = tally_of(&[first]).resets();
    add(&mut at_a, 2, 3);
    at_a.reset(&observed);
    assert_eq!(at_a.value(), 3);
    assert_eq!(
        at_a.resets().as_slice(),
        [Reset {
            replica: A,
            sequence: 2,
            total: 8
        }]
    );
}

/// F4b: where the contribution was dropped, a late reset of it made the counter negative.
#[test]
fn a_reset_of_what_was_dropped_is_ignored() {
    let mut tally = Tally::new();
    tally.reset(&[Reset {
        replica: A,
        sequence: 1,
        total: 5,
    }]);
    assert!(tally.is_empty());
}

/// F4c: restarting when the difference is zero lost the increments that made it zero.
#[test]
fn a_difference_of_zero_is_not_a_reason_to_restart() {
    let mut tally = Tally::new();
    add(&mut tally, 1, 3);
    let observed = tally.resets();
    add(&mut tally, 2, -3); // not known where the reset was made
    let (_, increment) = add(&mut tally, 3, 5);
    assert!(!increment.restart);
    tally.reset(&observed);
    assert_eq!(tally.value(), 2);
}

/// F4d, F20: INCR, DEL, INCR in one entry. The increment and the reset must not be taken for one another.
#[test]
fn increments_around_a_reset_in_one_entry() {
    let mut writer = Tally::new();
    let earlier = add(&mut writer, 1, 7);
    let mut receiver = tally_of(&[earlier]);

    add(&mut writer, 2, 1);
    let resets = writer.resets();
    writer.reset(&resets);
    let (dot, increment) = add(&mut writer, 2, 1);

    receiver.reset(&resets);
    receiver.apply(dot, increment);
    assert_eq!((writer.value(), receiver.value()), (1, 1));
    assert_eq!(writer, receiver);
}

/// The same without the last increment: the reset names an increment that no one else has ever seen.
#[test]
fn an_increment_that_its_own_entry_resets() {
    let mut writer = Tally::new();
    let earlier = add(&mut writer, 1, 7);
    let mut receiver = tally_of(&[earlier]);

    add(&mut writer, 2, 1);
    let resets = writer.resets();
    writer.reset(&resets);
    receiver.reset(&resets);
    assert!(writer.all_covered() && receiver.all_covered());

    let next = add(&mut writer, 3, 4);
    receiver.apply(next.0, next.1);
    assert_eq!((writer.value(), receiver.value()), (4, 4));
}

/// Of two increments in one entry the first restarts and the second knows nothing of it.
#[test]
fn two_increments_in_one_entry_restart_together() {
    let mut writer = Tally::new();
    let mut receiver = tally_of(&[add(&mut writer, 1, 7)]);
    let resets = writer.resets();
    writer.reset(&resets);
    receiver.reset(&resets);

    let (dot, first) = add(&mut writer, 2, 1);
    let (_, second) = add(&mut writer, 2, 1);
    receiver.apply(dot, first.then(second));
    assert_eq!((writer.value(), receiver.value()), (2, 2));
}

#[test]
fn of_concurrent_resets_the_later_increment_counts() {
    let mut tally = Tally::new();
    add(&mut tally, 1, 5);
    let early = tally.resets();
    add(&mut tally, 2, 3);
    let late = tally.resets();
    add(&mut tally, 3, 1);
    tally.reset(&late);
    tally.reset(&early);
    assert_eq!(tally.value(), 1);
}

/// F5: the creator had dropped the counter, so it cannot list what others still hold.
#[test]
fn a_creation_covers_what_its_writer_had_observed_and_no_longer_held() {
    let mut tally = Tally::new();
    add(&mut tally, 1, 5);
    tally.apply(
        Dot::new(B, 4),
        Increment {
            total: 2,
            restart: true,
        },
    );
    tally.cover(&VectorClock::from_iter([(A, 1), (B, 3)]), &[]);
    assert_eq!(tally.value(), 2); // B's increment is concurrent with the creation
    assert!(tally.own(A).is_some_and(Contribution::covered));
}

#[test]
fn a_creation_resets_what_it_lists_as_listed() {
    let mut tally = Tally::new();
    add(&mut tally, 1, 5);
    let held = tally.resets();
    add(&mut tally, 2, 3);
    tally.cover(&VectorClock::from_iter([(A, 1)]), &held);
    assert_eq!(tally.value(), 3);
}

/// F4f: sums beyond 64 bits are kept, and totals wrap where even 128 do not suffice.
#[test]
fn differences_are_exact_also_where_totals_wrap() {
    let mut tally = Tally::new();
    add(&mut tally, 1, i128::MAX);
    let observed = tally.resets();
    add(&mut tally, 2, 10);
    tally.reset(&observed);
    assert_eq!(tally.value(), 10);
    tally.apply(
        Dot::new(B, 1),
        Increment {
            total: 9_000_000_000_000_000_000,
            restart: true,
        },
    );
    assert_eq!(tally.value(), 9_000_000_000_000_000_010);
}

#[test]
fn only_covered_contributions_are_dropped() {
    let mut tally = Tally::new();
    add(&mut tally, 1, 5);
    tally.apply(
        Dot::new(B, 1),
        Increment {
            total: 0,
            restart: true,
        },
    );
    tally.reset(&[Reset {
        replica: A,
        sequence: 1,
        total: 5,
    }]);
    tally.drop_covered();
    assert_eq!(
        tally
            .contributions()
            .iter()
            .map(|each| each.replica)
            .collect::<Vec<_>>(),
        [B]
    );
    assert!(!tally.all_covered()); // a counter at zero exists
}
