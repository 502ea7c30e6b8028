//! What one entry does to one key, as it is logged and sent.
//!
//! An op is a *net effect*: at most one [`KeyOp`] per key in an entry, in it at most one [`Part`] per component, and in
//! that each element at most once; removals come before additions and nothing observes its own entry's dot. Hence
//! applying an op is a function of the op and of the row it meets, and of nothing else: a writer applies its own ops
//! through the same code as everybody else.
//!
//! The bytes are drawn in `docs/format.md`. Tags are frozen: a new kind takes a new tag, and an old reader refuses it by
//! number.

mod groups;

mod rule;

use isles_clock::{Dot, Hlc, ReplicaId, VectorClock};
use isles_crdt::hyper_log_log::Sketch;
use isles_crdt::list::{Place, Position, Positions, Stretch};
use isles_crdt::op::{BoundedCounterOp, Increment, Reset};
use isles_crdt::sorted_set::Score;
use isles_crdt::update::FlagUpdate;
use isles_resolve::Sums;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smallvec::SmallVec;

pub use self::groups::{
    EntryRef, GroupChange, GroupMark, GroupReach, GroupStep, MarkHow, NewGroup, PendingPart,
    PendingParts,
};
use crate::stream::{StreamId, StreamMark};

/// The component kinds of a key, class and wins-rule included, in the order of precedence: of several components that
/// were created concurrently the first one here is the visible one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// One value; the greatest stamp wins.
    RegisterLww = 1,
    /// Every value that no write has observed.
    RegisterMv = 2,
    /// Fields with values or counters; a concurrent update beats a removal.
    Map = 3,
    /// Members; a concurrent addition beats a removal.
    SetAw = 4,
    /// Members; a concurrent removal beats an addition.
    SetRw = 5,
    /// Members with scores; a concurrent update beats a removal.
    SortedSet = 6,
    /// A sequence of elements; each keeps its place, and is a register.
    List = 7,
    /// Entries in the order of their ids.
    Stream = 8,
    /// A sum of per-replica contributions.
    Counter = 9,
    /// On or off; a concurrent enabling wins.
    FlagEw = 10,
    /// On or off; a concurrent disabling wins.
    FlagDw = 11,
    /// Sketches of how many different things were seen.
    HyperLogLog = 12,
    /// Counts that are never below zero, by rights in escrow.
    BoundedCounter = 13,
}

impl Kind {
    /// Every kind, in order of precedence.
    pub const ALL: [Kind; 13] = [
        Kind::RegisterLww,
        Kind::RegisterMv,
        Kind::Map,
        Kind::SetAw,
        Kind::SetRw,
        Kind::SortedSet,
        Kind::List,
        Kind::Stream,
        Kind::Counter,
        Kind::FlagEw,
        Kind::FlagDw,
        Kind::HyperLogLog,
        Kind::BoundedCounter,
    ];

    /// The kind with this stored tag.
    pub fn from_tag(tag: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == tag)
    }

    /// The name that conflicts, documents and errors use.
    pub fn name(self) -> &'static str {
        match self {
            Kind::RegisterLww => "register-lww",
            Kind::RegisterMv => "register-mv",
            Kind::Map => "map",
            Kind::SetAw => "set-aw",
            Kind::SetRw => "set-rw",
            Kind::SortedSet => "sorted-set",
            Kind::List => "list",
            Kind::Stream => "stream",
            Kind::Counter => "counter",
            Kind::FlagEw => "flag-ew",
            Kind::FlagDw => "flag-dw",
            Kind::HyperLogLog => "hyperloglog",
            Kind::BoundedCounter => "bounded-counter",
        }
    }
}

/// Borrowed bytes, length-prefixed on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob<'a>(pub &'a [u8]);

impl std::fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;
        impl<'de> de::Visitor<'de> for Borrowed {
            type Value = Blob<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("borrowed bytes")
            }
            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Blob<'de>, E> {
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_bytes(Borrowed)
    }
}

