//! Both tables pass one suite; the one in memory also loses in a crash what a disk would.

use isles_store::{Batch, FjallConfig, FjallTable, MemoryTable, Table, TableError, conformance};

#[test]
fn memory_table_conforms() {
    conformance::check(|| Box::new(MemoryTable::new()));
}

#[test]
fn memory_table_keeps_what_was_persisted_in_a_crash() {
    let table = MemoryTable::new();
    conformance::check_reopen(|| {
        table.crash();
        Box::new(table.clone())
    });
}

#[test]
fn memory_table_keeps_everything_without_a_crash() {
    let table = MemoryTable::new();
    conformance::check_reopen(|| Box::new(table.clone()));
}

#[test]
fn fjall_table_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    conformance::check(|| {
        count.set(count.get() + 1);
        let path = dir.path().join(count.get().to_string());
        Box::new(FjallTable::open(path, &FjallConfig::default()).unwrap())
    });
}

#[test]
fn fjall_table_keeps_what_was_persisted() {
    let dir = tempfile::tempdir().unwrap();
    conformance::check_reopen(|| {
        Box::new(FjallTable::open(dir.path(), &FjallConfig::default()).unwrap())
    });
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
    assert!(message.contains("rebuilds it"), "{message}");
}
