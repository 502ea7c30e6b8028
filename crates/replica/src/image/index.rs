//! What the table knows of its rows without reading them: what each bucket adds up to, which keys readers see, and when they go.
//!
//! All of it is written with the rows that it is about, in one batch. A restart reads the buckets only; see
//! [`Replica::open_table`](crate::Replica::open_table).

use serde::{Deserialize, Serialize};

use super::{ImageError, ROW_VERSION, ScanTable, TableChange, to_bytes, versioned};
use crate::row::Row;
use crate::rows::{BUCKETS, BucketImage, bucket_of, hash_of};
use crate::txn::{ValueType, type_of};

/// What the table keys of buckets start with, of listed keys, and of deadlines.
pub(super) const BUCKET: u8 = b'b';
const LISTED: u8 = b'i';
const DUE: u8 = b'd';

/// What starts the table keys of all this: whoever finds a table of an earlier build removes what has one of them.
pub const INDEX_PREFIXES: [&[u8]; 3] = [&[BUCKET], &[LISTED], &[DUE]];

const BUCKET_BYTES: usize = 2;
const DEADLINE_BYTES: usize = 8;

#[derive(Serialize, Deserialize)]
struct StoredBucket {
    sum: u128,
    rows: u32,
    counted: u32,
    expiring: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredListing {
    code: u8,
    deadline_ms: Option<u64>,
}

/// A key that readers see, as the table lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: Box<[u8]>,
    pub(crate) value_type: ValueType,
    pub(crate) deadline_ms: Option<u64>,
}

/// How the table's lists change with the image of a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Relisting {
    is_changed: bool,
    /// Zero where readers do not see it.
    code: u8,
    deadline_before_ms: Option<u64>,
    deadline_ms: Option<u64>,
}

impl Relisting {
    /// What is to become of the lists, which is noted in the row.
    pub(super) fn of(row: &mut Row) -> Relisting {
        let code = match row.counted {
            true => type_of(row).map_or(0, code_of),
            false => 0,
        };
        let expires = code != 0 && row.deadline.is_set();
        let deadline_ms = expires.then_some(row.deadline.at_ms);
        let deadline_before_ms = row.stored.deadline_ms();
        let is_changed = row.listed != code || deadline_before_ms != deadline_ms;
        row.listed = code;
        Relisting {
            is_changed,
            code,
            deadline_before_ms,
            deadline_ms,
        }
    }

    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.deadline_ms
    }

    pub(super) fn encode(&self, key: &[u8], each: &mut dyn FnMut(TableChange)) {
        if !self.is_changed {
            return;
        }
        let (code, deadline_ms) = (self.code, self.deadline_ms);
        let listed = listed_key(key);
        each(match code {
            0 => TableChange::Delete(listed),
            _ => TableChange::Put(listed, to_bytes(&StoredListing { code, deadline_ms })),
        });
        if self.deadline_before_ms == deadline_ms {
            return;
        }
        if let Some(at_ms) = self.deadline_before_ms {
            each(TableChange::Delete(due_key(at_ms, key)));
        }
        if let Some(at_ms) = deadline_ms {
            each(TableChange::Put(due_key(at_ms, key), vec![ROW_VERSION]));
        }
    }
}

/// Notes in a row of the table what the lists say of it. Whether one is listed that has a deadline, only they say: it may
/// have passed before the row was written.
pub(super) fn note_listed(row: &mut Row, is_listed: bool) {
    let code = match is_listed && !row.is_reserved() {
        true => type_of(row).map_or(0, code_of),
        false => 0,
    };
    row.listed = code;
    row.counted = code != 0;
    let expires = row.counted && row.deadline.is_set();
    row.stored
        .set_deadline_ms(expires.then_some(row.deadline.at_ms));
}

/// The same, for a row with or without a deadline.
pub(super) fn note_row(row: &mut Row, scan: &mut ScanTable<'_>) {
    let mut is_listed = !row.deadline.is_set();
    if !is_listed {
        let listed = listed_key(&row.key);
        scan(&listed, &mut |key, _| is_listed |= *key == *listed);
    }
    note_listed(row, is_listed);
}

pub(super) fn put_bucket(image: &BucketImage) -> TableChange {
    let key = [&[BUCKET][..], &image.bucket.to_be_bytes()].concat();
    let stored = StoredBucket {
        sum: image.sum,
        rows: image.rows,
        counted: image.counted,
        expiring: image.expiring,
    };
    match image.rows {
        0 => TableChange::Delete(key),
        _ => TableChange::Put(key, to_bytes(&stored)),
    }
}

pub(super) fn load_bucket(key: &[u8], value: &[u8]) -> Result<BucketImage, ImageError> {
    let bucket = key[1..].try_into().map(u16::from_be_bytes);
    let bucket =
        bucket.map_err(|_| ImageError::Content("the key of a bucket is damaged".into()))?;
    let stored: StoredBucket = postcard::from_bytes(versioned(value, key)?)?;
    Ok(BucketImage {
        bucket,
        sum: stored.sum,
        rows: stored.rows,
        counted: stored.counted,
        expiring: stored.expiring,
    })
}

/// What the table keys of the listed keys of a bucket start with.
pub(crate) fn listed_prefix(bucket: u16) -> Vec<u8> {
    [&[LISTED][..], &bucket.to_be_bytes()].concat()
}

pub(super) fn listed_key(key: &[u8]) -> Vec<u8> {
    let bucket = bucket_of(hash_of(key)) as u16;
    [&listed_prefix(bucket)[..], key].concat()
}

pub(crate) fn load_listed(table_key: &[u8], value: &[u8]) -> Result<Listed, ImageError> {
    let key = &table_key[1 + BUCKET_BYTES..];
    let stored: StoredListing = postcard::from_bytes(versioned(value, key)?)?;
    let value_type = of_code(stored.code)
        .ok_or_else(|| ImageError::Content(format!("no type has the number {}", stored.code)))?;
    Ok(Listed {
        key: key.into(),
        value_type,
        deadline_ms: stored.deadline_ms,
    })
}

fn due_key(at_ms: u64, key: &[u8]) -> Vec<u8> {
    [&[DUE][..], &at_ms.to_be_bytes(), key].concat()
}

/// The table keys from the first to before the second are those of keys whose deadline has passed, earliest first:
/// [`key_of_due`] gives the key.
pub fn due_range(now_ms: u64) -> (Vec<u8>, Vec<u8>) {
    let end = due_key(now_ms.saturating_add(1), &[]);
    (vec![DUE], end)
}

/// The key of which a table key says when it goes.
pub fn key_of_due(table_key: &[u8]) -> Option<&[u8]> {
    table_key.get(1 + DEADLINE_BYTES..)
}

fn code_of(value_type: ValueType) -> u8 {
    let place = TYPES.iter().position(|known| *known == value_type);
    place.map_or(0, |place| place as u8 + 1)
}

fn of_code(code: u8) -> Option<ValueType> {
    TYPES.get(usize::from(code.checked_sub(1)?)).copied()
}

/// In the order of their codes, which are stored.
const TYPES: [ValueType; 9] = [
    ValueType::String,
    ValueType::Hash,
    ValueType::Set,
    ValueType::SortedSet,
    ValueType::List,
    ValueType::Stream,
    ValueType::Flag,
    ValueType::HyperLogLog,
    ValueType::BoundedCounter,
];

const _: () = assert!(BUCKETS == 1 << (8 * BUCKET_BYTES), "a bucket's number fits");
