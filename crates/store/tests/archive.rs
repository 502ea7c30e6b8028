//! Backups come back as they were put, share what they have in common, and never show damage as content.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic too")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use isles_store::archive::{Archive, ArchiveError, Written};
use proptest::prelude::*;

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn put(archive: &Archive, name: &str, content: &Content) -> Written {
    let mut writer = archive.begin().unwrap();
    for (key, value) in content {
        writer.put(key, value).unwrap();
    }
    writer.finish(name, name.as_bytes()).unwrap()
}

fn read(archive: &Archive, name: &str) -> Result<Content, ArchiveError> {
    let mut content = Content::new();
    archive.read(name, &mut |key, value| {
        content.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(content)
}

/// Enough for some chunks, of bytes that do not repeat.
fn content(rows: u32) -> Content {
    let value = |row: u32| {
        (0..50u32).flat_map(move |at| (row ^ at).wrapping_mul(2_654_435_761).to_le_bytes())
    };
    (0..rows)
        .map(|row| (format!("key:{row:08}").into_bytes(), value(row).collect()))
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_put_comes_back(content in prop::collection::btree_map(
        prop::collection::vec(any::<u8>(), 1..20),
        prop::collection::vec(any::<u8>(), 0..20_000),
        0..60,
    )) {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::create(folder.path()).unwrap();
        let written = put(&archive, "b", &content);
        prop_assert_eq!(read(&archive, "b").unwrap(), content);
        prop_assert_eq!(archive.verify("b").unwrap(), written.manifest);
    }
}

#[test]
fn a_second_backup_writes_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::create(folder.path()).unwrap();
    let mut content = content(40_000);
    let first = put(&archive, "first", &content);
    assert!(first.new_chunks > 10, "{} chunks", first.new_chunks);
    let again = put(&archive, "again", &content);
    assert_eq!((again.new_chunks, again.new_bytes), (0, 0));
    content.insert(b"key:00020000".to_vec(), b"other".to_vec());
    content.insert(b"key:00030000+".to_vec(), b"inserted".to_vec());
    content.remove(&b"key:00010000"[..]);
    let changed = put(&archive, "changed", &content);
    assert!(
        (1..=6).contains(&changed.new_chunks),
        "{} chunks",
        changed.new_chunks
    );
    assert_eq!(read(&archive, "changed").unwrap(), content);

    // What others need stays.
    assert_eq!(archive.names().unwrap(), ["again", "changed", "first"]);
    assert_eq!(archive.remove("first").unwrap(), 0);
    assert!(archive.remove("again").unwrap() > 0);
    archive.verify("changed").unwrap();
    assert!(archive.remove("changed").unwrap() > 0);
    assert!(files(&folder.path().join("chunks")).is_empty());
}

#[test]
fn one_large_value() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::create(folder.path()).unwrap();
    let content = Content::from([
        (b"a".to_vec(), vec![7; 20 << 20]),
        (b"b".to_vec(), Vec::new()),
    ]);
    put(&archive, "b", &content);
    assert!(read(&archive, "b").unwrap() == content);
}

#[test]
fn every_flipped_bit_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::create(folder.path()).unwrap();
    put(&archive, "b", &content(2));
    let chunk = files(&folder.path().join("chunks"))[0].clone();
    for file in [chunk, folder.path().join("b.backup")] {
        let sound = fs::read(&file).unwrap();
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&file, &damaged).unwrap();
            let error = archive.verify("b").unwrap_err().to_string();
            assert!(error.contains(file.to_str().unwrap()), "byte {at}: {error}");
        }
        for length in 0..sound.len() {
            fs::write(&file, &sound[..length]).unwrap();
            archive.verify("b").unwrap_err();
        }
        fs::write(&file, &sound).unwrap();
        archive.verify("b").unwrap();
    }
}

