//! Handing out entries of a stream to the consumers of a group.

use std::ops::ControlFlow;

use super::super::{EachEntry, Txn};
use super::{Found, GROUP_PENDING_MAX, GroupError, check_consumer, entry_ref};
use crate::op::{Blob, GroupMark, MarkHow};
use crate::stream::{Entry, Stream, StreamId};

/// Is called with the id and the texts of each entry, or none for one that is gone from the stream, until it breaks.
pub type EachPending<'e> =
    dyn FnMut(StreamId, Option<&mut dyn Iterator<Item = &[u8]>>) -> ControlFlow<()> + 'e;

/// What becomes of entries that are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// They are pending until they are acknowledged.
    Later,
    /// They are acknowledged at once.
    AtOnce,
}

impl Txn<'_> {
    /// Hands out the first entries that the group is not known to have delivered, in the order of their ids, also those that
    /// came later than greater ones; returns how many. Entries that share an id are not parted, so `count` may be exceeded.
    /// O(log n + what is handed out), and once per node what others have handed out.
    ///
    /// # Errors
    /// Nothing was written.
    pub fn group_read(
        &mut self,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
        count: Option<usize>,
        acknowledged: Acknowledged,
        each: &mut EachEntry<'_>,
    ) -> Result<usize, GroupError> {
        let spot = self.spot(key);
        let now_ms = self.now_ms();
        let found = self.advanced_group(&spot, name)?;
        if found.group.undelivered(found.stream).next().is_none() {
            return Ok(0);
        }
        check_consumer(&found, consumer)?;
        let room = match acknowledged {
            Acknowledged::Later => GROUP_PENDING_MAX.saturating_sub(found.group.pending.weight()),
            Acknowledged::AtOnce => GROUP_PENDING_MAX,
        };
        if room == 0 {
            return Err(GroupError::TooManyPending);
        }
        let count = count.unwrap_or(usize::MAX).min(room);
        let mut change = found.change(name);
        change.consumer = Some((Blob(consumer), now_ms));
        change.at_ms = now_ms;
        let (last, read) = found.group.last();
        let mut progress = Progress { last, read };
        let (mut handed, mut newest) = (0, StreamId::ZERO);
        for entry in found.group.undelivered(found.stream) {
            if handed >= count && entry.name.id != newest {
                break;
            }
            (handed, newest) = (handed + 1, entry.name.id);
            progress.pass(found.stream, newest);
            let named = entry_ref(&entry.name, &mut change.writers);
            match acknowledged {
                Acknowledged::AtOnce => change.acks.push((named, 0)),
                Acknowledged::Later => change.marks.push(GroupMark {
                    entry: named,
                    count: 1,
                    how: MarkHow::Delivered,
                }),
            }
            // The answer is built in any case: who breaks off has been handed the rest.
            let _ = each(newest, &mut entry.fields.iter());
        }
        let read = progress.read.filter(|_| newest >= progress.last);
        change.reach = Some(self.reach(newest, read));
        self.write_change(&spot, change);
        Ok(handed)
    }

    /// Visits what is pending at a consumer, from after an id on, and delivers it once more; returns how many entries there
    /// are. Creates the consumer if there is none. O(pending).
    ///
    /// # Errors
    /// Nothing was written.
    pub fn group_read_pending(
        &mut self,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
        after: StreamId,
        count: Option<usize>,
        each: &mut EachPending<'_>,
    ) -> Result<usize, GroupError> {
        let spot = self.spot(key);
        let now_ms = self.now_ms();
        let found = self.group(&spot, name)?;
        check_consumer(&found, consumer)?;
        let mut change = found.change(name);
        let mut visited = 0;
        let pending = after.next().map(|from| found.group.pending_from(from));
        let own = pending.into_iter().flatten();
        let own = own.filter(|pending| *pending.mark().consumer == *consumer);
        for pending in own.take(count.unwrap_or(usize::MAX)) {
            visited += 1;
            let id = pending.name.id;
            let Some(entry) = entry_of(&found, pending.name.dot, id) else {
                let _ = each(id, None);
                continue;
            };
            let _ = each(id, Some(&mut entry.fields.iter()));
            change.marks.push(GroupMark {
                entry: entry_ref(&pending.name, &mut change.writers),
                count: pending.mark().count.saturating_add(1),
                how: MarkHow::Claimed(pending.life),
            });
        }
        let is_known = found.has_consumer(consumer);
        if !change.marks.is_empty() || !is_known {
            change.consumer = Some((Blob(consumer), now_ms));
            change.at_ms = now_ms;
            self.write_change(&spot, change);
        }
        Ok(visited)
    }

    /// Whether a group has something to hand out.
    ///
    /// # Errors
    /// There is no such group.
    pub fn group_has_new(&mut self, key: &[u8], name: &[u8]) -> Result<bool, GroupError> {
        let spot = self.spot(key);
        let found = self.advanced_group(&spot, name)?;
        let has_new = found.group.undelivered(found.stream).next().is_some();
        Ok(has_new)
    }
}

fn entry_of<'s>(found: &Found<'s>, dot: isles_clock::Dot, id: StreamId) -> Option<&'s Entry> {
    found.stream.with_id(id).find(|entry| entry.name.dot == dot)
}

/// How far a group is, as Redis counts: how many of the entries that were ever added are up to its last id, where that can be
/// known.
pub(super) struct Progress {
    pub(super) last: StreamId,
    pub(super) read: Option<u64>,
}

impl Progress {
    /// Goes on to an entry.
    fn pass(&mut self, stream: &Stream, id: StreamId) {
        if id <= self.last {
            return;
        }
        self.read = match self.read {
            Some(read) if !lacks_some_from(stream, id) => Some(read.saturating_add(1)),
            _ => added_through(stream, id),
        };
        self.last = id;
    }

    /// How many entries are still to be delivered.
    pub(super) fn lag(&self, stream: &Stream) -> Option<i64> {
        let added = stream.mark().added;
        let read = match self.read {
            _ if added == 0 => return Some(0),
            Some(read) if !lacks_some_from(stream, self.last) => read,
            _ => added_through(stream, self.last)?,
        };
        Some(added as i64 - read as i64)
    }
}

/// Whether an entry with this id or a greater one may have been removed by name.
fn lacks_some_from(stream: &Stream, id: StreamId) -> bool {
    let removed = stream.max_deleted();
    let first = stream.first().map(|entry| entry.name.id);
    removed > StreamId::ZERO && first.is_some_and(|first| first <= removed) && id <= removed
}

/// How many of the entries that were ever added have this id or a smaller one, where that can be known.
fn added_through(stream: &Stream, id: StreamId) -> Option<u64> {
    let mark = stream.mark();
    let removed = stream.max_deleted();
    let before = mark.added.saturating_sub(stream.len() as u64);
    let Some(first) = stream.first().map(|entry| entry.name.id) else {
        return (mark.added == 0 || id <= mark.last).then_some(mark.added);
    };
    match id {
        _ if mark.added == 0 => Some(0),
        id if id == mark.last => Some(mark.added),
        id if id > mark.last || removed >= first && removed > StreamId::ZERO => None,
        id if id < first => Some(before),
        id if id == first => Some(before + 1),
        _ => None,
    }
}
