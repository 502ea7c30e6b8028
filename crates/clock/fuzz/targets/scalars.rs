//! Values of a fixed shape.
#![no_main]

use isles_clock::{Dot, Hlc, ReplicaId, Stamp};
use isles_clock_fuzz::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    decode::<ReplicaId>(&mut &*bytes);
    decode::<Dot>(&mut &*bytes);
    decode::<Hlc>(&mut &*bytes);
    decode::<Stamp>(&mut &*bytes);
    if let Some(bytes) = bytes.first_chunk() {
        assert_eq!(Hlc::from_bytes(*bytes).to_bytes(), *bytes);
    }
    if let Some(bytes) = bytes.first_chunk() {
        assert_eq!(Stamp::from_bytes(bytes).to_bytes(), *bytes);
    }
});
