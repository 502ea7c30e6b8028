//! The bytes of the format, fixed: a change here is a change of format. The encoder below is written from
//! `docs/format.md`, not from the code.

use std::sync::Arc;

use isles_store::{Log, LogConfig, MemoryStorage, OpenError, RecordKind, RecordNumber};
use xxhash_rust::xxh3::xxh3_64;

const NAME: &str = "00000000000000000001.log";

/// A segment that begins with record 1, of the identity `golden`, without a note.
fn header(version: u16, segment: u64) -> Vec<u8> {
    let mut bytes = b"ISLESLOG".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(52u32.to_le_bytes());
    let mut rest = Vec::new();
    rest.extend(segment.to_le_bytes());
    rest.extend(1u64.to_le_bytes());
    rest.extend(6u16.to_le_bytes());
    rest.extend(b"golden");
    rest.extend(0u32.to_le_bytes());
    let check = xxh3_64(&[bytes.clone(), rest.clone()].concat());
    bytes.extend(check.to_le_bytes());
    bytes.extend(rest);
    bytes
}

fn append_record(file: &mut Vec<u8>, kind: u32, number: u64, synced: u64, payload: &[u8]) {
    let mut fields = (payload.len() as u32).to_le_bytes().to_vec();
    fields.extend(kind.to_le_bytes());
    fields.extend(number.to_le_bytes());
    fields.extend(synced.to_le_bytes());
    let mut bound = 1u64.to_le_bytes().to_vec();
    bound.extend((file.len() as u64).to_le_bytes());
    bound.extend(&fields);
    bound.extend(xxh3_64(payload).to_le_bytes());
    file.extend(fields);
    file.extend(xxh3_64(&bound).to_le_bytes());
    file.extend(payload);
}

fn open(disk: &MemoryStorage) -> Result<Log, OpenError> {
    let config = LogConfig::new("golden").with_segment_bytes(1024);
    Log::open(Arc::new(disk.clone()), config).map(|(log, _)| log)
}

/// One record of each kind; the first two are synced before the others are appended.
fn golden() -> Vec<u8> {
    let mut file = header(1, 1);
    for (kind, payload) in ["frame", "start", "", "epoch", "checkpoint"]
        .into_iter()
        .enumerate()
    {
        let number = kind as u64 + 1;
        append_record(
            &mut file,
            kind as u32 + 1,
            number,
            if number > 2 { 2 } else { 0 },
            payload.as_bytes(),
        );
    }
    file
}

#[test]
fn a_segment_with_one_record_of_each_kind() {
    let disk = MemoryStorage::new();
    let mut log = open(&disk).unwrap();
    log.append(RecordKind::Frame, b"frame");
    log.append(RecordKind::Start, b"start");
    log.write().unwrap();
    log.sync().unwrap();
    log.append(RecordKind::Reservation, b"");
    log.append(RecordKind::Epoch, b"epoch");
    log.append(RecordKind::Checkpoint, b"checkpoint");
    log.write().unwrap();
    let bytes = disk.contents(NAME).unwrap();
    assert_eq!(bytes.len(), 1024);
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert_eq!(
        hex(&bytes[..end]),
        GOLDEN.split_whitespace().collect::<String>()
    );
    assert_eq!(
        hex(&golden()),
        hex(&bytes[..end]),
        "the format page and the code agree"
    );
}

const GOLDEN: &str = "
    49534c45534c4f470100000034000000
    2ec79e449e93679b0100000000000000
    01000000000000000600676f6c64656e00000000
    05000000010000000100000000000000
    0000000000000000941f0f7c2811ee3e
    6672616d65
    05000000020000000200000000000000
    000000000000000056b84d924ce2fdc0
    7374617274
    00000000030000000300000000000000
    0200000000000000869360b38ed67f23
    05000000040000000400000000000000
    0200000000000000e0143e9ea3d2990f
    65706f6368
    0a000000050000000500000000000000
    02000000000000002a40090c9ceae435
    636865636b706f696e74
";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_bytes_open() {
    let disk = MemoryStorage::new();
    disk.set_contents(NAME, &golden());
    let log = open(&disk).unwrap();
    let records: Vec<_> = log.scan(RecordNumber(1)).map(Result::unwrap).collect();
    assert_eq!(
        records.iter().map(|record| record.kind).collect::<Vec<_>>(),
        RecordKind::ALL
    );
    assert_eq!(records[4].bytes, b"checkpoint");
}

#[test]
fn a_newer_format_is_named() {
    let disk = MemoryStorage::new();
    disk.set_contents(NAME, &header(2, 1));
    let error = open(&disk).map(|_| ()).unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::NewerFormat {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    let message = error.to_string();
    assert!(
        message.contains(NAME) && message.contains("run the newer version"),
        "{message}"
    );
}

#[test]
fn an_unknown_record_kind_is_named() {
    let disk = MemoryStorage::new();
    let mut file = golden();
    let offset = file.len();
    append_record(&mut file, 9, 6, 2, b"from the future");
    disk.set_contents(NAME, &file);
    let error = open(&disk).map(|_| ()).unwrap_err();
    assert!(
        matches!(error, OpenError::UnknownKind { kind: 9, .. }),
        "{error}"
    );
    let message = error.to_string();
    assert!(
        message.contains(NAME) && message.contains(&format!("at byte {offset}")),
        "{message}"
    );
    assert_eq!(disk.contents(NAME).unwrap(), file, "nothing was changed");
}

#[test]
fn a_record_at_another_place_is_none() {
    let disk = MemoryStorage::new();
    let mut file = golden();
    let copy = file[52..52 + 37].to_vec();
    file.extend(copy);
    disk.set_contents(NAME, &file);
    let config = LogConfig::new("golden").with_segment_bytes(1024);
    let (_, recovered) = Log::open(Arc::new(disk), config).unwrap();
    assert_eq!(recovered.last, RecordNumber(5));
    assert!(recovered.cut.is_some());
}

#[test]
fn a_record_out_of_sequence_is_none() {
    for number in [4, 5, 7, u64::MAX] {
        let disk = MemoryStorage::new();
        let mut file = golden();
        append_record(&mut file, 1, number, 2, b"not the sixth");
        disk.set_contents(NAME, &file);
        let config = LogConfig::new("golden").with_segment_bytes(1024);
        let (_, recovered) = Log::open(Arc::new(disk), config).unwrap();
        assert_eq!(recovered.last, RecordNumber(5));
        assert!(recovered.cut.is_some());
    }
}
