//! Encodings are part of the formats on disk and on the wire: these bytes never change.

use std::fmt::Debug;

use isles_clock::{Dot, DotContext, DvvSet, Hlc, ReplicaId, Stamp, VectorClock, delta};
use serde::Serialize;
use serde::de::DeserializeOwned;

const EU: ReplicaId = ReplicaId::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
const US: ReplicaId = ReplicaId::from_u128(0xff00_0000_0000_0000_0000_0000_0000_0001);
const EU_HEX: &str = "00112233445566778899aabbccddeeff";
const US_HEX: &str = "ff000000000000000000000000000001";

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, hex: &str) {
    let bytes = postcard::to_allocvec(value).expect("a value has an encoding");
    check_bytes(&bytes, hex);
    assert_eq!(
        &postcard::from_bytes::<T>(&bytes).expect("an encoding is a value"),
        value
    );
}

fn check_bytes(bytes: &[u8], hex: &str) {
    let found: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, hex.replace(' ', ""));
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
fn a_run_of_dots_is_its_first_and_how_many_follow() {
    let context: DotContext = (300..=302).map(|sequence| Dot::new(US, sequence)).collect();
    check(&context, &format!("00 01 {US_HEX} ac02 02"));
}

#[test]
fn dvv_set_is_a_count_and_replicas_with_sequence_and_siblings() {
    let mut set = DvvSet::new();
    check(&set, "00");
    let nothing_read = VectorClock::new();
    set.update(&nothing_read, US, 0xaa_u8)
        .expect("a first write");
    let read = set.context();
    set.update(&nothing_read, US, 0xbb).expect("a second write");
    set.update(&nothing_read, EU, 0xcc)
        .expect("a write elsewhere");
    check(&set, &format!("02 {EU_HEX} 01 01cc {US_HEX} 02 02aabb"));
    set.discard(&read);
    check(&set, &format!("02 {EU_HEX} 01 01cc {US_HEX} 02 01bb"));
    set.discard(&set.context());
    check(&set, &format!("02 {EU_HEX} 01 00 {US_HEX} 02 00"));
}

#[test]
fn fixed_bytes_are_big_endian() {
    check_bytes(&Hlc::new(1, 2).to_bytes(), "000000000001 0002");
    check_bytes(
        &Stamp::new(Hlc::new(1, 2), EU).to_bytes(),
        &format!("000000000001 0002 {EU_HEX}"),
    );
}

#[test]
fn a_clock_over_a_base_is_changes_and_entries() {
    let base = VectorClock::from_iter([(EU, 7), (US, 300)]);
    let ap = ReplicaId::from_u128(1);
    let check = |entries: &[(ReplicaId, u64)], hex: &str| {
        let clock = VectorClock::from_iter(entries.iter().copied());
        let mut bytes = Vec::new();
        delta::encode_clock(&clock, &base, &mut bytes);
        check_bytes(&bytes, hex);
        assert_eq!(
            delta::decode_clock(&base, &mut bytes.as_slice(), 3),
            Ok(clock)
        );
    };
    check(&[(EU, 7), (US, 300)], "00");
    check(&[(EU, 8), (US, 300)], "02 0001");
    check(&[(EU, 7), (US, 600)], "02 02ac02");
    check(&[(EU, 6), (US, 301)], "04 0101 0001");
    check(&[(US, 300)], "02 0107");
    check(&[], "04 0107 01ac02");
    check(
        &[(ap, 1), (EU, 7), (US, 301)],
        "03 0201 01 00000000000000000000000000000001 01",
    );
}

#[test]
fn stamps_over_a_base_are_steps() {
    let base = Hlc::new(1_000, 0);
    let check = |stamps: &[(u64, u16, ReplicaId)], hex: &str| {
        let stamp = |(wall_ms, counter, replica)| Stamp::new(Hlc::new(wall_ms, counter), replica);
        let stamps: Vec<Stamp> = stamps.iter().copied().map(stamp).collect();
        let mut bytes = Vec::new();
        delta::encode_stamps(&stamps, base, &mut bytes);
        check_bytes(&bytes, hex);
        assert_eq!(
            delta::decode_stamps(base, &mut bytes.as_slice(), 5),
            Ok(stamps)
        );
    };
    check(&[], "00");
    check(
        &[(1_000, 1, EU), (1_000, 2, EU), (1_003, 0, EU)],
        &format!("03 0100{EU_HEX} 00 18"),
    );
    check(
        &[(1_015, 0, EU), (1_031, 0, EU)],
        &format!("02 7900{EU_HEX} 8001"),
    );
    check(
        &[(999, 0, EU), (999, 300, EU)],
        &format!("02 0500{EU_HEX} 02ac02"),
    );
    let alternating = [
        (1_000, 1, EU),
        (1_000, 2, US),
        (1_000, 3, EU),
        (1_000, 3, US),
        (1_000, 4, US),
    ];
    check(
        &alternating,
        &format!("05 0100{EU_HEX} 0101{US_HEX} 0100 030301 00"),
    );
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
