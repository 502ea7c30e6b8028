//! The bytes of every message stay what they are: a node of today must understand one of last year.

use bytes::Bytes;
use isles_clock::{Hlc, ReplicaId, VectorClock};
use isles_transport::{
    Ack, BucketSum, ChainLink, Hello, Message, Publication, PublicationKind, Pull, Reject,
    RejectCode, Role, StreamBase, StreamStart, Sums,
};

const FIXTURES: &str = include_str!("fixtures/messages_v1.txt");

fn replica(number: u128) -> ReplicaId {
    ReplicaId::from_u128(number)
}

fn clock(pairs: &[(u128, u64)]) -> VectorClock {
    pairs
        .iter()
        .map(|&(number, sequence)| (replica(number), sequence))
        .collect()
}

fn examples() -> Vec<(&'static str, Message)> {
    let hello = Hello {
        protocol_min: 1,
        protocol_max: 2,
        cluster: "demo".into(),
        replica: replica(0xE0),
        node: "eu-1".into(),
        region: "eu".into(),
        role: Role::Leader,
        nonce: 0x0123_4567_89AB_CDEF,
        applied: clock(&[(0xE0, 300), (0xF0, 7)]),
        durable: clock(&[(0xE0, 299), (0xF0, 7)]),
        chains: vec![ChainLink {
            replica: replica(0xE0),
            sequence: 300,
            chain: u64::MAX,
        }],
        floor: vec![(replica(0xE0), 1), (replica(0xF0), 5)],
        extensions: vec![(1, vec![0xAA, 0xBB])],
    };
    let ack = Ack {
        about: replica(0xF0),
        durable: clock(&[(0xE0, 299)]),
        promise: Hlc::new(1_700_000_000_000, 3),
        applied: clock(&[(0xE0, 300)]),
        as_of: Hlc::new(1_700_000_000_001, 0),
    };
    let base = StreamBase {
        replica: replica(0xE0),
        sequence: 128,
        chain: 0xC0FFEE,
        deps: clock(&[(0xF0, 6)]),
    };
    let sums = Sums {
        clock: clock(&[(0xE0, 300)]),
        first_bucket: 65_000,
        sums: vec![
            BucketSum {
                sum: [0x11; 16],
                changed: clock(&[]),
            },
            BucketSum {
                sum: [0x22; 16],
                changed: clock(&[(0xE0, 12)]),
            },
        ],
    };
    let reject = Reject {
        code: RejectCode::Fork,
        reason: "histories differ".into(),
    };
    let publication = Publication {
        kind: PublicationKind::Shard,
        origin: replica(0xE0),
        number: 300,
        reached: vec![replica(0xE0), replica(0xF0)],
        channel: Bytes::from_static(b"news"),
        payload: Bytes::from_static(b"it rains"),
    };
    vec![
        ("hello", Message::Hello(hello)),
        ("ack", Message::Ack(ack)),
        (
            "pull",
            Message::Pull(Pull {
                have: clock(&[(0xE0, 1), (0xF0, 200)]),
            }),
        ),
        ("pull stop", Message::PullStop),
        (
            "stream start",
            Message::StreamStart(StreamStart { bases: vec![base] }),
        ),
        ("frame", Message::Frame(Bytes::from_static(b"sealed"))),
        ("probe", Message::Probe { nonce: 5 }),
        (
            "probe reply",
            Message::ProbeReply {
                nonce: u64::MAX,
                wall_ms: 1_700_000_000_000,
            },
        ),
        ("sums", Message::Sums(sums)),
        ("reject", Message::Reject(reject)),
        ("publish", Message::Publish(publication)),
    ]
}

#[test]
fn every_message_keeps_its_bytes() {
    let written: String = examples()
        .iter()
        .map(|(name, message)| format!("{name}: {}\n", hex(&message.encode())))
        .collect();
    assert_eq!(
        written, FIXTURES,
        "the wire format changed; if that is meant, raise its version"
    );
}

#[test]
fn every_fixture_reads_back() {
    for ((name, message), line) in examples().into_iter().zip(FIXTURES.lines()) {
        let (fixture_name, bytes) = line.split_once(": ").expect("a fixture is `name: hex`");
        assert_eq!((name, name), (fixture_name, message.name()));
        assert_eq!(Message::decode(unhex(bytes)), Ok(message));
    }
    assert_eq!(examples().len(), FIXTURES.lines().count());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Bytes {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("two hex digits");
    (0..text.len()).step_by(2).map(digits).collect()
}
