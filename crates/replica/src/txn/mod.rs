//! What commands do: reads and writes of one atomic entry.

mod context;
mod element_draft;
mod escrow;
mod flags;
mod groups;
mod hashes;
mod keys;
mod list_draft;
mod list_move;
mod lists;
mod merge;
mod migrate;
mod restore;
mod savepoint;
mod sets;
mod sketches;
mod sorted_sets;
mod stream_cut;
mod stream_draft;
mod stream_restore;
mod streams;
mod strings;
mod summed;
#[cfg(test)]
mod tests;
mod touched;
mod unhide;

use std::collections::HashMap;

use isles_clock::{Everything, Hlc, VectorClock};
use isles_crdt::op::{Reset, Tally};
use isles_resolve::TooManyDifferences;
use smallvec::SmallVec;

pub use self::context::{ContextError, SiblingVersion, Siblings};
pub use self::escrow::EscrowError;
pub use self::flags::FlagKind;
pub use self::groups::{
    Acknowledged, AutoClaimed, ConsumerInfo, EachPending, GROUP_CONSUMERS_MAX, GROUP_FORCED_MAX,
    GROUP_NAME_BYTES_MAX, GROUP_PENDING_MAX, GroupError, GroupInfo, GroupStart, PendingInfo,
    PendingQuery, STREAM_GROUPS_MAX, StreamClaim,
};
pub use self::hashes::{EachField, FieldValue};
pub(crate) use self::keys::bucket_at;
pub use self::lists::{InsertError, ListEnd, ListSide};
pub use self::migrate::{MIGRATED_BYTES_MAX, Migration};
pub use self::restore::{Answer, RESOLVES_MAX, RestoreError, RestoreIf, RestoreOutcome};
pub use self::savepoint::Savepoint;
pub use self::sketches::{SketchError, sketch_hash};
pub use self::sorted_sets::{AddIf, Added, NotANumber, ScoreIf};
pub use self::stream_restore::WholeStream;
pub use self::streams::{
    EachEntry, NewStreamId, SetStreamIdError, StreamAddError, StreamInfo, StreamTrim,
    StreamTrimBound, StreamTrimUnits,
};
pub(crate) use self::strings::parse_integer;
pub use self::strings::{Expiry, IncrementError};
use self::touched::{Touched, decode, only_list};
use crate::apply::Author;
use crate::bound::Bound;
use crate::cold::{Missing, note_missing};
use crate::frame::ENTRY_BYTES_MAX;
use crate::op::{Attribute, Base, Blob, FieldRemoval, FieldsPart, KeyOp, Part, SetPart};
use crate::paged::PagedMap;
use crate::position::Position;
use crate::replica::Replica;
use crate::row::{Component, Field, Row, Tick};
use crate::rows::{RowId, hash_of};

/// How often an entry may write one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each key is written at most once: commands of one key. Costs nothing extra. Writing a key again begins a second
    /// entry. What was logged before a key turns out not to be in memory stays logged, so whoever uses several keys
    /// looks all of them up before it writes the first.
    Once,
    /// Keys may be written any number of times: commands of several keys, and MULTI/EXEC. Keeps the rows as they were,
    /// so that the entry's net effect can be formed.
    Many,
}

/// What Redis's TYPE answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueType {
    /// A register, a counter, or both.
    String,
    /// A map.
    Hash,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A list.
    List,
    /// A stream.
    Stream,
    /// A flag of either kind.
    Flag,
    /// Sketches; to Redis a string.
    HyperLogLog,
    /// Bounded counters.
    BoundedCounter,
}

/// The key holds a value of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key holds a value of another type")]
pub struct WrongType;

/// The longest key that can be written. The table derives longer keys from it, which it must be able to hold.
pub const KEY_BYTES_MAX: usize = 65_000;

