//! The bounded counter by operations: every count is its own running total, so the state needs nothing more.

use isles_clock::{Context, Dot, ReplicaId, Stamp};
use serde::{Deserialize, Serialize};

use super::OpBased;
use crate::Merge;
pub use crate::bounded_counter::BoundedCounter;
use crate::bounded_counter::BoundedCounterUpdate;

/// What the operation on a [`BoundedCounter`] carries: a running total of its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BoundedCounterOp {
    /// All that the writer has granted.
    Granted(u64),
    /// All that it has spent.
    Spent(u64),
    /// All that it has handed to another replica.
    Moved {
        /// To whom.
        to: ReplicaId,
        /// How many.
        rights: u64,
    },
}

impl OpBased for BoundedCounter {
    type Op = BoundedCounterOp;

    /// What is refused makes no operation: [`decrement`](BoundedCounter::decrement) says why.
    fn prepare(&self, at: Stamp, update: BoundedCounterUpdate) -> Option<BoundedCounterOp> {
        let writer = at.replica;
        match update {
            BoundedCounterUpdate::Increment(0)
            | BoundedCounterUpdate::Decrement(0)
            | BoundedCounterUpdate::Transfer { rights: 0, .. } => None,
            BoundedCounterUpdate::Increment(by) => {
                let granted = self.granted.get(writer).saturating_add(by);
                Some(BoundedCounterOp::Granted(granted))
            }
            BoundedCounterUpdate::Decrement(by) => {
                let spent = self.use_rights(writer, by, self.spent.get(writer));
                spent.ok().map(BoundedCounterOp::Spent)
            }
            BoundedCounterUpdate::Transfer { to, .. } if to == writer => None,
            BoundedCounterUpdate::Transfer { to, rights } => {
                let moved = self.moved.get(&(writer, to)).copied().unwrap_or_default();
                let rights = self.use_rights(writer, rights, moved).ok()?;
                Some(BoundedCounterOp::Moved { to, rights })
            }
        }
    }

    fn effect(&mut self, dot: Dot, _: &impl Context, op: BoundedCounterOp) {
        let writer = dot.replica;
        self.merge(&match op {
            BoundedCounterOp::Granted(count) => Self::with_granted(writer, count),
            BoundedCounterOp::Spent(count) => Self::with_spent(writer, count),
            BoundedCounterOp::Moved { to, rights } => Self::with_moved(writer, to, rights),
        });
    }
}
