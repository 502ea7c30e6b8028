use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Dot, Everything, Hlc, ReplicaId};
use proptest::prelude::*;

use super::*;

fn entry(ms: u64, replica: u128, sequence: u64) -> Entry {
    let dot = Dot::new(ReplicaId::from_u128(replica), sequence);
    let text = format!("value-{ms}");
    let fields = Fields::pack([&b"f"[..], text.as_bytes()].into_iter());
    let name = Name {
        id: StreamId::new(ms, 0),
        dot,
        ordinal: 0,
    };
    Entry {
        name,
        hlc: Hlc::ZERO,
        fields,
    }
}

fn filled(count: u64) -> Stream {
    let mut stream = Stream::default();
    (1..=count).for_each(|ms| assert!(stream.insert(entry(ms, 1, ms))));
    stream
}

/// The table's pages after another round of changes.
fn store(stream: &mut Stream, table: &mut BTreeMap<u32, Vec<Entry>>) -> usize {
    let changes = stream.take_changes();
    for number in changes.gone {
        table.remove(&number);
    }
    let written = changes.changed.len();
    for (number, page) in changes.changed {
        table.insert(number, page.entries().to_vec());
    }
    written
}

fn names(stream: &Stream) -> Vec<Name> {
    stream.iter().map(|entry| entry.name).collect()
}

struct Only(ReplicaId);

impl Context for Only {
    fn covers(&self, dot: Dot) -> bool {
        dot.replica == self.0
    }
}

#[test]
fn texts_are_packed_and_unpacked() {
    let texts: [&[u8]; 4] = [b"", b"field", b"\0\xff", &[b'x'; 300]];
    let fields = Fields::pack(texts.into_iter());
    assert_eq!(fields.iter().collect::<Vec<_>>(), texts);
}

#[test]
fn a_snapshot_does_not_see_later_changes() {
    let mut stream = filled(1000);
    let snapshot = stream.clone();
    drop(stream.clear(&Everything));
    assert_eq!((stream.len(), snapshot.len()), (0, 1000));
    assert!(snapshot.is_sound());
}

#[test]
fn a_trim_leaves_what_its_writer_had_not_seen() {
    let mut stream = filled(300);
    for ms in [10, 150, 200, 299] {
        stream.insert(entry(ms, 2, ms));
    }
    let mut told = 0;
    stream.trim(
        StreamId::new(200, 0),
        &Only(ReplicaId::from_u128(1)),
        &mut |_| told += 1,
    );
    let left: Vec<u64> = stream
        .iter()
        .take(4)
        .map(|entry| entry.name.id.ms)
        .collect();
    assert_eq!((told, left), (200, vec![10, 150, 200, 201]));
    assert!(stream.is_sound());
}

#[test]
fn writers_that_chose_the_same_id_have_both() {
    let mut stream = filled(3);
    assert!(stream.insert(entry(2, 2, 9)));
    assert!(!stream.insert(entry(2, 2, 9)));
    assert_eq!(stream.with_id(StreamId::new(2, 0)).count(), 2);
    stream.remove(
        StreamId::new(2, 0),
        &Only(ReplicaId::from_u128(1)),
        &mut |_| {},
    );
    assert_eq!(stream.with_id(StreamId::new(2, 0)).count(), 1);
}

#[test]
fn an_addition_to_a_large_stream_writes_one_page() {
    let (mut stream, mut table) = (filled(10_000), BTreeMap::new());
    let all = store(&mut stream, &mut table);
    assert_eq!(all, 10_000usize.div_ceil(PAGE_ENTRIES_MAX));
    stream.insert(entry(10_001, 1, 10_001));
    assert_eq!(store(&mut stream, &mut table), 1);
    stream.trim(
        StreamId::new(PAGE_ENTRIES_MAX as u64, 0),
        &Everything,
        &mut |_| {},
    );
    assert_eq!(store(&mut stream, &mut table), 0);
    assert_eq!(table.len(), all - 1);
}

proptest! {
    /// Against a sorted set of names, with the table rebuilt after every few changes.
    #[test]
    fn it_is_a_sorted_set_of_names(ops in prop::collection::vec((0u8..8, 1u64..400, 1u128..4), 0..600)) {
        let mut stream = Stream::default();
        let mut model: BTreeSet<Name> = BTreeSet::new();
        let mut table = BTreeMap::new();
        for (index, (op, ms, replica)) in ops.into_iter().enumerate() {
            let id = StreamId::new(ms, 0);
            match op {
                0 => {
                    let only = Only(ReplicaId::from_u128(replica));
                    stream.remove(id, &only, &mut |_| {});
                    model.retain(|name| name.id != id || !only.covers(name.dot));
                }
                1 if index % 20 == 0 => {
                    let only = Only(ReplicaId::from_u128(replica));
                    stream.trim(id, &only, &mut |_| {});
                    model.retain(|name| name.id > id || !only.covers(name.dot));
                }
                _ => {
                    let entry = entry(ms, replica, ms);
                    model.insert(entry.name);
                    stream.insert(entry);
                }
            }
            if index % 10 == 0 {
                store(&mut stream, &mut table);
            }
        }
        prop_assert!(stream.is_sound());
        let expected: Vec<Name> = model.into_iter().collect();
        prop_assert_eq!(names(&stream), expected.clone());
        let back: Vec<Name> = stream.iter_back_from(stream.len()).map(|entry| entry.name).collect();
        prop_assert!(back.iter().rev().eq(&expected));
        for probe in [0, 7, 200, 500] {
            let id = StreamId::new(probe, 0);
            prop_assert_eq!(stream.rank(id), expected.iter().filter(|name| name.id < id).count());
        }
        store(&mut stream, &mut table);
        let mut loaded = Stream::default();
        prop_assert_eq!(loaded.load(table.into_iter().collect()), Ok(()));
        prop_assert_eq!(names(&loaded), expected);
    }
}

/// Has observed everything, and counts how often it is asked.
#[derive(Default)]
struct Asked(std::cell::Cell<usize>);

impl Context for Asked {
    fn covers(&self, _: Dot) -> bool {
        self.0.set(self.0.get() + 1);
        true
    }
}

#[test]
fn clearing_and_trimming_what_was_observed_ask_for_no_entry() {
    let (mut stream, asked) = (filled(1000), Asked::default());
    drop(stream.sweep(StreamId::new(900, 0), &asked));
    assert_eq!((stream.len(), asked.0.get()), (100, 1));
    assert!(stream.is_sound());
    drop(stream.clear(&asked));
    assert!(stream.is_gone());
    assert_eq!(asked.0.get(), 2);
}
