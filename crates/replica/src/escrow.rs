//! Bounded counters of one key: counts that never fall below zero, because who decrements holds a right to.
//!
//! A counter is named by the entry that created it, and operations name the counter that they change, so a deletion takes
//! away whole counters and never rights out of one. Where two regions created the key concurrently there are two, each
//! with a bound of its own: what readers see is their sum, and that has the bound too.

use isles_clock::{Context, Dot, ReplicaId};
use isles_crdt::op::{BoundedCounter, OpBased};
use smallvec::SmallVec;

use crate::op::EscrowChange;

/// The counters of a key, in the order of the entries that created them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Escrow {
    counters: SmallVec<[(Dot, BoundedCounter); 1]>,
}

impl Escrow {
    pub(crate) fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    pub(crate) fn counters(&self) -> &[(Dot, BoundedCounter)] {
        &self.counters
    }

    /// The sum of all counters.
    pub(crate) fn value(&self) -> u128 {
        self.counters.iter().map(|(_, each)| each.value()).sum()
    }

    /// The rights that a replica holds in all of them.
    pub(crate) fn rights(&self, replica: ReplicaId) -> u64 {
        let rights = self.counters.iter().map(|(_, each)| each.rights(replica));
        rights.fold(0, u64::saturating_add)
    }

    /// Who holds how many rights, those with the most first.
    pub(crate) fn all_rights(&self) -> Vec<(ReplicaId, u64)> {
        let mut all: Vec<(ReplicaId, u64)> = Vec::new();
        for (replica, rights) in self.counters.iter().flat_map(|(_, each)| each.all_rights()) {
            match all.iter_mut().find(|(known, _)| *known == replica) {
                Some((_, sum)) => *sum = sum.saturating_add(rights),
                None => all.push((replica, rights)),
            }
        }
        all.sort_by_key(|(replica, rights)| (u64::MAX - rights, *replica));
        all
    }

    pub(crate) fn remove(&mut self, context: &impl Context) {
        self.counters.retain(|(dot, _)| !context.covers(*dot));
    }

    /// Applies one change; whether the counter was there or is new.
    pub(crate) fn apply(
        &mut self,
        dot: Dot,
        context: &impl Context,
        change: &EscrowChange,
    ) -> bool {
        let named = change.named.unwrap_or(dot);
        let index = match self.counters.binary_search_by_key(&named, |(dot, _)| *dot) {
            Ok(index) => index,
            Err(_) if change.named.is_some() => return false,
            Err(index) => {
                self.counters.insert(index, (named, BoundedCounter::new()));
                index
            }
        };
        if let Some(change) = change.change {
            self.counters[index].1.effect(dot, context, change);
        }
        true
    }
}

impl FromIterator<(Dot, BoundedCounter)> for Escrow {
    fn from_iter<I: IntoIterator<Item = (Dot, BoundedCounter)>>(counters: I) -> Self {
        let mut counters: SmallVec<[_; 1]> = counters.into_iter().collect();
        counters.sort_by_key(|(dot, _)| *dot);
        counters.dedup_by_key(|(dot, _)| *dot);
        Escrow { counters }
    }
}
