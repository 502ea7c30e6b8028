//! The sorted set: its order, its numbers, its bytes.

use isles_clock::{Hlc, ReplicaId, Stamp};
use isles_crdt::sorted_set::{AdditionError, NotANumber, Score};
use isles_crdt::{Delta, DeltaState, Merge, SortedSet, op};
use proptest::prelude::*;

const E: ReplicaId = ReplicaId::from_bytes([0xe0; 16]);
const U: ReplicaId = ReplicaId::from_bytes([0xf0; 16]);

fn at(who: ReplicaId, ms: u64) -> Stamp {
    Stamp::new(Hlc::new(ms, 0), who)
}

fn score(number: f64) -> Score {
    Score::try_from(number).expect("it is a number")
}

#[derive(Clone, Debug)]
enum Change {
    Set(u16, i8),
    Add(u16, i8),
    Remove(u16),
    Clear,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        20 => (0u16..300, -4i8..4).prop_map(|(member, score)| Change::Set(member, score)),
        10 => (0u16..300, -4i8..4).prop_map(|(member, by)| Change::Add(member, by)),
        10 => (0u16..300).prop_map(Change::Remove),
        1 => Just(Change::Clear),
    ];
    prop::collection::vec(change, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Seen from one place it is a sorted vector of pairs; the deltas make the same of another one.
    #[test]
    fn ranks_and_ranges_are_those_of_a_sorted_vector(changes in changes(), probe in -5i8..5, wide in 0i8..4) {
        let (mut set, mut other) = (SortedSet::<u16>::new(), SortedSet::new());
        let mut model = std::collections::BTreeMap::<u16, i32>::new();
        for (time, change) in changes.into_iter().enumerate() {
            let delta = match change {
                Change::Set(member, to) => {
                    model.insert(member, to.into());
                    set.set(at(E, time as u64), member, Score::from(i32::from(to)))
                }
                Change::Add(member, by) => {
                    *model.entry(member).or_default() += i32::from(by);
                    set.add(U, member, Score::from(i32::from(by))).unwrap()
                }
                Change::Remove(member) => {
                    model.remove(&member);
                    set.remove(E, &member)
                }
                Change::Clear => {
                    model.clear();
                    set.clear(U)
                }
            };
            other.apply(&delta);
        }
        prop_assert_eq!(&set, &other);
        let mut sorted: Vec<_> = model.iter().map(|(member, score)| (*score, *member)).collect();
        sorted.sort_unstable();
        for set in [&set, &other] {
            let pairs: Vec<_> = set.iter().map(|(member, score)| (score, *member)).collect();
            prop_assert!(pairs.iter().map(|(score, member)| (score.get() as i32, *member)).eq(sorted.iter().copied()));
            for (index, (_, member)) in sorted.iter().enumerate() {
                prop_assert_eq!(set.rank(member), Some(index));
                prop_assert_eq!(set.select(index).map(|(member, _)| member), Some(member));
            }
            prop_assert_eq!(set.rank(&1_000), None);
            let (low, high) = (i32::from(probe), i32::from(probe + wide));
            let within = set.range_of(Score::from(low)..=Score::from(high));
            let expected: Vec<_> = sorted.iter().filter(|(score, _)| (low..=high).contains(score)).map(|(_, member)| *member).collect();
            prop_assert!(set.range(within).map(|(member, _)| *member).eq(expected));
            prop_assert_eq!(set.range_of(..Score::from(low)).end, sorted.partition_point(|(score, _)| *score < low));
            prop_assert_eq!(set.range_of(Score::from(low)..), sorted.partition_point(|(score, _)| *score < low)..sorted.len());
        }
    }
}

#[test]
fn additions_that_a_removal_had_not_observed_stay() {
    let mut here = SortedSet::new();
    let _delta = here.set(at(E, 1), "m", score(4.1));
    let mut there = here.clone();
    let _delta = here.remove(E, "m");
    let _delta = there.add(U, "m", score(2.0)).unwrap();
    here.merge(&there);
    assert_eq!(here.score("m"), Some(score(2.0)));
}

