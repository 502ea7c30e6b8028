//! A log can be looked at as it lies there, and cut where its operator says.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic too")]

mod support;

use isles_store::log::{SegmentReport, SegmentState, TruncateError, inspect, truncate};
use isles_store::storage::Keep;
use isles_store::{Log, MemoryStorage, OpenError, RecordNumber, Storage};

use support::recorder::Recorder;
use support::{History, open};

/// Three segments, all of it synced but the last record.
fn disk_with_history() -> (MemoryStorage, History) {
    let disk = MemoryStorage::new();
    let mut history = History::default();
    let (mut log, _) = open(&disk).unwrap();
    for number in 1..=28 {
        history.append(&mut log, 40 + number);
        log.write().unwrap();
        if number < 28 {
            log.sync().unwrap();
        }
    }
    assert_eq!(log.reader().segments().len(), 3);
    (disk, history)
}

fn names(disk: &MemoryStorage) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.sort();
    names
}

/// What is seen of a log, and that looking changes nothing.
fn look(disk: &MemoryStorage) -> (Vec<u64>, Vec<SegmentReport>) {
    let contents = || -> Vec<_> {
        let names = names(disk);
        names
            .iter()
            .map(|name| (name.clone(), disk.contents(name)))
            .collect()
    };
    let (before, mut numbers) = (contents(), Vec::new());
    let reports = inspect(disk, &mut |record| numbers.push(record.number.0)).unwrap();
    assert!(contents() == before, "looking at a log changes nothing");
    (numbers, reports)
}

/// Where a record begins: the name of its file, and the offset.
fn place_of(disk: &MemoryStorage, number: u64) -> (String, u64) {
    let mut place = None;
    inspect(disk, &mut |record| {
        if record.number.0 == number {
            place = Some((format!("{:020}.log", record.segment), record.offset));
        }
    })
    .unwrap();
    place.unwrap()
}

/// Opens what is left, which ends with `last` and was cut there, and goes on with it.
fn check_cut(disk: &MemoryStorage, history: &History, last: u64) {
    let (mut log, recovered) = open(disk).unwrap();
    assert_eq!(recovered.last.0, last);
    assert!(
        recovered.cut.is_some(),
        "the owner has to draw a conclusion"
    );
    history.check(&log, last);
    let mut history = history.clone();
    history.records.truncate(last as usize);
    history.append(&mut log, 300);
    log.write().unwrap();
    log.sync().unwrap();
    drop(log);
    let (log, recovered) = open(disk).unwrap();
    assert_eq!(recovered.cut, None);
    history.check(&log, last + 1);
}

#[test]
fn a_sound_log() {
    let (disk, history) = disk_with_history();
    let (numbers, reports) = look(&disk);
    assert_eq!(numbers, (1..=history.last()).collect::<Vec<_>>());
    assert_eq!(reports.len(), 3);
    let mut next = 1;
    for report in &reports {
        assert!(matches!(report.state, SegmentState::Whole), "{report:?}");
        assert_eq!(report.identity, b"test");
        let (first, count) = report.records.unwrap();
        assert_eq!(first.0, next);
        next += count;
    }
    assert!(look(&MemoryStorage::new()).1.is_empty());
}

#[test]
fn a_torn_tail_is_told_and_left() {
    let (disk, _) = disk_with_history();
    disk.crash_with(usize::MAX, |write| Keep::First(write.bytes / 2));
    let (numbers, reports) = look(&disk);
    assert_eq!(numbers.len(), 27);
    let torn = &reports.last().unwrap().state;
    assert!(
        matches!(torn, SegmentState::Torn { bytes } if *bytes > 0),
        "{torn:?}"
    );
}

#[test]
fn damage_is_told_and_can_be_cut_away() {
    let (disk, history) = disk_with_history();
    let (name, offset) = place_of(&disk, 17);
    disk.flip_bit(&name, offset + 40, 3);
    assert!(matches!(open(&disk), Err(OpenError::Damaged { .. })));
    let before = disk.contents(&name);
    let (numbers, reports) = look(&disk);
    assert_eq!(numbers[..16], (1..17).collect::<Vec<_>>());
    assert!(
        numbers.contains(&28),
        "what is behind the damage is shown too"
    );
    let state = &reports[1].state;
    assert!(
        matches!(state, SegmentState::Damaged(OpenError::Damaged { offset: at, .. }) if *at == offset),
        "{state:?}"
    );
    let beyond = truncate(&disk, RecordNumber(18)).unwrap_err().to_string();
    assert_eq!(
        beyond,
        "the log can be read through record 16 only: to cut away what is behind it, truncate at 17"
    );
    let cut = truncate(&disk, RecordNumber(17)).unwrap();
    assert_eq!((cut.last.0, cut.offset), (16, offset));
    assert_eq!(cut.kept.len(), 2);
    assert!(disk.contents(&format!("removed-{name}")) == before);
    check_cut(&disk, &history, 16);
}

