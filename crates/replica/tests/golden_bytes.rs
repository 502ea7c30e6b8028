//! What this version writes to logs, tables and peers stays readable: its bytes are fixed.
//!
//! A difference here means that nodes of two versions no longer understand each other, or their own disks. Then the
//! format's version goes up, the old bytes stay here, and a test shows that they are still read.

mod support;

use std::sync::Arc;

use isles_clock::{Dot, Hlc, ReplicaId, Stamp};
use isles_replica::image::{Meta, TableChange};
use isles_replica::journal::Detected;
use isles_replica::{
    ConflictKind, ConflictRecord, Contender, Expiry, Frame, Note, Origin, Replica, ReplicaConfig,
    Scope, Settled, Settling, UnloggedContent,
};
use isles_resolve::Strategy;
use support::{NOW_MS, bytes_of, hex};

/// A replica that has written one entry with ops of every kind that this version knows.
fn writer() -> Replica {
    let mut replica = Replica::new(ReplicaId::from_u128(0xa), ReplicaConfig::default());
    let mut txn = replica.txn(NOW_MS, Scope::Many);
    txn.keyspace_set(b"mv:", Strategy::MultiValue);
    txn.set_string(b"s", b"value", Expiry::At(NOW_MS + 1));
    txn.set_string(b"mv:r", b"sibling", Expiry::Keep);
    txn.increment(b"n", -7).expect("a counter");
    txn.set_add(b"set", &[b"x", b"y"]).expect("a set");
    txn.hash_put(b"h", &[(b"f", b"v")]).expect("a hash");
    txn.hash_increment(b"h", b"g", 300).expect("a hash");
    txn.commit().expect("a small entry");
    let mut txn = replica.txn(NOW_MS, Scope::Many);
    txn.delete(b"n");
    txn.delete(b"s");
    txn.set_remove(b"set", &[b"x"]).expect("a set");
    txn.hash_remove(b"h", &[b"g"]).expect("a hash");
    txn.commit().expect("a small entry");
    replica
}

fn frame() -> Frame {
    let mut replica = writer();
    let mut taken = replica.take_unlogged();
    match taken.pop().expect("one frame").content {
        UnloggedContent::Own(open) => open.seal(0x1234),
        _ => unreachable!("nothing else was written"),
    }
}

#[test]
fn a_frame() {
    let golden = include_str!("golden/frame_v1.hex");
    assert_eq!(hex(frame().bytes()), golden.trim());
    let frame = Frame::decode(bytes_of(golden).into()).expect("version 1 is read");
    assert_eq!(frame.entries().filter(Result::is_ok).count(), 2);
    assert!(frame.continues(0x1234));
}

#[test]
fn table_rows() {
    let golden = include_str!("golden/rows_v1.hex");
    let mut replica = writer();
    let mut lines = String::new();
    replica
        .take_images(usize::MAX)
        .encode(&mut |change| match change {
            TableChange::Put(key, value) => lines += &format!("{} {}\n", hex(&key), hex(&value)),
            TableChange::Delete(key) => lines += &format!("{}\n", hex(&key)),
        });
    let index = include_str!("golden/index_v1.hex");
    let is_index = |line: &&str| support::is_index(&bytes_of(&line[..2]));
    let (indexed, lines): (Vec<&str>, Vec<&str>) = lines.lines().partition(is_index);
    assert_eq!(indexed.join("\n"), index.trim());
    let lines = lines.join("\n") + "\n";
    assert_eq!(lines, golden);
    let mut loaded = Replica::new(ReplicaId::from_u128(0xb), ReplicaConfig::default());
    let rows: Vec<(Vec<u8>, Vec<u8>)> = golden
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(key, value)| (bytes_of(key), bytes_of(value)))
        .collect();
    loaded
        .load_table_without_index(
            &mut |prefix, each| {
                let mut matching: Vec<_> = rows
                    .iter()
                    .filter(|(key, _)| key.starts_with(prefix))
                    .collect();
                matching.sort();
                matching
                    .into_iter()
                    .for_each(|(key, value)| each(key, value));
            },
            NOW_MS,
        )
        .expect("version 1 is read");
    assert_eq!(loaded.digest(), replica.digest());
    loaded.check().expect("what is derived fits the content");
}

