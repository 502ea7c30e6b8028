//! One value; the last write wins.

use isles_clock::Stamp;
use serde::{Deserialize, Serialize};

use crate::Merge;

/// A register that holds the value with the greatest stamp, and forgets the others.
///
/// A stamp must name one write: a replica that writes twice takes two stamps, as
/// [`HybridClock`](isles_clock::HybridClock) does. Concurrent values are lost without a trace; where that matters, use
/// [`MvRegister`](crate::MvRegister).
///
/// ```
/// use isles_clock::{Hlc, ReplicaId, Stamp};
/// use isles_crdt::{LwwRegister, Merge};
///
/// let stamp = |ms, replica| Stamp::new(Hlc::new(ms, 0), ReplicaId::from_u128(replica));
/// let mut here = LwwRegister::new(stamp(10, 1), "red");
/// let there = LwwRegister::new(stamp(20, 2), "blue");
/// here.merge(&there);
/// assert_eq!(here.value(), &"blue");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LwwRegister<V> {
    stamp: Stamp,
    value: V,
}

impl<V> LwwRegister<V> {
    /// A register that holds what was written at `stamp`.
    pub const fn new(stamp: Stamp, value: V) -> Self {
        Self { stamp, value }
    }

    /// Writes `value` if `stamp` is greater than that of the present value; says whether it is.
    pub fn write(&mut self, stamp: Stamp, value: V) -> bool {
        let wins = stamp > self.stamp;
        if wins {
            *self = Self { stamp, value };
        }
        wins
    }

    /// The value with the greatest stamp.
    pub const fn value(&self) -> &V {
        &self.value
    }

    /// When it was written, and by whom.
    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The value with the greatest stamp.
    pub fn into_value(self) -> V {
        self.value
    }
}

impl<V: Clone> Merge for LwwRegister<V> {
    fn merge(&mut self, other: &Self) {
        if other.stamp > self.stamp {
            self.clone_from(other);
        }
    }
}
