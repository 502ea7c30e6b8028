//! The concurrent values of one key, with just enough causality to tell them from overwritten ones.

mod encoding;

use alloc::vec::Vec;
use core::fmt;

use crate::{Causality, Context, Dot, ReplicaId, VectorClock};

/// A dotted version vector set: the siblings of one key, and which writes to it are known.
///
/// A client reads [`values`](Self::values) with their [`context`](Self::context), and hands the context back when it
/// writes: the write replaces what that client had read, and nothing else. Replicas exchange whole sets and
/// [`sync`](Self::sync) them, in any order and any number of times.
///
/// ```text
/// P and Q read nothing; P writes A, Q writes B                  siblings A B
/// Q reads A B, but first P, who knows A only, writes C          siblings B C   C replaces A alone
/// Q writes D                                                    siblings C D   D replaces B, not the unseen C
/// ```
///
/// One version vector per key cannot tell which of the server's own writes a client had read: it loses C, or it keeps
/// A and B for ever and grows with each such write (*sibling explosion*). Here each replica has one entry: the number
/// of its writes, and the values of the last of them that are still siblings. A client that reads before it writes adds
/// no more than one sibling, however slow it is.
///
/// **Cost.** With *n* replicas that wrote this key, *m* in the other set or context, and *s* siblings: updating, syncing
/// and discarding cost O(m log n + s), reading O(n + s). The metadata are one replica and one number per replica, not
/// per sibling.
///
/// **Papers.** Preguiça, Baquero, Almeida, Fonte and Gonçalves, *Dotted Version Vectors: Logical Clocks for Optimistic
/// Replication*, 2010; Almeida, Baquero, Gonçalves, Preguiça and Fonte, *Scalable and Accurate Causality Tracking for
/// Eventually Consistent Stores*, 2014, which has this compact form.
///
/// ```
/// use isles_clock::{DvvSet, ReplicaId, VectorClock};
///
/// let eu = ReplicaId::from_u128(1);
/// let mut cart = DvvSet::new();
/// let nothing_read = VectorClock::new();
/// cart.update(&nothing_read, eu, "tea")?;
/// cart.update(&nothing_read, eu, "milk")?; // by a client that had not seen the tea
/// assert!(cart.values().eq(&["tea", "milk"]));
///
/// cart.update(&cart.context(), eu, "tea and milk")?;
/// assert!(cart.values().eq(&["tea and milk"]));
/// # Ok::<(), isles_clock::UpdateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DvvSet<V> {
    // Invariant: sorted by replica, each at most once.
    entries: Vec<Entry<V>>,
}

/// What is known of one replica's writes to the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry<V> {
    replica: ReplicaId,
    /// Writes through here are known. Never 0.
    sequence: u64,
    /// What the last of them wrote, the latest at the end; the writes before those are overwritten.
    /// Invariant: no longer than `sequence`, nor than `SIBLINGS_MAX`.
    siblings: Vec<V>,
}

impl<V> DvvSet<V> {
    /// One replica keeps at most so many concurrent values of a key. Only clients that write without ever reading get
    /// here, and they would fill any memory.
    pub const SIBLINGS_MAX: usize = 1 << 16;

    /// The key that nobody wrote.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Writes `value` at `replica` for a client that had read `context`: replaces what it had read and stands beside
    /// everything else. Returns the name of the write.
    ///
    /// Only `replica` itself may do so, on its own copy of the set, or a dot would be used twice. A client's context is
    /// believed: where clients are not trusted, refuse a context that names replicas or writes nobody has heard of.
    ///
    /// # Errors
    /// Nothing has changed when the context is a made-up one that leaves no sequence to this replica, or when
    /// [`SIBLINGS_MAX`](Self::SIBLINGS_MAX) writes of this replica are siblings already.
    pub fn update(
        &mut self,
        context: &VectorClock,
        replica: ReplicaId,
        value: V,
    ) -> Result<Dot, UpdateError> {
        let observed = context.get(replica);
        let (known, siblings) = self.entry(replica).map_or((0, 0), |entry| {
            (
                entry.sequence,
                entry.siblings.len() - entry.covered_by(observed),
            )
        });
        if known.max(observed) == u64::MAX {
            return Err(UpdateError::SequencesExhausted);
        }
        if siblings >= Self::SIBLINGS_MAX {
            return Err(UpdateError::TooManySiblings);
        }
        self.discard(context);
        let entry = self.entry_mut(replica);
        entry.sequence += 1;
        entry.siblings.push(value);
        Ok(Dot::new(replica, entry.sequence))
    }

