//! States of every type, and what two strangers' states do to each other.
#![no_main]

use isles_clock::{Hlc, ReplicaId, Stamp};
use isles_crdt::{Crdt, DeltaState};
use isles_crdt_fuzz::{Plain, decode, for_every_type, reads_back, with_replicas};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((number, bytes)) = bytes.split_first() {
        for_every_type!(number, check, &with_replicas(bytes));
    }
});

fn check<S: DeltaState<Delta: Plain> + Plain + Clone>(
    mut bytes: &[u8],
    update: impl Fn(u8, u8) -> <S as Crdt>::Update,
) {
    let Some(ours) = decode::<S>(&mut bytes) else {
        return;
    };
    let theirs = decode::<S>(&mut bytes).unwrap_or_default();
    let mut merged = ours.clone();
    merged.merge(&theirs);
    reads_back(&merged);
    merged.merge(&ours);
    let lacking = ours.delta_since(&theirs.context());
    reads_back(&lacking);
    merged.apply(&lacking);
    let at = Stamp::new(Hlc::ZERO, ReplicaId::from_bytes([0xe0; 16]));
    if let [a, b, ..] = bytes {
        let delta = merged.mutate(at, update(*a, *b));
        reads_back(&delta);
    }
    reads_back(&merged);
    let _value = merged.value();
}
