//! A history of records that a test wrote, to compare a log with.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "every test file takes a part"
)]

pub mod recorder;

use std::sync::Arc;

use isles_store::{Log, LogConfig, MemoryStorage, OpenError, RecordKind, Recovered};

pub const SEGMENT_BYTES: u64 = 1024;

pub fn config() -> LogConfig {
    LogConfig::new("test").with_segment_bytes(SEGMENT_BYTES)
}

pub fn open(storage: &MemoryStorage) -> Result<(Log, Recovered), OpenError> {
    Log::open(Arc::new(storage.clone()), config())
}

/// The payloads of records 1.. in order, each different from every other one ever made.
#[derive(Clone, Default)]
pub struct History {
    pub records: Vec<Vec<u8>>,
    made: u64,
}

impl History {
    pub fn append(&mut self, log: &mut Log, size: usize) {
        self.made += 1;
        let mut payload = self.made.to_le_bytes().to_vec();
        payload.resize(size.max(8), self.made as u8);
        assert_eq!(
            log.append(RecordKind::Frame, &payload).0,
            self.records.len() as u64 + 1
        );
        self.records.push(payload);
    }

    pub fn last(&self) -> u64 {
        self.records.len() as u64
    }

    /// The log holds exactly this history from its first record through `last`: no gap, no phantom, nothing after.
    pub fn check(&self, log: &Log, last: u64) {
        let mut next = log.first().0;
        for record in log.scan(log.first()) {
            let record = record.unwrap();
            assert_eq!(record.number.0, next);
            assert!(
                record.bytes == self.records[next as usize - 1],
                "record {next} is not the one written last"
            );
            next += 1;
        }
        assert_eq!(next, last + 1, "the log ends with record {last}");
    }
}
