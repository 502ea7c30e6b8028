//! The table on redb: the common laws, and what is its own.
#![cfg(feature = "redb")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;

use isles_store::{Batch, RedbConfig, RedbTable, Table, TableError, conformance};

fn put(table: &RedbTable, key: &str, value: &str) {
    let mut batch = Batch::new();
    batch.put(key, value);
    table.write(batch).unwrap();
}

#[test]
fn redb_table_conforms() {
    conformance::check_table(|place| RedbTable::open(place, &RedbConfig::default()));
}

#[test]
fn redb_table_opens_once() {
    let dir = tempfile::tempdir().unwrap();
    let table = RedbTable::open(dir.path(), &RedbConfig::default()).unwrap();
    let open = || RedbTable::open(dir.path(), &RedbConfig::default()).err();
    let error = open().unwrap();
    assert!(matches!(error, TableError::Locked { .. }), "{error}");
    // A snapshot is a use too.
    let snapshot = table.snapshot();
    drop(table);
    assert!(matches!(open(), Some(TableError::Locked { .. })));
    drop(snapshot);
    assert!(open().is_none());
}

#[test]
fn a_damaged_page_is_found_when_the_table_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let table = RedbTable::open(dir.path(), &RedbConfig::default()).unwrap();
    put(&table, "key", "a value to be found");
    table.persist().unwrap();
    drop(table);
    let file = dir.path().join("rows.redb");
    let mut bytes = fs::read(&file).unwrap();
    let found = bytes.windows(7).enumerate();
    let found: Vec<usize> = found
        .filter(|(_, window)| window == b"a value")
        .map(|(at, _)| at)
        .collect();
    assert!(!found.is_empty(), "the value lies in the file");
    found.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(&file, bytes).unwrap();
    let error = RedbTable::open(dir.path(), &RedbConfig::default()).err();
    let error = error.expect("it is refused");
    assert!(matches!(error, TableError::Damaged { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains(&dir.path().display().to_string()),
        "{message}"
    );
}

#[test]
fn a_file_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rows.redb"), vec![7; 100_000]).unwrap();
    let error = RedbTable::open(dir.path(), &RedbConfig::default()).err();
    let error = error.expect("it is refused");
    assert!(matches!(error, TableError::Damaged { .. }), "{error}");
}
