//! Formats for people: keys need not be text, numbers may be large or infinite, and the order is that of values.

use std::fmt::Debug;

use isles_clock::{Hlc, ReplicaId, Stamp};
use isles_crdt::sorted_set::Score;
use isles_crdt::update::{CounterUpdate, SetUpdate};
use isles_crdt::{AwMap, AwSet, ResettableCounter, RwSet, SortedSet, op};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const EU: ReplicaId = ReplicaId::from_u128(1);
const US: ReplicaId = ReplicaId::from_u128(2);

/// As text, and as a tree whose objects sort their keys as texts.
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).expect("a value has a JSON form");
    let decoded: T = serde_json::from_str(&text).expect("what is written can be read");
    assert_eq!(&decoded, value);
    let tree = serde_json::to_value(value).expect("a value has a JSON form");
    let decoded: T = serde_json::from_value(tree).expect("what is written can be read");
    assert_eq!(&decoded, value);
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Todo {
    id: u64,
    text: String,
}

#[test]
fn elements_and_keys_of_any_type() {
    let mut numbers = AwSet::new();
    let (mut pairs, mut structs) = (RwSet::new(), AwSet::new());
    let mut nested: AwMap<Option<u8>, op::AwSet<(u8, u8)>> = AwMap::new();
    for number in [2u8, 10] {
        let _delta = numbers.add(EU, number);
        let _delta = pairs.add(EU, (number, 1u8));
        let text = "milk".to_owned();
        let id = number.into();
        let _delta = structs.add(EU, Todo { id, text });
        let _delta = nested.update(EU, Some(number), SetUpdate::Add((number, 2)));
    }
    check(&numbers);
    check(&pairs);
    check(&structs);
    check(&nested);
}

#[test]
fn infinite_scores_and_large_totals() {
    let mut set: SortedSet<u32> = SortedSet::new();
    let score = |number| Score::try_from(number).expect("it is a number");
    let at = Stamp::new(Hlc::ZERO, EU);
    for (member, number) in [(2, f64::INFINITY), (10, f64::NEG_INFINITY), (11, 3.0)] {
        let _delta = set.set(at, member, score(number));
    }
    let _delta = set.add(EU, 11, score(1e17)).expect("it fits");
    let _delta = set.add(EU, 11, score(0.3)).expect("it fits");
    let _delta = set.add(EU, 12, score(f64::INFINITY)).expect("it fits");
    check(&set);

    let mut counter = ResettableCounter::new();
    let mut map: AwMap<u32, op::ResettableCounter> = AwMap::new();
    for _ in 0..5 {
        let _delta = counter.add(EU, i64::MAX);
        let _delta = map.update(EU, 7, CounterUpdate::Add(i64::MIN));
    }
    check(&counter);
    let _delta = counter.reset(US);
    check(&counter);
    check(&map);
}

/// A reader that is fast and off by a bit made another score of one dot: replicas differed for good.
#[test]
fn scores_of_many_digits() {
    let score = |number| Score::try_from(number).expect("it is a number");
    let text = |number| serde_json::to_string(&score(number)).expect("a score has a JSON form");
    let texts = [
        (3.0, "3"),
        (4.1, "4.1"),
        (-0.001, "-0.001"),
        (9_100_000_000_000_010.0, "9100000000000010"),
        (1e22, "1e+22"),
        (1e23, "\"1e23\""),
        (0.1 + 0.2, "\"3.0000000000000004e-1\""),
        (f64::NEG_INFINITY, "\"-inf\""),
    ];
    for (number, expected) in texts {
        assert_eq!(text(number), expected);
    }
    let mut bits = 1u64;
    for _ in 0..20_000 {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        let fraction = (bits >> 11) as f64 / 1e15;
        for number in [f64::from_bits(bits), fraction, (bits >> 20) as f64] {
            if !number.is_nan() {
                check(&score(number));
            }
        }
    }
}