/// One atomic write: what a command, or a whole MULTI/EXEC, did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Stamp minus the frame's base stamp.
    pub stamp_delta: u64,
    /// Rare extras; an entry without any spends one byte on them.
    #[serde(borrow)]
    pub attributes: Vec<Attribute<'a>>,
    /// The ops, one per key, in the order of their first mention.
    pub ops: Vec<KeyOp<'a>>,
}

/// What a few entries carry beyond their ops. The tags exist from the first format on; those that nothing uses yet are
/// decoded, kept and ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Attribute<'a> {
    /// A client's operation id and the reply that it was given.
    Operation {
        /// Client and number, as the client sent them.
        #[serde(borrow)]
        id: Blob<'a>,
        /// The reply, or empty where it was too long to keep.
        reply: Blob<'a>,
    },
    /// The dot of the entry that this one issues again under a new replica id.
    Reissues {
        /// The writer of the original.
        replica: ReplicaId,
        /// Its sequence.
        sequence: u64,
    },
    /// What the client had observed, where that is less than what its node had.
    Context(VectorClock),
    /// The leadership epoch under which a home keyspace was written.
    Epoch(u64),
    /// A conflict that this entry resolves.
    Resolves(u128),
    /// Room for later versions.
    Spare {
        /// Which.
        tag: u32,
        /// Its bytes.
        bytes: Blob<'a>,
    },
}

/// One entry's net effect on one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyOp<'a> {
    /// The key.
    #[serde(borrow)]
    pub key: Blob<'a>,
    /// What happens to what was there.
    pub base: Base,
    /// Contributions of the top-level counter that this op takes away.
    pub resets: SmallVec<[Reset; 1]>,
    /// What is removed from and added to the components.
    pub parts: SmallVec<[Part<'a>; 1]>,
}

/// What an op does to the content that its writer had observed, before its parts are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Base {
    /// Leave it.
    Keep,
    /// Remove all of it and set the deadline to none: DEL, and every overwrite.
    Clear,
    /// The writer found nothing, or something expired: as [`Base::Clear`], and counter contributions that it did not
    /// list become covered.
    Create,
}

impl<'a> KeyOp<'a> {
    /// An op that changes nothing yet.
    pub fn new(key: &'a [u8]) -> Self {
        KeyOp {
            key: Blob(key),
            base: Base::Keep,
            resets: SmallVec::new(),
            parts: SmallVec::new(),
        }
    }
}

