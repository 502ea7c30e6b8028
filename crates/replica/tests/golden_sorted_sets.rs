//! What this version writes of sorted sets stays readable, as `golden_bytes.rs` says of everything else.

mod support;

use std::collections::BTreeMap;

use isles_clock::ReplicaId;
use isles_replica::delivery::{Lane, LaneKind};
use isles_replica::image::TableChange;
use isles_replica::{
    AddIf, Frame, Replica, ReplicaConfig, Scope, Score, ScoreIf, Txn, UnloggedContent,
};
use support::{NOW_MS, bytes_of, hex};

fn score(number: f64) -> Score {
    Score::try_from(number).expect("a number")
}

fn add(txn: &mut Txn<'_>, pairs: &[(&[u8], f64)]) {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, number)| (*name, score(*number)))
        .collect();
    txn.sorted_set_add(b"z", &pairs, AddIf::Always, ScoreIf::Any)
        .expect("a sorted set");
}

fn increment(txn: &mut Txn<'_>, name: &[u8], by: f64) {
    txn.sorted_set_increment(b"z", name, score(by), AddIf::Always, ScoreIf::Any)
        .expect("a sorted set")
        .expect("a number");
}

/// A replica that has set, added to and removed members.
fn writer() -> Replica {
    let mut replica = Replica::new(ReplicaId::from_u128(0xa), ReplicaConfig::default());
    let mut txn = replica.txn(NOW_MS, Scope::Many);
    add(
        &mut txn,
        &[(b"a", 1.5), (b"b", f64::NEG_INFINITY), (b"c", 3.0)],
    );
    increment(&mut txn, b"d", 0.1);
    txn.commit().expect("a small entry");
    let mut txn = replica.txn(NOW_MS, Scope::Many);
    increment(&mut txn, b"a", -2.25);
    increment(&mut txn, b"c", 1.0);
    add(&mut txn, &[(b"d", 7.0)]);
    txn.sorted_set_remove(b"z", &[b"b"]).expect("a sorted set");
    txn.commit().expect("a small entry");
    replica
}

fn frame(replica: &mut Replica) -> Frame {
    let mut taken = replica.take_unlogged();
    match taken.pop().expect("one frame").content {
        UnloggedContent::Own(open) => open.seal(0),
        _ => unreachable!("nothing else was written"),
    }
}

fn rows(replica: &mut Replica) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    let images = replica.take_images(usize::MAX);
    images.encode(&mut |change| match change {
        TableChange::Put(key, _) if support::is_index(&key) => {}
        TableChange::Put(key, value) => _ = rows.insert(key, value),
        TableChange::Delete(key) => _ = rows.remove(&key),
    });
    rows
}

fn load(rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> Replica {
    let mut loaded = Replica::new(ReplicaId::from_u128(0xb), ReplicaConfig::default());
    let scan = &mut |prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])| {
        let matching = rows.iter().filter(|(key, _)| key.starts_with(prefix));
        matching.for_each(|(key, value)| each(key, value));
    };
    let read = loaded.load_table_without_index(scan, NOW_MS);
    read.expect("version 1 is read");
    loaded.check().expect("what is derived fits the content");
    loaded
}

#[test]
fn a_frame() {
    let golden = include_str!("golden/frame_sorted_set_v1.hex");
    let mut writer = writer();
    assert_eq!(hex(frame(&mut writer).bytes()), golden.trim());
    let mut reader = Replica::new(ReplicaId::from_u128(0xb), ReplicaConfig::default());
    let lane = Lane {
        peer: writer.id(),
        kind: LaneKind::Direct,
    };
    let frame = Frame::decode(bytes_of(golden).into()).expect("version 1 is read");
    _ = reader.offer(frame, lane).expect("its parts are known");
    while reader.apply_ready(NOW_MS) > 0 {}
    assert_eq!(reader.digest(), writer.digest());
}

#[test]
fn table_rows() {
    let golden = include_str!("golden/rows_sorted_set_v1.hex");
    let mut replica = writer();
    let line = |(key, value): (Vec<u8>, Vec<u8>)| format!("{} {}\n", hex(&key), hex(&value));
    let lines: String = rows(&mut replica).into_iter().map(line).collect();
    assert_eq!(lines, golden);
    let pairs = golden.lines().filter_map(|line| line.split_once(' '));
    let loaded = load(
        &pairs
            .map(|(key, value)| (bytes_of(key), bytes_of(value)))
            .collect(),
    );
    assert_eq!(loaded.digest(), replica.digest());
}

#[test]
fn a_large_set_lies_in_pages_of_which_the_changed_ones_are_written() {
    let mut replica = writer();
    let names: Vec<String> = (0..2_000).map(|number| format!("name-{number}")).collect();
    let mut txn = replica.txn(NOW_MS, Scope::Once);
    let pairs: Vec<(&[u8], f64)> = names.iter().map(|name| (name.as_bytes(), 2.0)).collect();
    add(&mut txn, &pairs);
    txn.commit().expect("a small entry");
    let mut stored = rows(&mut replica);
    assert!(stored.len() > 100, "{} rows", stored.len());
    let mut txn = replica.txn(NOW_MS, Scope::Once);
    increment(&mut txn, b"name-7", 1.0);
    txn.commit().expect("a small entry");
    let changed = rows(&mut replica);
    assert_eq!(changed.len(), 2, "the header and one page");
    stored.extend(changed);
    let mut loaded = load(&stored);
    assert_eq!(loaded.digest(), replica.digest());
    let mut txn = loaded.txn(NOW_MS, Scope::Once);
    let set = txn
        .sorted_set(b"z")
        .expect("a sorted set")
        .expect("it is there");
    assert_eq!((set.len(), set.rank(b"a")), (2_003, Some(0)));
    let last: Vec<_> = set.range(2_000..2_003).collect();
    let expected = [(&b"name-7"[..], 3.0), (b"c", 4.0), (b"d", 7.0)];
    assert_eq!(last, expected.map(|(name, number)| (name, score(number))));
}

/// `14 [a, b]`: nearly all of a set goes, and what stays is named.
#[test]
fn the_bytes_of_what_stays_are_fixed() {
    let mut replica = Replica::new(ReplicaId::from_u128(0xa), ReplicaConfig::default());
    let mut txn = replica.txn(NOW_MS, Scope::Many);
    let names: Vec<String> = (0..30).map(|number| format!("m{number}")).collect();
    let numbered = (2..).map(f64::from).zip(&names);
    let mut pairs: Vec<(&[u8], f64)> = vec![(b"a", 0.0), (b"b", 1.0)];
    pairs.extend(numbered.map(|(number, name)| (name.as_bytes(), number)));
    add(&mut txn, &pairs);
    txn.commit().expect("a small entry");
    frame(&mut replica);
    let mut txn = replica.txn(NOW_MS, Scope::Once);
    let removed = txn.sorted_set_remove_ranks(b"z", 2..32);
    assert_eq!(removed, Ok(30));
    txn.commit().expect("a small entry");
    let bytes = hex(frame(&mut replica).bytes());
    assert!(bytes.contains("010e0201610162"), "{bytes}");
}