#[test]
fn setting_takes_the_place_of_the_additions_it_has_observed() {
    let mut here = SortedSet::new();
    let _delta = here.add(E, "m", score(5.0)).unwrap();
    let mut there = here.clone();
    let _delta = there.set(at(U, 1), "m", score(1.0));
    let _delta = here.add(E, "m", score(3.0)).unwrap();
    here.merge(&there);
    assert_eq!(here.score("m"), Some(score(4.0)));
}

#[test]
fn nan_is_never_stored() {
    let (infinity, minus) = (score(f64::INFINITY), score(f64::NEG_INFINITY));
    assert_eq!(Score::try_from(f64::NAN), Err(NotANumber));
    let mut here = SortedSet::new();
    let _delta = here.set(at(E, 1), "m", infinity);
    assert_eq!(
        here.add(E, "m", minus).unwrap_err(),
        AdditionError::NotANumber
    );
    assert_eq!(
        here.add(E, "m", score(1.0)).map(|_| here.score("m")),
        Ok(Some(infinity))
    );

    let (mut one, mut other) = (SortedSet::new(), SortedSet::new());
    let _delta = one.add(E, "m", infinity).unwrap();
    let _delta = other.add(U, "m", minus).unwrap();
    one.merge(&other);
    assert_eq!(one.score("m"), Some(Score::ZERO));
    // It reads as zero, but the own total is infinite, and the sum with minus infinity would be none.
    assert_eq!(
        one.add(E, "m", minus).unwrap_err(),
        AdditionError::NotANumber
    );
}

#[test]
fn zero_has_one_sign_and_infinities_are_at_the_ends() {
    assert_eq!(score(-0.0), score(0.0));
    let mut set = SortedSet::new();
    for number in [f64::INFINITY, 0.5, -3.0, f64::NEG_INFINITY, -0.0, 1e-300] {
        let _delta = set.set(at(E, 1), format!("{number}"), score(number));
    }
    let order: Vec<f64> = set.iter().map(|(_, score)| score.get()).collect();
    assert_eq!(
        order,
        [f64::NEG_INFINITY, -3.0, 0.0, 1e-300, 0.5, f64::INFINITY]
    );
}

#[test]
fn nothing_is_left_of_members_that_were_set_and_removed() {
    let mut set = SortedSet::new();
    for round in 0..1_000u32 {
        let _delta = set.set(at(E, 1), round, score(1.0));
        let _delta = set.remove(E, &round);
    }
    let _delta = set.add(E, 7, score(1.0)).unwrap();
    let _delta = set.remove(E, &7);
    assert!(set.is_empty());
    set.forget_all();
    let (bytes, context) = (encoded(&set).len(), encoded(&set.context()).len());
    assert!(
        bytes <= 2 * context + 4,
        "what was seen, what was forgotten, and nothing else"
    );
}

fn sample() -> (SortedSet<u8>, Delta<op::SortedSet<u8>>) {
    let mut set = SortedSet::new();
    let _delta = set.set(at(E, 1), 7, score(1.5));
    let delta = set.add(U, 7, score(2.0)).expect("the sum is a number");
    (set, delta)
}

fn encoded(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("a value has an encoding")
}

fn hex(value: &impl serde::Serialize) -> String {
    let bytes = encoded(value);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.replace(&"e0".repeat(16), "E")
        .replace(&"f0".repeat(16), "U")
}

