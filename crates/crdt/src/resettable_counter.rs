//! A counter that can be reset.

use isles_clock::ReplicaId;

use crate::causal::{Causal, Delta};
use crate::op;
use crate::update::CounterUpdate;

/// A counter that goes up and down and can be reset: a reset takes away exactly the increments it has observed.
///
/// ```text
/// eu: +5 ---- reset ------->  3: the reset had not observed +3
/// us:    \--- +3 ---------->
/// ```
///
/// Each replica has one running total, and a reset says which part of each no longer counts. That is exact, where a
/// counter of dots either counts again what a concurrent increment carries along, or keeps one entry for each increment.
/// The sum wraps in 128 bits.
///
/// A reset of what *others* had added leaves a mark for each of them, because they may go on from there concurrently. The
/// mark goes when its replica adds again, or with [`forget`](crate::Crdt::forget) once it is stable.
///
/// **Cost.** With *r* replicas that have added: everything O(r), for a few concurrent resets; a delta is one total, or the
/// marks of what was reset.
///
/// The store is [`op::Ledger`], which names the paper.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::{DeltaState, ResettableCounter};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let (mut here, mut there) = (ResettableCounter::new(), ResettableCounter::new());
/// there.apply(&here.add(eu, 5));
///
/// let reset = here.reset(eu);
/// let more = there.add(us, 3); // concurrently
/// here.apply(&more);
/// there.apply(&reset);
/// assert_eq!((here.total(), there.total()), (3, 3));
/// ```
pub type ResettableCounter = Causal<op::ResettableCounter>;

impl ResettableCounter {
    /// Adds `by`, which may be negative, at `replica`.
    pub fn add(&mut self, replica: ReplicaId, by: i64) -> Delta<op::ResettableCounter> {
        self.update_at(replica, CounterUpdate::Add(by))
    }

    /// Takes away everything observed here; a concurrent increment stays.
    pub fn reset(&mut self, replica: ReplicaId) -> Delta<op::ResettableCounter> {
        self.update_at(replica, CounterUpdate::Reset)
    }

    /// What was added and not reset.
    #[must_use]
    pub fn total(&self) -> i128 {
        self.store().value()
    }
}
