//! Bytes that rot are never read as something else: a damaged log opens with a prefix that holds all that it can
//! vouch for, or says where it is damaged.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic too")]

mod support;

use std::sync::Arc;

use isles_store::{Log, LogConfig, MemoryStorage, OpenError, ReadError, RecordNumber, Storage};

use support::{History, config, open};

const RECORDS: u64 = 28;

/// Three segments; every fourth record is synced before the next is appended.
fn disk_with_history() -> (MemoryStorage, History) {
    let disk = MemoryStorage::new();
    let mut history = History::default();
    let (mut log, _) = open(&disk).unwrap();
    for number in 1..=RECORDS {
        history.append(&mut log, 40 + number as usize);
        if number % 4 == 0 {
            log.write().unwrap();
            log.sync().unwrap();
        }
    }
    assert_eq!(log.reader().segments().len(), 3);
    (disk, history)
}

fn segments(disk: &MemoryStorage) -> Vec<String> {
    disk.list().unwrap()
}

/// Whether the last record's header is among what was damaged: then nothing may be left that vouches for the others,
/// and if it is zeros, as where a log ends, nothing that tells that there were any.
#[derive(Clone, Copy, PartialEq)]
enum Lost {
    No,
    Overwritten,
    Zeroed,
}

/// Where the last record begins in the last segment.
const LAST_RECORD: usize = 535;

/// The last batch is all that nothing later vouches for; `lost` says that the header of the last record went too.
fn check_damaged(disk: &MemoryStorage, history: &History, name: &str, lost: Lost, what: &str) {
    match open(disk) {
        Ok((log, recovered)) => {
            let last = recovered.last.0;
            let vouched = RECORDS - 4;
            assert!(
                last >= vouched || lost != Lost::No,
                "{what}: record {vouched} is vouched for"
            );
            let told = recovered.cut.is_some() || lost == Lost::Zeroed;
            assert!(last == RECORDS || told, "{what}: a loss is reported");
            history.check(&log, last);
        }
        Err(error) => {
            let message = error.to_string();
            assert!(
                message.contains(name) && message.contains("damaged at byte"),
                "{what}: {message}"
            );
            assert!(
                message.contains("restore this file from a backup"),
                "{what}: {message}"
            );
        }
    }
}

#[test]
fn every_flipped_bit() {
    let (disk, history) = disk_with_history();
    let mut refused = 0;
    for name in segments(&disk) {
        for offset in 0..support::SEGMENT_BYTES {
            for bit in 0..8 {
                let damaged = disk.fork();
                damaged.flip_bit(&name, offset, bit);
                refused += u32::from(open(&damaged.fork()).is_err());
                check_damaged(
                    &damaged,
                    &history,
                    &name,
                    Lost::No,
                    &format!("bit {bit} of byte {offset} of {name}"),
                );
            }
        }
    }
    assert!(
        refused > 10_000,
        "most of the log is vouched for, yet only {refused} flips were refused"
    );
}

#[test]
fn every_hole_of_zeros_or_noise() {
    let (disk, history) = disk_with_history();
    for name in segments(&disk) {
        let sound = disk.contents(&name).unwrap();
        for size in [1, 32, 100, 512] {
            for offset in (0..sound.len() - size).step_by(7) {
                for fill in [0u8, 0xA5] {
                    let mut bytes = sound.clone();
                    bytes[offset..offset + size].fill(fill);
                    let damaged = disk.fork();
                    damaged.set_contents(&name, &bytes);
                    let last = Some(&name) == segments(&disk).last();
                    let lost = match fill {
                        _ if !last || offset + size <= LAST_RECORD => Lost::No,
                        0 => Lost::Zeroed,
                        _ => Lost::Overwritten,
                    };
                    let what = format!("{size} bytes of {fill} at {offset} of {name}");
                    check_damaged(&damaged, &history, &name, lost, &what);
                }
            }
        }
    }
}

#[test]
fn every_cut_of_a_file() {
    let (disk, history) = disk_with_history();
    for name in segments(&disk) {
        let sound = disk.contents(&name).unwrap();
        for size in 0..sound.len() {
            let damaged = disk.fork();
            damaged.set_contents(&name, &sound[..size]);
            if *name == *segments(&disk).last().unwrap() {
                // A file cut exactly between records of the last segment cannot be told from one that ends there.
                if let Ok((log, recovered)) = open(&damaged) {
                    history.check(&log, recovered.last.0);
                }
            } else {
                check_damaged(
                    &damaged,
                    &history,
                    &name,
                    Lost::No,
                    &format!("{name} cut to {size}"),
                );
            }
        }
    }
}

#[test]
fn a_damaged_middle_names_file_and_byte_and_changes_nothing() {
    let (disk, _) = disk_with_history();
    let name = segments(&disk).remove(2);
    disk.flip_bit(&name, 150, 0);
    let before = disk.contents(&name);
    let error = open(&disk).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message
            .starts_with("the log file memory/00000000000000000003.log is damaged at byte 145: "),
        "{message}"
    );
    assert_eq!(disk.contents(&name), before);
}

#[test]
fn a_missing_segment_is_named() {
    let (disk, _) = disk_with_history();
    disk.remove("00000000000000000002.log").unwrap();
    let error = open(&disk).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("00000000000000000002.log is missing"),
        "{error}"
    );
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let (disk, _) = disk_with_history();
    disk.rename("00000000000000000003.log", "00000000000000000002.log")
        .unwrap();
    let error = open(&disk).map(|_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("this is segment 3 under another name"),
        "{error}"
    );
}

#[test]
fn a_segment_of_another_history_is_refused() {
    let (disk, _) = disk_with_history();
    let other = MemoryStorage::new();
    let (mut log, _) = open(&other).unwrap();
    let mut history = History::default();
    for _ in 0..9 {
        history.append(&mut log, 300);
    }
    log.write().unwrap();
    disk.set_contents(
        "00000000000000000002.log",
        &other.contents("00000000000000000002.log").unwrap(),
    );
    let error = open(&disk).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn the_directory_of_another_cluster_is_refused() {
    let (disk, _) = disk_with_history();
    let error = Log::open(Arc::new(disk), LogConfig::new("other \"cluster\""))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, OpenError::OtherIdentity { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("belongs to \"test\"") && message.contains("other \\\"cluster\\\""),
        "{message}"
    );
}

#[test]
fn an_unusable_configuration_is_refused() {
    for config in [
        config().with_segment_bytes(0),
        config().with_segment_bytes(1 << 40),
        LogConfig::new("x".repeat(256)),
    ] {
        let error = Log::open(Arc::new(MemoryStorage::new()), config)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, OpenError::Config { .. }), "{error}");
    }
}

#[test]
fn rot_under_a_running_log_ends_a_scan_with_the_place() {
    let (disk, history) = disk_with_history();
    let (log, _) = open(&disk).unwrap();
    disk.flip_bit("00000000000000000002.log", 200, 3);
    let read: Vec<_> = log.scan(RecordNumber(1)).collect();
    let (error, sound) = read.split_last().unwrap();
    for (at, record) in sound.iter().enumerate() {
        assert_eq!(record.as_ref().unwrap().bytes, history.records[at]);
    }
    let error = error.as_ref().unwrap_err();
    assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("memory/00000000000000000002.log is damaged at byte 135"),
        "{error}"
    );
    assert_eq!(
        log.reader()
            .read(RecordNumber(RECORDS))
            .unwrap()
            .unwrap()
            .bytes,
        history.records[RECORDS as usize - 1]
    );
}
