//! The journal of conflicts: the newest records, what has settled them, and how many there were.
//!
//! It changes in the same step as the row, is rebuilt by replaying the log, and goes to the table with the rows. So that a
//! replay gives the same journal, byte for byte, everything that the log does not say by itself is logged beside it: when
//! conflicts were detected, who was known to have written, and how much of their values was kept
//! ([`Note::Detected`](crate::Note::Detected)).
//!
//! In reading order: `places` says which records a write settles, and `reinstated` which it settles by taking away what had
//! won; `counts` counts them by group; `budget` shortens values in
//! a storm; `what_if` asks what another strategy would have answered.

mod budget;
mod counts;
mod places;
mod reinstated;
#[cfg(test)]
mod tests;
mod what_if;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::Arc;

use isles_clock::{Context, ReplicaId};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use self::budget::Budget;
use self::counts::Counts;
pub use self::counts::{CONFLICT_GROUPS_MAX, ConflictCounts, ConflictGroup};
use self::places::{HashedMap, PlaceId, Places, place_of};
pub use self::what_if::{WhatIf, WhatIfAnswer};
use crate::apply::Author;
use crate::conflict::{
    CONTENDER_BYTES_TERSE, Clash, ConflictRecord, Contender, Origin, Settled, Settling,
};
use crate::hot_keys::HotKeys;
use crate::lens::Lens;
use crate::op::KeyOp;
use crate::position::Position;
use crate::rows::hash_of;
use crate::stream::StreamId;

/// Writers of which the journal remembers the node and the region.
pub const ORIGINS_MAX: usize = 4096;

/// How much the journal keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalLimits {
    /// Bytes of all records.
    pub bytes: usize,
    /// How long a record is kept, in milliseconds.
    pub age_ms: u64,
}

impl Default for JournalLimits {
    fn default() -> Self {
        JournalLimits {
            bytes: 64 << 20,
            age_ms: 7 * 24 * 60 * 60 * 1000,
        }
    }
}

/// A record of the journal, and what has settled it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRecord {
    record: Arc<ConflictRecord>,
    settled: Option<Settled>,
}

impl JournalRecord {
    /// The write that has ended the conflict; none while it is open.
    pub fn settled(&self) -> Option<Settled> {
        self.settled
    }

    /// Whether nobody who had seen the lost write has written in its place since.
    pub fn is_open(&self) -> bool {
        self.settled.is_none()
    }

    fn place(&self) -> PlaceId {
        place_of(self.component, self.field.as_deref())
    }
}

impl Deref for JournalRecord {
    type Target = ConflictRecord;

    fn deref(&self) -> &ConflictRecord {
        &self.record
    }
}

/// What the journal has forgotten, because of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Records.
    pub records: u64,
    /// When the first of them was detected, in milliseconds since 1970.
    pub first_ms: u64,
    /// When the last of them was detected: what was detected after it is all here.
    pub last_ms: u64,
}

/// What the table keeps of the journal besides its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Everything up to this place of the log is in the table.
    pub(crate) position: u64,
    /// The sequence of the next record.
    pub(crate) next: u64,
    pub(crate) dropped: Dropped,
}

/// What the log keeps of what was detected at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detected {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// How many bytes of each value are kept.
    pub kept_bytes: u32,
    /// Those of the contenders' writers that were known.
    pub origins: Vec<(ReplicaId, Origin)>,
}

/// A change of the journal that the table lacks.
#[derive(Clone, Debug)]
pub(crate) enum JournalChange {
    Put(Arc<ConflictRecord>),
    Settle(u128, Settled),
    Reopen(u128),
    Drop(u128),
}

/// What has been detected since the log was last told.
#[derive(Debug)]
struct Batch {
    first: u64,
    at_ms: u64,
    kept_bytes: usize,
    origins: SmallVec<[(ReplicaId, Option<Arc<Origin>>); 3]>,
}

/// Where and when something is detected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detection<'k> {
    pub(crate) key: &'k [u8],
    pub(crate) hash: u64,
    pub(crate) keyspace: &'k [u8],
    pub(crate) strategy: &'k Lens,
    pub(crate) now_ms: u64,
    pub(crate) position: Position,
}

