//! Conflicts as data: what was lost to whom, and a bounded journal of it.

use std::collections::{HashSet, VecDeque};
use std::fmt;

use isles_clock::{Dot, Hlc, Stamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::hot_keys::HotKeys;
use crate::lens::Lens;
use crate::op::Kind;

/// Of a contender's value the journal keeps this many bytes.
pub const CONTENDER_BYTES_MAX: usize = 4 << 10;

/// What met what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Two writes of one register or field.
    WriteWrite,
    /// A write and a deletion of one register.
    WriteDelete,
    /// Two creations of one key with different kinds.
    Type,
    /// A creation that un-hid what had expired elsewhere.
    Expiry,
}

impl ConflictKind {
    /// The name in metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            ConflictKind::WriteWrite => "write-write",
            ConflictKind::WriteDelete => "write-delete",
            ConflictKind::Type => "type",
            ConflictKind::Expiry => "expiry",
        }
    }
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One side of a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contender {
    /// The entry that wrote it.
    pub dot: Dot,
    /// When it was written, by its writer's hybrid clock.
    pub stamp: Stamp,
    /// The first bytes of the value, at most [`CONTENDER_BYTES_MAX`]; none for a deletion.
    pub value: Option<Vec<u8>>,
    /// The length of the whole value, in bytes.
    pub value_bytes: u64,
}

impl Contender {
    pub(crate) fn new(dot: Dot, hlc: Hlc, value: Option<&[u8]>) -> Self {
        Contender {
            dot,
            stamp: Stamp {
                hlc,
                replica: dot.replica,
            },
            value: value.map(|value| value[..value.len().min(CONTENDER_BYTES_MAX)].to_vec()),
            value_bytes: value.map_or(0, |value| value.len() as u64),
        }
    }
}

/// Two contenders that met, as the apply of an op reports them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clash {
    pub(crate) component: Kind,
    pub(crate) field: Option<Box<[u8]>>,
    pub(crate) kind: ConflictKind,
    pub(crate) kept: bool,
    pub(crate) contenders: [Contender; 2],
}

/// One lost write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictRecord {
    /// Hash of key, component and the loser's dot: the same in every region.
    pub id: u128,
    /// The key.
    pub key: Vec<u8>,
    /// The prefix of the keyspace that the key belongs to.
    pub keyspace: Vec<u8>,
    /// The component that the contenders wrote.
    pub component: Kind,
    /// The map field, where the component is a map.
    pub field: Option<Vec<u8>>,
    /// What met what.
    pub kind: ConflictKind,
    /// The strategy in force here when it was detected.
    pub strategy: Lens,
    /// Both values are still there, as siblings.
    pub kept: bool,
    /// Which one reads answer.
    pub winner: Contender,
    /// Which one they do not.
    pub loser: Contender,
    /// When it was detected here, by this node's clock, in milliseconds since 1970.
    pub detected_ms: u64,
}

/// What is stored of a record; the strategy goes by its name, so that a newer one can be read by its number of bytes.
#[derive(Serialize, Deserialize)]
struct StoredRecord<'a> {
    version: u8,
    key: &'a [u8],
    keyspace: &'a [u8],
    component: u8,
    #[serde(borrow)]
    field: Option<&'a [u8]>,
    kind: ConflictKind,
    strategy: &'a str,
    kept: bool,
    winner: Contender,
    loser: Contender,
    detected_ms: u64,
}

const RECORD_VERSION: u8 = 1;