/// An op's effect on one component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Part<'a> {
    /// A write of the `lww` register; no value is a tombstone.
    RegisterLww {
        /// The op's own stamp, where it had to be raised above that of what it replaces.
        stamp: Option<Hlc>,
        /// The value.
        #[serde(borrow)]
        value: Option<Blob<'a>>,
    },
    /// A write of the multi-value register: it replaces what it observed.
    RegisterMv {
        /// The value.
        value: Blob<'a>,
    },
    /// Changes of the fields of a map.
    Map(#[serde(borrow)] Box<MapPart<'a>>),
    /// Changes of the members of an add-wins set.
    SetAw(SetPart<'a>),
    /// Changes of the members of a remove-wins set.
    SetRw(SetPart<'a>),
    /// Changes of the members of a sorted set.
    SortedSet(#[serde(borrow)] Box<SortedSetPart<'a>>),
    /// Changes of the elements of a list.
    List(Box<ListPart<'a>>),
    /// Changes of the entries of a stream.
    Stream(Box<StreamPart<'a>>),
    /// An increment of the counter.
    Counter(Increment),
    /// A change of the enable-wins flag.
    FlagEw(FlagUpdate),
    /// A change of the disable-wins flag.
    FlagDw(FlagUpdate),
    /// What a sketch rises by.
    HyperLogLog(Box<SketchPart>),
    /// A change of the deadline.
    Deadline {
        /// The op's own stamp, where it had to be raised above that of what it replaces.
        stamp: Option<Hlc>,
        /// Milliseconds since 1970; none means that the key stays.
        at_ms: Option<u64>,
    },
    /// Changes of bounded counters.
    BoundedCounter(EscrowPart),
    /// Of a sorted set everything that was observed goes, but for these members. Comes before its other changes, which list
    /// what goes of counters.
    SortedSetKept(#[serde(borrow)] Vec<Blob<'a>>),
    /// A write of the multi-value register that knows of differences of numbers in its value.
    RegisterMvSummed(#[serde(borrow)] Box<SummedPart<'a>>),
}

impl Part<'_> {
    /// The component kind that this part changes; none for the deadline.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Part::RegisterLww { .. } => Kind::RegisterLww,
            Part::RegisterMv { .. } | Part::RegisterMvSummed(_) => Kind::RegisterMv,
            Part::Map(_) => Kind::Map,
            Part::SetAw(_) => Kind::SetAw,
            Part::SetRw(_) => Kind::SetRw,
            Part::SortedSet(_) | Part::SortedSetKept(_) => Kind::SortedSet,
            Part::List(_) => Kind::List,
            Part::Stream(_) => Kind::Stream,
            Part::Counter(_) => Kind::Counter,
            Part::FlagEw(_) => Kind::FlagEw,
            Part::FlagDw(_) => Kind::FlagDw,
            Part::HyperLogLog(_) => Kind::HyperLogLog,
            Part::BoundedCounter(_) => Kind::BoundedCounter,
            Part::Deadline { .. } => return None,
        })
    }
}

/// A document and what it knows of the differences that were made to its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SummedPart<'a> {
    /// The value.
    #[serde(borrow)]
    pub value: Blob<'a>,
    /// What its writer and all that it had observed have added.
    pub sums: Sums,
}

/// Removals, then additions, of set members. In a remove-wins set no member is in both: the last change of an entry counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetPart<'a> {
    /// Members whose observed additions go; where removals win, also every one that has not observed this.
    #[serde(borrow)]
    pub remove: SmallVec<[Blob<'a>; 1]>,
    /// Members that are added.
    pub add: SmallVec<[Blob<'a>; 1]>,
}

/// A new sketch, or what one that is there rises by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SketchPart {
    /// The entry that created the sketch; none for one that this entry creates. If it is gone, nothing happens.
    pub named: Option<Dot>,
    /// The registers that rise.
    pub sketch: Sketch,
}

/// Changes of bounded counters, each at most once per count.
pub type EscrowPart = SmallVec<[EscrowChange; 1]>;

/// A new bounded counter, or a change of one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowChange {
    /// The entry that created the counter; none for the one that this entry creates. If it is gone, nothing happens.
    pub named: Option<Dot>,
    /// A running total of the writer; none where the counter is created at zero.
    pub change: Option<BoundedCounterOp>,
}

/// Removals, then writes and increments, of fields: a map's, whose values are bytes, or a sorted set's members, whose
/// values are scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "V: Deserialize<'de>, 'de: 'a"))]
pub struct FieldsPart<'a, V> {
    /// Fields whose observed content goes, with the counter contributions that go with it.
    pub remove: SmallVec<[FieldRemoval<'a>; 1]>,
    /// Fields that get a value; a value replaces what was observed of the field, its counter included.
    pub put: SmallVec<[FieldPut<'a, V>; 1]>,
    /// Fields that are incremented.
    pub add: SmallVec<[FieldTally<'a>; 1]>,
}

/// Changes of map fields.
pub type MapPart<'a> = FieldsPart<'a, Blob<'a>>;

/// Changes of the members of a sorted set. An increment's total is the bits of a score.
pub type SortedSetPart<'a> = FieldsPart<'a, Score>;

impl<V> Default for FieldsPart<'_, V> {
    fn default() -> Self {
        FieldsPart {
            remove: SmallVec::new(),
            put: SmallVec::new(),
            add: SmallVec::new(),
        }
    }
}

impl<V> FieldsPart<'_, V> {
    /// Whether it brings anything, or only takes away.
    pub fn adds(&self) -> bool {
        !self.put.is_empty() || !self.add.is_empty()
    }
}

/// A field that is removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldRemoval<'a> {
    /// The field.
    #[serde(borrow)]
    pub field: Blob<'a>,
    /// The counter contributions that go.
    pub resets: SmallVec<[Reset; 1]>,
}

