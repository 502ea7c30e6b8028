//! How far opening a data directory has come, for whoever waits for it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Written by the thread that opens, read by anyone.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Rows of the table loaded.
    rows: AtomicU64,
    /// The record replayed last, and the last one of the log.
    record: AtomicU64,
    last: AtomicU64,
}

impl Progress {
    pub(super) fn note_row(&self) {
        self.rows.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_record(&self, record: u64, last: u64) {
        self.last.store(last, Ordering::Relaxed);
        self.record.store(record, Ordering::Relaxed);
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, record, last] =
            [&self.rows, &self.record, &self.last].map(|number| number.load(Ordering::Relaxed));
        match (rows, last) {
            (0, 0) => f.write_str("checking the log"),
            (rows, 0) => write!(f, "loading the table, {rows} rows so far"),
            (_, last) => write!(f, "replaying the log, at record {record} of {last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_says_how_far_it_is() {
        let progress = Progress::default();
        assert_eq!(progress.to_string(), "checking the log");
        progress.note_row();
        assert_eq!(progress.to_string(), "loading the table, 1 rows so far");
        progress.note_record(5, 9);
        assert_eq!(progress.to_string(), "replaying the log, at record 5 of 9");
    }
}
