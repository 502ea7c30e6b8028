//! The table on an object store: the common laws on each store, and what waits for the store.
#![cfg(feature = "slate")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use isles_store::object_store::ObjectStore;
use isles_store::object_store::memory::InMemory;
use isles_store::{Batch, SlateConfig, SlateTable, Table, TableError, conformance};
use support::gate::Gate;
use support::places::Places;

/// Asks often, so that no test waits for a timer.
fn config() -> SlateConfig {
    SlateConfig::default().with_poll(Duration::from_millis(20))
}

fn open(store: &Arc<impl ObjectStore>) -> Result<SlateTable, TableError> {
    SlateTable::open(store.clone(), "here", &config())
}

fn batch(key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, value);
    batch
}

#[test]
fn slate_table_in_memory_conforms() {
    let stores = Places::<Arc<InMemory>>::default();
    conformance::check_table(move |place| open(&stores.at(place)));
}

#[test]
fn slate_table_in_a_directory_conforms() {
    conformance::check_table(|place| SlateTable::open_directory(place, &config()));
}

#[test]
fn tables_in_one_store_do_not_mix() {
    let store = Arc::new(InMemory::new());
    let one = SlateTable::open(store.clone(), "one", &config()).unwrap();
    let two = SlateTable::open(store, "two", &config()).unwrap();
    one.write(batch("k", "1")).unwrap();
    one.flush().unwrap();
    assert_eq!(two.get(b"k").unwrap(), None);
}

/// The write path of a node never touches the store: a write answers while the store answers nobody.
#[test]
fn a_write_does_not_wait_for_the_store_and_a_persist_does() {
    let store = Arc::new(Gate::new(InMemory::new()));
    let table = open(&store).unwrap();
    store.close();
    for number in 0..1000 {
        table.write(batch("k", &number.to_string())).unwrap();
    }
    assert_eq!(table.get(b"k").unwrap().as_deref(), Some(b"999".as_slice()));
    std::thread::scope(|scope| {
        let persist = scope.spawn(|| table.persist());
        store.wait_until_asked();
        assert!(
            !persist.is_finished(),
            "a persist is over before its upload"
        );
        table.write(batch("k", "beside it")).unwrap();
        store.open();
        persist.join().unwrap().unwrap();
    });
    drop(table);
    let table = open(&store).unwrap();
    let value = table.get(b"k").unwrap().unwrap();
    assert!(value == b"999" || value == b"beside it");
}

#[test]
fn a_store_that_does_not_answer_stalls_a_call_and_not_for_ever() {
    let store = Arc::new(Gate::new(InMemory::new()));
    let patience = Duration::from_millis(300);
    let table = SlateTable::open(store.clone(), "here", &config().with_patience(patience)).unwrap();
    store.close();
    table.write(batch("k", "v")).unwrap();
    let error = table.persist().expect_err("nobody answers");
    assert!(matches!(error, TableError::Stalled { .. }), "{error}");
    assert!(error.to_string().contains("/here"), "{error}");
    store.open();
    table.persist().unwrap();
}

#[test]
fn the_later_of_two_has_the_table() {
    let store = Arc::new(InMemory::new());
    let earlier = open(&store).unwrap();
    earlier.write(batch("k", "earlier")).unwrap();
    earlier.persist().unwrap();
    let later = open(&store).unwrap();
    later.write(batch("k", "later")).unwrap();
    later.persist().unwrap();
    let refused = earlier
        .write(batch("k", "too late"))
        .and_then(|()| earlier.persist());
    let error = refused.expect_err("the earlier one is fenced off");
    assert!(matches!(error, TableError::Locked { .. }), "{error}");
    assert_eq!(
        later.get(b"k").unwrap().as_deref(),
        Some(b"later".as_slice())
    );
}

#[test]
fn a_table_is_used_and_dropped_on_threads_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let table = open(&Arc::new(InMemory::new())).unwrap();
        table.write(batch("k", "v")).unwrap();
        table.flush().unwrap();
        assert_eq!(table.get(b"k").unwrap().as_deref(), Some(b"v".as_slice()));
    });
}
