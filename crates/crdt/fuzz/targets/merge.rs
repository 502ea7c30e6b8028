//! Three replicas that exchange deltas in any order, as the input says, and end up equal; then damaged deltas arrive.
#![no_main]

use isles_clock::{Hlc, ReplicaId, Stamp};
use isles_crdt::{Crdt, DeltaState};
use isles_crdt_fuzz::{Plain, for_every_type, reads_back};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((number, bytes)) = bytes.split_first() {
        for_every_type!(number, check, bytes);
    }
});

fn check<S: DeltaState<Delta: Plain + Clone> + Plain + Clone>(
    bytes: &[u8],
    update: impl Fn(u8, u8) -> <S as Crdt>::Update,
) {
    let mut replicas = [S::default(), S::default(), S::default()];
    let mut sent: Vec<S::Delta> = Vec::new();
    let mut damages = Vec::new();
    for chunk in bytes.chunks_exact(3) {
        let [what, a, b] = [chunk[0], chunk[1], chunk[2]];
        let at = usize::from(what % 3);
        match what / 3 % 4 {
            0 | 1 => {
                let id = ReplicaId::from_bytes([at as u8 + 1; 16]);
                let stamp = Stamp::new(Hlc::new(u64::from(b % 4), 0), id);
                sent.push(replicas[at].mutate(stamp, update(a, b)));
            }
            2 if !sent.is_empty() => replicas[at].apply(&sent[usize::from(a) % sent.len()]),
            3 => damages.push((a, b)),
            _ => {}
        }
    }
    let merged = converge(&mut replicas, &sent);
    for (place, change) in damages {
        damage(
            &mut replicas[0],
            &merged.delta_since(&S::default().context()),
            place,
            change,
        );
        if let Some(delta) = sent.get(usize::from(place) % sent.len().max(1)) {
            damage(&mut replicas[1], delta, change, place);
        }
    }
}

/// Whatever was exchanged before, everything in any order makes everyone equal; so do whole states.
fn converge<S: DeltaState + Plain + Clone>(replicas: &mut [S; 3], sent: &[S::Delta]) -> S {
    let mut merged = replicas[2].clone();
    merged.merge(&replicas[0]);
    merged.merge(&replicas[1]);
    sent.iter().for_each(|delta| replicas[0].apply(delta));
    sent.iter().rev().for_each(|delta| replicas[1].apply(delta));
    let lacking = merged.delta_since(&replicas[2].context());
    replicas[2].apply(&lacking);
    for replica in replicas {
        assert_eq!(*replica, merged);
    }
    merged
}

/// What is refused changes nothing; what is accepted leaves a state that is one.
fn damage<S: DeltaState<Delta: Plain> + Plain + Clone>(
    state: &mut S,
    delta: &S::Delta,
    place: u8,
    change: u8,
) {
    let mut bytes = postcard::to_allocvec(delta).expect("a delta can be written");
    let place = usize::from(place) % bytes.len();
    bytes[place] ^= change;
    if let Ok(delta) = postcard::from_bytes::<S::Delta>(&bytes) {
        state.apply(&delta);
        reads_back(state);
        let _value = state.value();
    }
}
