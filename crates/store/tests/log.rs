//! What the log promises while nothing breaks: numbers, order, segments, reading beside writing, trimming.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic too")]

use std::sync::Arc;

use isles_store::{Log, LogConfig, MemoryStorage, ReadError, RecordKind, RecordNumber, Storage};

const N: fn(u64) -> RecordNumber = RecordNumber;

fn open(storage: &MemoryStorage) -> Log {
    Log::open(
        Arc::new(storage.clone()),
        LogConfig::new("test").with_segment_bytes(1024),
    )
    .unwrap()
    .0
}

fn payload(number: u64) -> Vec<u8> {
    format!("record {number}").repeat(5).into_bytes()
}

fn append(log: &mut Log, count: u64) {
    for _ in 0..count {
        let bytes = payload(log.last().0 + 1);
        log.append(RecordKind::Frame, &bytes);
    }
}

fn numbers(log: &Log, from: u64) -> Vec<u64> {
    log.scan(N(from))
        .map(|record| {
            let record = record.unwrap();
            assert_eq!(record.bytes, payload(record.number.0));
            record.number.0
        })
        .collect()
}

#[test]
fn records_are_numbered_from_one_and_read_back_in_order() {
    let storage = MemoryStorage::new();
    let mut log = open(&storage);
    assert_eq!(
        (log.first(), log.last(), log.written(), log.synced()),
        (N(1), N(0), N(0), N(0))
    );
    append(&mut log, 30);
    assert_eq!((log.last(), log.written()), (N(30), N(0)));
    assert!(
        numbers(&log, 1).is_empty(),
        "what is only appended cannot be read"
    );
    assert_eq!(log.write().unwrap(), N(30));
    let current = log.reader().segments().pop().unwrap();
    assert_eq!(
        log.synced().next(),
        current.first,
        "full segments are synced before the next begins"
    );
    assert_eq!(log.sync().unwrap(), N(30));
    assert_eq!(numbers(&log, 0), (1..=30).collect::<Vec<_>>());
    assert_eq!(numbers(&log, 17), (17..=30).collect::<Vec<_>>());
    assert_eq!(
        log.reader().read(N(23)).unwrap().unwrap().bytes,
        payload(23)
    );
    assert_eq!(log.reader().read(N(31)).unwrap(), None);
    assert!(log.reader().segments().len() > 2);
    drop(log);
    let log = open(&storage);
    assert_eq!(
        (log.first(), log.last(), log.synced()),
        (N(1), N(30), N(30))
    );
    assert_eq!(numbers(&log, 1), (1..=30).collect::<Vec<_>>());
}

#[test]
fn every_kind_and_the_empty_payload_come_back() {
    let mut log = open(&MemoryStorage::new());
    for kind in RecordKind::ALL {
        log.append(kind, b"");
    }
    log.write().unwrap();
    let kinds: Vec<RecordKind> = log.scan(N(1)).map(|record| record.unwrap().kind).collect();
    assert_eq!(kinds, RecordKind::ALL);
}

#[test]
fn a_record_larger_than_a_segment_gets_a_larger_one() {
    let storage = MemoryStorage::new();
    let mut log = open(&storage);
    let big = vec![7; 10_000];
    for _ in 0..3 {
        log.append(RecordKind::Frame, b"small");
        log.append(RecordKind::Frame, &big);
    }
    log.write().unwrap();
    log.sync().unwrap();
    let sizes = |log: &Log| {
        log.scan(N(1))
            .map(|record| record.unwrap().bytes.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(&log), [5, 10_000, 5, 10_000, 5, 10_000]);
    drop(log);
    assert_eq!(sizes(&open(&storage)), [5, 10_000, 5, 10_000, 5, 10_000]);
}

#[test]
fn a_scan_goes_on_when_more_has_been_written() {
    let mut log = open(&MemoryStorage::new());
    let mut scan = log.reader().scan(N(1));
    assert!(scan.next().is_none());
    for round in 0..40 {
        append(&mut log, 1);
        assert!(scan.next().is_none(), "not written yet");
        log.write().unwrap();
        assert_eq!(scan.next().unwrap().unwrap().number, N(round + 1));
        assert!(scan.next().is_none());
    }
    assert_eq!(scan.position(), N(41));
}

#[test]
fn trimming_drops_whole_segments_and_recycles_them() {
    let storage = MemoryStorage::new();
    let mut log = open(&storage);
    append(&mut log, 60);
    log.write().unwrap();
    let firsts: Vec<u64> = log
        .reader()
        .segments()
        .iter()
        .map(|segment| segment.first.0)
        .collect();
    assert_eq!(
        log.trim(N(firsts[1] - 1)).unwrap(),
        0,
        "a record of the first segment is still wanted"
    );
    assert_eq!(log.trim(N(firsts[3])).unwrap(), 3);
    assert_eq!(log.first(), N(firsts[3]));
    assert!(matches!(
        log.scan(N(1)).next(),
        Some(Err(ReadError::Trimmed { .. }))
    ));
    assert_eq!(
        numbers(&log, firsts[3]),
        (firsts[3]..=60).collect::<Vec<_>>()
    );
    let spares = |storage: &MemoryStorage| {
        storage
            .list()
            .unwrap()
            .iter()
            .filter(|name| name.starts_with("spare-"))
            .count()
    };
    assert_eq!(spares(&storage), 2, "two are kept, the third is removed");
    append(&mut log, 30);
    log.write().unwrap();
    assert_eq!(spares(&storage), 0);
    assert_eq!(
        numbers(&log, firsts[3]),
        (firsts[3]..=90).collect::<Vec<_>>()
    );
    assert!(log.trim(N(u64::MAX)).unwrap() > 0);
    assert_eq!(
        log.reader().segments().len(),
        1,
        "the current segment stays"
    );
    drop(log);
    let log = open(&storage);
    assert_eq!(numbers(&log, log.first().0).last(), Some(&90));
}

#[test]
fn a_recycled_segment_is_no_torn_tail() {
    let storage = MemoryStorage::new();
    let mut log = open(&storage);
    for _ in 0..20 {
        append(&mut log, 17);
        log.write().unwrap();
        log.sync().unwrap();
        log.trim(log.last()).unwrap();
        let last = log.last();
        drop(log);
        let config = LogConfig::new("test").with_segment_bytes(1024);
        let (reopened, recovered) = Log::open(Arc::new(storage.clone()), config).unwrap();
        assert_eq!((recovered.last, recovered.cut), (last, None));
        log = reopened;
    }
}

#[test]
fn trimming_ends_a_scan_that_stands_there() {
    let mut log = open(&MemoryStorage::new());
    append(&mut log, 40);
    log.write().unwrap();
    let mut scan = log.scan(N(1));
    scan.next().unwrap().unwrap();
    log.trim(N(40)).unwrap();
    let error = scan.next().unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Trimmed {
                asked: RecordNumber(2),
                ..
            }
        ),
        "{error}"
    );
    assert!(scan.next().is_none(), "an error ends a scan");
}

