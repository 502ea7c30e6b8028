//! What a write means and what peers are told: the heart of Isles, without IO.
//!
//! A [`Replica`] is a plain state machine. Commands run on a [`Txn`] and become ops ([`op`]) in frames ([`frame`]);
//! frames of peers wait in [`delivery`] until everything before them is applied; every op, whoever wrote it, changes its
//! row in one place, `apply`, where concurrent writes are detected exactly ([`conflict`]) and recorded ([`journal`]). A [`session`]
//! decides what one peer is told, [`image`] what the table keeps, [`cold`] what memory need not, and [`rest`] what need not lie
//! there unpacked.
//!
//! This crate never sees tokio, sockets, files, the clock of the machine, or randomness: time comes in as arguments,
//! bytes go out as values, and the same code runs in a node, in the simulator, and when a log is replayed.

pub mod cold;
pub mod conflict;
#[doc(hidden)]
pub mod damage;
pub mod delivery;
pub mod frame;
pub mod history;
pub mod hyll;
pub mod image;
pub mod inspect;
pub mod journal;
pub mod op;
pub mod rest;
pub mod session;

mod apply;
mod bound;
mod changes;
mod escrow;
mod garbage;
mod hot_keys;
mod keyspace;
mod lens;
mod libraries;
mod list;
mod listing;
mod members;
mod note;
mod observer;
mod paged;
mod position;
mod remove_wins;
mod replica;
mod resolvers;
mod row;
mod rows;
mod sketches;
mod sorted_set;
mod stream;
mod sum;
mod summed;
mod trail;
mod txn;
mod waiting;
mod warm;

pub use self::changes::{Change, ChangeObserver, Effect, RemoteChange, Sight};
pub use self::cold::{
    Admitted, Evicted, Eviction, Loaded, MISSING_MAX, Missing, Receipt, UnwrittenImages,
};
pub use self::conflict::{ConflictKind, ConflictRecord, Contender, Origin, Settled, Settling};
pub use self::frame::{Frame, FrameError};
pub use self::garbage::Garbage;
pub use self::hot_keys::{HOT_KEY_BYTES_MAX, HotKey, HotKeys, MONITORED};
pub use self::journal::{Journal, JournalLimits, JournalRecord};
pub use self::keyspace::SetRule;
pub use self::lens::{Lens, ParseLensError, RESOLVER_NAME_BYTES_MAX, ResolverName};
pub use self::listing::{Listing, Unlisted};
pub use self::note::Note;
pub use self::observer::{JournalObserver, OPEN_KEYS_MAX, Observer};
pub use self::position::Position;
pub use self::replica::{
    APPLY_ENTRIES, ReplayError, Replica, ReplicaConfig, Restored, SIBLINGS_MAX_DEFAULT, Unlogged,
    UnloggedContent,
};
pub use self::resolvers::{Answered, FailedKey, LoadedResolver, Question, ResolverInUse};
pub use self::rest::{REST_MS, Rested, Resting};
pub use self::rows::{BUCKETS, RESERVED_PREFIX};
pub use self::sorted_set::SortedSet;
pub use self::stream::{StreamId, StreamMark};
pub use self::txn::{
    Acknowledged, AddIf, Added, Answer, AutoClaimed, ConsumerInfo, ContextError, EachEntry,
    EachField, EachPending, EscrowError, Expiry, FieldValue, FlagKind, GROUP_CONSUMERS_MAX,
    GROUP_FORCED_MAX, GROUP_NAME_BYTES_MAX, GROUP_PENDING_MAX, GroupError, GroupInfo, GroupStart,
    IncrementError, InsertError, KEY_BYTES_MAX, ListEnd, ListSide, MIGRATED_BYTES_MAX, Migration,
    NewStreamId, NotANumber, PendingInfo, PendingQuery, RESOLVES_MAX, RestoreError, RestoreIf,
    RestoreOutcome, STREAM_GROUPS_MAX, Savepoint, Scope, ScoreIf, SetStreamIdError, SiblingVersion,
    Siblings, SketchError, StreamAddError, StreamClaim, StreamInfo, StreamTrim, StreamTrimBound,
    StreamTrimUnits, Txn, ValueType, WholeStream, WriteRefused, WrongType, sketch_hash,
};
pub use self::waiting::Wanting;
pub use self::warm::{WARM_MAX, WARM_MIN, Wanted};
pub use isles_crdt::sorted_set::Score;
