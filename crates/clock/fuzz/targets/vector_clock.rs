//! Clocks, and what two strangers' clocks do to each other.
#![no_main]

use isles_clock::{Causality, Context, Dot, VectorClock};
use isles_clock_fuzz::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes;
    let Some(ours) = decode::<VectorClock>(&mut bytes) else {
        return;
    };
    let theirs = decode::<VectorClock>(&mut bytes).unwrap_or_default();
    let (mut union, mut intersection) = (ours.clone(), ours.clone());
    union.merge(&theirs);
    intersection.intersect(&theirs);
    assert!(union.dominates(&ours) && union.dominates(&theirs));
    assert!(ours.dominates(&intersection) && theirs.dominates(&intersection));
    assert_eq!(
        ours.compare(&theirs) == Causality::Equal,
        union == intersection
    );
    for (replica, after, through) in ours.minus(&theirs) {
        assert!(
            ours.covers(Dot::new(replica, through)) && !theirs.covers(Dot::new(replica, after + 1))
        );
    }
});
