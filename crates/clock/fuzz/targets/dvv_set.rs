//! Sets of siblings, with values of some bytes and of none, and what strangers' sets and contexts do to each other.
#![no_main]

use isles_clock::{DvvSet, ReplicaId, VectorClock};
use isles_clock_fuzz::{clock, decode, split};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    decode::<DvvSet<()>>(&mut &*bytes);
    decode::<DvvSet<DvvSet<u8>>>(&mut &*bytes);
    let (dots, mut bytes) = split(bytes);
    let Some(ours) = decode::<DvvSet<u8>>(&mut bytes) else {
        return;
    };
    let theirs = decode::<DvvSet<u8>>(&mut bytes).unwrap_or_default();
    let context = decode::<VectorClock>(&mut bytes).unwrap_or_else(|| clock(dots));
    let mut both = ours.clone();
    both.sync(&theirs);
    assert!(both.dominates(&ours) && both.dominates(&theirs));
    assert_eq!(both.iter().count(), both.len());
    let replica = both
        .context()
        .iter()
        .last()
        .map_or(ReplicaId::from_u128(1), |entry| entry.0);
    if let Ok(dot) = both.update(&context, replica, 0) {
        assert!(both.iter().any(|(present, _)| present == dot));
    }
    both.discard(&context);
    assert!(both.context().dominates(&context));
    both.discard(&both.context());
    assert!(both.is_empty());
    decode::<DvvSet<u8>>(&mut &*postcard::to_allocvec(&both).expect("a set can be written"))
        .expect("what a set becomes can be read");
});
