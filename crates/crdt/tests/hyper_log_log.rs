//! The count of different things: how good it is, how large, and what its decoder refuses.

use isles_clock::{Dot, Everything, ReplicaId, VectorClock};
use isles_crdt::hyper_log_log::{HyperLogLogOp, Sketch};
use isles_crdt::op::OpBased;
use isles_crdt::{Crdt, HyperLogLog, Merge, op};
use proptest::prelude::*;

const E: ReplicaId = ReplicaId::from_bytes([0xe0; 16]);
const U: ReplicaId = ReplicaId::from_bytes([0xf0; 16]);

/// Splitmix64: every number once, well mixed.
fn hash(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The root of the mean square of relative errors over many sketches of different things.
fn error_at(count: u64, sketches: u64) -> f64 {
    let squares = (0..sketches).map(|seed| {
        let sketch: Sketch = (0..count).map(|number| hash(seed << 40 | number)).collect();
        let error = sketch.cardinality() as f64 / count as f64 - 1.0;
        error * error
    });
    (squares.sum::<f64>() / sketches as f64).sqrt()
}

#[test]
fn the_standard_error_is_below_one_percent_at_every_size() {
    for (count, sketches) in [
        (10, 400),
        (300, 200),
        (3_000, 100),
        (20_000, 60),
        (50_000, 60),
        (200_000, 40),
    ] {
        let error = error_at(count, sketches);
        println!("{count}: {:.3} %", error * 100.0);
        // 1.04 / 2^7 is 0.81 %; the error of the error, of so few sketches, is the rest.
        assert!(
            error < 0.0081 * (1.0 + 3.0 / (2.0 * sketches as f64).sqrt()),
            "{count}: {error}"
        );
    }
}

#[test]
fn the_count_of_nothing_is_zero_and_of_one_thing_one() {
    assert_eq!(Sketch::new().cardinality(), 0);
    assert_eq!(Sketch::from_iter([hash(1), hash(1)]).cardinality(), 1);
    assert_eq!(Sketch::from_iter([0]).cardinality(), 1); // the greatest rank there is
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Sparse and dense in all pairs.
    #[test]
    fn a_merged_sketch_is_that_of_the_union(a in 0u64..6_000, b in 0u64..6_000, apart in 0u64..6_000) {
        let one: Sketch = (0..a).map(hash).collect();
        let other: Sketch = (apart..apart + b).map(hash).collect();
        let union: Sketch = (0..a).chain(apart..apart + b).map(hash).collect();
        let mut merged = one.clone();
        merged.merge(&other);
        prop_assert_eq!(&merged, &union);
        let mut raised = one.clone();
        raised.merge(&other.minus(&one));
        prop_assert_eq!(&raised, &union);
        prop_assert!(other.minus(&union).is_empty());
        let bytes = postcard::to_allocvec(&union).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<Sketch>(&bytes).unwrap(), &union);
        prop_assert!(bytes.len() <= 12 * 1024 + 3);
    }
}

/// Without dots, clearing before or after the maximum made two replicas differ for good.
#[test]
fn clearing_beats_what_is_added_to_the_sketch_concurrently() {
    let (add, concurrently) = (Dot::new(E, 1), Dot::new(U, 1));
    let clear = Dot::new(E, 2);
    let saw_add = VectorClock::from_iter([(E, 1)]);
    let created = HyperLogLogOp::Create([hash(1)].into_iter().collect());
    let raised = HyperLogLogOp::Raise(add, [hash(2)].into_iter().collect());
    let run = |ops: [(Dot, HyperLogLogOp); 2]| {
        let mut count = op::HyperLogLog::new();
        count.effect(add, &Everything, created.clone());
        for (dot, op) in ops {
            count.effect(dot, &saw_add, op);
        }
        count
    };
    let raised_last = run([
        (clear, HyperLogLogOp::Clear),
        (concurrently, raised.clone()),
    ]);
    let cleared_last = run([(concurrently, raised), (clear, HyperLogLogOp::Clear)]);
    assert_eq!(raised_last, cleared_last);
    assert_eq!(raised_last.value(), 0);
}

#[test]
fn what_is_created_concurrently_is_counted_together() {
    let (mut here, mut there) = (HyperLogLog::new(), HyperLogLog::new());
    let _delta = here.add(E, [hash(1), hash(2)]);
    let _delta = there.add(U, [hash(2), hash(3)]);
    here.merge(&there);
    assert_eq!((here.cardinality(), here.store().sketches().len()), (3, 2));
    let delta = here.add(U, [hash(1)]); // it is in the sketch that would rise
    assert!(delta.is_empty());
    let _delta = here.clear(U);
    here.merge(&there);
    assert_eq!(here.cardinality(), 0);
}

#[test]
fn a_delta_holds_the_registers_that_changed() {
    let mut count = HyperLogLog::new();
    let _delta = count.add(E, (0..100_000).map(hash).collect::<Vec<_>>());
    let delta = count.add(E, (0..100_010).map(hash).collect::<Vec<_>>());
    assert!(postcard::to_allocvec(&delta).unwrap().len() < 200);
}

#[test]
fn golden_bytes() {
    let sketch: Sketch = [1, 2 | 1 << 14, 0].into_iter().collect();
    assert_eq!(
        postcard::to_allocvec(&sketch).unwrap(),
        [0, 3, 51, 115, 129, 1]
    );
    for (why, bytes) in [
        ("out of order", [0, 2, 115, 51].as_slice()),
        ("a register twice", &[0, 2, 51, 50]),
        ("a rank of zero", &[0, 1, 64]),
        ("a rank too great", &[0, 1, 52]),
        ("a register too many", &[0, 1, 0x81, 0x80, 0x40]),
        ("dense and too short", &[1, 2, 0, 0]),
    ] {
        assert!(postcard::from_bytes::<Sketch>(bytes).is_err(), "{why}");
    }
    let mut dense = vec![1, 0x80, 0x60];
    dense.extend([0; 12 * 1024]);
    assert!(
        postcard::from_bytes::<Sketch>(&dense).is_err(),
        "dense and empty"
    );
    let mut count = HyperLogLog::new();
    let _delta = count.add(E, [1]);
    let bytes: String = postcard::to_allocvec(&count)
        .unwrap()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(bytes.replace(&"e0".repeat(16), "E"), "01E0100017301E010000");
}