#[test]
fn a_damaged_chunk_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::create(folder.path()).unwrap();
    put(&archive, "first", &content(20));
    let chunk = files(&folder.path().join("chunks"))[0].clone();
    fs::write(&chunk, b"rotten").unwrap();
    let error = archive.verify("first").unwrap_err();
    assert!(
        matches!(
            error,
            ArchiveError::NewerFormat { .. } | ArchiveError::Damaged { .. }
        ),
        "{error}"
    );
    assert_eq!(put(&archive, "second", &content(20)).new_chunks, 1);
    archive.verify("first").unwrap();
    fs::remove_file(&chunk).unwrap();
    let error = archive.verify("first").unwrap_err().to_string();
    assert!(
        error.ends_with("is damaged: it is missing; use another backup, and make a new one"),
        "{error}"
    );
}

#[test]
fn what_was_not_finished_is_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::create(folder.path()).unwrap();
    let mut writer = archive.begin().unwrap();
    writer.put(b"key", b"value").unwrap();
    drop(writer);
    fs::write(folder.path().join("b.backup.unfinished"), b"half").unwrap();
    assert!(archive.names().unwrap().is_empty());
    put(&archive, "b", &content(1));
    assert_eq!(archive.names().unwrap(), ["b"]);
    let left = files(folder.path());
    assert!(
        !left
            .iter()
            .any(|file| file.to_str().unwrap().ends_with("unfinished")),
        "{left:?}"
    );
}

#[test]
fn what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("photo"), b"").unwrap();
    assert!(matches!(
        Archive::create(other.path()),
        Err(ArchiveError::NotAnArchive { .. })
    ));
    assert!(matches!(
        Archive::open(folder.path()),
        Err(ArchiveError::NotAnArchive { .. })
    ));
    let archive = Archive::create(folder.path()).unwrap();
    assert!(matches!(
        Archive::open(folder.path()),
        Err(ArchiveError::Lock(_))
    ));
    put(&archive, "b", &content(1));
    for name in ["", "../b", "a b", ".b", &"b".repeat(101)] {
        let error = archive.begin().unwrap().finish(name, b"").unwrap_err();
        assert!(
            matches!(error, ArchiveError::Name { .. }),
            "{name}: {error}"
        );
    }
    let error = archive.begin().unwrap().finish("b", b"").unwrap_err();
    assert!(matches!(error, ArchiveError::Exists { .. }), "{error}");
    for error in [
        archive.verify("c").unwrap_err(),
        archive.remove("c").unwrap_err(),
    ] {
        assert!(
            matches!(error, ArchiveError::NoSuchBackup { .. }),
            "{error}"
        );
    }
    let mut writer = archive.begin().unwrap();
    writer.put(b"b", b"").unwrap();
    assert!(matches!(writer.put(b"b", b""), Err(ArchiveError::Order)));
    assert!(matches!(writer.put(b"a", b""), Err(ArchiveError::Order)));
}

/// What this version wrote once is read for ever.
#[test]
fn the_bytes_of_this_version() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::create(folder.path()).unwrap();
    let content = Content::from([
        (b"key".to_vec(), b"value".to_vec()),
        (b"other".to_vec(), vec![0; 40]),
    ]);
    put(&archive, "golden", &content);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/archive");
    if std::env::var_os("ISLES_WRITE_GOLDEN").is_some() {
        let _ = fs::remove_dir_all(&golden);
        fs::create_dir_all(golden.join("chunks")).unwrap();
        for part in ["", "chunks"] {
            for file in files(&folder.path().join(part)) {
                let name = file.file_name().unwrap();
                if file.is_file() && name != "LOCK" {
                    fs::copy(&file, golden.join(part).join(name)).unwrap();
                }
            }
        }
    }
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("chunks")).unwrap();
    for part in ["", "chunks"] {
        for file in files(&golden.join(part)) {
            if file.is_file() {
                fs::copy(
                    &file,
                    copy.path().join(part).join(file.file_name().unwrap()),
                )
                .unwrap();
            }
        }
    }
    let then = Archive::open(copy.path()).unwrap();
    assert_eq!(read(&then, "golden").unwrap(), content);
    assert_eq!(
        then.manifest("golden").unwrap(),
        archive.manifest("golden").unwrap()
    );
}