/// The newest conflicts, bounded by age and bytes.
///
/// Invariant: one record per lost write. A write can lose more than once: to each of several siblings, or again when a
/// log is replayed whose conflicts are in the table already.
#[derive(Debug)]
pub struct Journal {
    /// By sequence, ascending.
    records: VecDeque<JournalRecord>,
    by_id: HashedMap<u128, u64>,
    places: Places,
    counts: Counts,
    bytes: usize,
    limits: JournalLimits,
    next: u64,
    dropped: Dropped,
    dropped_since_start: u64,
    truncated_since_start: u64,
    /// The place of the entry that changed it last.
    position: Position,
    /// What comes from entries up to here was in the table at the start.
    saved: Position,
    batch: Option<Batch>,
    budget: Budget,
    changes: Vec<JournalChange>,
    origins: BTreeMap<ReplicaId, Arc<Origin>>,
    total: u64,
    discarded_bytes: u64,
    merged: u64,
    hot_keys: HotKeys,
}

impl Journal {
    pub(crate) fn new(limits: JournalLimits) -> Self {
        Journal {
            records: VecDeque::new(),
            by_id: HashedMap::default(),
            places: Places::default(),
            counts: Counts::default(),
            bytes: 0,
            limits,
            next: 1,
            dropped: Dropped::default(),
            dropped_since_start: 0,
            truncated_since_start: 0,
            position: Position::ZERO,
            saved: Position::ZERO,
            batch: None,
            budget: Budget::new(limits.bytes),
            changes: Vec::new(),
            origins: BTreeMap::new(),
            total: 0,
            discarded_bytes: 0,
            merged: 0,
            hot_keys: HotKeys::default(),
        }
    }

