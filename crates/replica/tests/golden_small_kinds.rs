//! The bytes of flags, sketches and bounded counters are fixed, as those of the other kinds in `golden_bytes.rs`.

mod support;

use isles_clock::ReplicaId;
use isles_replica::image::TableChange;
use isles_replica::{
    Expiry, FlagKind, Frame, Replica, ReplicaConfig, Scope, Unlogged, UnloggedContent,
};
use support::{NOW_MS, bytes_of, hex};

/// A replica that has created one key of each kind in one entry and changed it in the next.
fn writer() -> Replica {
    let mut replica = Replica::new(ReplicaId::from_u128(0xa), ReplicaConfig::default());
    let mut txn = replica.txn(NOW_MS, Scope::Many);
    txn.set_flag(b"ew", FlagKind::EnableWins, true)
        .expect("a flag");
    txn.set_flag(b"dw", FlagKind::DisableWins, false)
        .expect("a flag");
    txn.sketch_add(b"hll", &[b"x", b"y"]).expect("sketches");
    txn.bounded_increment(b"stock", 10).expect("a counter");
    txn.set_bounded(b"empty", 0, Expiry::Clear);
    txn.commit().expect("a small entry");
    let mut txn = replica.txn(NOW_MS, Scope::Many);
    txn.set_flag(b"ew", FlagKind::EnableWins, true)
        .expect("a flag");
    txn.set_flag(b"dw", FlagKind::DisableWins, true)
        .expect("a flag");
    txn.sketch_add(b"hll", &[b"z"]).expect("sketches");
    txn.bounded_decrement(b"stock", 3).expect("enough rights");
    txn.bounded_transfer(b"stock", 2, ReplicaId::from_u128(0xb))
        .expect("enough rights");
    txn.commit().expect("a small entry");
    replica
}

fn frame() -> Frame {
    let taken: Option<Unlogged> = writer().take_unlogged().pop();
    match taken.expect("one frame").content {
        UnloggedContent::Own(open) => open.seal(0x1234),
        _ => unreachable!("nothing else was written"),
    }
}

fn rows(replica: &mut Replica) -> String {
    let mut lines = String::new();
    let images = replica.take_images(usize::MAX);
    images.encode(&mut |change| {
        if let TableChange::Put(key, value) = change
            && !support::is_index(&key)
        {
            lines += &format!("{} {}\n", hex(&key), hex(&value));
        }
    });
    lines
}

#[test]
fn a_frame() {
    let golden = include_str!("golden/small_kinds_frame_v1.hex");
    assert_eq!(hex(frame().bytes()), golden.trim());
    let frame = Frame::decode(bytes_of(golden).into()).expect("version 1 is read");
    assert_eq!(frame.entries().filter(Result::is_ok).count(), 2);
}

#[test]
fn table_rows() {
    let golden = include_str!("golden/small_kinds_trails_v1.hex");
    let mut replica = writer();
    assert_eq!(rows(&mut replica), golden);
    check_loads(golden, &replica);
}

/// As they were written before recent changes were kept beside sketches and counters, and are where every region has them.
#[test]
fn table_rows_without_trails() {
    let golden = include_str!("golden/small_kinds_rows_v1.hex");
    let mut replica = writer();
    replica.note_stable(replica.applied().clone());
    assert_eq!(rows(&mut replica), golden);
    check_loads(golden, &replica);
}

fn check_loads(golden: &str, written: &Replica) {
    let stored: Vec<(Vec<u8>, Vec<u8>)> = golden
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(key, value)| (bytes_of(key), bytes_of(value)))
        .collect();
    let mut loaded = Replica::new(ReplicaId::from_u128(0xb), ReplicaConfig::default());
    let mut scan = |prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])| {
        let matching = stored.iter().filter(|(key, _)| key.starts_with(prefix));
        matching.for_each(|(key, value)| each(key, value));
    };
    loaded
        .load_table_without_index(&mut scan, NOW_MS)
        .expect("version 1 is read");
    assert_eq!(loaded.digest(), written.digest());
    assert_eq!(loaded.content(), written.content());
    loaded.check().expect("what is derived fits the content");
}
