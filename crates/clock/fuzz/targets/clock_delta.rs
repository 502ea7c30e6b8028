//! Clocks over a base: what is accepted is what the encoder writes.
#![no_main]

use isles_clock::{VectorClock, delta};
use isles_clock_fuzz::{clock, decode, split};
use libfuzzer_sys::fuzz_target;

const REPLICAS_MAX: usize = 16;

fuzz_target!(|bytes: &[u8]| {
    let (base, bytes) = split(bytes);
    let base = decode::<VectorClock>(&mut &*base).unwrap_or_else(|| clock(base));
    let mut rest = bytes;
    let Ok(decoded) = delta::decode_clock(&base, &mut rest, REPLICAS_MAX) else {
        assert_eq!(rest, bytes);
        return;
    };
    assert!(decoded.len() <= REPLICAS_MAX);
    let mut again = Vec::new();
    delta::encode_clock(&decoded, &base, &mut again);
    assert_eq!(again, bytes[..bytes.len() - rest.len()]);
});