    /// The records, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &JournalRecord> + ExactSizeIterator {
        self.records.iter()
    }

    /// The records after a sequence, oldest first: what to ask for to follow the journal. Costs a binary search.
    pub fn after(&self, sequence: u64) -> impl DoubleEndedIterator<Item = &JournalRecord> {
        let start = self.index_of(sequence.saturating_add(1));
        self.records.range(start..)
    }

    /// The records before a sequence, newest first.
    pub fn before(&self, sequence: u64) -> impl Iterator<Item = &JournalRecord> {
        self.records.range(..self.index_of(sequence)).rev()
    }

    /// The record with this id.
    pub fn get(&self, id: u128) -> Option<&JournalRecord> {
        self.at(*self.by_id.get(&id)?)
    }

    /// The open records about a key, oldest first.
    pub fn open_of(&self, key: &[u8]) -> impl Iterator<Item = &JournalRecord> {
        let open = self.places.open_of(hash_of(key)).into_iter();
        open.filter_map(|sequence| self.at(sequence))
            .filter(move |record| record.key == key)
    }

    /// The sequence that the next record will have.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Number of records kept.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no record is kept.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How much it may hold.
    pub fn limits(&self) -> JournalLimits {
        self.limits
    }

    /// Number of records kept that were detected at this time, in milliseconds since 1970, or later.
    pub fn detected_since(&self, ms: u64) -> usize {
        let before = self
            .records
            .partition_point(|record| record.detected_ms < ms);
        self.records.len() - before
    }

    /// About how many bytes of memory the records take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was forgotten because of the limits, ever.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Number of records that were forgotten since start.
    pub fn dropped_since_start(&self) -> u64 {
        self.dropped_since_start
    }

    /// Number of records since start of which a value was shortened, because of its size or of a storm.
    pub fn truncated_since_start(&self) -> u64 {
        self.truncated_since_start
    }

    /// Who writes under a replica id, as far as this journal has ever met it.
    pub fn origin(&self, replica: ReplicaId) -> Option<&Origin> {
        self.origins.get(&replica).map(|origin| &**origin)
    }

    /// How many conflicts there were, by what they were about.
    pub fn groups(&self) -> impl Iterator<Item = (&ConflictGroup, &ConflictCounts)> {
        self.counts.iter()
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
        (self.dropped_since_start, self.truncated_since_start) = (0, 0);
        self.counts.forget_detected();
        self.hot_keys = HotKeys::default();
    }

    pub(crate) fn note_merged(&mut self) {
        self.merged += 1;
    }

    /// Who writes under a replica id, from here on. How far its clock was ahead is remembered until it is measured again: what
    /// was written behind a cut arrives before that.
    pub(crate) fn note_origin(&mut self, replica: ReplicaId, mut origin: Origin) {
        let known = self.origins.get(&replica);
        let measured = known.and_then(|known| known.ahead_ms);
        origin.ahead_ms = origin.ahead_ms.or(measured);
        if known.is_some_and(|known| **known == origin) {
            return;
        }
        if known.is_some() || self.origins.len() < ORIGINS_MAX {
            self.origins.insert(replica, Arc::new(origin));
        }
    }

    /// How many bytes of a value are kept of what is detected now.
    #[inline]
    pub(crate) fn kept_bytes(&self) -> usize {
        match &self.batch {
            Some(batch) => batch.kept_bytes,
            None => self.budget.kept_bytes(),
        }
    }

    /// Time has gone on: there is room for values again, and what is too old goes.
    pub(crate) fn advance(&mut self, now_ms: u64) {
        if self.batch.is_none() {
            self.budget.refill(now_ms);
            self.keep_within_limits(now_ms);
        }
    }

    /// Takes in a lost write, unless it has a record already.
    pub(crate) fn push(&mut self, detection: &Detection<'_>, clash: Clash) {
        if detection.position <= self.saved {
            return;
        }
        let [winner, loser] = clash.contenders;
        let field = clash.field.as_deref();
        let id = ConflictRecord::id(detection.key, clash.component, field, loser.dot);
        if let Some(sequence) = self.by_id.get(&id).copied() {
            self.reopen(sequence, detection.position);
            return;
        }
        let at_ms = self.begin_batch(detection.now_ms);
        let [winner, loser] = [winner, loser].map(|contender| self.introduce(contender));
        let record = ConflictRecord {
            id,
            sequence: self.next,
            key: detection.key.to_vec(),
            keyspace: detection.keyspace.to_vec(),
            component: clash.component,
            field: clash.field.map(Vec::from),
            kind: clash.kind,
            strategy: detection.strategy.clone(),
            kept: clash.kept,
            winner,
            loser,
            detected_ms: at_ms,
        };
        self.next += 1;
        self.position = detection.position;
        self.total += 1;
        self.counts.of(&record).detected += 1;
        self.hot_keys.note(&record.key);
        if !record.kept {
            self.discarded_bytes += record.loser.value_bytes;
        }
        let is_truncated = record.winner.is_truncated() || record.loser.is_truncated();
        self.truncated_since_start += u64::from(is_truncated);
        let record = Arc::new(record);
        self.changes.push(JournalChange::Put(Arc::clone(&record)));
        self.keep(detection.hash, record, None);
    }

    fn begin_batch(&mut self, now_ms: u64) -> u64 {
        let batch = self.batch.get_or_insert_with(|| Batch {
            first: self.next,
            at_ms: now_ms,
            kept_bytes: self.budget.kept_bytes(),
            origins: SmallVec::new(),
        });
        batch.at_ms
    }

    /// Says of a contender who wrote it, and takes its value from the budget.
    fn introduce(&mut self, mut contender: Contender) -> Contender {
        let Some(batch) = &mut self.batch else {
            return contender;
        };
        let replica = contender.dot.replica;
        let known = batch.origins.iter().find(|(known, _)| *known == replica);
        contender.origin = match known {
            Some((_, origin)) => origin.clone(),
            None => {
                let origin = self.origins.get(&replica).cloned();
                batch.origins.push((replica, origin.clone()));
                origin
            }
        };
        if batch.kept_bytes > CONTENDER_BYTES_TERSE {
            self.budget.spend(contender.kept_bytes());
        }
        contender
    }

    /// The sequence of the first record that the log has not been told of, if there is any.
    pub(crate) fn first_unlogged(&self) -> Option<u64> {
        self.batch.as_ref().map(|batch| batch.first)
    }

    /// Ends what was detected at one time: what the log must be told of it, if anything was detected.
    pub(crate) fn end_batch(&mut self) -> Option<Detected> {
        let batch = self.batch.take()?;
        self.keep_within_limits(batch.at_ms);
        let origins = batch.origins.into_iter();
        let known = origins.filter_map(|(replica, origin)| Some((replica, (*origin?).clone())));
        Some(Detected {
            at_ms: batch.at_ms,
            kept_bytes: u32::try_from(batch.kept_bytes).unwrap_or(u32::MAX),
            origins: known.collect(),
        })
    }

    /// What the log says of what was detected since it last did: a replay had put it into the journal as of today.
    pub(crate) fn replay_batch(&mut self, detected: &Detected) {
        for (replica, origin) in &detected.origins {
            self.note_origin(*replica, origin.clone());
        }
        let Some(batch) = self.batch.take() else {
            return;
        };
        let origin_of = |contender: &Contender| {
            let mut known = detected.origins.iter();
            let found = known.find(|(replica, _)| *replica == contender.dot.replica)?;
            self.origins.get(&found.0).cloned()
        };
        for at in self.index_of(batch.first)..self.records.len() {
            let mut record = (*self.records[at].record).clone();
            self.bytes -= record.bytes();
            record.detected_ms = detected.at_ms;
            for contender in [&mut record.winner, &mut record.loser] {
                contender.origin = origin_of(contender);
                contender.truncate(detected.kept_bytes as usize);
            }
            self.bytes += record.bytes();
            let record = Arc::new(record);
            self.changes.push(JournalChange::Put(Arc::clone(&record)));
            self.records[at].record = record;
        }
        self.keep_within_limits(detected.at_ms);
    }

    /// Puts a stored record back at start-up, without counting it as new.
    pub(crate) fn restore(&mut self, mut record: ConflictRecord, settled: Option<Settled>) {
        if self.by_id.contains_key(&record.id) {
            return;
        }
        for contender in [&mut record.winner, &mut record.loser] {
            let Some(origin) = &contender.origin else {
                continue;
            };
            let replica = contender.dot.replica;
            self.note_origin(replica, (**origin).clone());
            // Records share what they say of their writers.
            contender.origin = self.origins.get(&replica).cloned();
        }
        self.next = self.next.max(record.sequence + 1);
        let hash = hash_of(&record.key);
        self.keep(hash, Arc::new(record), settled);
    }

    /// Takes up the journal where the table has it, once all records are [put back](Self::restore).
    pub(crate) fn resume(&mut self, head: Option<Head>) {
        let records = self.records.make_contiguous();
        records.sort_by_key(|record| record.sequence);
        let Some(head) = head else { return };
        self.next = self.next.max(head.next);
        self.dropped = head.dropped;
        self.position = Position::from_u64(head.position);
        self.saved = self.position;
    }

    /// What the table must know to hold what the journal holds, in this order, and the place in the log that it then has.
    pub(crate) fn take_changes(&mut self) -> (Vec<JournalChange>, Option<Head>) {
        let changes = std::mem::take(&mut self.changes);
        let head = (!changes.is_empty()).then(|| Head {
            position: self.position.as_u64(),
            next: self.next,
            dropped: self.dropped,
        });
        (changes, head)
    }

    /// Whether there may be records about a key with this hash.
    pub(crate) fn has_places(&self, hash: u64) -> bool {
        self.places.has(hash)
    }

    /// An op has been applied: settles the records of what it has taken the place of.
    pub(crate) fn overwrite<C: Context>(
        &mut self,
        hash: u64,
        op: &KeyOp<'_>,
        author: &Author<'_, C>,
        position: Position,
    ) {
        let by = Settled {
            how: Settling::Overwritten,
            hlc: author.hlc,
            dot: author.dot,
        };
        let id_of = |sequence| stream_id(self.at(sequence)?.field.as_deref()?);
        let reached = self.places.reached(hash, op, by, author.context, id_of);
        for sequence in reached {
            let record = self.at(sequence).filter(|record| record.key == op.key.0);
            if record.is_some_and(|record| author.context.covers(record.loser.dot)) {
                self.settle(sequence, by, position);
            }
        }
    }

    /// An entry names this record as the one that it settles.
    pub(crate) fn settle_explicitly(&mut self, id: u128, by: Settled, position: Position) {
        if let Some(sequence) = self.by_id.get(&id).copied() {
            self.settle(sequence, by, position);
        }
    }

    fn settle(&mut self, sequence: u64, by: Settled, position: Position) {
        let at = self.index_of(sequence);
        let record = self.records.get_mut(at);
        let Some(record) = record.filter(|record| record.sequence == sequence) else {
            return;
        };
        let before = record.settled;
        if position <= self.saved || before.is_some_and(|before| before <= by) {
            return;
        }
        record.settled = Some(by);
        let (hash, place) = (hash_of(&record.key), record.place());
        self.changes.push(JournalChange::Settle(record.id, by));
        if before.is_none() {
            self.counts.of(record).open -= 1;
        }
        self.places.remove(hash, place, sequence, before);
        self.places.insert_settled(hash, place, sequence, by);
        self.position = position;
    }

    fn keep(&mut self, hash: u64, record: Arc<ConflictRecord>, settled: Option<Settled>) {
        self.bytes += record.bytes();
        self.by_id.insert(record.id, record.sequence);
        let record = JournalRecord { record, settled };
        let counts = self.counts.of(&record);
        counts.kept += 1;
        counts.open += u64::from(settled.is_none());
        let place = record.place();
        match settled {
            None => {
                let (sequence, loser) = (record.sequence, record.loser.dot);
                self.places.insert_open(hash, place, sequence, loser);
            }
            Some(by) => self.places.insert_settled(hash, place, record.sequence, by),
        }
        self.records.push_back(record);
    }

    fn keep_within_limits(&mut self, now_ms: u64) {
        let oldest_ms = now_ms.saturating_sub(self.limits.age_ms);
        while let Some(oldest) = self.records.front()
            && (self.bytes > self.limits.bytes || oldest.detected_ms < oldest_ms)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.records.pop_front() else {
            return;
        };
        self.bytes -= oldest.bytes();
        self.by_id.remove(&oldest.id);
        let hash = hash_of(&oldest.key);
        self.places
            .remove(hash, oldest.place(), oldest.sequence, oldest.settled);
        self.counts.note_dropped(&oldest);
        self.changes.push(JournalChange::Drop(oldest.id));
        if self.dropped.records == 0 {
            self.dropped.first_ms = oldest.detected_ms;
        }
        self.dropped.records += 1;
        self.dropped.last_ms = self.dropped.last_ms.max(oldest.detected_ms);
        self.dropped_since_start += 1;
    }

    fn at(&self, sequence: u64) -> Option<&JournalRecord> {
        let record = self.records.get(self.index_of(sequence))?;
        (record.sequence == sequence).then_some(record)
    }

    /// Where the record with this sequence is, or the first one after it. Sequences nearly always follow each other.
    fn index_of(&self, sequence: u64) -> usize {
        let Some(first) = self.records.front() else {
            return 0;
        };
        let guess = usize::try_from(sequence.saturating_sub(first.sequence)).unwrap_or(usize::MAX);
        match self.records.get(guess) {
            Some(record) if record.sequence == sequence => guess,
            _ => self
                .records
                .partition_point(|record| record.sequence < sequence),
        }
    }

    /// Compares what is kept beside the records with the records.
    pub(crate) fn check(&self) -> Result<(), String> {
        let bytes: usize = self.records.iter().map(|record| record.bytes()).sum();
        if bytes != self.bytes {
            return Err(format!(
                "the journal counts {} bytes, has {bytes}",
                self.bytes
            ));
        }
        if !self
            .records
            .iter()
            .is_sorted_by_key(|record| record.sequence)
        {
            return Err("the journal is not in the order of its sequences".to_owned());
        }
        let (mut kept, mut open) = (0, 0);
        for (_, counts) in self.groups() {
            (kept, open) = (kept + counts.kept, open + counts.open);
        }
        let really_open = self.iter().filter(|record| record.is_open()).count() as u64;
        if (kept, open) != (self.records.len() as u64, really_open) {
            return Err(format!(
                "the journal counts {kept} records, {open} of them open; has {}, {really_open}",
                self.records.len()
            ));
        }
        let indexed =
            |record: &&JournalRecord| self.by_id.get(&record.id) == Some(&record.sequence);
        if self.by_id.len() != self.records.len() || !self.records.iter().all(|r| indexed(&r)) {
            return Err("the journal's index by id is not that of its records".to_owned());
        }
        self.places.check(&self.records)
    }
}

/// The id of the stream entry that a record is about.
fn stream_id(field: &[u8]) -> Option<StreamId> {
    let (ms, seq) = std::str::from_utf8(field).ok()?.split_once('-')?;
    Some(StreamId::new(ms.parse().ok()?, seq.parse().ok()?))
}
