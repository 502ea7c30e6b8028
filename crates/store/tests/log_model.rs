//! The log against a vector: whatever is appended, written, synced, trimmed, crashed and refused, in any order, every
//! synced record is there, without a gap, and nothing that was lost comes back.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic too")]

mod support;

use isles_store::{Log, LogError, MemoryStorage, RecordNumber, Recovered};
use proptest::prelude::*;

use support::{History, open};

#[derive(Debug, Clone)]
enum Step {
    Append {
        size: usize,
    },
    Write,
    Sync,
    /// Trims what is before so many tenths of the synced records.
    Trim {
        tenths: u64,
    },
    /// The process ends, the machine goes on.
    Restart,
    Crash {
        seed: u64,
    },
    FailWrite {
        nth: u64,
    },
    FailSync {
        nth: u64,
    },
    Full {
        bytes: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop_oneof![8 => 0..200usize, 1 => 500..3000usize].prop_map(|size| Step::Append { size }),
        6 => Just(Step::Write),
        4 => Just(Step::Sync),
        2 => (0..=11u64).prop_map(|tenths| Step::Trim { tenths }),
        1 => Just(Step::Restart),
        3 => any::<u64>().prop_map(|seed| Step::Crash { seed }),
        1 => (1..4u64).prop_map(|nth| Step::FailWrite { nth }),
        1 => (1..4u64).prop_map(|nth| Step::FailSync { nth }),
        1 => (0..2000u64).prop_map(|bytes| Step::Full { bytes }),
    ]
}

struct Model {
    disk: MemoryStorage,
    log: Option<Log>,
    history: History,
    /// The last record that was handed to a write, failed or not.
    attempted: u64,
    written: u64,
    synced: u64,
    /// The last record when the log was opened, and whether that open reported a cut which still stands.
    opened_at: u64,
    cut_stands: bool,
    failed: bool,
}

impl Model {
    fn new() -> Self {
        let disk = MemoryStorage::new();
        let (log, recovered) = open(&disk).unwrap();
        assert_eq!(recovered.cut, None);
        Model {
            disk,
            log: Some(log),
            history: History::default(),
            attempted: 0,
            written: 0,
            synced: 0,
            opened_at: 0,
            cut_stands: false,
            failed: false,
        }
    }

    fn take(&mut self, step: &Step) {
        let log = self.log.as_mut().expect("a step ends with an open log");
        match step {
            Step::Append { size } => self.history.append(log, *size),
            Step::Write => {
                self.attempted = self.history.last();
                match log.write() {
                    Ok(written) => {
                        assert_eq!(written.0, self.attempted);
                        self.written = written.0;
                    }
                    Err(error) => self.fail(&error),
                }
            }
            Step::Sync => match log.sync() {
                Ok(synced) => {
                    assert_eq!(synced.0, self.written);
                }
                Err(error) => self.fail(&error),
            },
            Step::Trim { tenths } => {
                let (before, first) = (RecordNumber(self.synced * tenths / 10), log.first());
                match log.trim(before) {
                    Ok(_) => assert!(log.first() <= before.max(first)),
                    Err(error) => self.fail(&error),
                }
            }
            Step::Restart => self.reopen(None),
            Step::Crash { seed } => self.reopen(Some(*seed)),
            Step::FailWrite { nth } => self.disk.fail_write(*nth),
            Step::FailSync { nth } => self.disk.fail_sync(*nth),
            Step::Full { bytes } => self.disk.set_free_bytes(Some(*bytes)),
        }
        self.check();
    }

    fn fail(&mut self, error: &LogError) {
        if self.failed {
            assert!(matches!(error, LogError::Poisoned { .. }), "{error}");
        }
        self.failed = true;
    }

    fn reopen(&mut self, crash: Option<u64>) {
        let log = self.log.take().expect("a step ends with an open log");
        // A roll-over may have synced, or written, more than a failed call told.
        self.synced = log.synced().0;
        self.written = log.written().0;
        drop(log);
        let at_risk = self.attempted > self.synced || self.failed;
        self.clear_faults();
        if let Some(seed) = crash {
            self.disk.crash(seed);
        }
        let (log, recovered) =
            open(&self.disk).unwrap_or_else(|error| panic!("no crash is damage: {error}"));
        let kept = if crash.is_some() {
            self.synced
        } else {
            self.written
        };
        self.check_recovered(&recovered, kept, crash.is_some() && at_risk);
        let last = recovered.last.0;
        self.history.records.truncate(last as usize);
        (self.attempted, self.written, self.synced, self.opened_at) = (last, last, last, last);
        self.cut_stands = recovered.cut.is_some();
        self.failed = false;
        self.log = Some(log);
    }

    fn clear_faults(&self) {
        // Numbers that are never reached.
        self.disk.fail_write(u64::MAX);
        self.disk.fail_sync(u64::MAX);
        self.disk.set_free_bytes(None);
    }

    fn check_recovered(&self, recovered: &Recovered, kept: u64, at_risk: bool) {
        let last = recovered.last.0;
        assert!(
            last >= kept,
            "record {kept} must be there, the log ends with {last}"
        );
        assert!(
            last <= self.attempted,
            "record {last} was never handed to a write"
        );
        if self.cut_stands {
            assert!(
                recovered.cut.is_some(),
                "a cut is reported until something new is synced"
            );
        } else if !at_risk && !self.failed {
            assert_eq!(recovered.cut, None, "nothing was at risk");
        }
    }

    fn check(&mut self) {
        let log = self.log.as_ref().expect("a step ends with an open log");
        self.synced = log.synced().0;
        self.cut_stands &= self.synced <= self.opened_at;
        let readable = if self.failed {
            log.synced().0
        } else {
            log.written().0
        };
        if log.first().0 <= readable + 1 {
            self.history.check(log, readable);
        }
    }
}

/// `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(400),
        failure_persistence: None,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn log_equals_its_history(steps in prop::collection::vec(step(), 1..120)) {
        let mut model = Model::new();
        for step in &steps {
            model.take(step);
        }
        model.reopen(Some(7));
        model.check();
    }
}