/// What was written cannot be logged; nothing of the entry was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteRefused {
    /// The entry is larger than [`ENTRY_BYTES_MAX`].
    #[error(
        "write of {bytes} bytes exceeds the limit of {ENTRY_BYTES_MAX} bytes for one entry: split it"
    )]
    EntryTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A key is longer than [`KEY_BYTES_MAX`].
    #[error("key of {bytes} bytes exceeds the limit of {KEY_BYTES_MAX} bytes")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A document would remember too much of how its numbers came about.
    #[error("{0}; delete the key and write it anew, or give it fewer numbers")]
    Differences(TooManyDifferences),
    /// It looked up keys that are not in memory, and was told that they are absent. [`Replica::take_missing`] names them;
    /// when they are in, all of it is to be run again.
    #[error("keys of this entry are not in memory")]
    NotResident,
    /// It asked for keys of buckets that are not all in memory, and was given no listing of them that holds.
    #[error("not all keys are in memory")]
    Unlisted,
    /// It was to clear all keys, and not all are in memory.
    #[error(
        "{rows} rows are not in memory, so that not all keys can be cleared at once: do it outside of transactions and scripts"
    )]
    Cold {
        /// How many.
        rows: usize,
    },
}

/// One command, or one MULTI/EXEC: what it reads is consistent, what it writes is one entry.
///
/// Writes take effect at once, for this transaction and everyone after it; [`commit`](Txn::commit) logs them. A
/// transaction that wrote must be committed: the rows have changed already.
#[derive(Debug)]
pub struct Txn<'r> {
    pub(crate) replica: &'r mut Replica,
    hlc: Hlc,
    scope: Scope,
    barrier: Position,
    /// Under [`Scope::Many`]: the rows written, as they were and with their ops.
    touched: Vec<Touched>,
    index: HashMap<RowId, usize>,
    /// Bytes of their ops at most, what later ones take back of earlier ones included.
    written_bytes: usize,
    /// When they are next counted exactly.
    count_at_bytes: usize,
    /// Under [`Scope::Once`]: an entry was logged; the next write begins another.
    written: bool,
    context: Option<VectorClock>,
    refused: Option<WriteRefused>,
    /// Keys that were looked up and are unknown.
    missing: Vec<Missing>,
    /// Records of the journal that the entry names as settled by it.
    resolves: Vec<u128>,
    undo: Option<savepoint::Undo>,
    /// What is looked up does not count as used.
    unnoticed: bool,
}

/// A key, its hash, and its row, if it has one; good until the next write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot<'k> {
    key: &'k [u8],
    hash: u64,
    id: Option<RowId>,
}

/// A field that counts, and the contributions that its removal takes away.
type FieldCounter = (Vec<u8>, SmallVec<[Reset; 1]>);

/// What an overwrite of a key must list: the fields of its map and the members of its sorted set that count.
#[derive(Debug, Default)]
struct Counters {
    fields: Vec<FieldCounter>,
    members: Vec<FieldCounter>,
    /// The members of its sets whose removal beats concurrent additions.
    vetoed: Vec<Vec<u8>>,
}

impl Replica {
    /// Starts a command. Its stamp is taken now, and judges what is expired.
    pub fn txn(&mut self, wall_ms: u64, scope: Scope) -> Txn<'_> {
        let hlc = self.stamp(wall_ms);
        Txn {
            replica: self,
            hlc,
            scope,
            barrier: Position::ZERO,
            touched: Vec::new(),
            index: HashMap::new(),
            written_bytes: 0,
            count_at_bytes: ENTRY_BYTES_MAX,
            written: false,
            context: None,
            refused: None,
            missing: Vec::new(),
            resolves: Vec::new(),
            undo: None,
            unnoticed: false,
        }
    }
}

