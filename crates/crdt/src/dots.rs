//! How a type without its context becomes one with it: the joins.
//!
//! An operation-based type (in [`op`](crate::op)) holds dots, each with what its write brought, and never a tombstone.
//! Put beside a [`DotContext`] of everything seen, the same store becomes a state that merges: a dot that the context
//! covers and the store does not hold has been removed. This is the scheme of Almeida, Shoker and Baquero, *Delta State
//! Replicated Data Types*, 2018, section 7; its `DotSet` is [`Presence`](crate::op::Presence), its `DotFun` is
//! [`Cell`](crate::op::Cell), its `DotMap` is [`Map`](crate::op::Map). One context serves a whole nest of stores, so a
//! map of maps of sets costs no more of it than a set.
//!
//! A type of your own that implements [`DotStore`] nests in an [`AwMap`](crate::AwMap), and is a state with deltas as
//! [`Causal`](crate::Causal) of it.

use alloc::vec::Vec;

use isles_clock::{Context, Dot, DotContext, Hlc, ReplicaId, Stamp, VectorClock};
use smallvec::SmallVec;

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

    /// Calls `visit` with every dot it holds.
    fn each_dot(&self, visit: &mut dyn FnMut(Dot));

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

    pub(crate) fn into_superseded(self) -> DotContext {
        self.superseded
    }
}

/// Joins two sorted lists of entries that each have a dot, as [`DotStore::join`] says.
pub(crate) fn join_entries<X: Clone>(
    ours: &mut SmallVec<[X; 1]>,
    seen: &DotContext,
    other: &[X],
    theirs: &DotContext,
    dot: impl Fn(&X) -> Dot,
) {
    // Nearly everywhere there is one entry, and nearly always the same.
    if let ([one], [same]) = (ours.as_slice(), other)
        && dot(one) == dot(same)
    {
        return;
    }
    let holds = |entries: &[X], wanted: Dot| entries.binary_search_by_key(&wanted, &dot);
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
pub(crate) fn lacking_entries<X: Clone>(
    entries: &[X],
    theirs: &DotContext,
    kept: &mut Vec<Dot>,
    dot: impl Fn(&X) -> Dot,
) -> SmallVec<[X; 1]> {
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
