//! The resettable counter as an operation-based type, and as a store that joins.

use alloc::vec::Vec;

use isles_clock::{Context, Dot, DotContext, Stamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use super::{Contribution, Increment, Nested, OpBased, Reset, Tally};
use crate::dots::{DotStore, Writer};
use crate::update::CounterUpdate;
use crate::{Crdt, Merge, decode};

/// What the operation on a [`Tally`] carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TallyOp {
    /// The writer's running total moves.
    Add(Increment),
    /// What the writer had observed of each contribution is taken away.
    Reset(SmallVec<[Reset; 1]>),
}

impl Crdt for Tally {
    type Update = CounterUpdate;
    type Value = i128;

    fn value(&self) -> i128 {
        Self::value(self)
    }
}

impl OpBased for Tally {
    type Op = TallyOp;

    fn prepare(&self, at: Stamp, update: CounterUpdate) -> Option<TallyOp> {
        match update {
            CounterUpdate::Add(by) => Some(TallyOp::Add(self.next(at.replica, by.into()))),
            CounterUpdate::Reset => self.prepare_removal().map(TallyOp::Reset),
        }
    }

    fn effect(&mut self, dot: Dot, _: &impl Context, op: TallyOp) {
        match op {
            TallyOp::Add(increment) => self.apply(dot, increment),
            TallyOp::Reset(resets) => self.reset(&resets),
        }
    }
}

impl Nested for Tally {
    type Listed = SmallVec<[Reset; 1]>;

    fn is_live(&self) -> bool {
        !self.all_covered()
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }

    /// What is uncovered: a clock would not do, because nobody knows any more what the totals were then.
    fn prepare_removal(&self) -> Option<SmallVec<[Reset; 1]>> {
        let resets = self.resets();
        (!resets.is_empty()).then_some(resets)
    }

    fn forget_all(&mut self) {
        self.drop_covered();
    }

    fn remove_observed(&mut self, _: &impl Context, listed: Option<&SmallVec<[Reset; 1]>>) {
        if let Some(resets) = listed {
            self.reset(resets);
        }
    }
}

impl DotStore for Tally {
    fn is_state(&self) -> bool {
        true
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.contributions()
            .iter()
            .for_each(|each| visit(each.dot()));
    }

    /// Contributions only grow, so of each the later increment counts and the later reset. One that the other side has
    /// seen and does not hold was forgotten there.
    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        self.retain(|each| other.own(each.replica).is_some() || !theirs.covers(each.dot()));
        for each in other.contributions() {
            match self.own_mut(each.replica) {
                Some(own) => own.merge(each),
                None if seen.covers(each.dot()) => {}
                None => self.insert(*each),
            }
        }
    }

    fn mutate(&mut self, writer: &mut Writer<'_>, update: CounterUpdate) -> Self {
        let CounterUpdate::Add(by) = update else {
            return self.wipe(writer);
        };
        let replica = writer.replica();
        if let Some(own) = self.own(replica) {
            writer.supersede(own.dot());
        }
        let increment = self.next(replica, by.into());
        self.apply(writer.dot(), increment);
        self.own(replica).copied().into_iter().collect()
    }

    /// Covers every contribution, and keeps it: a concurrent increment may continue it.
    fn wipe(&mut self, _: &mut Writer<'_>) -> Self {
        let resets = self.resets();
        self.reset(&resets);
        let covered = resets.iter().filter_map(|reset| self.own(reset.replica));
        covered.copied().collect()
    }

    /// A reset has no dot, so every contribution that was ever reset is among what might be lacking.
    fn lacking(&self, theirs: &DotContext, kept: &mut Vec<Dot>) -> Self {
        let (known, lacking): (Vec<Contribution>, Vec<_>) = self
            .contributions()
            .iter()
            .partition(|each| each.reset_sequence == 0 && theirs.covers(each.dot()));
        kept.extend(known.iter().map(Contribution::dot));
        lacking.into_iter().collect()
    }
}

impl Merge for Contribution {
    /// A total that started anew right after what was reset says the same place as the reset, and another total there:
    /// the later increment knows.
    fn merge(&mut self, other: &Self) {
        let place = |each: &Self| (each.reset_sequence, each.sequence);
        if place(other) > place(self) {
            (self.reset_sequence, self.reset_total) = (other.reset_sequence, other.reset_total);
        }
        if other.sequence > self.sequence {
            (self.sequence, self.total) = (other.sequence, other.total);
        }
        // Only where two strangers disagree about one increment does this change anything.
        if self.covered() {
            self.reset_total = self.total;
        }
    }
}

impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.contributions().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tally {
    /// Refuses contributions out of the order of their replicas, and one that was reset beyond what it is.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let contributions = decode::ascending(deserializer, |each: &Contribution| &each.replica)?;
        let is_possible = |each: &Contribution| {
            decode::is_valid(each.dot())
                && each.reset_sequence <= each.sequence
                && (!each.covered() || each.total == each.reset_total)
        };
        if !contributions.iter().all(is_possible) {
            return Err(serde::de::Error::custom(
                "a contribution was reset beyond what it is",
            ));
        }
        Ok(contributions.into_iter().collect())
    }
}
