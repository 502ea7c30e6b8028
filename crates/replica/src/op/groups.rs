//! What an op does to the consumer groups of a stream.
//!
//! The steps of an op follow each other, after its changes of entries: a step observes what the steps before it did.

use isles_clock::{Dot, ReplicaId, VectorClock};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::Blob;
use crate::stream::StreamId;

/// A change of the consumer groups of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum GroupStep<'a> {
    /// The groups of this name that were observed go.
    Destroy(#[serde(borrow)] Blob<'a>),
    /// A group that the entry's dot names from now on.
    Create(#[serde(borrow)] Box<NewGroup<'a>>),
    /// A change of groups that are there.
    Change(#[serde(borrow)] Box<GroupChange<'a>>),
}

/// Entries that a group has behind it: those with this id or a smaller one that the clock covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupReach {
    /// What the writer knew when it said so, the entry itself included.
    pub clock: VectorClock,
    /// The last id.
    pub through: StreamId,
    /// How many of the entries that were ever added are up to here, where that is known.
    pub read: Option<u64>,
}

/// A group with all that it holds: a new one, or one that takes the place of what was observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewGroup<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Blob<'a>,
    /// What it passes over.
    pub start: GroupReach,
    /// Consumers and when each was last seen, in milliseconds since 1970.
    pub consumers: Vec<(Blob<'a>, u64)>,
    /// What is pending.
    pub pending: PendingParts,
}

/// Pending entries of a new group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingParts {
    /// Whom [`EntryRef::writer`] counts.
    pub writers: Vec<ReplicaId>,
    /// The entries.
    pub entries: Vec<PendingPart>,
}

/// A pending entry of a new group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPart {
    /// The entry.
    pub entry: EntryRef,
    /// The consumer, as its place among the consumers.
    pub consumer: u32,
    /// When it was delivered last, in milliseconds since 1970.
    pub at_ms: u64,
    /// How often it was delivered.
    pub count: u64,
}

/// What a command did to a group. It is done to each of the groups that are named, as far as they are still there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupChange<'a> {
    /// The name.
    #[serde(borrow)]
    pub name: Blob<'a>,
    /// The entries of the log that created the groups; nearly always one.
    pub named: SmallVec<[Dot; 1]>,
    /// A consumer that is there from now on, and when it was seen, in milliseconds since 1970. Entries become its.
    pub consumer: Option<(Blob<'a>, u64)>,
    /// A consumer whose observed presence goes.
    pub forget: Option<Blob<'a>>,
    /// When entries were delivered, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whom [`EntryRef::writer`] counts.
    pub writers: SmallVec<[ReplicaId; 1]>,
    /// Entries that are acknowledged, each with the life up to which it is.
    pub acks: SmallVec<[(EntryRef, u32); 1]>,
    /// Entries that become the consumer's.
    pub marks: SmallVec<[GroupMark; 1]>,
    /// What is delivered from now on. Every entry that comes to be covered by it is among the marks or the acks.
    pub reach: Option<GroupReach>,
}

/// An entry that becomes a consumer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMark {
    /// The entry.
    pub entry: EntryRef,
    /// How often it was delivered.
    pub count: u64,
    /// How it comes to be the consumer's.
    pub how: MarkHow,
}

/// How an entry comes to be a consumer's. An entry begins another *life* in a group whenever it is made pending by force; an
/// acknowledgement is of a life and of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarkHow {
    /// It had not been delivered.
    Delivered,
    /// It was pending, in this life.
    Claimed(u32),
    /// It was not pending, and begins this life.
    Forced(u32),
}

/// An entry of a stream, as a change of a group names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRef {
    /// Its id.
    pub id: StreamId,
    /// Who has written it: the place in the list of writers.
    pub writer: u32,
    /// The entry of the log that has added it.
    pub sequence: u64,
    /// Tells apart what one entry of the log has added under one id.
    pub ordinal: u32,
}
