//! Both storages pass one suite; the simulated one also does what a disk does in a crash.

use isles_store::storage::Keep;
use isles_store::{FileStorage, MemoryStorage, Storage, conformance};

#[test]
fn memory_storage_conforms() {
    conformance::check_storage(|| Box::new(MemoryStorage::new()));
}

#[test]
fn file_storage_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    conformance::check_storage(|| {
        count.set(count.get() + 1);
        Box::new(FileStorage::open(dir.path().join(format!("{}/nested", count.get()))).unwrap())
    });
}

#[test]
fn a_crash_keeps_what_was_synced_and_what_it_is_told_to() {
    let storage = MemoryStorage::new();
    let file = storage.create("f").unwrap();
    file.write_at(b"synced", 0).unwrap();
    file.sync_data().unwrap();
    storage.sync_dir().unwrap();
    file.write_at(b"SYN", 0).unwrap();
    file.write_at(b"more", 6).unwrap();
    let after = |keep: Keep| {
        let copy = storage.fork();
        copy.crash_with(0, |_| keep);
        copy.contents("f").unwrap()
    };
    assert_eq!(after(Keep::Nothing), b"synced");
    assert_eq!(after(Keep::All), b"SYNcedmore");
    assert_eq!(after(Keep::First(1)), b"Syncedm");
}

#[test]
fn a_name_survives_only_when_the_directory_was_synced() {
    let storage = MemoryStorage::new();
    storage.create("a").unwrap().sync_data().unwrap();
    storage.create("b").unwrap();
    for (kept, names) in [(0, vec![]), (1, vec!["a"]), (2, vec!["a", "b"])] {
        let copy = storage.fork();
        copy.crash_with(kept, |_| Keep::All);
        assert_eq!(copy.list().unwrap(), names);
    }
    storage.sync_dir().unwrap();
    storage.crash_with(0, |_| Keep::Nothing);
    assert_eq!(storage.list().unwrap(), ["a", "b"]);
}

#[test]
fn after_a_failed_sync_a_later_one_does_not_help() {
    let storage = MemoryStorage::new();
    let file = storage.create("f").unwrap();
    storage.sync_dir().unwrap();
    file.write_at(b"lost", 0).unwrap();
    storage.fail_sync(1);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(
        storage.contents("f").unwrap(),
        b"lost",
        "the cache still shows it"
    );
    storage.crash_with(0, |_| Keep::All);
    assert_eq!(storage.contents("f").unwrap(), b"");
}

#[test]
fn a_full_disk_takes_what_fits() {
    let storage = MemoryStorage::new();
    let file = storage.create("f").unwrap();
    storage.set_free_bytes(Some(6));
    file.write_at(b"1234", 0).unwrap();
    let error = file.write_at(b"5678", 4).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(storage.contents("f").unwrap(), b"123456");
}

#[test]
fn a_handle_from_before_a_crash_writes_into_nothing() {
    let storage = MemoryStorage::new();
    let file = storage.create("f").unwrap();
    storage.sync_dir().unwrap();
    storage.crash(1);
    file.write_at(b"ghost", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(storage.contents("f").unwrap(), b"");
}
