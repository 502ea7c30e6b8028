//! Every table passes one suite; the one in memory also loses in a crash what a disk would.

mod support;

use isles_store::{Batch, FjallConfig, FjallTable, MemoryTable, Table, TableError, conformance};
use support::places::Places;

#[test]
fn memory_table_conforms() {
    conformance::check_volatile_table(MemoryTable::new);
}

#[test]
fn memory_table_keeps_what_was_persisted_in_a_crash() {
    let tables = Places::<MemoryTable>::default();
    conformance::check_table(move |place| {
        let table = tables.at(place);
        table.crash();
        Ok(table)
    });
}

#[test]
fn memory_table_keeps_any_prefix_in_a_crash() {
    let tables = Places::<MemoryTable>::default();
    conformance::check_table(move |place| {
        let table = tables.at(place);
        table.crash_keeping(table.unpersisted() / 2);
        Ok(table)
    });
}

#[test]
fn fjall_table_conforms() {
    conformance::check_table(|place| FjallTable::open(place, &FjallConfig::default()));
}

/// Found by a node whose checkpoint was there and whose rows were not.
#[test]
fn a_fjall_table_without_its_journal_does_not_contradict_itself() {
    let dir = tempfile::tempdir().unwrap();
    let open = || FjallTable::open(dir.path(), &FjallConfig::default());
    {
        let table = open().unwrap();
        for round in 0..3u8 {
            let mut batch = Batch::new();
            (0..200u8).for_each(|key| batch.put(vec![key], vec![round; 100]));
            table.write(batch).unwrap();
            table.flush().unwrap();
        }
    }
    let journals = std::fs::read_dir(dir.path()).unwrap();
    let journals = journals.map(|entry| entry.unwrap().path());
    let lost = journals.filter(|path| path.extension().is_some_and(|end| end == "jnl"));
    let lost: Vec<_> = lost.collect();
    assert!(!lost.is_empty());
    lost.iter()
        .for_each(|path| std::fs::remove_file(path).unwrap());
    // Refusing would be as good.
    let Ok(table) = open() else { return };
    let mut scanned = Vec::new();
    table
        .scan(&[], None, &mut |key, value| {
            scanned.push((key.to_vec(), value.to_vec()));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    let by_key = (0..200u8).filter_map(|key| Some((vec![key], table.get(&[key]).unwrap()?)));
    assert_eq!(scanned, by_key.collect::<Vec<_>>());
}

#[test]
fn fjall_table_opens_once() {
    let dir = tempfile::tempdir().unwrap();
    let _table = FjallTable::open(dir.path(), &FjallConfig::default()).unwrap();
    let error = FjallTable::open(dir.path(), &FjallConfig::default())
        .err()
        .unwrap();
    assert!(matches!(error, TableError::Locked { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains(&dir.path().display().to_string()),
        "{error}"
    );
}

#[test]
fn a_crash_keeps_a_prefix_of_the_batches() {
    let put = |table: &MemoryTable, key: &str, value: &str| {
        let mut batch = Batch::new();
        batch.put(key, value);
        table.write(batch).unwrap();
    };
    let table = MemoryTable::new();
    put(&table, "k", "persisted");
    table.persist().unwrap();
    for value in ["first", "second", "third"] {
        put(&table, "k", value);
        put(&table, value, "there");
    }
    let get = |table: &MemoryTable, key: &str| {
        table
            .get(key.as_bytes())
            .unwrap()
            .map(|v| String::from_utf8(v).unwrap())
    };
    for (kept, expected) in [
        (0, "persisted"),
        (1, "first"),
        (2, "first"),
        (4, "second"),
        (6, "third"),
        (9, "third"),
    ] {
        let crashed = table.fork();
        assert_eq!(crashed.unpersisted(), 6);
        crashed.crash_keeping(kept);
        assert_eq!(
            get(&crashed, "k").as_deref(),
            Some(expected),
            "{kept} batches kept"
        );
        assert_eq!(get(&crashed, "second").is_some(), kept >= 4);
        assert_eq!(
            crashed.unpersisted(),
            0,
            "what survived a crash is on the disk"
        );
    }
}

#[test]
fn a_damaged_fjall_table_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let table = FjallTable::open(dir.path(), &FjallConfig::default()).unwrap();
    let mut batch = Batch::new();
    batch.put("key", "a value to be found");
    table.write(batch).unwrap();
    table.persist().unwrap();
    drop(table);
    let damaged = std::fs::read_dir(dir.path()).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        let mut bytes = if path.is_file() {
            std::fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        let found = bytes.windows(7).position(|window| window == b"a value");
        if let Some(at) = found {
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
        found.is_some()
    });
    assert!(damaged, "the value lies in a journal");
    let error = FjallTable::open(dir.path(), &FjallConfig::default())
        .err()
        .unwrap();
    assert!(matches!(error, TableError::Damaged { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains(&dir.path().display().to_string()),
        "{message}"
    );
    assert!(message.contains("make the table anew"), "{message}");
}
