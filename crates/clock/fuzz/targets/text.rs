//! What people and JSON write.
#![no_main]

use isles_clock::{Dot, DotContext, DvvSet, Hlc, ReplicaId, Stamp, VectorClock};
use isles_clock_fuzz::decode_json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(hlc) = text.parse::<Hlc>() {
        assert_eq!(hlc.to_string(), text);
    }
    if let Ok(replica) = text.parse::<ReplicaId>() {
        assert_eq!(replica.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(stamp) = text.parse::<Stamp>() {
        assert_eq!(format!("{stamp:#}"), text.to_ascii_lowercase());
    }
    decode_json::<ReplicaId>(text);
    decode_json::<Dot>(text);
    decode_json::<Hlc>(text);
    decode_json::<Stamp>(text);
    decode_json::<VectorClock>(text);
    decode_json::<DotContext>(text);
    decode_json::<DvvSet<u8>>(text);
});
