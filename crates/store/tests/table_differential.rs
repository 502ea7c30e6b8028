//! All tables are one table: the same random history leaves the same rows, ranges and snapshots in each of them.
//!
//! redb is the oracle that shares nothing with the others; it and the table on an object store take part with their features.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use isles_store::{Batch, FjallConfig, FjallTable, MemoryTable, Table, TableSnapshot};
use proptest::collection::vec;
use proptest::prelude::*;

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// What may happen to a table.
#[derive(Debug, Clone)]
enum Step {
    /// Puts, and deletes where there is no value.
    Write(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    /// Deletes every row of a range, in one batch.
    RemoveRange(Vec<u8>, Vec<u8>),
    Scan(Vec<u8>, Option<Vec<u8>>),
    Persist,
    Flush,
    /// Keeps a snapshot, in the place of the one that is there.
    Snapshot,
    /// Reads the snapshot again.
    ReadSnapshot,
    /// Persists and opens the table anew; a snapshot ends with it.
    Reopen,
    /// Opens the table anew after a batch that may be lost.
    ReopenAfter(Vec<(Vec<u8>, Option<Vec<u8>>)>),
}

/// Few keys that are near each other, so that steps meet: also such as begin with others, and the greatest byte.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(
        prop_oneof![Just(0), Just(1), Just(b'k'), Just(254), Just(255)],
        1..4,
    )
}

fn bound() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => key(), 1 => Just(Vec::new())]
}

fn changes() -> impl Strategy<Value = Vec<(Vec<u8>, Option<Vec<u8>>)>> {
    let value = prop_oneof![
        8 => vec(any::<u8>(), 0..30),
        1 => (any::<u8>(), 5_000..40_000usize).prop_map(|(byte, size)| vec![byte; size]),
    ];
    let value = prop_oneof![3 => value.prop_map(Some), 1 => Just(None)];
    vec((key(), value), 0..12)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => changes().prop_map(Step::Write),
        2 => (bound(), bound()).prop_map(|(from, to)| Step::RemoveRange(from, to)),
        4 => (bound(), prop::option::of(bound())).prop_map(|(from, to)| Step::Scan(from, to)),
        1 => Just(Step::Persist),
        1 => Just(Step::Flush),
        2 => Just(Step::Snapshot),
        2 => Just(Step::ReadSnapshot),
        1 => Just(Step::Reopen),
        1 => changes().prop_map(Step::ReopenAfter),
    ]
}

fn batch(changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in changes {
        match value {
            Some(value) => batch.put(key.clone(), value.clone()),
            None => batch.delete(key.clone()),
        }
    }
    batch
}

