//! The suite finds what is wrong with a table, and says it in words.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::ops::ControlFlow;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use isles_store::table::Visitor;
use isles_store::{Batch, MemoryTable, Table, TableError, TableSnapshot, conformance};
use support::places::Places;

/// What is wrong with a table.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    DeletesNothing,
    ScansItsEnd,
    ScansFromBehind,
    ScansOn,
    SnapshotsChange,
    WritesHalf,
    AcceptsAnyKey,
    LosesBigValues,
    FlushesAway,
    PersistsNothing,
    KeepsEveryOther,
}

/// A table in memory with a fault; its clones share the rows.
#[derive(Clone)]
struct Faulty {
    rows: MemoryTable,
    fault: Fault,
}

struct Live(Faulty);

impl Faulty {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn reopened(self) -> Self {
        match self.fault {
            Fault::PersistsNothing => Faulty {
                rows: MemoryTable::new(),
                ..self
            },
            Fault::KeepsEveryOther => {
                let mut batch = Batch::new();
                let mut number = 0;
                let visit: &mut Visitor<'_> = &mut |key, _| {
                    number += 1;
                    if number % 2 == 0 {
                        batch.delete(key);
                    }
                    ControlFlow::Continue(())
                };
                self.rows.scan(b"", None, visit).unwrap();
                self.rows.write(batch).unwrap();
                self
            }
            _ => self,
        }
    }
}

impl Table for Faulty {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        let value = self.rows.get(key)?;
        Ok(value.filter(|value| !self.is(Fault::LosesBigValues) || value.len() < 1 << 20))
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), TableError> {
        let mut rows = Vec::new();
        self.rows.scan(from, None, &mut |key, value| {
            let within = to.is_none_or(|to| key < to || (self.is(Fault::ScansItsEnd) && key == to));
            if within {
                rows.push((key.to_vec(), value.to_vec()));
            }
            ControlFlow::Continue(())
        })?;
        if self.is(Fault::ScansFromBehind) {
            rows.reverse();
        }
        for (key, value) in rows {
            if visit(&key, &value).is_break() && !self.is(Fault::ScansOn) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: Batch) -> Result<(), TableError> {
        if !self.is(Fault::AcceptsAnyKey) {
            batch.check()?;
        }
        for half in 0..2 {
            let mut part = Batch::new();
            for (at, (key, value)) in batch.changes().enumerate() {
                let wanted = !self.is(Fault::WritesHalf) || at % 2 == half;
                match value {
                    _ if !wanted || key.is_empty() || key.len() > 65_535 => {}
                    Some(value) => part.put(key, value),
                    None if self.is(Fault::DeletesNothing) => {}
                    None => part.delete(key),
                }
            }
            self.rows.write(part)?;
            if self.is(Fault::WritesHalf) {
                // Whoever reads may do so now.
                (0..10).for_each(|_| std::thread::yield_now());
            }
        }
        Ok(())
    }

    fn persist(&self) -> Result<(), TableError> {
        self.rows.persist()
    }

    fn flush(&self) -> Result<(), TableError> {
        if self.is(Fault::FlushesAway) {
            let mut batch = Batch::new();
            self.rows.scan(b"", None, &mut |key, _| {
                batch.delete(key);
                ControlFlow::Continue(())
            })?;
            self.rows.write(batch)?;
        }
        self.rows.flush()
    }

    fn snapshot(&self) -> Box<dyn TableSnapshot> {
        let shown = match self.fault {
            Fault::SnapshotsChange => self.rows.clone(),
            _ => self.rows.fork(),
        };
        Box::new(Live(Faulty {
            rows: shown,
            fault: self.fault,
        }))
    }

    fn bytes(&self) -> u64 {
        self.rows.bytes()
    }
}

impl TableSnapshot for Live {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.0.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), TableError> {
        self.0.scan(from, to, visit)
    }
}

/// What the suite says about a table with a fault.
fn report(fault: Fault) -> String {
    let tables = Places::<MemoryTable>::default();
    let open = move |place: &Path| {
        let rows = tables.at(place);
        Ok(Faulty { rows, fault }.reopened())
    };
    let check = AssertUnwindSafe(|| conformance::check_table(open));
    let panic = panic::catch_unwind(check).expect_err("a table with a fault does not conform");
    panic.downcast_ref::<String>().unwrap().clone()
}

#[track_caller]
fn check(fault: Fault, law: &str, detail: &str) {
    let report = report(fault);
    let line = report.lines().find(|line| line.contains(law));
    let line = line.unwrap_or_else(|| panic!("`{law}` is not in:\n{report}"));
    assert!(line.contains(detail), "`{detail}` is not in `{line}`");
    assert!(report.starts_with("the table breaks "), "{report}");
}

#[test]
fn each_fault_is_found_by_its_law() {
    check(
        Fault::DeletesNothing,
        "what was deleted is not",
        "after a delete, get of b\"k\" answers b\"v\"; it should be nothing",
    );
    check(
        Fault::ScansItsEnd,
        "without its end",
        "scan from b\"\\x00\\x00\" to b\"\\x01\\xff\" finds b\"\\x01\\xff\" after the last expected row",
    );
    check(
        Fault::ScansFromBehind,
        "in the order of bytes",
        "finds the key b\"\\xff\\xff\" where b\"\\x00\" should come next",
    );
    check(Fault::ScansOn, "stops when it is told", "it visited 3");
    check(
        Fault::SnapshotsChange,
        "a snapshot never changes",
        "in a snapshot, after a write, scan from b\"\" to the end",
    );
    check(Fault::WritesHalf, "a batch whole or not at all", "");
    check(
        Fault::AcceptsAnyKey,
        "refused whole",
        "a key of 0 bytes is accepted",
    );
    check(
        Fault::LosesBigValues,
        "big values come back",
        "after a put of 3 MiB",
    );
    check(
        Fault::FlushesAway,
        "a flush keeps everything",
        "ends before the row b\"a\"",
    );
    check(
        Fault::PersistsNothing,
        "what was persisted is there",
        "ends before the row b\"a\"",
    );
    check(
        Fault::KeepsEveryOther,
        "a prefix of the batches",
        "after a restart there is what no number of them leaves",
    );
}

#[test]
fn a_table_that_does_not_open_is_told_with_its_error() {
    let open = |place: &Path| {
        let place = place.display().to_string();
        Err::<MemoryTable, _>(TableError::Locked { place })
    };
    let check = || conformance::check_table(open);
    let panic = panic::catch_unwind(check).expect_err("it does not conform");
    let report = panic.downcast_ref::<String>().unwrap();
    assert!(report.contains("does not open: the table in"), "{report}");
    assert!(report.contains("is in use by another process"), "{report}");
}