#[test]
fn golden_bytes() {
    let (set, delta) = sample();
    assert_eq!(
        hex(&set),
        "00010701E01808004000000000000f83f01U0101808080808080808080010002E01U010000"
    );
    assert_eq!(hex(&delta), "0101070001U01018080808080808080800100000000");
    assert_eq!(hex(&score(1.5)), "000000000000f83f");
    assert!(postcard::from_bytes::<Score>(&f64::NAN.to_le_bytes()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let (set, _) = sample();
        let mut bytes = postcard::to_allocvec(&set).unwrap();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(mut odd) = postcard::from_bytes::<SortedSet<u8>>(&bytes) {
            prop_assert!(odd.iter().all(|(_, score)| !score.get().is_nan()));
            odd.merge(&set);
            let _ = odd.add(E, 7, score(1.0));
            prop_assert_eq!(postcard::from_bytes::<SortedSet<u8>>(&postcard::to_allocvec(&odd).unwrap()).unwrap(), odd);
        }
    }
}

/// Running totals of one number each lost what was small for good: a hundred additions of 1 came to nothing.
#[test]
fn small_additions_are_not_swallowed_by_a_large_one_that_is_reset() {
    for large in [1e17, 1e300, f64::INFINITY] {
        let (mut here, mut there) = (SortedSet::new(), SortedSet::new());
        there.apply(&here.add(E, "m", score(large)).unwrap());
        let set = there.set(at(U, 1), "m", score(10.0));
        let _delta = here.add(E, "m", score(3.0)).unwrap(); // concurrently
        here.apply(&set);
        assert_eq!(here.score("m"), Some(score(13.0)), "{large}");
        for _ in 0..100 {
            there.apply(&here.add(E, "m", score(1.0)).unwrap());
        }
        assert_eq!(here.score("m"), Some(score(113.0)), "{large}");
        there.merge(&here);
        assert_eq!(here, there);

        // A second infinity is one more, and counts when the first is reset.
        let _delta = here.add(E, "m", score(large)).unwrap();
        assert_eq!(here.score("m"), Some(score(113.0 + large)), "{large}");
    }
}

#[test]
fn an_addition_that_would_be_lost_is_refused() {
    let mut set = SortedSet::new();
    let _delta = set.add(E, "m", score(1e300)).unwrap();
    let _delta = set.add(E, "m", score(1e280)).unwrap();
    let before = set.clone();
    assert_eq!(set.add(E, "m", score(1.0)), Err(AdditionError::Lost));
    assert_eq!(set, before);
    assert!(set.add(E, "m", score(0.0)).is_ok());
    let _delta = set.add(E, "n", score(f64::MAX)).unwrap();
    assert_eq!(set.add(E, "n", score(f64::MAX)), Err(AdditionError::Lost));
    // Another replica's total is another one.
    assert!(set.add(U, "m", score(1.0)).is_ok());
}

/// Scores beyond the greatest number were read as zero, and so were those where only the way there led beyond it.
#[test]
fn a_score_beyond_the_greatest_number_is_infinite() {
    let large = score(1.5e308);
    let mut set = SortedSet::new();
    let _delta = set.set(at(E, 1), "m", large);
    let _delta = set.add(E, "m", large).unwrap();
    assert_eq!(set.score("m"), Some(score(f64::INFINITY)));
    assert_eq!(set.select(0), Some((&"m", score(f64::INFINITY))));
    let _delta = set.add(U, "m", score(-1.5e308)).unwrap();
    assert_eq!(set.score("m"), Some(large));

    let _delta = set.set(at(E, 2), "m", score(-1.5e308));
    let _delta = set.add(U, "m", score(-1.5e308)).unwrap();
    assert_eq!(set.score("m"), Some(score(f64::NEG_INFINITY)));
}

/// What was taken away is subtracted from a total: their difference may be too large for a number, too.
#[test]
fn a_difference_beyond_the_greatest_number_is_infinite() {
    let (mut here, mut there) = (SortedSet::new(), SortedSet::new());
    there.apply(&here.add(E, "m", score(-1.5e308)).unwrap());
    let set = there.set(at(U, 1), "m", Score::ZERO);
    for _ in 0..2 {
        let _delta = here.add(E, "m", score(1.5e308)).unwrap(); // concurrently
    }
    here.apply(&set);
    assert_eq!(here.score("m"), Some(score(f64::INFINITY)));
}
