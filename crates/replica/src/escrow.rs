//! Bounded counters of one key: counts that never fall below zero, because who decrements holds a right to.
//!
//! A counter is named by the entry that created it, and operations name the counter that they change, so a deletion takes
//! away whole counters and never rights out of one. Where two regions created the key concurrently there are two, each
//! with a bound of its own: what readers see is their sum, and that has the bound too.

use isles_clock::{Context, Dot, ReplicaId};
use isles_crdt::op::{BoundedCounter, BoundedCounterOp, OpBased};
use smallvec::SmallVec;

use crate::apply::Author;
use crate::op::EscrowChange;
use crate::trail::{Change, Trail};

/// The counters of a key, in the order of the entries that created them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Escrow {
    counters: SmallVec<[(Dot, BoundedCounter); 1]>,
    /// Nearly always empty, so that it takes no more room than that.
    pub(crate) trail: Option<Box<Trail>>,
}

/// By how much a change has moved a counter: what was added less what was taken.
pub(crate) fn moved_by(
    counter: &mut BoundedCounter,
    dot: Dot,
    context: &impl Context,
    change: BoundedCounterOp,
) -> i128 {
    let balance = |counter: &BoundedCounter| {
        let [granted, spent] = [counter.granted(), counter.spent()]
            .map(|count| i128::try_from(count).unwrap_or(i128::MAX));
        granted - spent
    };
    let before = balance(counter);
    counter.effect(dot, context, change);
    balance(counter) - before
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

    /// Removes the counters that the author has seen; returns the changes that are lost with them.
    pub(crate) fn clear<C: Context>(&mut self, author: &Author<'_, C>) -> Vec<Change> {
        let mut seen = Vec::new();
        self.counters.retain(|(dot, counter)| {
            let is_seen = author.context.covers(*dot);
            if is_seen {
                seen.push((*dot, Some(std::mem::take(counter))));
            }
            !is_seen
        });
        match seen.is_empty() {
            true => Vec::new(),
            false => self.trail.get_or_insert_default().delete(seen, author),
        }
    }

    /// Whether the counter that a change names is there; one that it creates is.
    pub(crate) fn has(&self, change: &EscrowChange) -> bool {
        let found = |named: Dot| self.counters.iter().any(|(dot, _)| *dot == named);
        change.named.is_none_or(found)
    }

    /// Applies one change, and says by how much it has moved the counter.
    pub(crate) fn apply(
        &mut self,
        dot: Dot,
        context: &impl Context,
        change: &EscrowChange,
    ) -> i128 {
        let named = change.named.unwrap_or(dot);
        let index = match self.counters.binary_search_by_key(&named, |(dot, _)| *dot) {
            Ok(index) => index,
            Err(_) if change.named.is_some() => return 0,
            Err(index) => {
                self.counters.insert(index, (named, BoundedCounter::new()));
                index
            }
        };
        let counter = &mut self.counters[index].1;
        let change = change.change;
        change.map_or(0, |change| moved_by(counter, dot, context, change))
    }
}

impl FromIterator<(Dot, BoundedCounter)> for Escrow {
    fn from_iter<I: IntoIterator<Item = (Dot, BoundedCounter)>>(counters: I) -> Self {
        let mut counters: SmallVec<[_; 1]> = counters.into_iter().collect();
        counters.sort_by_key(|(dot, _)| *dot);
        counters.dedup_by_key(|(dot, _)| *dot);
        Escrow {
            counters,
            trail: None,
        }
    }
}
