//! Encodings are part of the formats on disk and on the wire: these bytes never change.

use std::fmt::Debug;

use isles_clock::{Dot, DotContext, Hlc, ReplicaId, Stamp, VectorClock};
use serde::Serialize;
use serde::de::DeserializeOwned;

const EU: ReplicaId = ReplicaId::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
const US: ReplicaId = ReplicaId::from_u128(0xff00_0000_0000_0000_0000_0000_0000_0001);
const EU_HEX: &str = "00112233445566778899aabbccddeeff";
const US_HEX: &str = "ff000000000000000000000000000001";

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, hex: &str) {
    let bytes = postcard::to_allocvec(value).expect("a value has an encoding");
    let found: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, hex.replace(' ', ""));
    assert_eq!(
        &postcard::from_bytes::<T>(&bytes).expect("an encoding is a value"),
        value
    );
}

#[test]
fn replica_id_is_its_bytes() {
    check(&EU, EU_HEX);
}

#[test]
fn dot_is_replica_and_sequence() {
    check(&Dot::new(EU, 1), &format!("{EU_HEX} 01"));
    check(&Dot::new(EU, 300), &format!("{EU_HEX} ac02"));
}

#[test]
fn hlc_is_one_number() {
    check(&Hlc::ZERO, "00");
    check(&Hlc::new(1, 2), "828004");
    check(&Hlc::new(1_700_000_000_000, 7), "878080c0d6fcf3c501");
}

#[test]
fn stamp_is_hlc_and_replica() {
    check(&Stamp::new(Hlc::new(1, 2), EU), &format!("828004 {EU_HEX}"));
}

#[test]
fn vector_clock_is_a_count_and_pairs() {
    check(&VectorClock::new(), "00");
    check(
        &VectorClock::from_iter([(US, 300), (EU, 7)]),
        &format!("02 {EU_HEX} 07 {US_HEX} ac02"),
    );
}

#[test]
fn dot_context_is_a_clock_and_a_cloud() {
    let mut context = DotContext::from(VectorClock::from_iter([(EU, 7)]));
    context.insert(Dot::new(US, 2));
    check(&context, &format!("01 {EU_HEX} 07 01 {US_HEX} 02 00"));
}

#[test]
fn people_read_replica_ids_as_text() {
    let text = serde_json::to_string(&Dot::new(EU, 1)).expect("a dot has a text");
    assert_eq!(text, format!(r#"{{"replica":"{EU_HEX}","sequence":1}}"#));
    assert_eq!(
        serde_json::from_str::<Dot>(&text).expect("a text is a dot"),
        Dot::new(EU, 1)
    );
}
