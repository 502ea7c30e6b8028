//! What there is to know of consumer groups.

use std::collections::BTreeMap;

use super::super::{Txn, ValueType};
use super::read::Progress;
use super::{Found, GroupError};
use crate::row::Row;
use crate::stream::StreamId;

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its name.
    pub name: Vec<u8>,
    /// Number of consumers.
    pub consumers: usize,
    /// Number of pending entries.
    pub pending: usize,
    /// The greatest id up to which it has delivered; entries that arrived later below it may not be delivered yet.
    pub last: StreamId,
    /// How many of the entries that were ever added it has read, where that can be known.
    pub read: Option<u64>,
    /// How many it has yet to read, where that can be known.
    pub lag: Option<i64>,
}

/// A consumer of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// Its name.
    pub name: Vec<u8>,
    /// Number of entries that are pending at it.
    pub pending: usize,
    /// When it last got or claimed something, in milliseconds since 1970.
    pub seen_ms: u64,
}

/// A pending entry of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingInfo {
    /// Its id.
    pub id: StreamId,
    /// Who has it.
    pub consumer: Vec<u8>,
    /// When it was delivered last, in milliseconds since 1970.
    pub at_ms: u64,
    /// How often it was delivered.
    pub count: u64,
}

/// Which pending entries are asked for.
#[derive(Clone, Copy, Debug)]
pub struct PendingQuery<'c> {
    /// From this id on.
    pub from: StreamId,
    /// Up to this id.
    pub to: StreamId,
    /// At most so many.
    pub count: usize,
    /// Only those that were not delivered for so long, in milliseconds.
    pub idle_ms_min: u64,
    /// Only those at this consumer.
    pub consumer: Option<&'c [u8]>,
}

impl Txn<'_> {
    /// The groups of a stream, by name; none for an absent key.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn group_list(&mut self, key: &[u8]) -> Result<Vec<GroupInfo>, GroupError> {
        let spot = self.spot(key);
        let stream = self.typed(&spot, ValueType::Stream)?.and_then(Row::stream);
        let Some(stream) = stream else {
            return Ok(Vec::new());
        };
        let info = |(name, _): (&[u8], _)| {
            let group = Found::of(stream, name)?.group;
            let (last, read) = group.last();
            Some(GroupInfo {
                name: name.to_vec(),
                consumers: group.consumers.len(),
                pending: group.pending.weight(),
                last,
                read,
                lag: Progress { last, read }.lag(stream),
            })
        };
        Ok(stream.groups.iter().filter_map(info).collect())
    }

    /// The consumers of a group, by name. O(consumers + pending).
    ///
    /// # Errors
    /// There is no such group.
    pub fn group_consumers(
        &mut self,
        key: &[u8],
        name: &[u8],
    ) -> Result<Vec<ConsumerInfo>, GroupError> {
        let spot = self.spot(key);
        let found = self.group(&spot, name)?;
        let mut pending: BTreeMap<&[u8], usize> = BTreeMap::new();
        for each in found.group.pending.iter() {
            *pending.entry(&each.mark().consumer).or_default() += 1;
        }
        let info = found.group.consumers.iter().map(|(name, seen)| {
            let seen_ms = seen.versions().iter().map(|version| version.value).max();
            ConsumerInfo {
                name: name.to_vec(),
                pending: pending.get(&**name).copied().unwrap_or(0),
                seen_ms: seen_ms.unwrap_or(0),
            }
        });
        let info = info.collect();
        Ok(info)
    }

    /// Pending entries of a group, in the order of their ids: O(log n) for the first, and what is passed over.
    ///
    /// # Errors
    /// There is no such group.
    pub fn group_pending(
        &mut self,
        key: &[u8],
        name: &[u8],
        query: PendingQuery<'_>,
    ) -> Result<Vec<PendingInfo>, GroupError> {
        let spot = self.spot(key);
        let now_ms = self.now_ms();
        let found = self.group(&spot, name)?;
        let pending = found.group.pending_from(query.from);
        let pending = pending.take_while(|pending| pending.name.id <= query.to);
        let wanted = pending.filter(|pending| {
            let mark = pending.mark();
            now_ms.saturating_sub(mark.at_ms) >= query.idle_ms_min
                && query.consumer.is_none_or(|name| *name == *mark.consumer)
        });
        let info = wanted.take(query.count).map(|pending| PendingInfo {
            id: pending.name.id,
            consumer: pending.mark().consumer.to_vec(),
            at_ms: pending.mark().at_ms,
            count: pending.mark().count,
        });
        let info = info.collect();
        Ok(info)
    }

    /// Number of pending entries, and the smallest and the greatest id of one.
    ///
    /// # Errors
    /// There is no such group.
    pub fn group_pending_span(
        &mut self,
        key: &[u8],
        name: &[u8],
    ) -> Result<(usize, Option<(StreamId, StreamId)>), GroupError> {
        let spot = self.spot(key);
        let found = self.group(&spot, name)?;
        let first = found.group.pending_from(StreamId::ZERO).next();
        let first = first.map(|pending| pending.name.id);
        let last = found.group.last_pending().map(|name| name.id);
        Ok((found.group.pending.weight(), first.zip(last)))
    }
}
