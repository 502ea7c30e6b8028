//! What the table keeps of a conflict, in two rows: the record, which never changes, and what has settled it.

use std::borrow::Cow;
use std::sync::Arc;

use isles_clock::{Dot, Hlc, Stamp};
use serde::{Deserialize, Serialize};

use super::{ConflictKind, ConflictRecord, Contender, Origin, Settled};
use crate::journal::Head;
use crate::op::Kind;

/// The version of records and of what settled them; version 1 was never released.
const RECORD_VERSION: u8 = 2;

/// What is stored of a record; the strategy goes by its name, so that a newer one can be read by its number of bytes.
#[derive(Serialize, Deserialize)]
struct StoredRecord<'a> {
    version: u8,
    sequence: u64,
    key: &'a [u8],
    keyspace: &'a [u8],
    /// Zero for the deadline.
    component: u8,
    #[serde(borrow)]
    field: Option<&'a [u8]>,
    kind: ConflictKind,
    strategy: &'a str,
    kept: bool,
    #[serde(borrow)]
    winner: StoredContender<'a>,
    #[serde(borrow)]
    loser: StoredContender<'a>,
    detected_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredContender<'a> {
    dot: Dot,
    hlc: Hlc,
    origin: Option<Cow<'a, Origin>>,
    value: Option<&'a [u8]>,
    value_bytes: u64,
}

impl<'a> StoredContender<'a> {
    fn of(contender: &'a Contender) -> Self {
        StoredContender {
            dot: contender.dot,
            hlc: contender.stamp.hlc,
            origin: contender.origin.as_deref().map(Cow::Borrowed),
            value: contender.value.as_deref(),
            value_bytes: contender.value_bytes,
        }
    }

    fn load(self) -> Contender {
        Contender {
            dot: self.dot,
            stamp: Stamp {
                hlc: self.hlc,
                replica: self.dot.replica,
            },
            origin: self.origin.map(|origin| Arc::new(origin.into_owned())),
            value: self.value.map(<[u8]>::to_vec),
            value_bytes: self.value_bytes,
        }
    }
}

impl ConflictRecord {
    /// The record as the table keeps it.
    pub fn encode(&self) -> Vec<u8> {
        let stored = StoredRecord {
            version: RECORD_VERSION,
            sequence: self.sequence,
            key: &self.key,
            keyspace: &self.keyspace,
            component: self.component.map_or(0, |kind| kind as u8),
            field: self.field.as_deref(),
            kind: self.kind,
            strategy: &self.strategy.to_string(),
            kept: self.kept,
            winner: StoredContender::of(&self.winner),
            loser: StoredContender::of(&self.loser),
            detected_ms: self.detected_ms,
        };
        postcard::to_allocvec(&stored).expect("a record holds nothing that cannot be encoded")
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Says why the bytes are not a record that this version can read.
    pub fn decode(bytes: &[u8]) -> Result<ConflictRecord, String> {
        check_version(bytes, "conflict record")?;
        let stored: StoredRecord<'_> =
            postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
        let component = match stored.component {
            0 => None,
            tag => Some(Kind::from_tag(tag).ok_or("conflict record names an unknown kind")?),
        };
        Ok(ConflictRecord {
            id: ConflictRecord::id(stored.key, component, stored.field, stored.loser.dot),
            sequence: stored.sequence,
            key: stored.key.to_vec(),
            keyspace: stored.keyspace.to_vec(),
            component,
            field: stored.field.map(<[u8]>::to_vec),
            kind: stored.kind,
            strategy: stored
                .strategy
                .parse()
                .map_err(|_| format!("unknown strategy {}", stored.strategy))?,
            kept: stored.kept,
            winner: stored.winner.load(),
            loser: stored.loser.load(),
            detected_ms: stored.detected_ms,
        })
    }
}

impl Settled {
    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![RECORD_VERSION];
        bytes.extend(postcard::to_allocvec(self).expect("nothing in it cannot be encoded"));
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Says why this version cannot read the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Settled, String> {
        check_version(bytes, "what settled a conflict")?;
        postcard::from_bytes(&bytes[1..]).map_err(|error| error.to_string())
    }
}

impl Head {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![RECORD_VERSION];
        bytes.extend(postcard::to_allocvec(self).expect("nothing in it cannot be encoded"));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Head, String> {
        check_version(bytes, "the journal's head")?;
        postcard::from_bytes(&bytes[1..]).map_err(|error| error.to_string())
    }
}

/// Whether bytes of the journal are of the version that this program writes.
fn check_version(bytes: &[u8], what: &str) -> Result<(), String> {
    match bytes.first() {
        Some(&RECORD_VERSION) => Ok(()),
        Some(found) => Err(format!(
            "{what} has format version {found}, expected {RECORD_VERSION}"
        )),
        None => Err(format!("{what} is empty")),
    }
}