impl Txn<'_> {
    /// The stamp's clock: what expiry is judged by, and what the entry gets.
    pub fn hlc(&self) -> Hlc {
        self.hlc
    }

    /// The clock that expiry is judged by, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.hlc.wall_ms()
    }

    /// Logs what was written, as one entry, and returns the place in the log that every answer given so far depends on:
    /// the answers may leave once the log is durable through it.
    ///
    /// # Errors
    /// The entry is too large, or a key of it too long, or it needs what is not in memory; it was undone. Answers given
    /// so far mean nothing.
    pub fn commit(mut self) -> Result<Position, WriteRefused> {
        let logged = match self.refused {
            Some(error) => {
                self.undo_touched();
                self.replica.missing = std::mem::take(&mut self.missing);
                Err(error)
            }
            None if self.touched.is_empty() => Ok(()),
            None => self.log_touched(),
        };
        if logged.is_err()
            && let Some(changes) = &mut self.replica.changes
        {
            changes.forget();
        }
        logged.map(|()| self.barrier)
    }

    /// Whether all rows are in memory, so that this cannot be refused for want of one.
    pub fn has_all_rows(&self) -> bool {
        !self.replica.rows.has_cold()
    }

    /// The place in the log that every answer given so far depends on, as [`commit`](Self::commit) returns it.
    pub fn barrier(&self) -> Position {
        self.barrier
    }

    /// Why nothing of this can be logged any more, if so: what is still written has no effect.
    pub fn refusal(&self) -> Option<WriteRefused> {
        self.refused
    }

    /// For what is told of changes.
    pub(crate) fn replica_mut(&mut self) -> &mut Replica {
        self.replica
    }

    fn undo_touched(&mut self) {
        for touched in std::mem::take(&mut self.touched).into_iter().rev() {
            self.restore(touched.id, touched.before);
        }
        self.index.clear();
    }

    fn log_touched(&mut self) -> Result<(), WriteRefused> {
        self.touched.iter_mut().for_each(Touched::settle);
        let bytes = self.touched.iter().map(|touched| touched.op.len()).sum();
        if bytes > ENTRY_BYTES_MAX {
            self.undo_touched();
            return Err(WriteRefused::EntryTooLarge { bytes });
        }
        let (context, resolves) = (self.context.take(), std::mem::take(&mut self.resolves));
        self.settle_conflicts(context.as_ref(), &resolves);
        let touched = &self.touched;
        self.replica.log_entry(self.hlc, |out, stamp_delta| {
            put_entry_head(out, stamp_delta, context, &resolves, touched.len());
            touched
                .iter()
                .for_each(|touched| out.extend_from_slice(&touched.op));
        });
        for touched in self.touched.drain(..) {
            self.replica.discard(touched.before);
        }
        self.index.clear();
        // What is logged cannot be taken back.
        self.forget_undo();
        Ok(())
    }

    /// What the entry has taken the place of, and the conflicts that it names, are settled; to be called when it is certain
    /// that it will be logged.
    fn settle_conflicts(&mut self, context: Option<&VectorClock>, resolves: &[u128]) {
        let (dot, position) = (self.replica.next_dot(), self.replica.next_position());
        for touched in &self.touched {
            if !touched.contested {
                continue;
            }
            let op = decode(&touched.op);
            let (replica, hlc) = (&mut *self.replica, self.hlc);
            match context {
                Some(context) => {
                    let author = Author { dot, hlc, context };
                    replica.settle_conflicts(touched.id, &op, &author, position);
                }
                None => {
                    let context = &Everything;
                    let author = Author { dot, hlc, context };
                    replica.settle_conflicts(touched.id, &op, &author, position);
                }
            }
        }
        for id in resolves {
            self.replica.settle_explicitly(*id, dot, self.hlc, position);
        }
    }

    /// Whether what is looked up from here on does not count as used; returns what held before.
    pub fn set_unnoticed(&mut self, unnoticed: bool) -> bool {
        std::mem::replace(&mut self.unnoticed, unnoticed)
    }

    /// Where a key is, which counts as used. Notes that the answer depends on it.
    pub(crate) fn spot<'k>(&mut self, key: &'k [u8]) -> Spot<'k> {
        let hash = hash_of(key);
        let id = self.replica.rows.find(key, hash);
        self.spot_at(key, hash, id)
    }

    /// The same, of a key that has been found or has not; its row is open from here on.
    #[inline]
    fn spot_at<'k>(&mut self, key: &'k [u8], hash: u64, id: Option<RowId>) -> Spot<'k> {
        let id = id.map(|id| self.replica.rows.opened(id));
        if let Some(id) = id {
            let row = match self.unnoticed {
                true => self.replica.rows.get(id),
                false => self.replica.rows.used(id, Tick::at(self.hlc.wall_ms())),
            };
            self.barrier = self.barrier.max(row.position);
        } else if self.replica.rows.has_cold() {
            self.note_unknown(key, hash);
        }
        Spot { key, hash, id }
    }

    /// A key without a row may be in the table: then nothing that this entry does counts.
    #[cold]
    fn note_unknown(&mut self, key: &[u8], hash: u64) {
        if note_missing(&self.replica.rows, key, hash, &mut self.missing) {
            self.refused.get_or_insert(WriteRefused::NotResident);
        }
    }

    /// The same for those who only ask about a key.
    pub(crate) fn unnoticed_spot<'k>(&mut self, key: &'k [u8]) -> Spot<'k> {
        let hash = hash_of(key);
        let id = self.replica.rows.find_open(key, hash);
        if let Some(id) = id {
            self.barrier = self.barrier.max(self.replica.rows.get(id).position);
        } else if self.replica.rows.has_cold() {
            self.note_unknown(key, hash);
        }
        Spot { key, hash, id }
    }

    /// The row as this entry has left it so far.
    fn row_at(&self, spot: &Spot<'_>) -> Option<&Row> {
        spot.id.map(|id| self.replica.rows.get(id))
    }

    /// The same, if readers see it.
    fn visible(&self, spot: &Spot<'_>) -> Option<&Row> {
        self.row_at(spot)
            .filter(|row| row.is_visible(self.now_ms()))
    }

    /// The row of a key if readers see it and it is of this type.
    fn typed(&self, spot: &Spot<'_>, wanted: ValueType) -> Result<Option<&Row>, WrongType> {
        match self.visible(spot) {
            None => Ok(None),
            Some(row) if type_of(row) == Some(wanted) => Ok(Some(row)),
            Some(_) => Err(WrongType),
        }
    }

    /// The row as it was before this entry: what the entry's ops have observed.
    fn before(&self, spot: &Spot<'_>) -> Option<&Row> {
        let id = spot.id?;
        match self.index.get(&id) {
            Some(index) => Some(&self.touched[*index].before),
            None => Some(self.replica.rows.get(id)),
        }
    }

    /// An op on a key that keeps what is there, or, if nothing is there for readers, creates it.
    fn op<'k>(&self, spot: &Spot<'k>, counters: &'k Counters) -> KeyOp<'k> {
        match self.visible(spot) {
            Some(_) => KeyOp::new(spot.key),
            None => self.overwrite(spot, counters),
        }
    }

    /// What counts under a key, with the contributions that a removal of all of it takes away.
    fn counters(&self, spot: &Spot<'_>) -> Counters {
        let Some(row) = self.before(spot) else {
            return Counters::default();
        };
        let fields = row.map().map(|map| counting(&map.fields));
        let members = row.sorted_set().map(|set| counting(set.members()));
        Counters {
            fields: fields.unwrap_or_default(),
            members: members.unwrap_or_default(),
            vetoed: self.vetoed(row),
        }
    }

    /// The same for [`op`](Self::op), which overwrites only what readers do not see: else it would walk a large map for
    /// every write of one field.
    fn counters_if_hidden(&self, spot: &Spot<'_>) -> Counters {
        match self.visible(spot) {
            Some(_) => Counters::default(),
            None => self.counters(spot),
        }
    }

    /// An op on a key that removes all that is there.
    fn overwrite<'k>(&self, spot: &Spot<'k>, counters: &'k Counters) -> KeyOp<'k> {
        let mut op = KeyOp::new(spot.key);
        let before = self.before(spot);
        let visible = before.is_some_and(|row| row.is_visible(self.now_ms()));
        op.base = if visible { Base::Clear } else { Base::Create };
        let Some(row) = before else { return op };
        op.resets = row.tally().map_or_else(SmallVec::new, Tally::resets);
        if row.lww().is_some_and(|cell| cell.value.is_some()) {
            op.parts.push(Part::RegisterLww {
                stamp: self.raised_lww(Some(row)),
                value: None,
            });
        }
        if !counters.fields.is_empty() {
            let part = removal_of(&counters.fields);
            op.parts.push(Part::Map(Box::new(part)));
        }
        if !counters.members.is_empty() {
            let part = removal_of(&counters.members);
            op.parts.push(Part::SortedSet(Box::new(part)));
        }
        if !counters.vetoed.is_empty() {
            let remove = counters.vetoed.iter().map(|member| Blob(member));
            op.parts.push(Part::SetRw(SetPart {
                remove: remove.collect(),
                ..SetPart::default()
            }));
        }
        if row.deadline.stamp.hlc >= self.hlc {
            op.parts.push(Part::Deadline {
                stamp: Some(row.deadline.stamp.hlc.next()),
                at_ms: None,
            });
        }
        op
    }

    /// The stamp of a write of the `lww` register, where the entry's own would not beat what it replaces.
    fn raised_lww(&self, before: Option<&Row>) -> Option<Hlc> {
        let replaced = before?.lww()?.hlc;
        (replaced >= self.hlc).then(|| replaced.next())
    }

    /// The same for the deadline.
    fn raised_deadline(&self, before: Option<&Row>) -> Option<Hlc> {
        let replaced = before?.deadline.stamp.hlc;
        (replaced >= self.hlc).then(|| replaced.next())
    }

    /// The row of a key, made empty if there is none.
    fn row_of(&mut self, spot: &Spot<'_>) -> RowId {
        debug_assert!(
            self.refused.is_none(),
            "a refused entry writes nothing, least of all over a key that only the table has"
        );
        let rows = &mut self.replica.rows;
        spot.id
            .unwrap_or_else(|| rows.find_or_insert(spot.key, spot.hash))
    }

    /// Applies and logs an op. Every key that an own entry creates passes here.
    fn write(&mut self, spot: &Spot<'_>, op: &KeyOp<'_>) {
        if self.refused.is_some() {
            return;
        }
        if spot.key.len() > KEY_BYTES_MAX {
            let bytes = spot.key.len();
            self.refused = Some(WriteRefused::KeyTooLong { bytes });
            return;
        }
        match self.scope {
            Scope::Once if self.context.is_none() => self.write_once(spot, op),
            _ => self.write_many(spot, op),
        }
    }

    fn write_once(&mut self, spot: &Spot<'_>, op: &KeyOp<'_>) {
        let bytes = bytes_of(op);
        if bytes > ENTRY_BYTES_MAX {
            self.refused = Some(WriteRefused::EntryTooLarge { bytes });
            return;
        }
        if self.written {
            self.hlc = self.replica.stamp(self.hlc.wall_ms());
        }
        let id = self.row_of(spot);
        let contested = self.replica.is_contested(id);
        self.apply(id, op);
        if contested {
            let author = Author {
                dot: self.replica.next_dot(),
                hlc: self.hlc,
                context: &Everything,
            };
            let position = self.replica.next_position();
            self.replica.settle_conflicts(id, op, &author, position);
        }
        self.written = true;
        self.replica.log_entry(self.hlc, |out, stamp_delta| {
            put_entry_head(out, stamp_delta, None, &[], 1);
            put(out, op);
        });
    }

    /// Whether the entry has become too large to be logged, which is seen before it holds twice as much as can be.
    fn has_outgrown(&mut self, op: &KeyOp<'_>) -> bool {
        self.written_bytes += bytes_of(op);
        if self.written_bytes <= self.count_at_bytes {
            return false;
        }
        self.touched.iter_mut().for_each(Touched::settle);
        let bytes = self.touched.iter().map(|touched| touched.op.len()).sum();
        self.written_bytes = bytes;
        self.count_at_bytes = bytes + ENTRY_BYTES_MAX;
        if bytes > ENTRY_BYTES_MAX {
            self.refused = Some(WriteRefused::EntryTooLarge { bytes });
        }
        bytes > ENTRY_BYTES_MAX
    }

    fn write_many(&mut self, spot: &Spot<'_>, op: &KeyOp<'_>) {
        if self.has_outgrown(op) {
            return;
        }
        let id = self.row_of(spot);
        let Some(index) = self.index.get(&id).copied() else {
            let before = self.replica.rows.get(id).clone();
            let contested = self.replica.is_contested(id);
            self.apply(id, op);
            self.index.insert(id, self.touched.len());
            self.touched.push(Touched::new(id, before, op, contested));
            return;
        };
        self.keep_for_undo(index);
        let can_follow = self.context.is_none() && self.touched[index].can_follow(op);
        self.touched[index].note(op);
        if let Some(part) = only_list(op) {
            // As with what can follow.
            self.touched[index].absorb(part, self.replica.next_dot());
            self.apply(id, op);
            return;
        }
        if can_follow {
            let mut bytes = Vec::new();
            put(&mut bytes, op);
            self.touched[index].later.push(bytes);
            self.apply(id, op);
            return;
        }
        self.touched[index].settle();
        let earlier = std::mem::take(&mut self.touched[index].op);
        let mut later = Vec::new();
        put(&mut later, op);
        let before = self.touched[index].before.clone();
        let seen = self.replica.rows.get(id).is_visible(self.now_ms());
        let merged = merge::merge(
            decode(&earlier),
            decode(&later),
            before.is_visible(self.now_ms()),
        );
        self.put_back(id, before);
        self.note_seen(Some(seen));
        self.apply(id, &merged);
        self.note_seen(None);
        put(&mut self.touched[index].op, &merged);
    }

    fn note_seen(&mut self, seen: Option<bool>) {
        if let Some(changes) = &mut self.replica.changes {
            changes.set_seen(seen);
        }
    }

    fn apply(&mut self, id: RowId, op: &KeyOp<'_>) {
        let (dot, position, now_ms) = (
            self.replica.next_dot(),
            self.replica.next_position(),
            self.now_ms(),
        );
        match &self.context {
            Some(context) => {
                let author = Author {
                    dot,
                    hlc: self.hlc,
                    context,
                };
                self.replica.change_row(id, op, &author, position, now_ms);
            }
            None => {
                let author = Author {
                    dot,
                    hlc: self.hlc,
                    context: &Everything,
                };
                self.replica.change_row(id, op, &author, position, now_ms);
            }
        }
        self.barrier = self.barrier.max(position);
    }
}

