//! What a table should hold, and how laws ask what it does hold.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::table::{Batch, Table, TableError, TableSnapshot, Visitor};

/// Rows as they should be.
pub(super) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn model(entries: &[(&str, &str)]) -> Model {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let rows = entries.iter();
    rows.map(|(key, value)| (bytes(key), bytes(value)))
        .collect()
}

/// Writes a batch of puts.
#[track_caller]
pub(super) fn put(table: &dyn Table, entries: &[(&str, &str)]) {
    let mut batch = Batch::new();
    for (key, value) in entries {
        batch.put(*key, *value);
    }
    ok("write", table.write(batch));
}

#[track_caller]
pub(super) fn ok<T>(doing: &str, result: Result<T, TableError>) -> T {
    result.unwrap_or_else(|error| panic!("{doing} failed: {error}"))
}

/// What can be read: a table, or a snapshot of it.
pub(super) trait Readable {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>;
    fn visit(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), TableError>;
}

impl Readable for dyn Table + '_ {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.get(key)
    }

    fn visit(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), TableError> {
        self.scan(from, to, visit)
    }
}

impl Readable for dyn TableSnapshot + '_ {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.get(key)
    }

    fn visit(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), TableError> {
        self.scan(from, to, visit)
    }
}

/// The value of a key is the expected one.
#[track_caller]
pub(super) fn check_get<R: Readable + ?Sized>(
    rows: &R,
    key: &[u8],
    expected: Option<&[u8]>,
    when: &str,
) {
    let found = ok("get", rows.value(key));
    assert!(
        found.as_deref() == expected,
        "{when}, get of {} answers {}; it should be {}",
        show(key),
        show_value(found.as_deref()),
        show_value(expected)
    );
}

/// A scan of the whole, and a get of each key, find exactly these rows.
#[track_caller]
pub(super) fn check_rows<R: Readable + ?Sized>(rows: &R, expected: &Model, when: &str) {
    check_range(rows, b"", None, expected, when);
    for (key, value) in expected {
        check_get(rows, key, Some(value), when);
    }
}

/// A scan finds exactly the expected rows of its range, in order.
#[track_caller]
pub(super) fn check_range<R: Readable + ?Sized>(
    rows: &R,
    from: &[u8],
    to: Option<&[u8]>,
    expected: &Model,
    when: &str,
) {
    let found = scan(rows, from, to);
    let within = |key: &[u8]| key >= from && to.is_none_or(|to| key < to);
    let mut expected_rows = expected.iter().filter(|(key, _)| within(key));
    let range = || {
        format!(
            "{when}, scan from {} to {}",
            show(from),
            to.map_or("the end".to_owned(), show)
        )
    };
    for (key, value) in &found {
        let Some((expected_key, expected_value)) = expected_rows.next() else {
            panic!(
                "{} finds {} after the last expected row",
                range(),
                show(key)
            );
        };
        assert!(
            key == expected_key,
            "{} finds the key {} where {} should come next",
            range(),
            show(key),
            show(expected_key)
        );
        assert!(
            value == expected_value,
            "{} finds {} with the value {}; it should be {}",
            range(),
            show(key),
            show(value),
            show(expected_value)
        );
    }
    if let Some((missing, _)) = expected_rows.next() {
        panic!("{} ends before the row {}", range(), show(missing));
    }
}

#[track_caller]
pub(super) fn scan<R: Readable + ?Sized>(
    rows: &R,
    from: &[u8],
    to: Option<&[u8]>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let result = rows.visit(from, to, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    ok("scan", result);
    found
}

/// How much of a key or value a message shows.
const SHOWN_BYTES: usize = 40;

/// Bytes as one would write them in a test.
pub(super) fn show(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let cut = match bytes.len() > SHOWN_BYTES {
        true => format!(" and {} bytes more", bytes.len() - SHOWN_BYTES),
        false => String::new(),
    };
    format!("b\"{}\"{cut}", shown.escape_ascii())
}

fn show_value(value: Option<&[u8]>) -> String {
    value.map_or("nothing".to_owned(), show)
}

/// Numbers that are the same in every run, so that a law that fails fails again.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// Less than `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // Knuth's MMIX generator; its upper bits are the good ones.
        let state = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = state.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// A batch of up to seven changes of forty keys, done to the model as well.
    pub(super) fn batch(&mut self, model: &mut Model) -> Batch {
        let mut batch = Batch::new();
        for _ in 0..self.below(8) {
            let key = self.key();
            if self.below(3) == 0 {
                model.remove(&key);
                batch.delete(key);
            } else {
                let value = format!("value {}", self.below(1_000_000)).into_bytes();
                model.insert(key.clone(), value.clone());
                batch.put(key, value);
            }
        }
        batch
    }

    pub(super) fn key(&mut self) -> Vec<u8> {
        format!("key {}", self.below(40)).into_bytes()
    }
}
