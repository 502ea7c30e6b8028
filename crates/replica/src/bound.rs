//! What is known of elements without looking at them.
//!
//! An op that clears a collection has observed what its context covers. Nearly always that is every element, and the bound
//! says so: then nothing is walked, however large the collection is.

use isles_clock::{Context, Dot};
use isles_crdt::counted_tree::Summary;
use isles_crdt::op::{Cell, Presence, Veto};
use smallvec::SmallVec;

use crate::row::Field;

/// A bound on the writes among some elements. It grows with every write, and stays when elements go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bound {
    // Invariant: of each replica at most one dot; no element holds a later one of it, nor one of another replica.
    newest: SmallVec<[Dot; 1]>,
    /// Some element may have a counter, of which a clear takes away only what it lists.
    counts: bool,
}

/// What has been written, by whom.
pub(crate) trait Bounded {
    /// Raises a bound so that it holds for this as well.
    fn raise(&self, bound: &mut Bound);

    /// The bound of this alone.
    fn bound(&self) -> Bound {
        let mut bound = Bound::default();
        self.raise(&mut bound);
        bound
    }
}

impl Bound {
    /// An element holds this write.
    #[inline]
    pub(crate) fn observe(&mut self, dot: Dot) {
        let mut newest = self.newest.iter_mut();
        match newest.find(|newest| newest.replica == dot.replica) {
            Some(newest) => newest.sequence = newest.sequence.max(dot.sequence),
            None => self.newest.push(dot),
        }
    }

    /// Holds for what `other` holds for, too.
    #[inline]
    pub(crate) fn merge(&mut self, other: &Bound) {
        other.newest.iter().for_each(|dot| self.observe(*dot));
        self.counts |= other.counts;
    }

    /// Whether it holds for everything that `other` holds for.
    pub(crate) fn includes(&self, other: &Bound) -> bool {
        let known = |dot: &Dot| {
            let mut newest = self.newest.iter();
            newest.any(|newest| newest.replica == dot.replica && newest.sequence >= dot.sequence)
        };
        other.newest.iter().all(known) && self.counts >= other.counts
    }

    /// Whether some element may have a counter.
    pub(crate) fn counts(&self) -> bool {
        self.counts
    }

    /// Whether nothing is left of the elements once what the context covers is cleared.
    ///
    /// The context of an op is a clock: who has observed a write has observed all earlier ones of its writer.
    pub(crate) fn is_covered(&self, context: &impl Context) -> bool {
        !self.counts && self.newest.iter().all(|dot| context.covers(*dot))
    }
}

impl Summary for Bound {
    fn merge(&mut self, other: &Bound) {
        Bound::merge(self, other);
    }
}

impl Bounded for Presence {
    #[inline]
    fn raise(&self, bound: &mut Bound) {
        self.dots().iter().for_each(|dot| bound.observe(*dot));
    }
}

impl Bounded for Veto {
    /// Of what readers see, and of removals: the bound of a set that keeps these never says that nothing is left.
    #[inline]
    fn raise(&self, bound: &mut Bound) {
        self.present_by().for_each(|dot| bound.observe(dot));
        self.removals().iter().for_each(|dot| bound.observe(*dot));
    }
}

impl<V> Bounded for Cell<V> {
    #[inline]
    fn raise(&self, bound: &mut Bound) {
        let versions = self.versions().iter();
        versions.for_each(|version| bound.observe(version.dot));
    }
}

impl<V> Bounded for Field<V> {
    #[inline]
    fn raise(&self, bound: &mut Bound) {
        self.cell.raise(bound);
        bound.counts |= self.tally.as_ref().is_some_and(|tally| !tally.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use isles_clock::{Everything, ReplicaId, VectorClock};
    use isles_crdt::op::Tally;

    use super::*;

    fn dot(replica: u128, sequence: u64) -> Dot {
        Dot::new(ReplicaId::from_u128(replica), sequence)
    }

    #[test]
    fn a_clock_covers_a_bound_that_it_dominates() {
        let mut bound = Bound::default();
        let [eu, us] = [dot(1, 7), dot(2, 3)];
        [eu, dot(1, 5), us]
            .into_iter()
            .for_each(|dot| bound.observe(dot));
        let clock = |dots: &[Dot]| {
            let mut clock = VectorClock::new();
            dots.iter().for_each(|dot| clock.observe(*dot));
            clock
        };
        assert!(bound.is_covered(&clock(&[eu, us])));
        assert!(!bound.is_covered(&clock(&[eu])));
        assert!(!bound.is_covered(&clock(&[dot(1, 6), us])));
        assert!(bound.is_covered(&Everything));
    }

    #[test]
    fn nothing_covers_a_counter() {
        let mut field = Field::<Box<[u8]>>::default();
        assert!(field.bound().is_covered(&Everything));
        let increment = Tally::new().next(dot(1, 1).replica, 5);
        field
            .tally
            .get_or_insert_default()
            .apply(dot(1, 1), increment);
        assert!(field.bound().counts());
        assert!(!field.bound().is_covered(&Everything));
    }
}