#[test]
fn any_record_of_a_sound_log_can_be_the_first_to_go() {
    let (disk, history) = disk_with_history();
    for at in 1..=history.last() {
        let disk = disk.fork();
        truncate(&disk, RecordNumber(at)).unwrap();
        check_cut(&disk, &history, at - 1);
    }
}

#[test]
fn cutting_twice_keeps_both() {
    let (disk, history) = disk_with_history();
    for at in [27, 25, 17] {
        truncate(&disk, RecordNumber(at)).unwrap();
        assert!(open(&disk).unwrap().1.cut.is_some());
    }
    let kept = names(&disk)
        .into_iter()
        .filter(|name| name.starts_with("removed-"));
    assert_eq!(
        kept.count(),
        4,
        "the third segment three times, the second once"
    );
    check_cut(&disk, &history, 16);
}

#[test]
fn a_missing_file_and_an_unreadable_one() {
    let (disk, history) = disk_with_history();
    for missing in [true, false] {
        let disk = disk.fork();
        let name = names(&disk)[1].clone();
        match missing {
            true => disk.remove(&name).unwrap(),
            false => disk.flip_bit(&name, 3, 1),
        }
        assert!(open(&disk).is_err());
        let (numbers, reports) = look(&disk);
        assert!(numbers.contains(&28));
        assert!(matches!(&reports[1].state, SegmentState::Damaged(_)));
        let last = reports[0].records.unwrap().1;
        truncate(&disk, RecordNumber(last + 1)).unwrap();
        check_cut(&disk, &history, last);
    }
    let first = names(&disk)[0].clone();
    disk.flip_bit(&first, 3, 1);
    let nothing = truncate(&disk, RecordNumber(5)).unwrap_err();
    assert!(
        matches!(nothing, TruncateError::NothingReadable(_)),
        "{nothing}"
    );
}

#[test]
fn what_cannot_be_cut() {
    let (disk, history) = disk_with_history();
    let (mut log, _) = open(&disk).unwrap();
    log.trim(RecordNumber(20)).unwrap();
    let first = log.first().0;
    drop(log);
    let message = |at| truncate(&disk, RecordNumber(at)).unwrap_err().to_string();
    assert_eq!(
        message(1),
        format!("record 1 was trimmed: the log begins with record {first}")
    );
    let last = history.last();
    let nothing = format!("there is nothing to cut: the log ends with record {last}");
    assert_eq!(
        (message(last + 1), message(last + 9)),
        (nothing.clone(), nothing)
    );
    let empty = truncate(&MemoryStorage::new(), RecordNumber(1)).unwrap_err();
    assert_eq!(
        empty.to_string(),
        "there is nothing to cut: the log ends with record 0"
    );
}

/// Whatever a crash leaves opens as it was, is cut, or is refused; the same cut again ends as it would have.
#[test]
fn a_crash_at_every_call_of_a_cut() {
    let (disk, history) = disk_with_history();
    drop::<(Log, _)>(open(&disk).unwrap());
    let recorder = Recorder {
        disk,
        ..Recorder::default()
    };
    truncate(&recorder, RecordNumber(17)).unwrap();
    recorder.record();
    let moments = recorder.moments.lock().unwrap();
    assert!(moments.len() > 8, "only {} moments", moments.len());
    for (disk, _) in moments.iter() {
        for seed in 0..24 {
            let crashed = disk.fork();
            crashed.crash(seed);
            let again = crashed.fork();
            match open(&crashed) {
                Ok((log, recovered)) => {
                    let last = recovered.last.0;
                    assert!(last >= 16, "the log ends with {last}");
                    assert!(last == 28 || recovered.cut.is_some(), "a loss is reported");
                    history.check(&log, last);
                }
                Err(error) => assert!(matches!(error, OpenError::Damaged { .. }), "{error}"),
            }
            match truncate(&again, RecordNumber(17)) {
                Ok(_) => {}
                Err(error) => assert!(
                    matches!(error, TruncateError::NothingThere { .. }),
                    "{error}"
                ),
            }
            check_cut(&again, &history, 16);
        }
    }
}
