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
/// Each replica has one contribution: its running total, and how much of it was reset. That is exact, where a counter
/// of dots either counts again what a concurrent increment carries along, or keeps one entry for each increment. The
/// sum wraps in 128 bits.
///
/// A contribution that was reset stays, to be told from what a concurrent increment makes of it: at most one per
/// replica, and under the keys of a map one per replica and key. [`forget_all`](Causal::forget_all) drops these.
///
/// **Cost.** With *r* replicas that have added: everything O(r); a delta is one contribution, or those that were reset.
/// A reset has no dot, so [`delta_since`](crate::DeltaState::delta_since) also sends the contributions that were ever
/// reset or restarted.
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
