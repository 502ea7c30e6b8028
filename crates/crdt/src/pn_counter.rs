//! A counter that goes both ways.

use isles_clock::ReplicaId;
use serde::{Deserialize, Serialize};

use crate::{GCounter, Merge};

/// A counter that goes up and down: one grow-only counter for each direction.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::PnCounter;
///
/// let eu = ReplicaId::from_u128(1);
/// let mut stock = PnCounter::new();
/// stock.add(eu, 10);
/// stock.add(eu, -3);
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
    pub const fn new() -> Self {
        Self {
            up: GCounter::new(),
            down: GCounter::new(),
        }
    }

    /// Adds `by`, which may be negative, at `replica`. What one replica adds in one direction stops at [`u64::MAX`].
    pub fn add(&mut self, replica: ReplicaId, by: i64) {
        let direction = if by < 0 { &mut self.down } else { &mut self.up };
        direction.increment(replica, by.unsigned_abs());
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
