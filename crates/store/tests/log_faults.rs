//! A disk that refuses poisons the log; what was promised before stays readable, and a restart finds the truth.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic too")]

mod support;

use isles_store::storage::Keep;
use isles_store::{Log, LogError, MemoryStorage, RecordNumber};

use support::{History, open};

/// A log with two synced records and one that is written.
fn log_with_three(disk: &MemoryStorage) -> (Log, History) {
    let mut history = History::default();
    let (mut log, _) = open(disk).unwrap();
    history.append(&mut log, 50);
    history.append(&mut log, 50);
    log.write().unwrap();
    log.sync().unwrap();
    history.append(&mut log, 50);
    log.write().unwrap();
    (log, history)
}

fn assert_poisoned(log: &mut Log, cause: &str) {
    let syncer = log.syncer();
    for error in [
        log.write().unwrap_err(),
        log.sync().unwrap_err(),
        log.trim(RecordNumber(2)).unwrap_err(),
        syncer.sync().unwrap_err(),
    ] {
        assert!(matches!(error, LogError::Poisoned { .. }), "{error}");
        assert!(error.to_string().contains(cause), "{error}");
    }
}

#[test]
fn a_failed_sync_poisons() {
    let disk = MemoryStorage::new();
    let (mut log, history) = log_with_three(&disk);
    let mut early = log.scan(RecordNumber(1));
    early.next().unwrap().unwrap();
    disk.fail_sync(1);
    let error = log.sync().unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("cannot sync memory/00000000000000000001.log: "),
        "{error}"
    );
    assert_poisoned(&mut log, "injected sync failure");
    history.check(&log, 2);
    assert_eq!(
        early.by_ref().count(),
        1,
        "a reader goes on through what was synced, and not beyond"
    );
    assert_eq!(log.reader().last(), RecordNumber(2));
}

#[test]
fn after_a_failed_sync_a_restart_makes_durable_what_it_finds() {
    let disk = MemoryStorage::new();
    let (mut log, history) = log_with_three(&disk);
    disk.fail_sync(1);
    log.sync().unwrap_err();
    drop(log);
    // The process restarts, the machine does not: the record is in the cache only, and no sync would write it.
    let (log, recovered) = open(&disk).unwrap();
    assert_eq!((recovered.last, recovered.cut), (RecordNumber(3), None));
    drop(log);
    disk.crash_with(0, |_| Keep::Nothing);
    let (log, recovered) = open(&disk).unwrap();
    assert_eq!(
        (recovered.last, recovered.cut),
        (RecordNumber(3), None),
        "what was shown must not vanish"
    );
    history.check(&log, 3);
}

#[test]
fn a_failed_write_poisons() {
    let disk = MemoryStorage::new();
    let (mut log, mut history) = log_with_three(&disk);
    disk.fail_write(1);
    history.append(&mut log, 50);
    log.write().unwrap_err();
    assert_poisoned(&mut log, "cannot write memory/00000000000000000001.log");
    history.check(&log, 2);
    drop(log);
    let (log, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.last, RecordNumber(3));
    assert!(recovered.cut.is_some(), "half of record 4 was there");
    history.check(&log, 3);
}

