//! Whatever a peer sends, decoding gives a message or an error that says what is wrong.

use bytes::Bytes;
use isles_clock::{Hlc, ReplicaId, VectorClock};
use isles_transport::message::{MAX_NAME_BYTES, MESSAGE_VERSION};
use isles_transport::{
    Ack, BucketSum, ChainLink, DecodeError, Hello, MAX_CONTROL_BYTES, MAX_FRAME_BYTES, Message,
    Publication, PublicationKind, Pull, Reject, RejectCode, Role, StreamBase, StreamStart, Sums,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn replica() -> impl Strategy<Value = ReplicaId> {
    any::<u128>().prop_map(ReplicaId::from_u128)
}

fn clock() -> impl Strategy<Value = VectorClock> {
    vec((replica(), 1..u64::MAX), 0..6).prop_map(VectorClock::from_iter)
}

fn hello() -> impl Strategy<Value = Hello> {
    let names = ("[a-z]{1,9}", "[a-z]{1,9}", "[a-z]{1,9}");
    let link =
        (replica(), any::<u64>(), any::<u64>()).prop_map(|(replica, sequence, chain)| ChainLink {
            replica,
            sequence,
            chain,
        });
    let lists = (
        vec(link, 0..4),
        vec((replica(), any::<u64>()), 0..4),
        vec((any::<u32>(), vec(any::<u8>(), 0..9)), 0..3),
    );
    let role = prop_oneof![Just(Role::Leader), Just(Role::Follower)];
    (
        any::<[u16; 2]>(),
        names,
        replica(),
        role,
        any::<u64>(),
        clock(),
        clock(),
        lists,
    )
        .prop_map(
            |(protocol, names, replica, role, nonce, applied, durable, lists)| Hello {
                protocol_min: protocol[0],
                protocol_max: protocol[1],
                cluster: names.0,
                replica,
                node: names.1,
                region: names.2,
                role,
                nonce,
                applied,
                durable,
                chains: lists.0,
                floor: lists.1,
                extensions: lists.2,
            },
        )
}

fn start() -> impl Strategy<Value = StreamStart> {
    let base = (replica(), any::<u64>(), any::<u64>(), clock()).prop_map(
        |(replica, sequence, chain, deps)| StreamBase {
            replica,
            sequence,
            chain,
            deps,
        },
    );
    vec(base, 0..4).prop_map(|bases| StreamStart { bases })
}

fn sums() -> impl Strategy<Value = Sums> {
    let sum = (any::<[u8; 16]>(), clock()).prop_map(|(sum, changed)| BucketSum { sum, changed });
    (clock(), any::<u32>(), vec(sum, 0..5)).prop_map(|(clock, first_bucket, sums)| Sums {
        clock,
        first_bucket,
        sums,
    })
}

fn publication() -> impl Strategy<Value = Publication> {
    let kind = prop_oneof![Just(PublicationKind::Plain), Just(PublicationKind::Shard)];
    let bytes = || vec(any::<u8>(), 0..40);
    (
        kind,
        replica(),
        any::<u64>(),
        vec(replica(), 0..4),
        bytes(),
        bytes(),
    )
        .prop_map(
            |(kind, origin, number, reached, channel, payload)| Publication {
                kind,
                origin,
                number,
                reached,
                channel: channel.into(),
                payload: payload.into(),
            },
        )
}

fn message() -> impl Strategy<Value = Message> {
    let ack = (replica(), clock(), any::<u64>(), clock(), any::<u64>()).prop_map(
        |(about, durable, promise, applied, as_of)| Ack {
            about,
            durable,
            promise: Hlc::from_u64(promise),
            applied,
            as_of: Hlc::from_u64(as_of),
        },
    );
    let reject = (any::<u16>(), ".{0,40}").prop_map(|(code, reason)| Reject {
        code: RejectCode::from(code),
        reason,
    });
    prop_oneof![
        hello().prop_map(Message::Hello),
        ack.prop_map(Message::Ack),
        clock().prop_map(|have| Message::Pull(Pull { have })),
        Just(Message::PullStop),
        start().prop_map(Message::StreamStart),
        vec(any::<u8>(), 0..200).prop_map(|frame| Message::Frame(frame.into())),
        any::<u64>().prop_map(|nonce| Message::Probe { nonce }),
        any::<[u64; 2]>().prop_map(|[nonce, wall_ms]| Message::ProbeReply { nonce, wall_ms }),
        sums().prop_map(Message::Sums),
        reject.prop_map(Message::Reject),
        publication().prop_map(Message::Publish),
    ]
}

proptest! {
    #[test]
    fn every_message_round_trips(message in message()) {
        prop_assert_eq!(Message::decode(message.encode()), Ok(message.clone()));
        let (head, body) = message.encode_parts();
        prop_assert_eq!([head, body].concat(), message.encode());
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Message::decode(bytes.into());
    }

    #[test]
    fn random_bodies_never_panic(tag in 0_u8..16, body in vec(any::<u8>(), 0..300)) {
        let _ = Message::decode([&[MESSAGE_VERSION, tag], body.as_slice()].concat().into());
    }

    #[test]
    fn mutated_messages_never_panic(message in message(), edits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = message.encode().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Message::decode(bytes.into());
    }

    #[test]
    fn a_message_that_ends_early_is_an_error(message in message(), cut in any::<prop::sample::Index>()) {
        prop_assume!(!matches!(message, Message::Frame(_)));
        let bytes = message.encode();
        prop_assert!(Message::decode(bytes.slice(..cut.index(bytes.len()))).is_err());
    }

    #[test]
    fn fields_of_newer_versions_are_skipped(message in message(), appended in vec(any::<u8>(), 0..20)) {
        prop_assume!(!matches!(message, Message::Frame(_)));
        let longer = [message.encode().as_ref(), &appended].concat();
        prop_assert_eq!(Message::decode(longer.into()), Ok(message));
    }
}

#[test]
fn a_newer_kind_of_message_can_be_skipped_and_a_newer_version_cannot() {
    let unknown = Message::decode(Bytes::from_static(&[MESSAGE_VERSION, 200, 1, 2]));
    assert_eq!(unknown, Err(DecodeError::UnknownTag(200)));
    assert!(DecodeError::UnknownTag(200).is_skippable());
    let newer = Message::decode(Bytes::from_static(&[9, 1])).expect_err("is another version");
    assert_eq!(
        newer.to_string(),
        "message version 9 is not known here, this node reads version 1"
    );
    assert!(!newer.is_skippable());
    assert_eq!(
        Message::decode(Bytes::new()),
        Err(DecodeError::Truncated(0))
    );
}

#[test]
fn sizes_are_limited_and_the_error_names_the_part() {
    let hello = [vec![MESSAGE_VERSION, 1], vec![0; MAX_CONTROL_BYTES]].concat();
    let error = Message::decode(hello.into())
        .expect_err("is too large")
        .to_string();
    assert_eq!(error, "the message has 1048578 bytes, the limit is 1048576");

    let largest = Message::Frame(vec![0; MAX_FRAME_BYTES].into());
    assert_eq!(Message::decode(largest.encode()), Ok(largest));
    let larger = Message::Frame(vec![0; MAX_FRAME_BYTES + 1].into());
    assert!(matches!(
        Message::decode(larger.encode()),
        Err(DecodeError::Limit(_))
    ));

    let reason = "x".repeat(2000);
    let reject = Message::Reject(Reject {
        code: RejectCode::Protocol,
        reason,
    });
    let error = Message::decode(reject.encode())
        .expect_err("has a long reason")
        .to_string();
    assert_eq!(error, "the reason has 2000 bytes, the limit is 1024");

    let Message::Reject(Reject { code, .. }) = reject else {
        unreachable!("built above")
    };
    assert_eq!(code, RejectCode::Protocol);
    const { assert!(MAX_NAME_BYTES < MAX_CONTROL_BYTES) };
}

#[test]
fn a_decoded_frame_shares_the_buffer_it_came_in() {
    let encoded = Message::Frame(Bytes::from(vec![7; 1000])).encode();
    let start = encoded.as_ptr();
    let Ok(Message::Frame(frame)) = Message::decode(encoded) else {
        panic!("it is a frame")
    };
    assert_eq!(frame.as_ptr(), start.wrapping_add(2));
}
