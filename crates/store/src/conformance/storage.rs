//! The laws of [`Storage`] and [`File`](crate::storage::File).

use std::io;

use crate::storage::Storage;

/// Checks everything that needs no crash. `open` makes a new empty directory each time.
///
/// # Panics
/// If the storage breaks a law.
pub fn check_storage(open: impl Fn() -> Box<dyn Storage>) {
    for law in [
        files_read_back_what_was_written,
        sizes_are_cut_and_extended,
        names_come_and_go,
        handles_outlive_names,
    ] {
        law(&*open());
    }
}

fn files_read_back_what_was_written(storage: &dyn Storage) {
    let file = ok(storage.create("f"));
    ok(file.write_at(b"hello", 3));
    ok(file.write_at(b"HE", 3));
    assert_eq!(ok(file.size()), 8);
    let mut buffer = [9; 10];
    assert_eq!(
        ok(file.read_at(&mut buffer, 0)),
        8,
        "a read stops at the end of the file"
    );
    assert_eq!(
        &buffer, b"\0\0\0HEllo\x09\x09",
        "a gap reads as zeros, the rest of the buffer is left alone"
    );
    assert_eq!(ok(file.read_at(&mut buffer, 100)), 0);
    ok(file.sync_data());
    assert_eq!(
        ok(ok(storage.open("f")).size()),
        8,
        "another handle sees the same file"
    );
}

fn sizes_are_cut_and_extended(storage: &dyn Storage) {
    let file = ok(storage.create("f"));
    ok(file.write_at(b"abcdef", 0));
    ok(file.set_len(2));
    ok(file.set_len(5));
    let mut buffer = [9; 5];
    assert_eq!(ok(file.read_at(&mut buffer, 0)), 5);
    assert_eq!(&buffer, b"ab\0\0\0", "what was cut does not come back");
}

fn names_come_and_go(storage: &dyn Storage) {
    assert_eq!(list(storage), [""; 0]);
    ok(ok(storage.create("a")).write_at(b"1", 0));
    ok(storage.create("b"));
    assert_eq!(kind(storage.create("a")), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(storage.open("c")), io::ErrorKind::NotFound);
    ok(storage.rename("a", "b"));
    assert_eq!(list(storage), ["b"]);
    assert_eq!(
        ok(ok(storage.open("b")).size()),
        1,
        "the renamed file replaced the other"
    );
    ok(storage.sync_dir());
    ok(storage.remove("b"));
    assert_eq!(kind(storage.remove("b")), io::ErrorKind::NotFound);
    assert_eq!(kind(storage.rename("b", "c")), io::ErrorKind::NotFound);
    assert_eq!(list(storage), [""; 0]);
    assert!(storage.place("name").contains("name"));
}

fn handles_outlive_names(storage: &dyn Storage) {
    let file = ok(storage.create("f"));
    ok(file.write_at(b"x", 0));
    ok(storage.remove("f"));
    ok(storage.create("f"));
    let mut buffer = [0];
    assert_eq!(
        ok(file.read_at(&mut buffer, 0)),
        1,
        "a handle still reads the removed file"
    );
}

fn list(storage: &dyn Storage) -> Vec<String> {
    let mut names = ok(storage.list());
    names.sort();
    names
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.map(|_| ()).expect_err("this is refused").kind()
}

fn ok<T>(result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("the storage failed: {error}"))
}