/// A field that is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "V: Deserialize<'de>, 'de: 'a"))]
pub struct FieldPut<'a, V> {
    /// The field.
    pub field: Blob<'a>,
    /// The value.
    pub value: V,
    /// The counter contributions that the value replaces.
    pub resets: SmallVec<[Reset; 1]>,
}

/// A field that is incremented.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldTally<'a> {
    /// The field.
    #[serde(borrow)]
    pub field: Blob<'a>,
    /// The writer's running total.
    pub tally: Increment,
}

/// Removals, then writes and insertions, of list elements. What is inserted by an entry is neither removed nor written
/// by it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListPart<'a> {
    /// Elements whose observed content goes.
    pub remove: Positions,
    /// The same for all that lie in a stretch, whichever these are.
    pub cut: SmallVec<[Stretch; 1]>,
    /// Elements that get a value, in the place of what was observed of them.
    #[serde(borrow)]
    pub set: SmallVec<[ElementPut<'a>; 1]>,
    /// Elements that are new.
    pub insert: SmallVec<[Insertion<'a>; 1]>,
}

impl ListPart<'_> {
    /// Whether it brings anything, or only takes away.
    pub fn adds(&self) -> bool {
        !self.set.is_empty() || !self.insert.is_empty()
    }
}

/// A list element that is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElementPut<'a> {
    /// The element.
    pub position: Position,
    /// The write's own stamp, where it had to be raised above that of what it replaces.
    pub stamp: Option<Hlc>,
    /// The value.
    #[serde(borrow)]
    pub value: Blob<'a>,
}

/// Elements that are inserted in one go and stay together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Insertion<'a> {
    /// Where; with the entry's dot and the ordinal it gives the position of the first.
    pub place: Place,
    /// The place of the first among everything that the entry inserts into this list; the others follow it.
    pub ordinal: u32,
    /// The values, in their order.
    #[serde(borrow)]
    pub values: SmallVec<[Blob<'a>; 1]>,
}

/// Removals, then additions, of entries of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamPart<'a> {
    /// Ids whose observed entries go.
    pub remove: SmallVec<[StreamId; 1]>,
    /// All observed entries up to this id go.
    pub trim: Option<StreamId>,
    /// The greatest id that has ever been removed by name, if that has become another.
    pub deleted: Option<StreamId>,
    /// Entries that are added, in the order of their ids. Those that share an id, as only those of a copy do, are told apart
    /// by their order.
    #[serde(borrow)]
    pub add: SmallVec<[StreamEntry<'a>; 1]>,
    /// What the stream knows of itself from now on; replaces what was observed of it.
    pub mark: Option<StreamMark>,
    /// What happens to consumer groups, in this order, after all of the above.
    pub groups: SmallVec<[GroupStep<'a>; 1]>,
}

impl StreamPart<'_> {
    /// Whether it changes nothing but consumer groups.
    pub fn is_only_groups(&self) -> bool {
        self.remove.is_empty()
            && self.add.is_empty()
            && self.trim.is_none()
            && self.deleted.is_none()
            && self.mark.is_none()
    }
}

/// An entry that is added to a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamEntry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Field names and values in turn.
    #[serde(borrow)]
    pub fields: SmallVec<[Blob<'a>; 4]>,
}
