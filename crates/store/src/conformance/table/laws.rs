//! The laws that need no restart.

use std::ops::ControlFlow;

use super::model::{Model, Random, check_get, check_range, check_rows, model, ok, put, scan, show};
use super::{Law, OfTable};
use crate::table::{Batch, KEY_BYTES_MAX, Table, TableError};

pub(super) const LAWS: &[OfTable] = &[
    Law {
        says: "what was put is there, what was deleted is not",
        test: put_get_delete,
    },
    Law {
        says: "of several changes to a key in a batch the last one holds",
        test: last_change_in_a_batch_holds,
    },
    Law {
        says: "a scan is in the order of bytes, with its begin and without its end",
        test: scan_is_ordered_and_bounded,
    },
    Law {
        says: "a scan stops when it is told",
        test: scan_stops_when_told,
    },
    Law {
        says: "a scan sees one moment, and its visitor may read and write",
        test: scan_sees_one_moment,
    },
    Law {
        says: "a snapshot never changes",
        test: snapshot_never_changes,
    },
    Law {
        says: "snapshots of several moments live side by side",
        test: snapshots_of_several_moments,
    },
    Law {
        says: "a batch with a key that cannot be stored is refused whole",
        test: unstorable_rows_are_refused_whole,
    },
    Law {
        says: "big values come back",
        test: big_values_come_back,
    },
    Law {
        says: "a flush keeps everything",
        test: flush_keeps_everything,
    },
    Law {
        says: "a random history leaves what a map would hold",
        test: random_history_equals_a_map,
    },
    Law {
        says: "ranges of many rows are found, whichever files they are in",
        test: ranges_of_many_rows,
    },
    Law {
        says: "a reader sees a batch whole or not at all",
        test: batches_are_atomic_for_readers,
    },
];

fn put_get_delete(table: &dyn Table) {
    check_get(table, b"k", None, "in an empty table");
    check_get(table, b"", None, "in an empty table");
    check_rows(table, &Model::new(), "in an empty table");
    put(table, &[("k", "v"), ("empty", "")]);
    check_get(table, b"k", Some(b"v"), "after a put");
    check_get(table, b"empty", Some(b""), "after a put of an empty value");
    let mut batch = Batch::new();
    batch.delete("k");
    batch.delete("never there");
    ok("write", table.write(batch));
    check_get(table, b"k", None, "after a delete");
    ok("the write of an empty batch", table.write(Batch::new()));
    check_rows(table, &model(&[("empty", "")]), "after an empty batch");
}

fn last_change_in_a_batch_holds(table: &dyn Table) {
    let mut batch = Batch::new();
    batch.put("x", "1");
    batch.put("x", "2");
    batch.put("y", "1");
    batch.delete("y");
    batch.delete("z");
    batch.put("z", "1");
    ok("write", table.write(batch));
    let expected = model(&[("x", "2"), ("z", "1")]);
    check_rows(table, &expected, "after the batch");
}

fn scan_is_ordered_and_bounded(table: &dyn Table) {
    let keys: [&[u8]; 6] = [&[0], &[0, 0], &[1], &[1, 255], &[255], &[255, 255]];
    let expected: Model = keys
        .iter()
        .map(|key| (key.to_vec(), key.to_vec()))
        .collect();
    let mut batch = Batch::new();
    for key in keys.iter().rev() {
        batch.put(*key, *key);
    }
    ok("write", table.write(batch));
    let check = |from: &[u8], to: Option<&[u8]>, what: &str| {
        check_range(table, from, to, &expected, what);
    };
    check(&[], None, "over everything");
    check(&[0, 0], Some(&[1, 255]), "from one key to another");
    check(&[0, 1], Some(&[0, 2]), "where no key is");
    check(&[1], Some(&[1]), "in an empty range at a key");
    check(&[2], Some(&[1]), "in a range the wrong way round");
    check(&[255, 255], None, "from the last key on");
    check(&[255, 255, 0], None, "after the last key");
    check(&[], Some(&[]), "before the empty key");
}

