//! Deltas of every type, as they come from strangers: they join, apply in any order, and leave a state that is one.
#![no_main]

use isles_clock::{Hlc, ReplicaId, Stamp};
use isles_crdt::{Crdt, DeltaState, Merge};
use isles_crdt_fuzz::{Plain, decode, for_every_type, reads_back, with_replicas};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((number, bytes)) = bytes.split_first() {
        for_every_type!(number, check, &with_replicas(bytes));
    }
});

fn check<S: DeltaState<Delta: Plain + Clone> + Plain + Clone>(
    mut bytes: &[u8],
    update: impl Fn(u8, u8) -> <S as Crdt>::Update,
) {
    let at = Stamp::new(Hlc::ZERO, ReplicaId::from_bytes([0xf0; 16]));
    let (mut state, mut joined) = (S::default(), S::Delta::default());
    while let Some(delta) = decode::<S::Delta>(&mut bytes) {
        joined.merge(&delta);
        reads_back(&joined);
        state.apply(&delta);
        if let [a, b, ..] = bytes {
            joined.merge(&state.mutate(at, update(*a, *b)));
        }
        reads_back(&state);
        if bytes.is_empty() {
            break;
        }
    }
    state.apply(&joined);
    state.apply(&joined);
    reads_back(&state);
    let _value = state.value();
}
