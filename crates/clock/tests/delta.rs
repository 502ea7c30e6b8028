//! Differences read back as what was written, have one encoding, and are refused when they are anything else.

use isles_clock::delta::{self, DeltaError};
use isles_clock::{Hlc, ReplicaId, Stamp, VectorClock};
use proptest::prelude::*;

const REPLICAS_MAX: usize = 64;
const STAMPS_MAX: usize = 256;

fn id(number: u128) -> ReplicaId {
    ReplicaId::from_u128(number)
}

fn encoded_clock(clock: &VectorClock, base: &VectorClock) -> Vec<u8> {
    let mut bytes = Vec::new();
    delta::encode_clock(clock, base, &mut bytes);
    bytes
}

fn encoded_stamps(stamps: &[Stamp], base: Hlc) -> Vec<u8> {
    let mut bytes = Vec::new();
    delta::encode_stamps(stamps, base, &mut bytes);
    bytes
}

fn clock() -> impl Strategy<Value = VectorClock> {
    let sequence =
        prop_oneof![4 => 0u64..4, 2 => 0u64..1_000, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    prop::collection::vec(((0u128..12).prop_map(id), sequence), 0..12)
        .prop_map(VectorClock::from_iter)
}

fn reading() -> impl Strategy<Value = Hlc> {
    let near = (1_000u64..1_040, 0u16..4).prop_map(|(wall_ms, counter)| Hlc::new(wall_ms, counter));
    prop_oneof![8 => near, 1 => any::<u64>().prop_map(Hlc::from_u64), 1 => Just(Hlc::ZERO), 1 => Just(Hlc::MAX)]
}

/// Few replicas or more than have places.
fn stamps() -> impl Strategy<Value = Vec<Stamp>> {
    prop_oneof![Just(3u128), Just(200)].prop_flat_map(|replicas| {
        let stamp = (reading(), 0..replicas).prop_map(|(hlc, number)| Stamp::new(hlc, id(number)));
        prop::collection::vec(stamp, 0..STAMPS_MAX)
    })
}

/// Bytes like those of an encoding, so that some are accepted.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![4 => 0u8..4, 1 => any::<u8>()], 0..80)
}

fn check_clock(clock: &VectorClock, base: &VectorClock) {
    let mut bytes = encoded_clock(clock, base);
    let complete = bytes.len();
    for end in 0..complete {
        let mut cut = &bytes[..end];
        assert_eq!(
            delta::decode_clock(base, &mut cut, REPLICAS_MAX),
            Err(DeltaError::Truncated)
        );
        assert_eq!(cut.len(), end, "an error leaves the input where it was");
    }
    bytes.push(0xee);
    let mut input = bytes.as_slice();
    assert_eq!(
        delta::decode_clock(base, &mut input, REPLICAS_MAX).as_ref(),
        Ok(clock)
    );
    assert_eq!(input, [0xee], "what follows is left");
}

fn check_stamps(stamps: &[Stamp], base: Hlc) {
    let mut bytes = encoded_stamps(stamps, base);
    for end in 0..bytes.len() {
        let mut cut = &bytes[..end];
        assert_eq!(
            delta::decode_stamps(base, &mut cut, STAMPS_MAX),
            Err(DeltaError::Truncated)
        );
        assert_eq!(cut.len(), end, "an error leaves the input where it was");
    }
    bytes.push(0xee);
    let mut input = bytes.as_slice();
    assert_eq!(
        delta::decode_stamps(base, &mut input, STAMPS_MAX).as_deref(),
        Ok(stamps)
    );
    assert_eq!(input, [0xee], "what follows is left");
}

/// Whatever is accepted is what the encoder writes.
fn check_clock_bytes(bytes: &[u8], base: &VectorClock) -> bool {
    let mut input = bytes;
    match delta::decode_clock(base, &mut input, REPLICAS_MAX) {
        Ok(clock) => assert_eq!(
            encoded_clock(&clock, base),
            bytes[..bytes.len() - input.len()]
        ),
        Err(_) => assert_eq!(input, bytes),
    }
    input.len() < bytes.len()
}

