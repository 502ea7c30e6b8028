//! Streams.

use std::ops::ControlFlow;

use super::stream_cut::Cut;
use super::{Expiry, Spot, Txn, ValueType, WrongType, groups, set_part};
use crate::op::{Blob, GroupStep, KeyOp, Part, StreamEntry, StreamPart};
use crate::row::Row;
use crate::stream::{Entry, Stream, StreamId, StreamMark};

/// Is called with the id and the texts (field names and values in turn) of each entry until it breaks.
pub type EachEntry<'e> =
    dyn FnMut(StreamId, &mut dyn Iterator<Item = &[u8]>) -> ControlFlow<()> + 'e;

/// The id that a new entry is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewStreamId {
    /// One that no other writer generates.
    Generated,
    /// The next one of these milliseconds; another region may choose the same.
    InMs(u64),
    /// This one; another region may choose the same.
    Given(StreamId),
}

/// How much of a stream's front goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTrim {
    /// What stays.
    pub bound: StreamTrimBound,
    /// Whether entries go only in units; else exactly those go that do not stay.
    pub units: Option<StreamTrimUnits>,
}

/// What a trim leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamTrimBound {
    /// The last so many entries.
    Len(usize),
    /// Entries with this id and greater ones.
    Id(StreamId),
}

/// A trim that may leave more than its bound says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTrimUnits {
    /// Entries go in units of so many, counted from the first one that was ever added; at least one.
    pub entries: usize,
    /// At most so many entries go; none for any number.
    pub limit: Option<usize>,
}

/// What there is to know of a stream beside its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Number of entries.
    pub len: usize,
    /// Number of pages in which they lie.
    pub pages: usize,
    /// Number of consumer groups.
    pub groups: usize,
    /// New entries get greater ids.
    pub last: StreamId,
    /// How many entries were ever added, as far as one region knows: those that others add meanwhile may not count.
    pub added: u64,
    /// The greatest id that was removed by name, zero if none was.
    pub max_deleted: StreamId,
    /// The smallest id of an entry that is there.
    pub first: Option<StreamId>,
}

/// Why an entry is not added. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamAddError {
    /// The key holds another type.
    #[error("key holds a value of another type")]
    WrongType,
    /// The id is not greater than the last one.
    #[error("id is equal to or smaller than the last one of the stream")]
    NotGreater,
    /// No id is greater than the last one.
    #[error("stream has no greater ids")]
    Exhausted,
}

/// Why a stream's last id cannot be set. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetStreamIdError {
    /// The key holds another type.
    #[error("key holds a value of another type")]
    WrongType,
    /// There is no stream.
    #[error("no such key")]
    Absent,
    /// The id of an entry that is there is greater.
    #[error("id is smaller than that of the last entry")]
    BelowLast,
    /// There are more entries than were ever added.
    #[error("fewer entries were added than are there")]
    FewerThanPresent,
}

impl From<WrongType> for StreamAddError {
    fn from(_: WrongType) -> Self {
        StreamAddError::WrongType
    }
}

impl From<WrongType> for SetStreamIdError {
    fn from(_: WrongType) -> Self {
        SetStreamIdError::WrongType
    }
}

