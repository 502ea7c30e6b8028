//! What readers see change, for whoever wants to tell clients: keyspace notifications and client-side caches.
//!
//! Nobody wanting it is the usual case and costs one look at a pointer per change of a row. Own changes are kept until the
//! command that made them takes them, since only the command knows what they are called; those of other replicas are told
//! as they are applied. Nothing here decides anything.

use std::fmt;

use crate::op::KeyOp;
use crate::position::Position;
use crate::replica::Replica;
use crate::rows::RESERVED_PREFIX;
use crate::txn::Txn;

/// What an own command has done to what readers see of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key; empty for [`Effect::Cleared`].
    pub key: Box<[u8]>,
    /// What happened to it.
    pub effect: Effect,
}

/// The kinds of a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A command wrote it.
    Written(Sight),
    /// Its deadline has passed by this replica's clock. Another replica may say the same of it, earlier or later.
    Expired,
    /// All keys were removed at once, and are not named.
    Cleared,
}

/// Whether readers saw a key before a write, and whether they do after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Before the write.
    pub before: bool,
    /// After the write.
    pub after: bool,
    /// It expires some time, as the write has left it.
    pub deadline: bool,
    /// It has expired with the write, which has brought a deadline that had passed.
    pub expired: bool,
    /// It had expired before the write, and nobody was told yet.
    pub lapsed: bool,
    /// The write has removed entries from the front of a stream.
    pub trimmed: bool,
}

/// What an entry of another replica has done to a key.
#[derive(Debug)]
pub struct RemoteChange<'c, 'k> {
    /// What was done.
    pub op: &'c KeyOp<'k>,
    /// How readers see it.
    pub sight: Sight,
    /// Where it is logged here: until that is durable a restart could forget it.
    pub position: Position,
}

/// Whom a replica tells of changes by others. It is called under the replica's lock, so it must be quick.
pub trait ChangeObserver: Send + fmt::Debug {
    /// An entry of another replica has changed what readers see.
    fn changed(&mut self, change: &RemoteChange<'_, '_>);
    /// A run of such entries has been applied.
    fn settled(&mut self);
}

/// The observer, and what own commands have changed since it was last taken.
#[derive(Debug)]
pub(crate) struct Changes {
    own: Vec<Change>,
    /// All keys are being removed: they are not named.
    clearing: bool,
    /// How readers saw the key that is written next, where its row does not show it.
    seen: Option<bool>,
    observer: Box<dyn ChangeObserver>,
}

impl Changes {
    pub(crate) fn note_own(&mut self, key: &[u8], mut sight: Sight) {
        sight.before = self.seen.unwrap_or(sight.before);
        if !self.clearing && (sight.before || sight.after) && !key.starts_with(RESERVED_PREFIX) {
            self.push(key, Effect::Written(sight));
        }
    }

    pub(crate) fn note_remote(&mut self, change: &RemoteChange<'_, '_>) {
        let Sight {
            before,
            after,
            lapsed,
            ..
        } = change.sight;
        if (before || after || lapsed) && !change.op.key.0.starts_with(RESERVED_PREFIX) {
            self.observer.changed(change);
        }
    }

    pub(crate) fn note_expired(&mut self, key: &[u8]) {
        self.push(key, Effect::Expired);
    }

    pub(crate) fn note_settled(&mut self) {
        self.observer.settled();
    }

    /// A second write of a key in one entry is applied as if it were the first: this is how readers saw it in between,
    /// until it is said to be none.
    pub(crate) fn set_seen(&mut self, seen: Option<bool>) {
        self.seen = seen;
    }

    pub(crate) fn begin_clearing(&mut self) {
        self.clearing = true;
    }

    pub(crate) fn end_clearing(&mut self) {
        self.clearing = false;
        self.push(&[], Effect::Cleared);
    }

    pub(crate) fn forget(&mut self) {
        self.own.clear();
    }

    fn push(&mut self, key: &[u8], effect: Effect) {
        self.own.push(Change {
            key: key.into(),
            effect,
        });
    }

    fn take(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.own)
    }
}

impl Replica {
    /// From here on changes are kept and told; with none they no longer are.
    pub fn observe_changes(&mut self, observer: Option<Box<dyn ChangeObserver>>) {
        self.changes = observer.map(|observer| {
            Box::new(Changes {
                own: Vec::new(),
                clearing: false,
                seen: None,
                observer,
            })
        });
    }

    /// Whether somebody is told of changes.
    pub fn observes_changes(&self) -> bool {
        self.changes.is_some()
    }

    /// Whether there are own changes to take: one look at a pointer while nobody wants to know.
    #[inline]
    pub fn has_changes(&self) -> bool {
        self.changes
            .as_ref()
            .is_some_and(|changes| !changes.own.is_empty())
    }

    /// What own commands have changed since the last call, in order, and keys that have expired meanwhile.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.changes
            .as_mut()
            .map_or_else(Vec::new, |changes| changes.take())
    }

    /// Finds up to so many keys whose deadline has passed, earliest first, and returns how many: for those who count them
    /// or are told of changes, since readers are judged by the clock in any case. Some 100 ns each.
    pub fn find_expired(&mut self, wall_ms: u64, limit: usize) -> usize {
        let now_ms = self.latest().wall_ms().max(wall_ms);
        self.hide_expired(now_ms, limit)
    }
}

impl Txn<'_> {
    /// As [`Replica::observe_changes`].
    pub fn observe_changes(&mut self, observer: Option<Box<dyn ChangeObserver>>) {
        self.replica_mut().observe_changes(observer);
    }

    /// As [`Replica::observes_changes`].
    pub fn observes_changes(&mut self) -> bool {
        self.replica_mut().observes_changes()
    }

    /// As [`Replica::has_changes`].
    pub fn has_changes(&mut self) -> bool {
        self.replica_mut().has_changes()
    }

    /// As [`Replica::take_changes`]: what the command that has just run did, where several share a transaction.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.replica_mut().take_changes()
    }
}
