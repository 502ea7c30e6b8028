//! The laws of [`Table`].

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::table::{Batch, KEY_BYTES_MAX, Table, TableError, Visitor};

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Checks everything that needs no restart. `open` makes a new empty table each time.
///
/// # Panics
/// If the table breaks a law.
pub fn check(open: impl Fn() -> Box<dyn Table>) {
    for law in [
        put_get_delete,
        last_change_in_a_batch_holds,
        scan_is_ordered_and_bounded,
        scan_stops_when_told,
        scan_sees_one_moment,
        snapshot_never_changes,
        unstorable_rows_are_refused_whole,
        big_values_come_back,
        flush_keeps_everything,
        random_history_equals_a_map,
        batches_are_atomic_for_readers,
    ] {
        law(&*open());
    }
}

/// Checks what a restart keeps. Each call of `reopen` ends the previous use, cleanly or not, and opens the same table
/// again; the first one finds it empty.
///
/// # Panics
/// If the table breaks a law.
pub fn check_reopen(mut reopen: impl FnMut() -> Box<dyn Table>) {
    let table = reopen();
    put(&*table, &[("a", "1"), ("b", "2")]);
    ok(table.persist());
    drop(table);

    let table = reopen();
    assert_eq!(
        all(&*table),
        rows(&[("a", "1"), ("b", "2")]),
        "what was persisted is there after a restart"
    );
    let mut batch = Batch::new();
    batch.put("b", "3");
    batch.delete("a");
    batch.put("c", "4");
    ok(table.write(batch));
    ok(table.flush());
    put(&*table, &[("d", "5"), ("e", "6")]);
    drop(table);

    let table = reopen();
    let found = all(&*table);
    let flushed = rows(&[("b", "3"), ("c", "4")]);
    let whole = rows(&[("b", "3"), ("c", "4"), ("d", "5"), ("e", "6")]);
    assert!(
        found == flushed || found == whole,
        "a batch that was not persisted is there whole or not at all"
    );
}

fn put_get_delete(table: &dyn Table) {
    assert_eq!(ok(table.get(b"k")), None);
    assert_eq!(ok(table.get(b"")), None, "the empty key is never there");
    put(table, &[("k", "v"), ("empty", "")]);
    assert_eq!(ok(table.get(b"k")), Some(b"v".to_vec()));
    assert_eq!(
        ok(table.get(b"empty")),
        Some(Vec::new()),
        "an empty value is a value"
    );
    let mut batch = Batch::new();
    batch.delete("k");
    batch.delete("never there");
    ok(table.write(batch));
    assert_eq!(ok(table.get(b"k")), None);
    ok(table.write(Batch::new()));
    assert_eq!(all(table), rows(&[("empty", "")]));
}

fn last_change_in_a_batch_holds(table: &dyn Table) {
    let mut batch = Batch::new();
    batch.put("x", "1");
    batch.put("x", "2");
    batch.put("y", "1");
    batch.delete("y");
    batch.delete("z");
    batch.put("z", "1");
    ok(table.write(batch));
    assert_eq!(all(table), rows(&[("x", "2"), ("z", "1")]));
}

fn scan_is_ordered_and_bounded(table: &dyn Table) {
    let keys: [&[u8]; 6] = [&[0], &[0, 0], &[1], &[1, 255], &[255], &[255, 255]];
    let mut batch = Batch::new();
    for key in keys.iter().rev() {
        batch.put(*key, *key);
    }
    ok(table.write(batch));
    let scanned = |from: &[u8], to: Option<&[u8]>| -> Vec<Vec<u8>> {
        scan(table, from, to)
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    };
    assert_eq!(scanned(&[], None), keys, "bytewise order, whole range");
    assert_eq!(
        scanned(&[0, 0], Some(&[1, 255])),
        keys[1..3],
        "from is included, to is not"
    );
    assert_eq!(
        scanned(&[0, 1], Some(&[0, 2])),
        [[0; 0]; 0],
        "an empty range"
    );
    assert_eq!(
        scanned(&[1], Some(&[1])),
        [[0; 0]; 0],
        "an empty range at a key"
    );
    assert_eq!(
        scanned(&[2], Some(&[1])),
        [[0; 0]; 0],
        "a range the wrong way round is empty"
    );
    assert_eq!(scanned(&[255, 255], None), keys[5..]);
}

fn scan_stops_when_told(table: &dyn Table) {
    put(table, &[("a", "1"), ("b", "2"), ("c", "3")]);
    let mut seen = 0;
    ok(table.scan(b"", None, &mut |_, _| {
        seen += 1;
        if seen == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }));
    assert_eq!(seen, 2);
}

fn scan_sees_one_moment(table: &dyn Table) {
    put(table, &[("a", "1"), ("b", "2")]);
    let mut seen = Vec::new();
    ok(table.scan(b"", None, &mut |key, _| {
        seen.push(key.to_vec());
        put(table, &[("c", "3")]);
        ControlFlow::Continue(())
    }));
    assert_eq!(seen, [b"a", b"b"], "a scan may write, and does not see it");
    assert_eq!(ok(table.get(b"c")), Some(b"3".to_vec()));
}

