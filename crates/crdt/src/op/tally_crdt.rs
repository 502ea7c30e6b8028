//! The tally as an operation-based type.

use isles_clock::{Context, Dot, Stamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use super::{Contribution, Increment, Nested, OpBased, Reset, Tally};
use crate::update::CounterUpdate;
use crate::{Crdt, decode};

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