    /// Removes the values that `context` covers, also those that have yet to arrive from elsewhere: what deleting a
    /// key does. The set remembers the context, so that the removed values stay away.
    pub fn discard(&mut self, context: &VectorClock) {
        for (replica, sequence) in context.iter() {
            self.entry_mut(replica).advance(sequence);
        }
    }

    /// What is known of the key, here and in `other`: a value stays unless one of the two knows that it was
    /// overwritten. Commutative, associative and idempotent.
    pub fn sync(&mut self, other: &Self)
    where
        V: Clone,
    {
        for theirs in &other.entries {
            self.entry_mut(theirs.replica).sync(theirs);
        }
    }

    /// Which writes are known: what a client hands back with its next write.
    #[must_use]
    pub fn context(&self) -> VectorClock {
        self.entries
            .iter()
            .map(|entry| (entry.replica, entry.sequence))
            .collect()
    }

    /// The siblings, in the order of their dots.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().flat_map(|entry| &entry.siblings)
    }

    /// The siblings with the writes that brought them, in the order of dots.
    pub fn iter(&self) -> impl Iterator<Item = (Dot, &V)> {
        self.entries.iter().flat_map(|entry| {
            (entry.overwritten()..entry.sequence)
                .zip(&entry.siblings)
                .map(|(before, value)| (Dot::new(entry.replica, before + 1), value))
        })
    }

    /// The number of siblings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.iter().map(|entry| entry.siblings.len()).sum()
    }

    /// Whether there is no value: nobody wrote, or everything was discarded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.iter().all(|entry| entry.siblings.is_empty())
    }

    /// How what is known here lies to what `other` knows: `Before` when syncing with it would change only this side.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Causality {
        Causality::from_dominance(self.dominates(other), other.dominates(self))
    }

    /// Whether this side knows everything that `other` knows: which writes there were, and which are overwritten.
    #[must_use]
    pub fn dominates(&self, other: &Self) -> bool {
        other.entries.iter().all(|theirs| {
            self.entry(theirs.replica).is_some_and(|ours| {
                ours.sequence >= theirs.sequence && ours.overwritten() >= theirs.overwritten()
            })
        })
    }

    fn entry(&self, replica: ReplicaId) -> Option<&Entry<V>> {
        let index = self.position(replica).ok()?;
        Some(&self.entries[index])
    }

    /// The entry of a replica that is about to be written, or known of: its sequence must not stay 0.
    fn entry_mut(&mut self, replica: ReplicaId) -> &mut Entry<V> {
        let index = self.position(replica).unwrap_or_else(|index| {
            let siblings = Vec::new();
            let entry = Entry {
                replica,
                sequence: 0,
                siblings,
            };
            self.entries.insert(index, entry);
            index
        });
        &mut self.entries[index]
    }

    fn position(&self, replica: ReplicaId) -> Result<usize, usize> {
        self.entries
            .binary_search_by_key(&replica, |entry| entry.replica)
    }
}

impl<V> Entry<V> {
    /// Writes through here are overwritten.
    fn overwritten(&self) -> u64 {
        self.sequence - self.siblings.len() as u64
    }

    /// How many of the siblings are among the writes through `sequence`.
    fn covered_by(&self, sequence: u64) -> usize {
        let covered = sequence.saturating_sub(self.overwritten());
        usize::try_from(covered).map_or(self.siblings.len(), |covered| {
            covered.min(self.siblings.len())
        })
    }

    /// Everything through `sequence` is known and overwritten.
    fn advance(&mut self, sequence: u64) {
        self.siblings.drain(..self.covered_by(sequence));
        self.sequence = self.sequence.max(sequence);
    }

    fn sync(&mut self, other: &Self)
    where
        V: Clone,
    {
        self.advance(other.overwritten());
        // The same write wrote the same value everywhere, so only those of theirs that are new here are copied.
        let known = other.covered_by(self.sequence);
        self.siblings.extend_from_slice(&other.siblings[known..]);
        self.sequence = self.sequence.max(other.sequence);
    }
}

impl<V> Default for DvvSet<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Context for DvvSet<V> {
    /// Whether the write is known, as a sibling or as overwritten.
    fn covers(&self, dot: Dot) -> bool {
        dot.sequence == 0
            || self
                .entry(dot.replica)
                .is_some_and(|entry| dot.sequence <= entry.sequence)
    }
}

/// Why a write was refused; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateError {
    /// The client's context names the last sequence there is. Nobody writes that often: the context is made up.
    SequencesExhausted,
    /// Clients keep writing this key without reading it. One of them must read, and write what is to stay.
    TooManySiblings,
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SequencesExhausted => "the context names the last write there can be",
            Self::TooManySiblings => "the key has too many siblings, read it and write again",
        })
    }
}

impl core::error::Error for UpdateError {}