/// The fields that count. Where none does, none is looked at.
fn counting<V: Clone>(fields: &PagedMap<Field<V>>) -> Vec<FieldCounter> {
    let mut counters = Vec::new();
    fields.each_where(Bound::counts, |name, field| {
        let resets = field.resets();
        if !resets.is_empty() {
            counters.push((name.to_vec(), resets));
        }
    });
    counters
}

fn removal_of<V>(counters: &[FieldCounter]) -> FieldsPart<'_, V> {
    let removals = counters.iter().map(|(field, resets)| FieldRemoval {
        field: Blob(field),
        resets: resets.clone(),
    });
    FieldsPart {
        remove: removals.collect(),
        ..FieldsPart::default()
    }
}

/// Puts a part into an op in the place of one of its kind.
fn set_part<'k>(op: &mut KeyOp<'k>, part: Part<'k>) {
    match op
        .parts
        .iter_mut()
        .find(|known| known.kind() == part.kind())
    {
        Some(known) => *known = part,
        None => op.parts.push(part),
    }
}

/// The type that readers see.
pub(crate) fn type_of(row: &Row) -> Option<ValueType> {
    Some(match row.visible()? {
        Component::Lww(_) | Component::Mv(_) | Component::MvSummed(_) | Component::Counter(_) => {
            ValueType::String
        }
        Component::Map(_) => ValueType::Hash,
        Component::Set(_) | Component::SetRw(_) => ValueType::Set,
        Component::SortedSet(_) => ValueType::SortedSet,
        Component::List(_) => ValueType::List,
        Component::Stream(_) => ValueType::Stream,
        Component::FlagEw(_) | Component::FlagDw(_) => ValueType::Flag,
        Component::HyperLogLog(_) => ValueType::HyperLogLog,
        Component::BoundedCounter(_) => ValueType::BoundedCounter,
    })
}

