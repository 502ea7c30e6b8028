//! Consumer groups of streams: making and changing them, and acknowledging.

mod claim;
pub(super) mod copy;
mod info;
mod read;

use std::borrow::Cow;

use isles_clock::{Dot, ReplicaId};
use smallvec::{SmallVec, smallvec};

pub use self::claim::{AutoClaimed, StreamClaim};
pub use self::info::{ConsumerInfo, GroupInfo, PendingInfo, PendingQuery};
pub use self::read::{Acknowledged, EachPending};
use super::{Spot, Txn, ValueType, WrongType, set_part};
use crate::op::{
    Blob, EntryRef, GroupChange, GroupReach, GroupStep, KeyOp, NewGroup, Part, PendingParts,
    StreamPart,
};
use crate::row::{Component, Row};
use crate::stream::{Group, Name, Stream, StreamId, StreamMark};

/// A stream has no more groups than this; those that regions create without knowing of each other may exceed it.
pub const STREAM_GROUPS_MAX: usize = 1_024;
/// The same for the consumers of a group.
pub const GROUP_CONSUMERS_MAX: usize = 4_096;
/// The same for the pending entries of a group: they lie with the key's header, which is written as a whole.
pub const GROUP_PENDING_MAX: usize = 65_536;
/// So many entries that were not pending can be made pending by force.
pub const GROUP_FORCED_MAX: usize = 65_536;
/// Bytes of the name of a group or consumer.
pub const GROUP_NAME_BYTES_MAX: usize = 1_024;

/// Where a group begins to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupStart {
    /// After everything that is there.
    Last,
    /// After this id.
    After(StreamId),
}

/// Why a consumer group cannot be read or changed. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The key holds another type.
    #[error("key holds a value of another type")]
    WrongType,
    /// There is no stream.
    #[error("no such key")]
    NoStream,
    /// The stream has no such group.
    #[error("no such consumer group")]
    NoGroup,
    /// There is a group of this name.
    #[error("consumer group exists")]
    Exists,
    /// A name is too long.
    #[error("name of a consumer group or consumer has more than {GROUP_NAME_BYTES_MAX} bytes")]
    NameTooLong,
    /// The stream has too many groups.
    #[error("stream has {STREAM_GROUPS_MAX} consumer groups")]
    TooManyGroups,
    /// The group has too many consumers.
    #[error("consumer group has {GROUP_CONSUMERS_MAX} consumers")]
    TooManyConsumers,
    /// Too many entries are pending.
    #[error("consumer group has {GROUP_PENDING_MAX} pending entries")]
    TooManyPending,
    /// Too many entries were made pending by force.
    #[error("{GROUP_FORCED_MAX} entries of the consumer group were claimed by force")]
    TooManyForced,
}

impl From<WrongType> for GroupError {
    fn from(_: WrongType) -> Self {
        GroupError::WrongType
    }
}

/// A group as readers see it.
struct Found<'s> {
    stream: &'s Stream,
    group: Cow<'s, Group>,
    /// The entries of the log that created it; what changes it names them.
    named: SmallVec<[Dot; 1]>,
}

impl<'s> Found<'s> {
    fn of(stream: &'s Stream, name: &[u8]) -> Option<Found<'s>> {
        let groups = stream.groups.get(name)?;
        let named = groups.iter().map(|(dot, _)| *dot).collect();
        let group = match &groups[..] {
            [(_, only)] => Cow::Borrowed(only),
            several => Cow::Owned(Group::view(several.iter().map(|(_, group)| group))),
        };
        Some(Found {
            stream,
            group,
            named,
        })
    }

    fn has_consumer(&self, name: &[u8]) -> bool {
        self.group.consumers.contains_key(name)
    }

    fn change<'k>(&self, name: &'k [u8]) -> GroupChange<'k> {
        GroupChange {
            name: Blob(name),
            named: self.named.clone(),
            consumer: None,
            forget: None,
            at_ms: 0,
            writers: SmallVec::new(),
            acks: SmallVec::new(),
            marks: SmallVec::new(),
            reach: None,
        }
    }
}

/// How a change names an entry.
fn entry_ref(name: &Name, writers: &mut SmallVec<[ReplicaId; 1]>) -> EntryRef {
    let replica = name.dot.replica;
    let known = writers.iter().position(|known| *known == replica);
    let writer = known.unwrap_or_else(|| {
        writers.push(replica);
        writers.len() - 1
    });
    EntryRef {
        id: name.id,
        writer: writer as u32,
        sequence: name.dot.sequence,
        ordinal: name.ordinal,
    }
}

