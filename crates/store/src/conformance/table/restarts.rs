//! The laws of what a restart keeps.

use super::model::{Model, Random, check_rows, model, ok, put, scan, show};
use super::{Law, OfRestarts};
use crate::table::{Batch, Table};

/// Opens the law's table, once the one before is dropped.
type Reopen<'a> = &'a dyn Fn() -> Box<dyn Table>;

pub(super) const LAWS: &[OfRestarts] = &[
    Law {
        says: "an empty table stays empty through restarts",
        test: an_empty_table_stays_empty,
    },
    Law {
        says: "what was persisted is there after a restart",
        test: what_was_persisted_is_there,
    },
    Law {
        says: "what was flushed is there after a restart, and what was deleted is not",
        test: what_was_flushed_is_there,
    },
    Law {
        says: "of what was not persisted a restart keeps a prefix of the batches",
        test: a_prefix_of_the_rest_survives,
    },
    Law {
        says: "a random history with restarts leaves what a map would hold",
        test: random_history_with_restarts,
    },
    Law {
        says: "big values survive a restart",
        test: big_values_survive,
    },
];

fn an_empty_table_stays_empty(reopen: Reopen<'_>) {
    drop(reopen());
    let table = reopen();
    check_rows(&*table, &Model::new(), "after a restart");
    ok("persist", table.persist());
    ok("flush", table.flush());
    drop(table);
    check_rows(&*reopen(), &Model::new(), "after a flush and a restart");
}

fn what_was_persisted_is_there(reopen: Reopen<'_>) {
    let table = reopen();
    put(&*table, &[("a", "1"), ("b", "2")]);
    ok("persist", table.persist());
    drop(table);
    let table = reopen();
    let expected = model(&[("a", "1"), ("b", "2")]);
    check_rows(&*table, &expected, "after a restart");
    let mut batch = Batch::new();
    batch.delete("a");
    batch.put("b", "3");
    ok("write", table.write(batch));
    ok("persist", table.persist());
    drop(table);
    let expected = model(&[("b", "3")]);
    check_rows(&*reopen(), &expected, "after a second restart");
}

fn what_was_flushed_is_there(reopen: Reopen<'_>) {
    let table = reopen();
    put(&*table, &[("a", "1"), ("b", "2"), ("c", "3")]);
    ok("flush", table.flush());
    let mut batch = Batch::new();
    batch.put("b", "changed");
    batch.delete("a");
    ok("write", table.write(batch));
    ok("flush", table.flush());
    drop(table);
    let expected = model(&[("b", "changed"), ("c", "3")]);
    check_rows(&*reopen(), &expected, "after a restart");
    check_rows(&*reopen(), &expected, "after a restart without a change");
}

fn a_prefix_of_the_rest_survives(reopen: Reopen<'_>) {
    let table = reopen();
    put(&*table, &[("persisted", "yes")]);
    ok("persist", table.persist());
    // Each batch changes the same key, adds one and removes the one before, so that every prefix looks different.
    let mut states = vec![model(&[("persisted", "yes")])];
    for number in 1..=20 {
        let mut next: Model = states[number - 1].clone();
        let mut batch = Batch::new();
        for (key, value) in [("last".to_owned(), number), (format!("of {number}"), 1)] {
            next.insert(key.clone().into_bytes(), value.to_string().into_bytes());
            batch.put(key, value.to_string());
        }
        let before = format!("of {}", number - 1).into_bytes();
        next.remove(&before);
        batch.delete(before);
        ok("write", table.write(batch));
        states.push(next);
    }
    drop(table);
    let found: Model = scan(&*reopen(), b"", None).into_iter().collect();
    let rows = || {
        let rows = found.iter();
        let rows = rows.map(|(key, value)| format!("{}={}", show(key), show(value)));
        rows.collect::<Vec<_>>().join(" ")
    };
    assert!(
        states.contains(&found),
        "one batch was persisted and twenty followed; after a restart there is what no number of them leaves: {}",
        rows()
    );
    check_rows(&*reopen(), &found, "after one more restart");
}

fn random_history_with_restarts(reopen: Reopen<'_>) {
    let (mut random, mut model) = (Random::new(5), Model::new());
    for run in 0..6 {
        let table = reopen();
        check_rows(&*table, &model, &format!("after {run} restarts"));
        for _ in 0..25 {
            ok("write", table.write(random.batch(&mut model)));
            if random.below(12) == 0 {
                ok("flush", table.flush());
            }
        }
        match run % 2 {
            0 => ok("persist", table.persist()),
            _ => ok("flush", table.flush()),
        }
    }
    check_rows(&*reopen(), &model, "at the end");
}

fn big_values_survive(reopen: Reopen<'_>) {
    let value: Vec<u8> = (0..5u32 << 20).map(|at| (at >> 7) as u8).collect();
    let table = reopen();
    let mut batch = Batch::new();
    batch.put("big", value.clone());
    batch.put("small", "1");
    ok("write", table.write(batch));
    ok("persist", table.persist());
    drop(table);
    let expected = Model::from([(b"big".to_vec(), value), (b"small".to_vec(), b"1".to_vec())]);
    check_rows(&*reopen(), &expected, "after a restart");
}