fn scan_stops_when_told(table: &dyn Table) {
    put(table, &[("a", "1"), ("b", "2"), ("c", "3")]);
    let mut seen = 0;
    let result = table.scan(b"", None, &mut |_, _| {
        seen += 1;
        if seen == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    ok("scan", result);
    assert!(
        seen == 2,
        "told to stop at the second of three rows, it visited {seen}"
    );
}

fn scan_sees_one_moment(table: &dyn Table) {
    put(table, &[("a", "1"), ("b", "2")]);
    let mut seen = Vec::new();
    let result = table.scan(b"", None, &mut |key, value| {
        seen.push(format!("{}={}", show(key), show(value)));
        put(table, &[("b", "changed"), ("c", "3")]);
        check_get(table, b"c", Some(b"3"), "within the visitor that wrote it");
        ControlFlow::Continue(())
    });
    ok("scan", result);
    let seen = seen.join(" ");
    assert!(
        seen == "b\"a\"=b\"1\" b\"b\"=b\"2\"",
        "a scan whose visitor writes b and c should see a and b as they were; it sees {seen}"
    );
    let expected = model(&[("a", "1"), ("b", "changed"), ("c", "3")]);
    check_rows(table, &expected, "after a scan that wrote");
}

fn snapshot_never_changes(table: &dyn Table) {
    put(table, &[("a", "1"), ("b", "2")]);
    let snapshot = table.snapshot();
    let then = model(&[("a", "1"), ("b", "2")]);
    let mut batch = Batch::new();
    batch.put("a", "changed");
    batch.delete("b");
    batch.put("c", "new");
    ok("write", table.write(batch));
    check_rows(&*snapshot, &then, "in a snapshot, after a write");
    ok("flush", table.flush());
    check_rows(&*snapshot, &then, "in a snapshot, after a flush");
    check_get(&*snapshot, b"c", None, "in a snapshot, after a flush");
    check_get(&*snapshot, b"", None, "in a snapshot");
    check_range(&*snapshot, b"b", Some(b"a"), &then, "in a snapshot");
    let now = model(&[("a", "changed"), ("c", "new")]);
    check_rows(table, &now, "in the table, beside a snapshot");
}

fn snapshots_of_several_moments(table: &dyn Table) {
    let (mut random, mut model) = (Random::new(7), Model::new());
    let mut moments = Vec::new();
    for round in 0..60 {
        ok("write", table.write(random.batch(&mut model)));
        if round % 6 == 0 {
            moments.push((round, table.snapshot(), model.clone()));
        }
        if round % 25 == 24 {
            ok("flush", table.flush());
        }
    }
    // Not in the order in which they were taken.
    moments.sort_by_key(|(round, ..)| round % 4);
    for (round, snapshot, then) in moments {
        let when = format!("in the snapshot taken after batch {round} of 59");
        check_rows(&*snapshot, &then, &when);
    }
    check_rows(table, &model, "once all snapshots are gone");
}

fn unstorable_rows_are_refused_whole(table: &dyn Table) {
    let longest = vec![b'k'; KEY_BYTES_MAX];
    let mut batch = Batch::new();
    batch.put(longest.clone(), "v");
    ok("the write of the longest key", table.write(batch));
    check_get(table, &longest, Some(b"v"), "after its put");
    for key in [Vec::new(), vec![b'k'; KEY_BYTES_MAX + 1]] {
        let bytes = key.len();
        let mut batch = Batch::new();
        batch.put("good", "v");
        batch.put(key.clone(), "v");
        match table.write(batch) {
            Err(TableError::Key { bytes: said }) if said == bytes => {}
            Err(error) => panic!("a key of {bytes} bytes is refused with another error: {error}"),
            Ok(()) => panic!("a key of {bytes} bytes is accepted; `Batch::check` refuses it"),
        }
        check_get(table, b"good", None, "after the refusal of its batch");
        check_get(table, &key, None, "after the refusal of its batch");
    }
}

fn big_values_come_back(table: &dyn Table) {
    let value: Vec<u8> = (0..3u32 << 20)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut batch = Batch::new();
    batch.put("big", value.clone());
    ok("write", table.write(batch));
    check_get(table, b"big", Some(&value), "after a put of 3 MiB");
    ok("flush", table.flush());
    check_get(table, b"big", Some(&value), "after a flush");
    let bytes = table.bytes();
    assert!(
        bytes > 0,
        "a table with a value of 3 MiB says that it takes 0 bytes"
    );
}

fn flush_keeps_everything(table: &dyn Table) {
    ok("the flush of an empty table", table.flush());
    put(table, &[("a", "1"), ("gone", "1")]);
    ok("flush", table.flush());
    let mut batch = Batch::new();
    batch.put("b", "2");
    batch.delete("gone");
    ok("write", table.write(batch));
    ok("persist", table.persist());
    ok("flush", table.flush());
    ok("a flush with nothing to do", table.flush());
    check_get(table, b"gone", None, "after the flush of its delete");
    check_rows(table, &model(&[("a", "1"), ("b", "2")]), "after flushes");
}

fn random_history_equals_a_map(table: &dyn Table) {
    let (mut random, mut model) = (Random::new(1), Model::new());
    for round in 0..300 {
        ok("write", table.write(random.batch(&mut model)));
        match random.below(60) {
            0 => ok("flush", table.flush()),
            1 => ok("persist", table.persist()),
            _ => {}
        }
        if round % 10 == 0 {
            let when = format!("after batch {round}");
            let (from, to) = (random.key(), random.key());
            check_range(table, &from, Some(&to), &model, &when);
            check_rows(table, &model, &when);
        }
    }
    for _ in 0..40 {
        let key = random.key();
        let expected = model.get(&key).map(Vec::as_slice);
        check_get(table, &key, expected, "at the end");
    }
}

fn ranges_of_many_rows(table: &dyn Table) {
    const ROWS: u64 = 4_000;
    let key = |number: u64| number.to_be_bytes();
    let mut model = Model::new();
    // Three times over, each time others, so that a range has rows of several files.
    for part in 0..3 {
        let mut batch = Batch::new();
        for number in (0..ROWS).filter(|number| number % 3 >= part) {
            let value = format!("{part} of {number}").into_bytes();
            model.insert(key(number).to_vec(), value.clone());
            batch.put(key(number), value);
        }
        for number in (part..ROWS).step_by(17) {
            model.remove(&key(number)[..]);
            batch.delete(key(number));
        }
        ok("write", table.write(batch));
        ok("flush", table.flush());
    }
    let mut random = Random::new(3);
    for _ in 0..50 {
        let (from, to) = (key(random.below(ROWS)), key(random.below(ROWS)));
        check_range(table, &from, Some(&to), &model, "in many rows");
    }
    let found = scan(table, b"", None).len();
    let expected = model.len();
    assert!(found == expected, "of {expected} rows a scan finds {found}");
}

fn batches_are_atomic_for_readers(table: &dyn Table) {
    const BATCHES: u32 = 300;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 1..=BATCHES {
                let value = round.to_string();
                let value = value.as_str();
                put(table, &[("left", value), ("right", value)]);
            }
        });
        while !writer.is_finished() {
            let snapshot = table.snapshot();
            let left = ok("get", snapshot.get(b"left"));
            let when = "with the value of b\"left\", which every batch sets alike";
            check_get(&*snapshot, b"right", left.as_deref(), when);
            let found = scan(table, b"", None);
            let is_whole = found.len() != 1 && found.windows(2).all(|pair| pair[0].1 == pair[1].1);
            assert!(
                is_whole,
                "a scan finds one half of a batch without the other"
            );
        }
    });
    let last = BATCHES.to_string();
    check_get(table, b"right", Some(last.as_bytes()), "after all batches");
}