fn snapshot_never_changes(table: &dyn Table) {
    put(table, &[("a", "1"), ("b", "2")]);
    let snapshot = table.snapshot();
    let mut batch = Batch::new();
    batch.put("a", "changed");
    batch.delete("b");
    batch.put("c", "new");
    ok(table.write(batch));
    ok(table.flush());
    assert_eq!(ok(snapshot.get(b"a")), Some(b"1".to_vec()));
    assert_eq!(ok(snapshot.get(b"c")), None);
    assert_eq!(
        collect(|visit| snapshot.scan(b"", None, visit)),
        rows(&[("a", "1"), ("b", "2")])
    );
    assert_eq!(all(table), rows(&[("a", "changed"), ("c", "new")]));
}

fn unstorable_rows_are_refused_whole(table: &dyn Table) {
    let longest = vec![b'k'; KEY_BYTES_MAX];
    let mut batch = Batch::new();
    batch.put(longest.clone(), "v");
    ok(table.write(batch));
    assert_eq!(
        ok(table.get(&longest)),
        Some(b"v".to_vec()),
        "the longest key can be stored"
    );
    for key in [Vec::new(), vec![b'k'; KEY_BYTES_MAX + 1]] {
        let mut batch = Batch::new();
        batch.put("good", "v");
        batch.put(key.clone(), "v");
        let error = table
            .write(batch)
            .expect_err("a key of this size is refused");
        assert!(
            matches!(error, TableError::Key { bytes } if bytes == key.len()),
            "{error}"
        );
        assert_eq!(
            ok(table.get(b"good")),
            None,
            "nothing of a refused batch is written"
        );
        assert_eq!(ok(table.get(&key)), None);
    }
}

fn big_values_come_back(table: &dyn Table) {
    let value: Vec<u8> = (0..3u32 << 20)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut batch = Batch::new();
    batch.put("big", value.clone());
    ok(table.write(batch));
    ok(table.flush());
    assert!(
        ok(table.get(b"big")).as_ref() == Some(&value),
        "a value of 3 MiB comes back"
    );
    assert!(table.bytes() > 0);
}

fn flush_keeps_everything(table: &dyn Table) {
    ok(table.flush());
    put(table, &[("a", "1")]);
    ok(table.flush());
    put(table, &[("b", "2")]);
    ok(table.flush());
    ok(table.flush());
    assert_eq!(all(table), rows(&[("a", "1"), ("b", "2")]));
}

fn random_history_equals_a_map(table: &dyn Table) {
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut state = 1u64;
    let mut random = |bound: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    for round in 0..300 {
        let mut batch = Batch::new();
        for _ in 0..random(8) {
            let key = format!("key {}", random(40)).into_bytes();
            if random(3) == 0 {
                model.remove(&key);
                batch.delete(key);
            } else {
                let value = format!("value {}", random(1_000_000)).into_bytes();
                model.insert(key.clone(), value.clone());
                batch.put(key, value);
            }
        }
        ok(table.write(batch));
        match random(60) {
            0 => ok(table.flush()),
            1 => ok(table.persist()),
            _ => {}
        }
        if round % 20 == 0 {
            assert_eq!(
                all(table),
                model.clone().into_iter().collect::<Rows>(),
                "after batch {round}"
            );
        }
    }
    for key in 0..40 {
        let key = format!("key {key}").into_bytes();
        assert_eq!(ok(table.get(&key)), model.get(&key).cloned());
    }
}

fn batches_are_atomic_for_readers(table: &dyn Table) {
    const ROUNDS: u32 = 300;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 1..=ROUNDS {
                let value = round.to_string();
                put(
                    table,
                    &[("left", value.as_str()), ("right", value.as_str())],
                );
            }
        });
        while !writer.is_finished() {
            let snapshot = table.snapshot();
            let (left, right) = (ok(snapshot.get(b"left")), ok(snapshot.get(b"right")));
            assert_eq!(left, right, "a reader sees a batch whole or not at all");
        }
    });
    assert_eq!(
        ok(table.get(b"right")),
        Some(ROUNDS.to_string().into_bytes())
    );
}

fn put(table: &dyn Table, entries: &[(&str, &str)]) {
    let mut batch = Batch::new();
    for (key, value) in entries {
        batch.put(*key, *value);
    }
    ok(table.write(batch));
}

fn all(table: &dyn Table) -> Rows {
    scan(table, b"", None)
}

fn scan(table: &dyn Table, from: &[u8], to: Option<&[u8]>) -> Rows {
    collect(|visit| table.scan(from, to, visit))
}

fn collect(scan: impl FnOnce(&mut Visitor<'_>) -> Result<(), TableError>) -> Rows {
    let mut found = Rows::new();
    ok(scan(&mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    }));
    found
}

fn rows(entries: &[(&str, &str)]) -> Rows {
    entries
        .iter()
        .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

fn ok<T>(result: Result<T, TableError>) -> T {
    result.unwrap_or_else(|error| panic!("the table failed: {error}"))
}
