//! Sets of dots, and what two strangers' sets do to each other.
#![no_main]

use isles_clock::{Causality, Context, Dot, DotContext};
use isles_clock_fuzz::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes;
    let Some(ours) = decode::<DotContext>(&mut bytes) else {
        return;
    };
    let theirs = decode::<DotContext>(&mut bytes).unwrap_or_default();
    let (mut left, mut right) = (ours.clone(), theirs.clone());
    left.merge(&theirs);
    right.merge(&ours);
    assert_eq!(left, right);
    assert!(left.dominates(&ours) && left.dominates(&theirs));
    assert_eq!(ours.dominates(&theirs), left == ours);
    assert_eq!(ours.compare(&theirs) == Causality::Equal, ours == theirs);
    decode::<DotContext>(&mut &*postcard::to_allocvec(&left).expect("a set can be written"))
        .expect("what merging makes can be read");
    for (replica, after, through) in ours.runs() {
        assert!(
            left.covers(Dot::new(replica, after + 1)) && left.covers(Dot::new(replica, through))
        );
        assert!(!ours.covers(Dot::new(replica, after)));
        assert!(left.greatest(replica) >= through);
    }
});
