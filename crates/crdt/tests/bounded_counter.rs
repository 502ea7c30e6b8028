//! The bounded counter: it is never below zero, and says why it refuses.

use isles_clock::{Hlc, ReplicaId, Stamp};
use isles_crdt::bounded_counter::Refusal;
use isles_crdt::update::BoundedCounterUpdate::{self, Decrement, Increment, Transfer};
use isles_crdt::{BoundedCounter, DeltaState, Merge};
use proptest::prelude::*;

const REPLICAS: [ReplicaId; 3] = [
    ReplicaId::from_bytes([0xd0; 16]),
    ReplicaId::from_bytes([0xe0; 16]),
    ReplicaId::from_bytes([0xf0; 16]),
];

fn updates() -> impl Strategy<Value = BoundedCounterUpdate> {
    prop_oneof![
        2 => (0u64..8).prop_map(Increment),
        3 => (0u64..8).prop_map(Decrement),
        2 => (0usize..3, 0u64..8).prop_map(|(to, rights)| Transfer { to: REPLICAS[to], rights }),
    ]
}

proptest! {
    /// Deltas are lost, repeated and overtake each other; nobody waits for anybody.
    #[test]
    fn it_is_never_below_zero(steps in prop::collection::vec((0usize..3, updates(), any::<u64>()), 1..80)) {
        let mut counters = vec![BoundedCounter::new(); 3];
        let mut sent = Vec::new();
        let (mut granted, mut spent) = (0u128, 0u128);
        for (at, update, luck) in steps {
            let before = counters[at].clone();
            let delta = counters[at].mutate(Stamp::new(Hlc::ZERO, REPLICAS[at]), update);
            granted += counters[at].granted() - before.granted();
            spent += counters[at].spent() - before.spent();
            prop_assert!(spent <= granted, "more was spent than there is");
            sent.push(delta);
            for (index, counter) in counters.iter_mut().enumerate() {
                if luck >> index & 1 == 1 {
                    counter.apply(&sent[(luck >> 8) as usize % sent.len()]);
                }
            }
        }
        let all = counters.iter().fold(BoundedCounter::new(), |mut all, each| { all.merge(each); all });
        prop_assert_eq!(all.value(), granted - spent);
        let rights: u128 = REPLICAS.iter().map(|replica| u128::from(all.rights(*replica))).sum();
        prop_assert_eq!(rights, all.value(), "every right has one holder");
    }
}

#[test]
fn a_refusal_says_how_many_are_missing_and_who_has_them() {
    let [d, e, f] = REPLICAS;
    let mut counter = BoundedCounter::new();
    let _delta = counter.increment(d, 10);
    let _delta = counter.transfer(d, e, 7).unwrap();
    let refusal = counter.decrement(f, 4).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::NotEnoughRights {
            missing: 4,
            holders: vec![(e, 7), (d, 3)]
        }
    );
    assert_eq!(
        refusal.to_string(),
        "4 rights are missing here; e0e0e0e0 has 7, d0d0d0d0 has 3"
    );
    assert!(counter.transfer(d, f, 4).is_err());
    let before = counter.clone();
    let _delta = counter.transfer(d, d, 2).unwrap();
    assert_eq!(counter, before);
}

#[test]
fn seats_sold_never_exceed_the_seats_there_are() {
    let [d, e, _] = REPLICAS;
    let mut seats = BoundedCounter::new();
    let _delta = seats.increment(d, 2);
    let _delta = seats.transfer(d, e, 1).unwrap();
    let _delta = seats.decrement(e, 1).unwrap();
    assert!(seats.decrement(e, 1).is_err());
    let _delta = seats.decrement(d, 1).unwrap();
    assert_eq!((seats.spent(), seats.granted(), seats.value()), (2, 2, 0));
}

#[test]
fn full_counts_refuse_instead_of_forgetting() {
    let [d, e, _] = REPLICAS;
    let mut counter = BoundedCounter::new();
    let _delta = counter.increment(d, u64::MAX);
    let _delta = counter.decrement(d, u64::MAX).unwrap();
    let _delta = counter.increment(d, 5); // its count is full
    assert_eq!((counter.value(), counter.rights(d)), (0, 0));
    let _delta = counter.increment(e, 5);
    let _delta = counter.transfer(e, d, 5).unwrap();
    // What was spent would not be counted.
    let refused = counter.decrement(d, 3).expect_err("its count is full");
    assert_eq!(refused, Refusal::CountIsFull);
    assert_eq!(counter.value(), 5);
}

#[test]
fn golden_bytes() {
    let [d, e, _] = REPLICAS;
    let mut counter = BoundedCounter::new();
    let _delta = counter.increment(d, 300);
    let delta = counter.transfer(d, e, 7).unwrap();
    let _delta = counter.decrement(e, 2).unwrap();
    let hex = |counter: &BoundedCounter| {
        let bytes = postcard::to_allocvec(counter).unwrap();
        assert_eq!(
            &postcard::from_bytes::<BoundedCounter>(&bytes).unwrap(),
            counter
        );
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        text.replace(&"d0".repeat(16), "D")
            .replace(&"e0".repeat(16), "E")
    };
    assert_eq!(hex(&counter), "01Dac0201E0201DE07");
    assert_eq!(hex(&delta), "000001DE07");
    let row = |from: u8, to: u8, rights: u8| [[from; 16].as_slice(), &[to; 16], &[rights]].concat();
    let read = |rows: &[Vec<u8>]| {
        let bytes = [vec![0, 0, rows.len() as u8], rows.concat()].concat();
        postcard::from_bytes::<BoundedCounter>(&bytes)
    };
    assert!(read(&[row(1, 2, 1), row(2, 1, 1)]).is_ok());
    assert!(read(&[row(2, 1, 1), row(1, 2, 1)]).is_err(), "out of order");
    assert!(read(&[row(1, 2, 1), row(1, 2, 2)]).is_err(), "twice");
    assert!(read(&[row(1, 1, 1)]).is_err(), "to its holder");
    assert!(read(&[row(1, 2, 0)]).is_err(), "of nothing");
}