#[test]
fn the_table_s_checkpoint() {
    let meta = Meta {
        replica: ReplicaId::from_u128(0xa),
        record: 300,
        applied: [
            (ReplicaId::from_u128(0xa), 7),
            (ReplicaId::from_u128(0xb), 9),
        ]
        .into_iter()
        .collect(),
        hlc: Hlc::new(NOW_MS, 3),
        chains: Vec::new(),
        checkpoint: 2,
        boot: "boot".to_owned(),
        has_index: true,
    };
    let golden = include_str!("golden/meta_v2.hex");
    assert_eq!(hex(&meta.encode()), golden.trim());
    let earlier = include_str!("golden/meta_v1.hex");
    for (bytes, has_index) in [(bytes_of(golden), true), (bytes_of(earlier), false)] {
        let decoded = Meta::decode(&bytes).expect("both versions are read");
        assert_eq!(decoded.encode(), bytes);
        assert_eq!(
            decoded,
            Meta {
                has_index,
                ..meta.clone()
            }
        );
    }
    let mut newer = bytes_of(golden);
    newer[0] += 1;
    let error = Meta::decode(&newer).expect_err("a newer version is refused");
    assert!(error.to_string().contains("version 3"), "{error}");
}

#[test]
fn a_conflict_record() {
    let contender = |replica, ms, region: Option<&str>, value: &[u8]| {
        let dot = Dot {
            replica: ReplicaId::from_u128(replica),
            sequence: 5,
        };
        let stamp = Stamp {
            hlc: Hlc::new(NOW_MS + ms, 0),
            replica: dot.replica,
        };
        let origin = region.map(|region| Origin {
            node: format!("{region}-1"),
            region: region.to_owned(),
            ahead_ms: Some(-40),
        });
        Contender {
            dot,
            stamp,
            origin: origin.map(Arc::new),
            value: Some(value.to_vec()),
            value_bytes: 300,
        }
    };
    let (winner, loser) = (
        contender(0xb, 1, Some("us"), b"kept"),
        contender(0xa, 0, None, b"lost"),
    );
    let golden = include_str!("golden/conflict_v2.hex");
    let record = ConflictRecord {
        id: 0xb6f1,
        sequence: 77,
        key: b"k".to_vec(),
        keyspace: b"".to_vec(),
        component: Some(isles_replica::op::Kind::RegisterLww),
        field: None,
        kind: ConflictKind::WriteWrite,
        strategy: Strategy::Lww.into(),
        kept: false,
        winner,
        loser,
        detected_ms: NOW_MS + 2,
    };
    assert_eq!(hex(&record.encode()), golden.trim());
    let read = ConflictRecord::decode(&bytes_of(golden)).expect("version 2 is read");
    assert_eq!(
        read,
        ConflictRecord {
            id: read.id,
            ..record
        }
    );
    assert_eq!(
        format!("{:032x}", read.id),
        "86022cf366f58e46bd15afc988e45607"
    );
}

#[test]
fn what_settled_a_conflict() {
    let settled = Settled {
        how: Settling::Explicit,
        hlc: Hlc::new(NOW_MS, 2),
        dot: Dot::new(ReplicaId::from_u128(0xb), 6),
    };
    let golden = include_str!("golden/settled_v2.hex");
    assert_eq!(hex(&settled.encode()), golden.trim());
    assert_eq!(Settled::decode(&bytes_of(golden)), Ok(settled));
    let hows = [
        Settling::Explicit,
        Settling::Overwritten,
        Settling::Reinstated,
    ];
    for (tag, how) in hows.into_iter().enumerate() {
        let bytes = Settled { how, ..settled }.encode();
        assert_eq!(usize::from(bytes[1]), tag);
        assert_eq!(Settled::decode(&bytes), Ok(Settled { how, ..settled }));
    }
}

#[test]
fn a_note_of_what_was_detected() {
    let origin = Origin {
        node: "us-1".to_owned(),
        region: "us".to_owned(),
        ahead_ms: None,
    };
    let note = Note::Detected(Detected {
        at_ms: NOW_MS,
        kept_bytes: 64,
        origins: vec![(ReplicaId::from_u128(0xb), origin)],
    });
    let golden = include_str!("golden/note_detected_v1.hex");
    assert_eq!(hex(&note.encode()), golden.trim());
    assert_eq!(Note::decode(&bytes_of(golden)), Ok(note));
}

#[test]
fn a_damaged_frame_is_refused_whatever_bit_flips() {
    let bytes = frame().bytes().to_vec();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Frame::decode(damaged.into()).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(
            Frame::decode(bytes[..length].to_vec().into()).is_err(),
            "length {length}"
        );
    }
}