fn range(rows: &BTreeMap<Vec<u8>, Vec<u8>>, from: &[u8], to: Option<&[u8]>) -> Rows {
    let within = |key: &[u8]| key >= from && to.is_none_or(|to| key < to);
    let rows = rows.iter().filter(|(key, _)| within(key));
    rows.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// One table under test.
struct Subject {
    name: &'static str,
    open: Box<dyn Fn() -> Box<dyn Table>>,
    table: Option<Box<dyn Table>>,
    snapshot: Option<Box<dyn TableSnapshot>>,
}

impl Subject {
    fn new(name: &'static str, open: impl Fn() -> Box<dyn Table> + 'static) -> Self {
        Subject {
            name,
            table: Some(open()),
            open: Box::new(open),
            snapshot: None,
        }
    }

    fn table(&self) -> &dyn Table {
        self.table.as_deref().expect("it is open")
    }

    fn reopen(&mut self) {
        self.snapshot = None;
        self.table = None;
        self.table = Some((self.open)());
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>) -> Rows {
        collect(|visit| self.table().scan(from, to, visit))
    }
}

fn collect(
    scan: impl FnOnce(&mut isles_store::table::Visitor<'_>) -> Result<(), isles_store::TableError>,
) -> Rows {
    let mut rows = Rows::new();
    scan(&mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

fn subjects(dir: &std::path::Path) -> Vec<Subject> {
    let memory = MemoryTable::new();
    let fjall = dir.join("fjall");
    let mut subjects = vec![
        Subject::new("memory", move || {
            memory.crash();
            Box::new(memory.clone())
        }),
        Subject::new("fjall", move || {
            let config = FjallConfig::default().with_memtable_bytes(64 << 10);
            Box::new(FjallTable::open(&fjall, &config).unwrap())
        }),
    ];
    more_subjects(dir, &mut subjects);
    subjects
}

#[cfg(not(any(feature = "redb", feature = "slate")))]
fn more_subjects(_: &std::path::Path, _: &mut Vec<Subject>) {}

#[cfg(any(feature = "redb", feature = "slate"))]
fn more_subjects(dir: &std::path::Path, subjects: &mut Vec<Subject>) {
    #[cfg(feature = "redb")]
    {
        use isles_store::{RedbConfig, RedbTable};
        let redb = dir.join("redb");
        subjects.push(Subject::new("redb", move || {
            Box::new(RedbTable::open(&redb, &RedbConfig::default()).unwrap())
        }));
    }
    #[cfg(feature = "slate")]
    {
        use isles_store::{SlateConfig, SlateTable, object_store::memory::InMemory};
        let store = std::sync::Arc::new(InMemory::new());
        let place = dir.display().to_string();
        subjects.push(Subject::new("slate", move || {
            let config = SlateConfig::default()
                .with_memtable_bytes(64 << 10)
                .with_poll(std::time::Duration::from_millis(20));
            Box::new(SlateTable::open(store.clone(), &place, &config).unwrap())
        }));
    }
}

/// Does a step to every table and to the model, and compares what can be seen of it.
fn run(
    step: &Step,
    subjects: &mut [Subject],
    model: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    then: &mut Option<BTreeMap<Vec<u8>, Vec<u8>>>,
) {
    let apply = |model: &mut BTreeMap<_, _>, changes: &Batch| {
        for (key, value) in changes.changes() {
            match value {
                Some(value) => drop(model.insert(key.to_vec(), value.to_vec())),
                None => drop(model.remove(key)),
            }
        }
    };
    match step {
        Step::Write(changes) => {
            let changes = batch(changes);
            for subject in subjects.iter() {
                subject.table().write(changes.clone()).unwrap();
            }
            apply(model, &changes);
        }
        Step::RemoveRange(from, to) => {
            for subject in subjects.iter() {
                let mut removed = Batch::new();
                for (key, _) in subject.scan(from, Some(to)) {
                    removed.delete(key);
                }
                subject.table().write(removed).unwrap();
            }
            model.retain(|key, _| key < from || key >= to);
        }
        Step::Scan(from, to) => {
            let expected = range(model, from, to.as_deref());
            for subject in subjects.iter() {
                let found = subject.scan(from, to.as_deref());
                assert!(found == expected, "{} in {step:?}: {found:?}", subject.name);
            }
        }
        Step::Persist => {
            for subject in subjects.iter() {
                subject.table().persist().unwrap();
            }
        }
        Step::Flush => {
            for subject in subjects.iter() {
                subject.table().flush().unwrap();
            }
        }
        Step::Snapshot => {
            for subject in subjects.iter_mut() {
                subject.snapshot = Some(subject.table().snapshot());
            }
            *then = Some(model.clone());
        }
        Step::ReadSnapshot => {
            let Some(then) = then else { return };
            for subject in subjects.iter() {
                let snapshot = subject.snapshot.as_deref().expect("taken with the model's");
                let found = collect(|visit| snapshot.scan(b"", None, visit));
                assert!(
                    found == range(then, b"", None),
                    "{}: {found:?}",
                    subject.name
                );
                for (key, value) in then.iter() {
                    let found = snapshot.get(key).unwrap();
                    assert_eq!(found.as_ref(), Some(value), "{}", subject.name);
                }
            }
        }
        Step::Reopen => {
            for subject in subjects.iter_mut() {
                subject.table().persist().unwrap();
                subject.reopen();
            }
            *then = None;
        }
        Step::ReopenAfter(changes) => {
            let changes = batch(changes);
            let before = range(model, b"", None);
            apply(model, &changes);
            let after = range(model, b"", None);
            for subject in subjects.iter_mut() {
                subject.table().persist().unwrap();
                subject.table().write(changes.clone()).unwrap();
                subject.reopen();
                let found = subject.scan(b"", None);
                assert!(
                    found == before || found == after,
                    "{} keeps a part of a batch: {found:?}",
                    subject.name
                );
                // From here on all have it.
                subject.table().write(changes.clone()).unwrap();
            }
            *then = None;
        }
    }
}

proptest! {
    // A case opens every table a few times, most of them on a disk.
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn all_tables_tell_the_same(steps in vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let mut subjects = subjects(dir.path());
        let (mut model, mut then) = (BTreeMap::new(), None);
        for step in &steps {
            run(step, &mut subjects, &mut model, &mut then);
        }
        let expected = range(&model, b"", None);
        for subject in &subjects {
            let found = subject.scan(b"", None);
            prop_assert!(found == expected, "{} at the end: {found:?}", subject.name);
            for (key, value) in &expected {
                let found = subject.table().get(key).unwrap();
                prop_assert_eq!(found.as_ref(), Some(value), "{}", subject.name);
            }
        }
    }
}