fn put(out: &mut Vec<u8>, op: &KeyOp<'_>) {
    let buffer = std::mem::take(out);
    *out = postcard::to_extend(op, buffer).expect("an op holds nothing that cannot be encoded");
}

fn put_entry_head(
    out: &mut Vec<u8>,
    stamp_delta: u64,
    context: Option<VectorClock>,
    resolves: &[u128],
    ops: usize,
) {
    let context = context.into_iter().map(Attribute::Context);
    let resolves = resolves.iter().map(|id| Attribute::Resolves(*id));
    let attributes: Vec<Attribute<'_>> = context.chain(resolves).collect();
    let buffer = std::mem::take(out);
    let head = (stamp_delta, attributes, ops as u64);
    *out = postcard::to_extend(&head, buffer)
        .expect("an entry's head holds nothing that cannot be encoded");
}

/// A dense sketch and its name.
const SKETCH_BYTES_MAX: usize = 13 << 10;

/// About how many bytes an op takes; never less than its keys and values.
fn bytes_of(op: &KeyOp<'_>) -> usize {
    let blobs = |blobs: &[Blob<'_>]| blobs.iter().map(|blob| blob.0.len() + 5).sum::<usize>();
    let parts = op.parts.iter().map(|part| match part {
        Part::RegisterLww { value, .. } => value.map_or(0, |value| value.0.len()),
        Part::RegisterMv { value } => value.0.len(),
        Part::RegisterMvSummed(part) => summed::bytes_of(part),
        Part::SetAw(part) | Part::SetRw(part) => blobs(&part.remove) + blobs(&part.add),
        Part::Map(part) => bytes_of_fields(part, |value| value.0.len()),
        Part::SortedSet(part) => bytes_of_fields(part, |_| 8),
        Part::SortedSetKept(kept) => blobs(kept),
        Part::List(part) => lists::bytes_of(part),
        Part::Stream(part) => streams::bytes_of(part),
        Part::HyperLogLog(_) => SKETCH_BYTES_MAX,
        Part::BoundedCounter(changes) => 64 * changes.len(),
        _ => 64,
    });
    op.key.0.len() + 64 + parts.sum::<usize>() + 32 * op.resets.len()
}

fn bytes_of_fields<V>(part: &FieldsPart<'_, V>, value_bytes: impl Fn(&V) -> usize) -> usize {
    let removed = part.remove.iter();
    let removed = removed.map(|each| each.field.0.len() + 32 * each.resets.len() + 8);
    let put = part.put.iter();
    let put =
        put.map(|each| each.field.0.len() + value_bytes(&each.value) + 32 * each.resets.len() + 16);
    let added = part.add.iter().map(|each| each.field.0.len() + 32);
    removed.sum::<usize>() + put.sum::<usize>() + added.sum::<usize>()
}
