//! How a type without its context becomes one with it: the joins.
//!
//! An operation-based type (in [`op`](crate::op)) holds dots, each with what its write brought, and never a tombstone.
//! Put beside a [`DotContext`] of everything seen, the same store becomes a state that merges: a dot that the context
//! covers and the store does not hold has been removed. This is the scheme of Almeida, Shoker and Baquero, *Delta State
//! Replicated Data Types*, 2018, section 7; its `DotSet` is [`Presence`](crate::op::Presence), its `DotFun` is
//! [`Cell`](crate::op::Cell), its `DotMap` is [`Map`](crate::op::Map). One context serves a whole nest of stores, so a
//! map of maps of sets costs no more of it than a set.
//!
//! # Why deltas join
//!
//! A state, a delta of an update, and what [`lacking`](DotStore::lacking) makes for a peer all say the same two things, and
//! nothing else: these dots are *alive*, with what they brought; these are *gone*, namely those that the context covers and
//! that are not alive. A dot that is neither is not spoken of. A dot is born once, always with the same value, and what
//! is gone never comes back. So the join of two is clear: gone is what either says is gone, alive is what either says is
//! alive and neither says is gone. Both are unions of sets, and therefore commutative, associative and idempotent, among
//! any mixture of states and deltas.
//!
//! For that, everything that two replicas may know differently of must have a dot of its own, also a reset (see
//! [`Ledger`](crate::op::Ledger)): a change of an entry in place, under a dot that both have seen, would be lost with
//! whichever side is looked at second. And a context must cover no more than this. The delta of an update covers the dots
//! that it brings, and those that it took the place of. What a peer lacks covers everything that is gone, wherever it lay,
//! and what is alive and lacking; it does not cover what is alive and known to the peer, because it does not hold that, and
//! would say that it is gone.
//!
//! Beside the dots goes one clock: the removals that were forgotten ([`Veto`](crate::op::Veto)). It joins by the greatest
//! sequence for each replica.
//!
//! A type of your own that implements [`DotStore`] nests in an [`AwMap`](crate::AwMap), and is a state with deltas as
//! [`Causal`](crate::Causal) of it.

use alloc::vec::Vec;

use isles_clock::{Context, Dot, DotContext, Hlc, ReplicaId, Stamp, VectorClock};
use smallvec::{Array, SmallVec};

use crate::op::Nested;

/// A store of dots that can be joined with another one, given what either side has seen.
///
/// A *fragment* is a store that holds what one update changed. It has the same type; a map in a fragment additionally
/// says whether it speaks of all keys or only of those it names, so that applying it looks at nothing else.
pub trait DotStore: Nested + Clone {
    /// The fragment of no change: it names nothing.
    #[must_use]
    fn unnamed() -> Self {
        Self::default()
    }

    /// Whether it is a whole store in its one normal form, and not a fragment: what a decoder has to check.
    fn is_state(&self) -> bool;

    /// Calls `visit` with every dot it holds, each once.
    fn each_dot(&self, visit: &mut dyn FnMut(Dot));

    /// Calls `visit` with every dot that [`forget`](crate::Crdt::forget) may take from here and that writers elsewhere
    /// must be known to have observed, since it may still be there.
    fn each_removal(&self, visit: &mut dyn FnMut(Dot)) {
        let _ = visit;
    }

    /// Keeps the dots that both hold, and of the dots that one holds those that the other has not seen.
    ///
    /// It is the least upper bound of the two with their contexts `seen` and `theirs`, which the caller joins. Cost: what
    /// `other` holds, times a look-up; where `other` speaks of all keys, also what is here.
    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext);

    /// Makes an update and returns the fragment that does the same elsewhere.
    fn mutate(&mut self, writer: &mut Writer<'_>, update: Self::Update) -> Self;

    /// Removes everything, because the key above it is removed; returns the fragment that does the same elsewhere.
    fn wipe(&mut self, writer: &mut Writer<'_>) -> Self;

    /// The fragment of what a peer that has seen `theirs` lacks. The dots that are held here and left out, because the
    /// peer knows of them, go to `kept`.
    #[must_use]
    fn lacking(&self, theirs: &DotContext, kept: &mut Vec<Dot>) -> Self;
}

/// Who makes an update: the source of its dots, and the notebook of the dots that it supersedes.
///
/// A dot must come to lie in one place only: where an update writes in two places, it takes two.
#[derive(Debug)]
pub struct Writer<'a> {
    at: Stamp,
    seen: &'a mut DotContext,
    forgotten: &'a VectorClock,
    superseded: DotContext,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(at: Stamp, seen: &'a mut DotContext, forgotten: &'a VectorClock) -> Self {
        let superseded = DotContext::new();
        Self {
            at,
            seen,
            forgotten,
            superseded,
        }
    }

    /// A new dot.
    ///
    /// # Panics
    /// After 2^64 writes of one replica.
    pub fn dot(&mut self) -> Dot {
        self.seen.next(self.at.replica)
    }

    /// Notes that the update takes the place of `dot`.
    pub fn supersede(&mut self, dot: Dot) {
        self.superseded.insert(dot);
    }

    /// What [`forget`](crate::Crdt::forget) may have taken away, if it ever did: the writer has observed it.
    #[must_use]
    pub fn forgotten(&self) -> Option<&VectorClock> {
        (!self.forgotten.is_empty()).then_some(self.forgotten)
    }

    /// Who writes.
    #[must_use]
    pub const fn replica(&self) -> ReplicaId {
        self.at.replica
    }

    /// When.
    #[must_use]
    pub const fn hlc(&self) -> Hlc {
        self.at.hlc
    }

    /// Whether the update took the place of anything so far.
    pub(crate) fn has_superseded(&self) -> bool {
        !self.superseded.is_empty()
    }

    pub(crate) fn into_superseded(self) -> DotContext {
        self.superseded
    }
}

/// Joins two sorted lists of entries that each have a dot, as [`DotStore::join`] says.
pub(crate) fn join_entries<A: Array<Item: Clone>>(
    ours: &mut SmallVec<A>,
    seen: &DotContext,
    other: &[A::Item],
    theirs: &DotContext,
    dot: impl Fn(&A::Item) -> Dot,
) {
    // Nearly everywhere there is one entry, and nearly always the same.
    if let ([one], [same]) = (ours.as_slice(), other)
        && dot(one) == dot(same)
    {
        return;
    }
    let holds = |entries: &[A::Item], wanted: Dot| entries.binary_search_by_key(&wanted, &dot);
    ours.retain(|entry| {
        let dot = dot(entry);
        holds(other, dot).is_ok() || !theirs.covers(dot)
    });
    for entry in other {
        if let Err(index) = holds(ours, dot(entry))
            && !seen.covers(dot(entry))
        {
            ours.insert(index, entry.clone());
        }
    }
}

/// The entries that `theirs` does not cover; the dots of the others go to `kept`.
pub(crate) fn lacking_entries<A: Array<Item: Clone>>(
    entries: &SmallVec<A>,
    theirs: &DotContext,
    kept: &mut Vec<Dot>,
    dot: impl Fn(&A::Item) -> Dot,
) -> SmallVec<A> {
    let mut lacking = SmallVec::new();
    for entry in entries {
        if theirs.covers(dot(entry)) {
            kept.push(dot(entry));
        } else {
            lacking.push(entry.clone());
        }
    }
    lacking
}
