//! A crash at any moment loses nothing that was synced, leaves no gap, and brings nothing back later.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic too")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use isles_store::storage::Keep;
use isles_store::{Log, MemoryStorage, RecordNumber};

use support::recorder::Recorder;
use support::{History, config, open};

/// Appends, writes, syncs and trims through several segments, some of them recycled.
fn short_history() -> (Recorder, History) {
    let recorder = Recorder::default();
    let mut history = History::default();
    let (mut log, _) = Log::open(Arc::new(recorder.clone()), config()).unwrap();
    for round in 0..9 {
        for size in [10, 150, 70, 0] {
            history.append(&mut log, size * (round % 3 + 1));
        }
        log.write().unwrap();
        if round % 2 == 1 {
            let synced = log.sync().unwrap();
            recorder.promised.store(synced.0, Ordering::Relaxed);
        }
        if round >= 5 {
            log.trim(RecordNumber(log.synced().0 - 5)).unwrap();
        }
    }
    recorder.record();
    (recorder, history)
}

/// Opens what a crash left, checks it, writes on, and checks again after another restart.
fn check_after_crash(disk: &MemoryStorage, promised: u64, history: &History) {
    let (mut log, recovered) =
        open(disk).unwrap_or_else(|error| panic!("a crash is not damage: {error}"));
    let last = recovered.last.0;
    assert!(
        last >= promised,
        "record {promised} was synced, the log ends with {last}"
    );
    assert!(last <= history.last(), "record {last} was never appended");
    history.check(&log, last);
    let mut history = history.clone();
    history.records.truncate(last as usize);
    for size in [30, 300, 8] {
        history.append(&mut log, size);
        log.write().unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let (log, recovered) = open(disk).unwrap();
    assert_eq!((recovered.last.0, recovered.cut), (last + 3, None));
    history.check(&log, last + 3);
}

#[test]
fn at_every_storage_call() {
    let (recorder, history) = short_history();
    let moments = recorder.moments.lock().unwrap();
    assert!(moments.len() > 50, "only {} moments", moments.len());
    for (disk, promised) in moments.iter() {
        for seed in 0..24 {
            let crashed = disk.fork();
            crashed.crash(seed);
            check_after_crash(&crashed, *promised, &history);
        }
    }
}

#[test]
fn at_every_byte() {
    let (recorder, history) = short_history();
    let moments = recorder.moments.lock().unwrap();
    // Every third moment, so that the test stays quick; the seeds above cover each of them.
    for (disk, promised) in moments.iter().step_by(3) {
        let mut unsynced = 0;
        disk.fork().crash_with(usize::MAX, |write| {
            unsynced += write.bytes;
            Keep::Nothing
        });
        for kept in 0..=unsynced {
            let crashed = disk.fork();
            let mut left = kept;
            crashed.crash_with(usize::MAX, |write| {
                let count = write.bytes.min(left);
                left -= count;
                Keep::First(count)
            });
            check_after_crash(&crashed, *promised, &history);
        }
    }
}

#[test]
fn at_every_storage_call_of_a_recovery() {
    let (recorder, history) = short_history();
    let moments = recorder.moments.lock().unwrap();
    for (at, (disk, promised)) in moments.iter().enumerate() {
        let crashed = disk.fork();
        crashed.crash(at as u64 * 7 + 1);
        let second = Recorder {
            disk: crashed,
            ..Recorder::default()
        };
        let (_, first_time) = Log::open(Arc::new(second.clone()), config()).unwrap();
        for (disk, _) in second.moments.lock().unwrap().iter() {
            for seed in 0..4 {
                let crashed = disk.fork();
                crashed.crash(seed);
                let (_, again) = open(&crashed.fork()).unwrap();
                assert!(again.last <= first_time.last);
                check_after_crash(&crashed, *promised, &history);
            }
        }
    }
}

#[test]
fn a_cut_is_reported_until_something_new_is_synced() {
    let disk = MemoryStorage::new();
    let mut history = History::default();
    let (mut log, _) = open(&disk).unwrap();
    history.append(&mut log, 100);
    log.write().unwrap();
    log.sync().unwrap();
    history.append(&mut log, 100);
    log.write().unwrap();
    disk.crash_with(usize::MAX, |write| Keep::First(write.bytes / 2));
    let (_, recovered) = open(&disk).unwrap();
    let cut = recovered.cut.clone().expect("half a record is a torn tail");
    assert_eq!(recovered.last, RecordNumber(1));
    assert!(
        cut.file.contains("00000000000000000001.log") && cut.bytes == 132,
        "{cut:?}"
    );
    for seed in 0..20 {
        disk.crash(seed);
        assert_eq!(
            open(&disk).unwrap().1,
            recovered,
            "the owner may have crashed before it took notice"
        );
    }
    let (mut log, _) = open(&disk).unwrap();
    log.sync().unwrap();
    assert_eq!(open(&disk).unwrap().1, recovered, "nothing new was synced");
    log.append(isles_store::RecordKind::Start, b"under a new identity");
    log.write().unwrap();
    log.sync().unwrap();
    disk.crash_with(0, |_| Keep::Nothing);
    let (_, recovered) = open(&disk).unwrap();
    assert_eq!((recovered.last, recovered.cut), (RecordNumber(2), None));
}

#[test]
fn unsynced_writes_that_reach_the_disk_out_of_order_are_cut_where_the_gap_is() {
    let disk = MemoryStorage::new();
    let mut history = History::default();
    let (mut log, _) = open(&disk).unwrap();
    for _ in 0..4 {
        history.append(&mut log, 60);
        log.write().unwrap();
    }
    let mut write = 0;
    disk.crash_with(usize::MAX, |_| {
        write += 1;
        if write == 2 { Keep::Nothing } else { Keep::All }
    });
    let (log, recovered) = open(&disk).unwrap();
    assert_eq!(
        recovered.last,
        RecordNumber(1),
        "nothing vouches for record 2, so its loss is no damage"
    );
    assert!(recovered.cut.is_some());
    history.check(&log, 1);
    drop(log);
    check_after_crash(&disk, 1, &history);
}