impl Txn<'_> {
    fn stream(&self, spot: &Spot<'_>) -> Result<Option<&Stream>, WrongType> {
        Ok(self.typed(spot, ValueType::Stream)?.and_then(Row::stream))
    }

    /// Number of entries, zero for an absent key.
    ///
    /// # Errors
    /// The key holds another type; so for all reads and writes of streams.
    pub fn stream_len(&mut self, key: &[u8]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        Ok(self.stream(&spot)?.map_or(0, Stream::len))
    }

    /// What there is to know of a stream; none for an absent key. O(pages).
    ///
    /// # Errors
    /// As [`stream_len`](Self::stream_len).
    pub fn stream_info(&mut self, key: &[u8]) -> Result<Option<StreamInfo>, WrongType> {
        let spot = self.spot(key);
        Ok(self.stream(&spot)?.map(|stream| {
            let StreamMark { last, added } = stream.mark();
            StreamInfo {
                len: stream.len(),
                pages: stream.pages(),
                groups: stream.groups.len(),
                last,
                added,
                max_deleted: stream.max_deleted(),
                first: stream.first().map(|entry| entry.name.id),
            }
        }))
    }

    /// The last id: new entries get greater ones. Zero for an absent key.
    ///
    /// # Errors
    /// As [`stream_len`](Self::stream_len).
    pub fn stream_last_id(&mut self, key: &[u8]) -> Result<StreamId, WrongType> {
        let spot = self.spot(key);
        let stream = self.stream(&spot)?;
        Ok(stream.map_or(StreamId::ZERO, |stream| stream.mark().last))
    }

    /// Visits the entries from one id to another, both included, in order: O(log n) for the first.
    ///
    /// # Errors
    /// As [`stream_len`](Self::stream_len).
    pub fn stream_range(
        &mut self,
        key: &[u8],
        from: StreamId,
        to: StreamId,
        each: &mut EachEntry<'_>,
    ) -> Result<(), WrongType> {
        let spot = self.spot(key);
        if let Some(stream) = self.stream(&spot)? {
            let entries = stream.iter_from(stream.rank(from));
            visit(entries.take_while(|entry| entry.name.id <= to), each);
        }
        Ok(())
    }

    /// The same from the greatest id to the smallest.
    ///
    /// # Errors
    /// As [`stream_len`](Self::stream_len).
    pub fn stream_range_back(
        &mut self,
        key: &[u8],
        from: StreamId,
        to: StreamId,
        each: &mut EachEntry<'_>,
    ) -> Result<(), WrongType> {
        let spot = self.spot(key);
        if let Some(stream) = self.stream(&spot)? {
            let end = to.next().map_or(stream.len(), |after| stream.rank(after));
            let entries = stream.iter_back_from(end);
            visit(entries.take_while(|entry| entry.name.id >= from), each);
        }
        Ok(())
    }

    /// Adds an entry, then trims; returns the new entry's id. Creates the stream if there is none.
    ///
    /// # Errors
    /// The key holds another type, or there is no such id.
    pub fn stream_add(
        &mut self,
        key: &[u8],
        id: NewStreamId,
        texts: &[&[u8]],
        trim: Option<StreamTrim>,
    ) -> Result<StreamId, StreamAddError> {
        let spot = self.spot(key);
        let stream = self.stream(&spot)?;
        let before = stream.map(Stream::mark).unwrap_or_default();
        let id = self.new_id(id, before.last)?;
        let mark = StreamMark {
            last: id,
            added: before.added.saturating_add(1),
        };
        let nothing = Stream::default();
        let cut = trim.map_or(Cut::default(), |trim| {
            Cut::of(stream.unwrap_or(&nothing), Some(id), mark.added, trim)
        });
        let counters = self.counters_if_hidden(&spot);
        let mut part = StreamPart {
            trim: cut.through,
            mark: Some(mark),
            ..StreamPart::default()
        };
        if !cut.takes_new {
            part.add.push(entry_of(id, texts.iter().copied()));
        }
        let mut op = self.op(&spot, &counters);
        set_part(&mut op, Part::Stream(Box::new(part)));
        self.write(&spot, &op);
        Ok(id)
    }

    fn new_id(&self, id: NewStreamId, last: StreamId) -> Result<StreamId, StreamAddError> {
        if last == StreamId::MAX {
            return Err(StreamAddError::Exhausted);
        }
        let id = match id {
            NewStreamId::Generated => StreamId::generate(last, self.now_ms(), self.replica.id())
                .ok_or(StreamAddError::Exhausted)?,
            NewStreamId::Given(id) => id,
            NewStreamId::InMs(ms) if ms == last.ms => {
                let seq = last.seq.checked_add(1).ok_or(StreamAddError::NotGreater)?;
                StreamId::new(ms, seq)
            }
            NewStreamId::InMs(ms) => StreamId::new(ms, 0),
        };
        match id > last {
            true => Ok(id),
            false => Err(StreamAddError::NotGreater),
        }
    }

    /// Removes entries by id; returns how many were there.
    ///
    /// # Errors
    /// As [`stream_len`](Self::stream_len).
    pub fn stream_remove(&mut self, key: &[u8], ids: &[StreamId]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let Some(stream) = self.stream(&spot)? else {
            return Ok(0);
        };
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut removed = 0;
        ids.retain(|id| {
            let found = stream.with_id(*id).count();
            removed += found;
            found > 0
        });
        let Some(greatest) = ids.last().copied() else {
            return Ok(0);
        };
        let part = StreamPart {
            deleted: (greatest > stream.max_deleted()).then_some(greatest),
            remove: ids.into_iter().collect(),
            ..StreamPart::default()
        };
        let mut op = KeyOp::new(key);
        op.parts.push(Part::Stream(Box::new(part)));
        self.write(&spot, &op);
        Ok(removed)
    }

    /// Removes entries from the front; returns how many.
    ///
    /// # Errors
    /// As [`stream_len`](Self::stream_len).
    pub fn stream_trim(&mut self, key: &[u8], trim: StreamTrim) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let Some(stream) = self.stream(&spot)? else {
            return Ok(0);
        };
        let cut = Cut::of(stream, None, stream.mark().added, trim);
        if cut.through.is_none() {
            return Ok(0);
        }
        let part = StreamPart {
            trim: cut.through,
            ..StreamPart::default()
        };
        let mut op = KeyOp::new(key);
        op.parts.push(Part::Stream(Box::new(part)));
        self.write(&spot, &op);
        Ok(cut.removed)
    }

    /// Sets the last id, which may also become smaller, and, if given, how many entries were ever added and the greatest
    /// id that was removed by name.
    ///
    /// # Errors
    /// Nothing was written.
    pub fn stream_set_id(
        &mut self,
        key: &[u8],
        last: StreamId,
        added: Option<u64>,
        max_deleted: Option<StreamId>,
    ) -> Result<(), SetStreamIdError> {
        let spot = self.spot(key);
        let stream = self.stream(&spot)?.ok_or(SetStreamIdError::Absent)?;
        if stream.last().is_some_and(|entry| last < entry.name.id) {
            return Err(SetStreamIdError::BelowLast);
        }
        if added.is_some_and(|added| added < stream.len() as u64) {
            return Err(SetStreamIdError::FewerThanPresent);
        }
        let added = added.unwrap_or(stream.mark().added);
        let part = StreamPart {
            deleted: max_deleted.filter(|id| *id > StreamId::ZERO),
            mark: Some(StreamMark { last, added }),
            ..StreamPart::default()
        };
        let mut op = KeyOp::new(key);
        op.parts.push(Part::Stream(Box::new(part)));
        self.write(&spot, &op);
        Ok(())
    }

    /// Writes the stream of one key over whatever is at another.
    pub(super) fn copy_stream(&mut self, from: &[u8], to: &[u8], expiry: Expiry) {
        let source = self.spot(from);
        let Some(stream) = self.row_at(&source).and_then(Row::stream).cloned() else {
            return;
        };
        let spot = self.spot(to);
        let counters = self.counters(&spot);
        let deleted = stream.max_deleted();
        let entries = stream
            .iter()
            .map(|entry| entry_of(entry.name.id, entry.fields.iter()));
        let groups = self.copied_groups(&stream);
        let steps = groups.iter().map(|(name, copy)| copy.as_new(name));
        let part = StreamPart {
            add: entries.collect(),
            deleted: (deleted > StreamId::ZERO).then_some(deleted),
            mark: Some(stream.mark()),
            groups: steps.map(|new| GroupStep::Create(Box::new(new))).collect(),
            ..StreamPart::default()
        };
        let mut op = self.overwrite(&spot, &counters);
        set_part(&mut op, Part::Stream(Box::new(part)));
        if let Expiry::At(at_ms) = expiry {
            let stamp = self.raised_deadline(self.before(&spot));
            set_part(
                &mut op,
                Part::Deadline {
                    stamp,
                    at_ms: Some(at_ms),
                },
            );
        }
        self.write(&spot, &op);
    }
}

fn visit<'s>(entries: impl Iterator<Item = &'s Entry>, each: &mut EachEntry<'_>) {
    for entry in entries {
        if each(entry.name.id, &mut entry.fields.iter()).is_break() {
            break;
        }
    }
}

pub(super) fn entry_of<'k>(id: StreamId, texts: impl Iterator<Item = &'k [u8]>) -> StreamEntry<'k> {
    StreamEntry {
        id,
        fields: texts.map(Blob).collect(),
    }
}

/// About how many bytes a part takes.
pub(super) fn bytes_of(part: &StreamPart<'_>) -> usize {
    let entry = |entry: &StreamEntry<'_>| {
        let texts = entry.fields.iter().map(|text| text.0.len() + 5);
        texts.sum::<usize>() + 20
    };
    let groups = part.groups.iter().map(groups::bytes_of).sum::<usize>();
    128 + 20 * part.remove.len() + part.add.iter().map(entry).sum::<usize>() + groups
}
