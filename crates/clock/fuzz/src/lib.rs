//! What every target checks: what is accepted means the same after it was written again.

use std::fmt::Debug;

use isles_clock::VectorClock;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Takes a value off the front of `bytes`, if there is one, and checks that it reads back.
pub fn decode<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &mut &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes).ok()?;
    let again = postcard::to_allocvec(&value).expect("what was read can be written");
    // Postcard itself takes needlessly long numbers; written again they are only ever shorter.
    assert!(again.len() <= bytes.len() - rest.len());
    assert_eq!(postcard::from_bytes::<T>(&again).as_ref(), Ok(&value));
    *bytes = rest;
    Some(value)
}

/// The same for JSON.
pub fn decode_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) {
    if let Ok(value) = serde_json::from_str::<T>(text) {
        let again = serde_json::to_string(&value).expect("what was read can be written");
        assert_eq!(serde_json::from_str::<T>(&again).ok(), Some(value));
    }
}

/// A clock of small sequences, so that clocks meet: each byte observes one dot of one of eight replicas.
pub fn clock(dots: &[u8]) -> VectorClock {
    let entry = |dot: &u8| {
        let replica = isles_clock::ReplicaId::from_u128(u128::from(dot & 7) + 1);
        (replica, u64::from(dot >> 3))
    };
    dots.iter().map(entry).collect()
}

/// Splits what one target reads twice from: the first byte says where.
pub fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.split_first() {
        Some((at, rest)) => rest.split_at(usize::from(*at).min(rest.len())),
        None => (&[], &[]),
    }
}