#[test]
fn a_full_disk_names_the_file_and_the_remedy() {
    let disk = MemoryStorage::new();
    let (mut log, mut history) = log_with_three(&disk);
    disk.set_free_bytes(Some(20));
    history.append(&mut log, 50);
    let error = log.write().unwrap_err();
    assert!(matches!(error, LogError::Full { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("memory/00000000000000000001.log") && message.contains("free space"),
        "{message}"
    );
    assert_poisoned(&mut log, "no space left");
    drop(log);
    disk.set_free_bytes(None);
    let (mut log, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.last, RecordNumber(3));
    history.records.truncate(3);
    history.append(&mut log, 50);
    log.write().unwrap();
    log.sync().unwrap();
    history.check(&log, 4);
}

#[test]
fn each_failure_while_a_segment_begins_poisons_and_heals_at_a_restart() {
    // The old segment's sync, then for the new one: header, its sync, the directory's sync, the records.
    for (nth, writes) in [(1, false), (1, true), (2, false), (3, false), (2, true)] {
        let disk = MemoryStorage::new();
        let (mut log, mut history) = log_with_three(&disk);
        history.append(&mut log, 900);
        if writes {
            disk.fail_write(nth);
        } else {
            disk.fail_sync(nth);
        }
        log.write().unwrap_err();
        assert_poisoned(&mut log, "injected");
        drop(log);
        for seed in 0..30 {
            let crashed = disk.fork();
            crashed.crash(seed);
            let (mut log, recovered) = open(&crashed).unwrap();
            let last = recovered.last.0;
            assert!((2..=4).contains(&last));
            let mut history = history.clone();
            history.records.truncate(last as usize);
            history.append(&mut log, 900);
            log.write().unwrap();
            log.sync().unwrap();
            drop(log);
            let (log, _) = open(&crashed).unwrap();
            history.check(&log, last + 1);
        }
    }
}

#[test]
fn an_open_on_a_failing_disk_is_an_error_and_harms_nothing() {
    let disk = MemoryStorage::new();
    let (log, history) = log_with_three(&disk);
    drop(log);
    for nth in 1..3 {
        disk.fail_sync(nth);
        disk.fail_write(nth);
        if let Err(error) = open(&disk) {
            assert!(error.to_string().contains("memory/"), "{error}");
        }
    }
    disk.crash_with(0, |_| Keep::All);
    let (log, recovered) = open(&disk).unwrap();
    assert!(recovered.last >= RecordNumber(2));
    history.check(&log, recovered.last.0);
}

/// The directory's sync failed when segment 2 began, and the process, not the machine, restarted: its name was in
/// memory only. Records were then acknowledged in a file that a power cut would have taken away whole.
#[test]
fn after_a_failed_directory_sync_a_restart_makes_durable_the_names_it_finds() {
    let disk = MemoryStorage::new();
    let (mut log, mut history) = log_with_three(&disk);
    history.append(&mut log, 900);
    disk.fail_sync(3);
    log.write().unwrap_err();
    drop(log);
    let (mut log, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.last, RecordNumber(3));
    assert_eq!(
        log.reader().segments().len(),
        2,
        "the new segment's name is there"
    );
    history.records.truncate(3);
    history.append(&mut log, 900);
    log.write().unwrap();
    log.sync().unwrap();
    drop(log);
    disk.crash_with(0, |_| Keep::Nothing);
    let (log, _) = open(&disk).unwrap();
    history.check(&log, 4);
}

/// In a recycled file the zeros that end the log are lost with the failed sync; a restart that wrote only the records
/// again left the bytes of an earlier life behind them, and a later one reported those as a torn tail.
#[test]
fn after_a_failed_sync_in_a_recycled_segment_a_restart_ends_the_log_cleanly() {
    let disk = MemoryStorage::new();
    let mut history = History::default();
    let (mut log, _) = open(&disk).unwrap();
    for _ in 0..3 {
        for _ in 0..9 {
            history.append(&mut log, 80);
        }
        log.write().unwrap();
        log.trim(log.written()).unwrap();
    }
    history.append(&mut log, 30);
    log.write().unwrap();
    log.sync().unwrap();
    history.append(&mut log, 30);
    log.write().unwrap();
    disk.fail_sync(1);
    log.sync().unwrap_err();
    drop(log);
    assert_eq!(open(&disk).unwrap().1.cut, None);
    disk.crash_with(0, |_| Keep::Nothing);
    let (log, recovered) = open(&disk).unwrap();
    assert_eq!((recovered.last, recovered.cut), (RecordNumber(29), None));
    history.check(&log, 29);
}
