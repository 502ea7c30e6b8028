//! What happens to conflicts, for whoever measures it.
//!
//! A replica has no clock of its own, so the observer brings one. Nothing here decides anything: replicas with different
//! observers, or none, hold the same content. All of it costs something only where a conflict is.

use std::collections::HashMap;
use std::fmt;

use isles_clock::ReplicaId;

use crate::apply::Types;
use crate::journal::Journal;
use crate::lens::Lens;
use crate::position::Position;
use crate::replica::Replica;
use crate::row::Row;
use crate::rows::hash_of;
use crate::txn::Txn;

/// Keys whose open conflicts are timed; those of further ones are not.
pub const OPEN_KEYS_MAX: usize = 100_000;

/// Whom a replica tells what becomes of conflicts. It is called under the replica's lock, so it must be quick.
pub trait Observer: Send + fmt::Debug {
    /// A clock that never goes back, in nanoseconds.
    fn now_ns(&self) -> u64;
    /// A conflict was settled, or a reader was given one answer for several siblings; it took so long.
    fn resolved(&self, lens: &Lens, ns: u64);
    /// A conflict has left so many values beside each other under one key.
    fn left_siblings(&self, siblings: usize);
    /// A write that had seen all values of a key has ended its conflict, which had been open for so long.
    fn collapsed(&self, open_ms: u64);
}

/// Whom a replica tells of new records of its journal. It is called under the replica's lock, so it must be quick.
pub trait JournalObserver: Send + fmt::Debug {
    /// `own` is the replica's identity; the records from `first` on are new and will not change by themselves. What is said
    /// of them may leave once the log is durable through `position`.
    fn recorded(&mut self, own: ReplicaId, journal: &Journal, first: u64, position: Position);
}

/// The observer of new records.
#[derive(Debug)]
pub(crate) struct News {
    observer: Box<dyn JournalObserver>,
    /// Records before this sequence were there when it began to observe, also if the log is told of them only now, as
    /// after a restart of those whose note was lost.
    since: u64,
}

impl News {
    pub(crate) fn tell(
        &mut self,
        own: ReplicaId,
        journal: &Journal,
        first: u64,
        position: Position,
    ) {
        let first = first.max(self.since);
        if first < journal.next_sequence() {
            self.observer.recorded(own, journal, first, position);
        }
    }
}

/// Runs `resolve`, and tells the observer how long it took.
pub(crate) fn timed<R>(
    observer: Option<&dyn Observer>,
    lens: &Lens,
    resolve: impl FnOnce() -> R,
) -> R {
    let Some(observer) = observer else {
        return resolve();
    };
    let started = observer.now_ns();
    let result = resolve();
    observer.resolved(lens, observer.now_ns().saturating_sub(started));
    result
}

/// The observer, and the conflicts that wait for a write which has seen them.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    observer: Option<Box<dyn Observer>>,
    /// By the hash of the key: when its conflict was detected, in milliseconds since 1970.
    open: HashMap<u64, u64>,
}

impl Watch {
    pub(crate) fn observer(&self) -> Option<&dyn Observer> {
        self.observer.as_deref()
    }

    /// An op has met a conflict, and so many values stand beside each other now.
    pub(crate) fn note_conflict(&mut self, hash: u64, rivals: usize, now_ms: u64) {
        if rivals < 2 {
            return;
        }
        if self.open.len() < OPEN_KEYS_MAX {
            self.open.entry(hash).or_insert(now_ms);
        }
        if let Some(observer) = &self.observer {
            observer.left_siblings(rivals);
        }
    }

    /// Of several values at most one is left.
    pub(crate) fn note_collapse(&mut self, hash: u64, now_ms: u64) {
        if let (Some(since_ms), Some(observer)) = (self.open.remove(&hash), &self.observer) {
            observer.collapsed(now_ms.saturating_sub(since_ms));
        }
    }
}

/// How many values of a row stand beside each other: siblings of its register, or values of several types.
pub(crate) fn rivals(row: &Row, live_values: usize) -> usize {
    let siblings = row.mv().map_or(0, |cell| cell.versions().len());
    siblings.max(live_values)
}

impl Replica {
    /// From here on the observer is told of conflicts, and the totals start at zero: call it once the log is replayed.
    /// Costs a look at every record of the journal.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.journal.forget_totals();
        self.keyspaces.forget_counts();
        self.rows.forget_expired_total();
        let kept = self.journal.iter().filter(|record| record.kept);
        let open = kept.filter_map(|record| {
            let hash = hash_of(&record.key);
            let row = self.rows.look(&record.key, hash)?;
            let rivals = rivals(&row, Types::of(&row).count());
            (rivals > 1).then_some((hash, record.detected_ms))
        });
        // Of several records of one key the oldest comes first.
        let mut since = HashMap::new();
        for (hash, detected_ms) in open.take(OPEN_KEYS_MAX) {
            since.entry(hash).or_insert(detected_ms);
        }
        self.watch = Watch {
            observer: Some(observer),
            open: since,
        };
    }

    /// From here on somebody is told of new records of the journal; with none nobody is any more.
    pub fn observe_journal(&mut self, observer: Option<Box<dyn JournalObserver>>) {
        let since = self.journal.next_sequence();
        self.news = observer.map(|observer| News { observer, since });
    }

    /// Whether somebody is told of new records of the journal.
    pub fn observes_journal(&self) -> bool {
        self.news.is_some()
    }

    /// Number of keys whose conflict waits for a write that has seen all its values, at most [`OPEN_KEYS_MAX`].
    pub fn open_conflicts(&self) -> usize {
        self.watch.open.len()
    }

    /// Since when the oldest of them waits, in milliseconds since 1970. Costs a look at each.
    pub fn open_conflicts_since_ms(&self) -> Option<u64> {
        self.watch.open.values().min().copied()
    }

    /// Ops of other replicas applied since start, by the prefix of their keyspace.
    pub fn remote_ops(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.keyspaces.counts()
    }
}

impl Txn<'_> {
    /// As [`Replica::observe_journal`].
    pub fn observe_journal(&mut self, observer: Option<Box<dyn JournalObserver>>) {
        self.replica_mut().observe_journal(observer);
    }

    /// As [`Replica::observes_journal`].
    pub fn observes_journal(&mut self) -> bool {
        self.replica_mut().observes_journal()
    }
}
