//! What a frame is refused for although its check matches.

use isles_clock::{Hlc, ReplicaId, VectorClock};

use super::{Frame, FrameError, FrameHeader, OpenFrame};
use crate::delivery::{Lane, LaneKind};
use crate::op::{Attribute, KeyOp};
use crate::txn::{Expiry, KEY_BYTES_MAX, Scope, WriteRefused};
use crate::{Replica, ReplicaConfig};

const NOW_MS: u64 = 1_700_000_000_000;

fn replica(id: u128) -> Replica {
    Replica::new(ReplicaId::from_u128(id), ReplicaConfig::default())
}

fn frame_with_key(key: &[u8]) -> Frame {
    let header = FrameHeader {
        replica: ReplicaId::from_u128(2),
        first: 1,
        count: 1,
        base: Hlc::ZERO,
        deps: VectorClock::new(),
        extensions: Vec::new(),
    };
    let head = (0u64, Vec::<Attribute<'_>>::new(), 1u64);
    let body = postcard::to_allocvec(&head).unwrap();
    let body = postcard::to_extend(&KeyOp::new(key), body).unwrap();
    let sealed = OpenFrame { header, body }.seal(0);
    Frame::decode(sealed.bytes().clone()).unwrap()
}

#[test]
fn keys_that_no_table_holds_are_refused_from_peers_and_from_the_log() {
    let longest = frame_with_key(&[b'k'; KEY_BYTES_MAX]);
    assert_eq!(longest.verify(), Ok(()));
    let beyond = frame_with_key(&[b'k'; KEY_BYTES_MAX + 1]);
    let mut receiver = replica(1);
    let lane = Lane {
        peer: ReplicaId::from_u128(2),
        kind: LaneKind::Direct,
    };
    let offered = receiver.offer(beyond.clone(), lane);
    assert!(
        matches!(offered, Err(FrameError::LongKey { bytes, .. }) if bytes == KEY_BYTES_MAX + 1),
        "{offered:?}"
    );
    let replayed = receiver.replay(1, &beyond, NOW_MS).unwrap_err().to_string();
    assert!(
        replayed.contains("writes a key of 65001 bytes, the limit is 65000 bytes"),
        "{replayed}"
    );
    assert_eq!(receiver.rows_len(), 0);
}

#[test]
fn own_keys_that_no_table_holds_are_refused() {
    for scope in [Scope::Once, Scope::Many] {
        let mut replica = replica(1);
        let mut txn = replica.txn(NOW_MS, scope);
        if scope == Scope::Many {
            txn.set_string(b"beside", b"v", Expiry::Clear);
        }
        txn.set_string(&[b'k'; KEY_BYTES_MAX + 1], b"v", Expiry::Clear);
        let bytes = KEY_BYTES_MAX + 1;
        assert_eq!(txn.commit(), Err(WriteRefused::KeyTooLong { bytes }));
        assert_eq!(replica.visible_keys(), 0, "{scope:?}");
        assert!(!replica.has_unlogged());
    }
}

#[test]
fn every_table_key_of_the_longest_key_can_be_held() {
    let mut replica = replica(1);
    let members: Vec<Vec<u8>> = (0..5_000u32).map(|n| n.to_be_bytes().to_vec()).collect();
    let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
    let mut txn = replica.txn(NOW_MS, Scope::Once);
    txn.set_add(&[b'k'; KEY_BYTES_MAX], &members).unwrap();
    txn.commit().unwrap();
    let (_, rows) = replica.begin_checkpoint();
    let mut longest = 0;
    replica.take_images(rows).encode(&mut |change| {
        if let crate::image::TableChange::Put(key, _) = change {
            longest = longest.max(key.len());
        }
    });
    // The members have pages of their own.
    assert_eq!(longest, KEY_BYTES_MAX + 10);
    assert!(u16::try_from(longest).is_ok());
}