impl ConflictRecord {
    pub(crate) fn id(key: &[u8], component: Kind, field: Option<&[u8]>, loser: Dot) -> u128 {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&xxh3_64(key).to_le_bytes());
        bytes.push(component as u8);
        bytes.extend_from_slice(&field.map_or(0, xxh3_64).to_le_bytes());
        bytes.extend_from_slice(loser.replica.as_bytes());
        bytes.extend_from_slice(&loser.sequence.to_le_bytes());
        xxh3_128(&bytes)
    }

    /// The record as the table keeps it.
    pub fn encode(&self) -> Vec<u8> {
        let stored = StoredRecord {
            version: RECORD_VERSION,
            key: &self.key,
            keyspace: &self.keyspace,
            component: self.component as u8,
            field: self.field.as_deref(),
            kind: self.kind,
            strategy: self.strategy.name(),
            kept: self.kept,
            winner: self.winner.clone(),
            loser: self.loser.clone(),
            detected_ms: self.detected_ms,
        };
        postcard::to_allocvec(&stored).expect("a record holds nothing that cannot be encoded")
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Says why the bytes are not a record that this version can read.
    pub fn decode(bytes: &[u8]) -> Result<ConflictRecord, String> {
        match bytes.first() {
            Some(&RECORD_VERSION) => {}
            Some(found) => {
                return Err(format!(
                    "conflict record has format version {found}, expected {RECORD_VERSION}"
                ));
            }
            None => return Err("conflict record is empty".to_owned()),
        }
        let stored: StoredRecord<'_> =
            postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
        let component =
            Kind::from_tag(stored.component).ok_or("conflict record names an unknown kind")?;
        Ok(ConflictRecord {
            id: ConflictRecord::id(stored.key, component, stored.field, stored.loser.dot),
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
            winner: stored.winner,
            loser: stored.loser,
            detected_ms: stored.detected_ms,
        })
    }

    fn bytes(&self) -> usize {
        let value = |contender: &Contender| contender.value.as_ref().map_or(0, Vec::len);
        self.key.len() + self.keyspace.len() + value(&self.winner) + value(&self.loser) + 256
    }
}

/// The newest conflicts, bounded by number and bytes.
///
/// Invariant: one record per lost write. A write can lose more than once: to each of several siblings, or again when a
/// log is replayed whose conflicts are in the table already.
#[derive(Debug)]
pub struct Journal {
    records: VecDeque<ConflictRecord>,
    ids: HashSet<u128>,
    bytes: usize,
    limits: JournalLimits,
    total: u64,
    discarded_bytes: u64,
    unsaved: usize,
    evicted: Vec<u128>,
    merged: u64,
    hot_keys: HotKeys,
}

/// How much the journal keeps.
#[derive(Clone, Copy, Debug)]
pub struct JournalLimits {
    /// Number of records.
    pub records: usize,
    /// Bytes of all records.
    pub bytes: usize,
}

impl Default for JournalLimits {
    fn default() -> Self {
        JournalLimits {
            records: 100_000,
            bytes: 64 << 20,
        }
    }
}

impl Journal {
    pub(crate) fn new(limits: JournalLimits) -> Self {
        Journal {
            records: VecDeque::new(),
            ids: HashSet::new(),
            bytes: 0,
            limits,
            total: 0,
            discarded_bytes: 0,
            unsaved: 0,
            evicted: Vec::new(),
            merged: 0,
            hot_keys: HotKeys::default(),
        }
    }