fn check_stamp_bytes(bytes: &[u8], base: Hlc) -> bool {
    let mut input = bytes;
    match delta::decode_stamps(base, &mut input, STAMPS_MAX) {
        Ok(stamps) => assert_eq!(
            encoded_stamps(&stamps, base),
            bytes[..bytes.len() - input.len()]
        ),
        Err(_) => assert_eq!(input, bytes),
    }
    input.len() < bytes.len()
}

proptest! {
    #[test]
    fn clocks_read_back(clock in clock(), base in clock()) {
        check_clock(&clock, &base);
    }

    #[test]
    fn stamps_read_back(stamps in stamps(), base in reading()) {
        check_stamps(&stamps, base);
    }

    #[test]
    fn accepted_bytes_are_the_encoding_of_a_clock(bytes in bytes(), base in clock()) {
        check_clock_bytes(&bytes, &base);
    }

    #[test]
    fn accepted_bytes_are_the_encoding_of_stamps(bytes in bytes(), base in reading()) {
        check_stamp_bytes(&bytes, base);
    }

    #[test]
    fn a_flipped_byte_is_refused_or_another_value(stamps in stamps(), at: prop::sample::Index, flip in 1u8..) {
        let mut bytes = encoded_stamps(&stamps, Hlc::ZERO);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        check_stamp_bytes(&bytes, Hlc::ZERO);
        let read = delta::decode_stamps(Hlc::ZERO, &mut bytes.as_slice(), STAMPS_MAX);
        prop_assert_ne!(read, Ok(stamps));
    }
}

/// All pairs of clocks over three replicas with sequences 0 to 3, each over the other.
#[test]
fn every_pair_of_small_clocks_reads_back() {
    const SEQUENCES: u64 = 4;
    let clocks: Vec<VectorClock> = (0..SEQUENCES.pow(3))
        .map(|n| {
            let sequences = [
                n % SEQUENCES,
                n / SEQUENCES % SEQUENCES,
                n / SEQUENCES.pow(2),
            ];
            (1..).map(id).zip(sequences).collect()
        })
        .collect();
    for clock in &clocks {
        for base in &clocks {
            check_clock(clock, base);
        }
    }
}

/// Every input of up to three bytes, out of the bytes that mean something in so short a one.
#[test]
fn every_short_input_is_refused_or_an_encoding() {
    let base = VectorClock::from_iter([(id(1), 1), (id(2), 127)]);
    let alphabet: Vec<u8> = (0..=16).chain([0x7f, 0x80, 0x81, 0xff]).collect();
    let mut accepted = 0;
    for &a in &alphabet {
        for &b in &alphabet {
            for &c in &alphabet {
                for end in 0..=3 {
                    let bytes = &[a, b, c][..end];
                    accepted += usize::from(check_clock_bytes(bytes, &base));
                    accepted += usize::from(check_stamp_bytes(bytes, Hlc::ZERO));
                }
            }
        }
    }
    assert!(accepted > 0);
}

#[test]
fn limits_are_exact() {
    let clock: VectorClock = (1..=4).map(|number| (id(number), 1)).collect();
    let base = VectorClock::from_iter([(id(1), 1)]);
    let bytes = encoded_clock(&clock, &base);
    let decode = |replicas_max| delta::decode_clock(&base, &mut bytes.as_slice(), replicas_max);
    assert_eq!(
        (decode(4), decode(3)),
        (Ok(clock), Err(DeltaError::TooLong))
    );
    assert_eq!(
        delta::decode_clock(&base, &mut &[0][..], 0),
        Err(DeltaError::TooLong)
    );

    let stamps = [Stamp::new(Hlc::ZERO, id(1)); 4];
    let bytes = encoded_stamps(&stamps, Hlc::ZERO);
    let decode = |stamps_max| delta::decode_stamps(Hlc::ZERO, &mut bytes.as_slice(), stamps_max);
    assert_eq!(
        (decode(4), decode(3)),
        (Ok(stamps.to_vec()), Err(DeltaError::TooLong))
    );
}

