//! Runs of stamps: what is accepted is what the encoder writes.
#![no_main]

use isles_clock::{Hlc, delta};
use isles_clock_fuzz::split;
use libfuzzer_sys::fuzz_target;

const STAMPS_MAX: usize = 256;

fuzz_target!(|bytes: &[u8]| {
    let (base, bytes) = split(bytes);
    let base = base
        .first_chunk()
        .map_or(Hlc::new(1_000, 7), |bytes| Hlc::from_bytes(*bytes));
    let mut rest = bytes;
    let Ok(stamps) = delta::decode_stamps(base, &mut rest, STAMPS_MAX) else {
        assert_eq!(rest, bytes);
        return;
    };
    assert!(stamps.len() <= STAMPS_MAX);
    let mut again = Vec::new();
    delta::encode_stamps(&stamps, base, &mut again);
    assert_eq!(again, bytes[..bytes.len() - rest.len()]);
});