    /// The records, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &ConflictRecord> {
        self.records.iter()
    }

    /// Number of records kept.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no record is kept.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Number of conflicts detected since start, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes of the values that lost, since start.
    pub fn discarded_bytes(&self) -> u64 {
        self.discarded_bytes
    }

    /// Concurrent updates that merged without a loser, since start.
    pub fn merged(&self) -> u64 {
        self.merged
    }

    /// Which keys were in conflict most often since start.
    pub fn hot_keys(&self) -> &HotKeys {
        &self.hot_keys
    }

    /// What was counted while the log was replayed had happened before.
    pub(crate) fn forget_totals(&mut self) {
        (self.total, self.discarded_bytes, self.merged) = (0, 0, 0);
        self.hot_keys = HotKeys::default();
    }

    pub(crate) fn note_merged(&mut self) {
        self.merged += 1;
    }

    pub(crate) fn push(&mut self, record: ConflictRecord) {
        if self.ids.contains(&record.id) {
            return;
        }
        self.total += 1;
        self.hot_keys.note(&record.key);
        if !record.kept {
            self.discarded_bytes += record.loser.value_bytes;
        }
        self.unsaved += 1;
        self.keep(record);
    }

    /// Puts a stored record back at start-up, without counting it as new.
    pub(crate) fn restore(&mut self, record: ConflictRecord) {
        if !self.ids.contains(&record.id) {
            self.keep(record);
        }
    }

    /// Sorts what [`restore`](Self::restore) put back by age.
    pub(crate) fn sort(&mut self) {
        self.records
            .make_contiguous()
            .sort_by_key(|record| record.detected_ms);
    }

    /// What the table must write and delete to hold what the journal holds.
    pub(crate) fn take_changes(&mut self) -> (Vec<ConflictRecord>, Vec<u128>) {
        let start = self.records.len() - self.unsaved.min(self.records.len());
        self.unsaved = 0;
        // One that was dropped and came again is to stay.
        let mut dropped = std::mem::take(&mut self.evicted);
        dropped.retain(|id| !self.ids.contains(id));
        (self.records.range(start..).cloned().collect(), dropped)
    }

    fn keep(&mut self, record: ConflictRecord) {
        self.bytes += record.bytes();
        self.ids.insert(record.id);
        self.records.push_back(record);
        while self.records.len() > self.limits.records || self.bytes > self.limits.bytes {
            let Some(oldest) = self.records.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
            self.ids.remove(&oldest.id);
            self.evicted.push(oldest.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use isles_clock::ReplicaId;
    use isles_resolve::Strategy;

    use super::*;

    fn record(loser: u64, winner: u64) -> ConflictRecord {
        let contender = |sequence| {
            let dot = Dot::new(ReplicaId::from_u128(1), sequence);
            Contender::new(dot, Hlc::new(sequence, 0), Some(b"value"))
        };
        let (winner, loser) = (contender(winner), contender(loser));
        ConflictRecord {
            id: ConflictRecord::id(b"key", Kind::RegisterMv, None, loser.dot),
            key: b"key".to_vec(),
            keyspace: Vec::new(),
            component: Kind::RegisterMv,
            field: None,
            kind: ConflictKind::WriteWrite,
            strategy: Strategy::MultiValue.into(),
            kept: true,
            winner,
            loser,
            detected_ms: 0,
        }
    }

    // Three siblings clash in three pairs, and two of the writes have lost. With a record per pair a region listed one
    // id twice, and its table, which goes by id, had fewer records after a restart than its memory before.
    #[test]
    fn a_write_that_loses_twice_has_one_record() {
        let mut journal = Journal::new(JournalLimits::default());
        for (loser, winner) in [(1, 2), (1, 3), (2, 3)] {
            journal.push(record(loser, winner));
        }
        assert_eq!((journal.len(), journal.total()), (2, 2));
        assert_eq!(journal.take_changes().0.len(), 2);
        journal.restore(record(2, 3));
        assert_eq!(journal.len(), 2);
    }

    #[test]
    fn a_record_that_was_dropped_may_come_again() {
        let limits = JournalLimits {
            records: 1,
            bytes: usize::MAX,
        };
        let mut journal = Journal::new(limits);
        for loser in [1, 2, 1] {
            journal.push(record(loser, 3));
        }
        assert_eq!((journal.len(), journal.total()), (1, 3));
    }

    // The table wrote it and then deleted it: after a restart it was gone, although the journal had it.
    #[test]
    fn a_record_that_came_again_is_not_deleted_from_the_table() {
        let limits = JournalLimits {
            records: 1,
            bytes: usize::MAX,
        };
        let mut journal = Journal::new(limits);
        journal.push(record(1, 3));
        journal.take_changes();
        for loser in [2, 1] {
            journal.push(record(loser, 3));
        }
        let (written, deleted) = journal.take_changes();
        let [one, two] = [1, 2].map(|loser| record(loser, 3).id);
        let written: Vec<u128> = written.iter().map(|record| record.id).collect();
        assert_eq!((written, deleted), (vec![one], vec![two]));
    }
}