fn check_name(name: &[u8]) -> Result<(), GroupError> {
    match name.len() <= GROUP_NAME_BYTES_MAX {
        true => Ok(()),
        false => Err(GroupError::NameTooLong),
    }
}

impl Txn<'_> {
    /// A group of this name.
    fn group(&self, spot: &Spot<'_>, name: &[u8]) -> Result<Found<'_>, GroupError> {
        let stream = self.typed(spot, ValueType::Stream)?.and_then(Row::stream);
        let stream = stream.ok_or(GroupError::NoStream)?;
        Found::of(stream, name).ok_or(GroupError::NoGroup)
    }

    /// The same, for reading what is new: how far it has got is found out first, which is no write.
    fn advanced_group(&mut self, spot: &Spot<'_>, name: &[u8]) -> Result<Found<'_>, GroupError> {
        self.group(spot, name)?;
        let row = spot.id.map(|id| self.replica.rows.image_mut(id));
        if let Some(Component::Stream(stream)) = row.and_then(|row| {
            let mut components = row.components.iter_mut();
            components.find(|component| matches!(component, Component::Stream(_)))
        }) {
            stream.advance_groups(name);
        }
        self.group(spot, name)
    }

    /// Everything that is applied here, this entry included, up to an id.
    fn reach(&self, through: StreamId, read: Option<u64>) -> GroupReach {
        let mut clock = self.replica.applied().clone();
        clock.observe(self.replica.next_dot());
        GroupReach {
            clock,
            through,
            read,
        }
    }

    fn write_steps<'k>(&mut self, spot: &Spot<'k>, steps: SmallVec<[GroupStep<'k>; 1]>) {
        let part = StreamPart {
            groups: steps,
            ..StreamPart::default()
        };
        let mut op = KeyOp::new(spot.key);
        op.parts.push(Part::Stream(Box::new(part)));
        self.write(spot, &op);
    }

    fn write_change<'k>(&mut self, spot: &Spot<'k>, change: GroupChange<'k>) {
        self.write_steps(spot, smallvec![GroupStep::Change(Box::new(change))]);
    }

    /// Creates a group, and, where `creates_stream` allows it, an empty stream for it. `read` is how many entries it is to be
    /// said to have read.
    ///
    /// # Errors
    /// Nothing was written.
    pub fn group_create(
        &mut self,
        key: &[u8],
        name: &[u8],
        start: GroupStart,
        creates_stream: bool,
        read: Option<u64>,
    ) -> Result<(), GroupError> {
        let spot = self.spot(key);
        let stream = self.typed(&spot, ValueType::Stream)?.and_then(Row::stream);
        if stream.is_none() && !creates_stream {
            return Err(GroupError::NoStream);
        }
        check_name(name)?;
        let groups = stream.map(|stream| &stream.groups);
        if groups.is_some_and(|groups| groups.get(name).is_some()) {
            return Err(GroupError::Exists);
        }
        if groups.is_some_and(|groups| groups.len() >= STREAM_GROUPS_MAX) {
            return Err(GroupError::TooManyGroups);
        }
        let counters = self.counters_if_hidden(&spot);
        let through = after(stream, start);
        let new = NewGroup {
            name: Blob(name),
            start: self.reach(through, read),
            consumers: Vec::new(),
            pending: PendingParts::default(),
        };
        let part = StreamPart {
            mark: stream.is_none().then(StreamMark::default),
            groups: smallvec![GroupStep::Create(Box::new(new))],
            ..StreamPart::default()
        };
        let mut op = self.op(&spot, &counters);
        set_part(&mut op, Part::Stream(Box::new(part)));
        self.write(&spot, &op);
        Ok(())
    }

    /// Lets a group go on after another id, with its consumers and what is pending up to there; the rest will be handed out
    /// again. What others do to the group meanwhile is lost: it is a new one.
    ///
    /// # Errors
    /// Nothing was written.
    pub fn group_set_id(
        &mut self,
        key: &[u8],
        name: &[u8],
        start: GroupStart,
        read: Option<u64>,
    ) -> Result<(), GroupError> {
        let spot = self.spot(key);
        let found = self.group(&spot, name)?;
        let start = self.reach(after(Some(found.stream), start), read);
        let group = found.group.into_owned();
        let copy = copy::GroupCopy::of(&group, start, &mut |name| Some(*name));
        let steps = smallvec![
            GroupStep::Destroy(Blob(name)),
            GroupStep::Create(Box::new(copy.as_new(name))),
        ];
        self.write_steps(&spot, steps);
        Ok(())
    }

    /// Removes a group; whether there was one.
    ///
    /// # Errors
    /// There is no stream.
    pub fn group_destroy(&mut self, key: &[u8], name: &[u8]) -> Result<bool, GroupError> {
        let spot = self.spot(key);
        match self.group(&spot, name) {
            Err(GroupError::NoGroup) => return Ok(false),
            found => drop(found?),
        }
        self.write_steps(&spot, smallvec![GroupStep::Destroy(Blob(name))]);
        Ok(true)
    }

    /// Creates a consumer; whether it was not there.
    ///
    /// # Errors
    /// Nothing was written.
    pub fn consumer_create(
        &mut self,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
    ) -> Result<bool, GroupError> {
        let spot = self.spot(key);
        let found = self.group(&spot, name)?;
        if found.has_consumer(consumer) {
            return Ok(false);
        }
        check_consumer(&found, consumer)?;
        let mut change = found.change(name);
        change.consumer = Some((Blob(consumer), self.now_ms()));
        self.write_change(&spot, change);
        Ok(true)
    }

    /// Removes a consumer, and acknowledges what is pending at it; returns how many entries those were, or none if there is
    /// no such consumer. O(pending).
    ///
    /// # Errors
    /// There is no such group.
    pub fn consumer_remove(
        &mut self,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
    ) -> Result<Option<usize>, GroupError> {
        let spot = self.spot(key);
        let found = self.group(&spot, name)?;
        if !found.has_consumer(consumer) {
            return Ok(None);
        }
        let mut change = found.change(name);
        for pending in found.group.pending_at(consumer) {
            let entry = entry_ref(&pending.name, &mut change.writers);
            change.acks.push((entry, pending.life));
        }
        change.forget = Some(Blob(consumer));
        let pending = change.acks.len();
        self.write_change(&spot, change);
        Ok(Some(pending))
    }

    /// Acknowledges entries; returns how many of the ids were pending.
    ///
    /// # Errors
    /// There is no such group.
    pub fn group_ack(
        &mut self,
        key: &[u8],
        name: &[u8],
        ids: &[StreamId],
    ) -> Result<usize, GroupError> {
        let spot = self.spot(key);
        let found = self.group(&spot, name)?;
        let mut change = found.change(name);
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut acknowledged = 0;
        for id in ids {
            let before = change.acks.len();
            let pending = found.group.pending_from(id);
            for pending in pending.take_while(|pending| pending.name.id == id) {
                let entry = entry_ref(&pending.name, &mut change.writers);
                change.acks.push((entry, pending.life));
            }
            acknowledged += usize::from(change.acks.len() > before);
        }
        if acknowledged > 0 {
            self.write_change(&spot, change);
        }
        Ok(acknowledged)
    }
}