#[test]
fn segment_headers_carry_the_note_of_the_moment() {
    let storage = MemoryStorage::new();
    let mut log = open(&storage);
    while log.last() < N(40) {
        let bytes = payload(log.last().0 + 1);
        if log.starts_segment(bytes.len()) {
            log.annotate(format!("before {}", log.last().next()).as_bytes());
        }
        log.append(RecordKind::Frame, &bytes);
    }
    log.write().unwrap();
    let check = |log: &Log| {
        let segments = log.reader().segments();
        assert!(segments.len() > 3);
        assert_eq!(segments[0].note, b"");
        for segment in &segments[1..] {
            assert_eq!(
                segment.note,
                format!("before {}", segment.first).into_bytes()
            );
        }
    };
    check(&log);
    drop(log);
    check(&open(&storage));
}

#[test]
fn a_smaller_or_larger_segment_size_may_be_chosen_later() {
    let storage = MemoryStorage::new();
    for segment_bytes in [4096, 1024, 100_000, 2048] {
        let config = LogConfig::new("test").with_segment_bytes(segment_bytes);
        let (mut log, recovered) = Log::open(Arc::new(storage.clone()), config).unwrap();
        assert_eq!(recovered.cut, None);
        append(&mut log, 50);
        log.write().unwrap();
        assert_eq!(numbers(&log, 1), (1..=log.last().0).collect::<Vec<_>>());
    }
}

#[test]
fn readers_work_beside_the_writer_and_a_syncer() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(isles_store::FileStorage::open(dir.path()).unwrap());
    let (mut log, _) =
        Log::open(storage, LogConfig::new("test").with_segment_bytes(16 << 10)).unwrap();
    const LAST: u64 = 3000;
    let (reader, syncer) = (log.reader(), log.syncer());
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut scan = reader.scan(N(1));
            let mut next = 1;
            while next <= LAST {
                let Some(record) = scan.next() else {
                    std::thread::yield_now();
                    continue;
                };
                let record = record.unwrap();
                assert_eq!((record.number.0, &record.bytes), (next, &payload(next)));
                next += 1;
            }
        });
        scope.spawn(move || while syncer.sync().unwrap() < N(LAST) {});
        while log.last() < N(LAST) {
            let left = LAST - log.last().0;
            append(&mut log, left.min(7));
            log.write().unwrap();
        }
        reading.join().unwrap();
    });
    assert_eq!(log.sync().unwrap(), N(LAST));
}

#[test]
fn ends_of_a_log_go_where_they_are_needed() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<isles_store::LogReader>();
    shared::<isles_store::LogSyncer>();
    sent::<Log>();
    sent::<isles_store::Scan>();
}

#[test]
fn a_log_that_goes_on_where_another_ended() {
    let disk = MemoryStorage::new();
    let begin = || {
        Log::begin(
            Arc::new(disk.clone()),
            LogConfig::new("test").with_segment_bytes(1024),
            RecordNumber(1000),
            b"note",
        )
    };
    let mut log = begin().unwrap();
    assert_eq!((log.first().0, log.last().0), (1000, 999));
    assert_eq!(log.append(RecordKind::Frame, b"first").0, 1000);
    log.write().unwrap();
    log.sync().unwrap();
    drop(log);
    let config = LogConfig::new("test").with_segment_bytes(1024);
    let (log, recovered) = Log::open(Arc::new(disk.clone()), config).unwrap();
    assert_eq!((recovered.first.0, recovered.last.0), (1000, 1000));
    assert_eq!(recovered.cut, None);
    assert_eq!(log.reader().segments()[0].note, b"note");
    assert_eq!(
        log.reader()
            .read(RecordNumber(1000))
            .unwrap()
            .unwrap()
            .bytes,
        b"first"
    );
    assert!(begin().is_err_and(|error| error.to_string().contains("already")));
}
