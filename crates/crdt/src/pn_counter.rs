//! A counter that goes both ways.

use isles_clock::{ReplicaId, Stamp};
use serde::{Deserialize, Serialize};

use crate::{Crdt, DeltaState, GCounter, Merge};

/// A counter that goes up and down: one grow-only counter for each direction.
///
/// ```text
/// eu: +10 ------->  7
/// us:  -3 ------->
/// ```
///
/// It cannot be reset: see [`ResettableCounter`](crate::ResettableCounter) for one that can. **Cost**, context and
/// delta are those of two [`GCounter`]s.
///
/// Shapiro et al., *A comprehensive study of Convergent and Commutative Replicated Data Types*, 2011, specification 7.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::PnCounter;
///
/// let eu = ReplicaId::from_u128(1);
/// let mut stock = PnCounter::new();
/// let _delta = stock.add(eu, 10);
/// let _delta = stock.add(eu, -3);
/// assert_eq!(stock.value(), 7);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PnCounter {
    up: GCounter,
    down: GCounter,
}

impl PnCounter {
    /// A counter at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `by`, which may be negative, at `replica`. What one replica adds in one direction stops at [`u64::MAX`].
    #[must_use = "a delta that is not sent leaves the other replicas behind"]
    pub fn add(&mut self, replica: ReplicaId, by: i64) -> Self {
        let amount = by.unsigned_abs();
        let (up, down) = if by < 0 {
            (GCounter::new(), self.down.increment(replica, amount))
        } else {
            (self.up.increment(replica, amount), GCounter::new())
        };
        Self { up, down }
    }

    /// The sum over all replicas.
    ///
    /// It is exact: it would take 2^63 replicas at their limit to leave 128 bits.
    #[must_use]
    pub fn value(&self) -> i128 {
        self.up
            .value()
            .wrapping_sub(self.down.value())
            .cast_signed()
    }
}

impl Merge for PnCounter {
    fn merge(&mut self, other: &Self) {
        self.up.merge(&other.up);
        self.down.merge(&other.down);
    }
}

impl Crdt for PnCounter {
    type Update = i64;
    type Value = i128;

    fn value(&self) -> i128 {
        Self::value(self)
    }
}

impl DeltaState for PnCounter {
    type Delta = Self;
    type Context = Self;

    fn mutate(&mut self, at: Stamp, by: i64) -> Self {
        self.add(at.replica, by)
    }

    fn apply(&mut self, delta: &Self) {
        self.merge(delta);
    }

    fn context(&self) -> Self {
        self.clone()
    }

    fn delta_since(&self, theirs: &Self) -> Self {
        Self {
            up: self.up.delta_since(&theirs.up),
            down: self.down.delta_since(&theirs.down),
        }
    }
}