fn after(stream: Option<&Stream>, start: GroupStart) -> StreamId {
    match start {
        GroupStart::Last => stream.map_or(StreamId::ZERO, |stream| stream.mark().last),
        GroupStart::After(id) => id,
    }
}

/// Whether the group has room for a consumer of this name.
fn check_consumer(found: &Found<'_>, consumer: &[u8]) -> Result<(), GroupError> {
    check_name(consumer)?;
    let is_full = found.group.consumers.len() >= GROUP_CONSUMERS_MAX;
    match is_full && !found.has_consumer(consumer) {
        true => Err(GroupError::TooManyConsumers),
        false => Ok(()),
    }
}

/// About how many bytes a step takes.
pub(super) fn bytes_of(step: &GroupStep<'_>) -> usize {
    let reach = |reach: &GroupReach| 32 * reach.clock.len() + 40;
    match step {
        GroupStep::Destroy(name) => name.0.len() + 8,
        GroupStep::Create(new) => {
            let consumers = new.consumers.iter().map(|(name, _)| name.0.len() + 16);
            let pending = 16 * new.pending.writers.len() + 60 * new.pending.entries.len();
            new.name.0.len() + 16 + reach(&new.start) + consumers.sum::<usize>() + pending
        }
        GroupStep::Change(change) => {
            let names = [change.consumer.map(|(name, _)| name), change.forget];
            let names = names.into_iter().flatten().map(|name| name.0.len() + 16);
            let lists = 32 * change.named.len()
                + 16 * change.writers.len()
                + 45 * change.acks.len()
                + 55 * change.marks.len();
            let reach = change.reach.as_ref().map_or(0, reach);
            change.name.0.len() + 32 + names.sum::<usize>() + lists + reach
        }
    }
}
