//! The log on real files, from an empty directory through a torn tail, a trim and a restart.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic too")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use isles_store::{FileStorage, Log, LogConfig, OpenError, RecordKind, RecordNumber, Recovered};

fn open(dir: &Path) -> Result<(Log, Recovered), OpenError> {
    let storage = Arc::new(FileStorage::open(dir.join("log")).unwrap());
    Log::open(
        storage,
        LogConfig::new("files").with_segment_bytes(64 << 10),
    )
}

fn payload(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(number as usize % 300 + 1)
}

fn fill(log: &mut Log, until: u64) {
    while log.last() < RecordNumber(until) {
        for _ in 0..20 {
            let bytes = payload(log.last().0 + 1);
            log.append(RecordKind::Frame, &bytes);
        }
        log.write().unwrap();
        log.sync().unwrap();
    }
}

fn check(log: &Log, last: u64) {
    let mut next = log.first().0;
    for record in log.scan(log.first()) {
        let record = record.unwrap();
        assert_eq!((record.number.0, &record.bytes), (next, &payload(next)));
        next += 1;
    }
    assert_eq!(next, last + 1);
}

#[test]
fn a_log_lives_through_restarts_trims_and_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, recovered) = open(dir.path()).unwrap();
    assert_eq!(
        (recovered.first, recovered.last, recovered.cut),
        (RecordNumber(1), RecordNumber::ZERO, None)
    );
    fill(&mut log, 1000);
    check(&log, 1000);
    drop(log);

    let (mut log, recovered) = open(dir.path()).unwrap();
    assert_eq!((recovered.last, recovered.cut), (RecordNumber(1000), None));
    assert!(log.trim(RecordNumber(700)).unwrap() > 3);
    fill(&mut log, 2000);
    let first = log.first();
    assert!(first > RecordNumber(400));
    check(&log, 2000);
    let current = log.reader().segments().pop().unwrap();
    drop(log);

    // Half a record, as a crash leaves it.
    let path = dir.path().join(format!("log/{:020}.log", current.number));
    let bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(&[7; 50], end + 8)
        .unwrap();
    let (mut log, recovered) = open(dir.path()).unwrap();
    let cut = recovered.cut.expect("the torn tail is reported");
    assert_eq!(cut.file, path.display().to_string());
    assert_eq!(
        (recovered.first, recovered.last),
        (first, RecordNumber(2000))
    );
    fill(&mut log, 2100);
    drop(log);

    let (log, recovered) = open(dir.path()).unwrap();
    assert_eq!((recovered.last, recovered.cut), (RecordNumber(2100), None));
    check(&log, 2100);
}

#[test]
fn a_damaged_file_is_named_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path()).unwrap();
    fill(&mut log, 500);
    drop(log);
    let path = dir.path().join("log/00000000000000000001.log");
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(b"rot", 30_000)
        .unwrap();
    let message = open(dir.path()).map(|_| ()).unwrap_err().to_string();
    assert!(
        message.contains(&format!("{} is damaged at byte", path.display())),
        "{message}"
    );
}