#[test]
fn a_made_up_count_allocates_nothing() {
    let mut endless: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(
        delta::decode_stamps(Hlc::ZERO, &mut endless, usize::MAX),
        Err(DeltaError::Truncated)
    );
    assert_eq!(
        delta::decode_clock(&VectorClock::new(), &mut endless, usize::MAX),
        Err(DeltaError::Truncated)
    );
}

#[test]
fn clocks_that_no_encoder_writes_are_refused() {
    let base = VectorClock::from_iter([(id(1), 1), (id(2), u64::MAX)]);
    let replica = |number: u8| [[0; 15].as_slice(), &[number]].concat();
    let check = |bytes: &[u8], error| {
        assert_eq!(
            delta::decode_clock(&base, &mut &*bytes, REPLICAS_MAX),
            Err(error),
            "{bytes:02x?}"
        );
    };
    check(&[2, 0, 0], DeltaError::NotCanonical); // a change of nothing
    check(&[2, 4, 1], DeltaError::WrongBase); // beyond the last replica
    check(&[6, 0, 1, 0, 1, 0, 1], DeltaError::WrongBase); // more changes than replicas
    check(&[2, 1, 2], DeltaError::WrongBase); // back beyond 0
    check(&[2, 2, 1], DeltaError::WrongBase); // beyond the last sequence
    check(&[1, 0], DeltaError::NotCanonical); // entries announced, but none
    check(
        &[&[1, 1], replica(1).as_slice(), &[1]].concat(),
        DeltaError::NotCanonical,
    ); // listed by the base
    check(
        &[&[1, 1], replica(3).as_slice(), &[0]].concat(),
        DeltaError::NotCanonical,
    ); // sequence 0
    let (three, four) = (
        [replica(3), vec![1]].concat(),
        [replica(4), vec![1]].concat(),
    );
    check(
        &[&[1, 2], four.as_slice(), &three].concat(),
        DeltaError::NotCanonical,
    ); // out of order
    check(
        &[&[1, 2], three.as_slice(), &three].concat(),
        DeltaError::NotCanonical,
    ); // twice
}

#[test]
fn stamps_that_no_encoder_writes_are_refused() {
    let base = Hlc::new(1, 0);
    let replica = |number: u8| [[0; 15].as_slice(), &[number]].concat();
    let check = |bytes: &[u8], error| {
        assert_eq!(
            delta::decode_stamps(base, &mut &*bytes, STAMPS_MAX),
            Err(error),
            "{bytes:02x?}"
        );
    };
    let first = [vec![1, 0], replica(1)].concat();
    check(&[1, 0], DeltaError::NotCanonical); // the same replica as before the first
    check(
        &[&[1, 1, 1], replica(1).as_slice()].concat(),
        DeltaError::NotCanonical,
    ); // a place nobody has
    check(&[1, 3, 1, 0], DeltaError::NotCanonical); // the counter that was expected
    check(&[1, 3, 0x80, 0x80, 4, 0], DeltaError::NotCanonical); // a counter beyond 16 bits
    check(&[1, 13, 0], DeltaError::WrongBase); // before 1970
    check(
        &[&[2], &first[..], &[1, 0]].concat(),
        DeltaError::NotCanonical,
    ); // the replica before, named again
    check(
        &[&[2], &first[..], &[1, 1], &replica(1)].concat(),
        DeltaError::NotCanonical,
    ); // spelt out again
    let end_of_time = delta::decode_stamps(Hlc::MAX, &mut &[1, 9, 0][..], STAMPS_MAX);
    assert_eq!(end_of_time, Err(DeltaError::WrongBase));
}
