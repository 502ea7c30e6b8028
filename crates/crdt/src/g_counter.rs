//! A counter that only grows.

use alloc::collections::BTreeMap;

use isles_clock::ReplicaId;
use serde::{Deserialize, Serialize};

use crate::Merge;

/// A grow-only counter: what each replica has counted; the greater count of a replica is the newer one.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::{GCounter, Merge};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let (mut here, mut there) = (GCounter::new(), GCounter::new());
/// here.increment(eu, 2);
/// there.increment(us, 3);
/// here.merge(&there);
/// here.merge(&there); // again: no harm done
/// assert_eq!(here.value(), 5);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GCounter {
    // Invariant: no count is zero, so that equal counters are equal values.
    counts: BTreeMap<ReplicaId, u64>,
}

impl GCounter {
    /// A counter at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            counts: BTreeMap::new(),
        }
    }

    /// Counts `by` more at `replica`. What one replica counts stops at [`u64::MAX`].
    pub fn increment(&mut self, replica: ReplicaId, by: u64) {
        if by > 0 {
            let count = self.counts.entry(replica).or_default();
            *count = count.saturating_add(by);
        }
    }

    /// The sum over all replicas.
    #[must_use]
    pub fn value(&self) -> u128 {
        self.counts.values().map(|count| u128::from(*count)).sum()
    }

    /// What `replica` has counted.
    #[must_use]
    pub fn get(&self, replica: ReplicaId) -> u64 {
        self.counts.get(&replica).copied().unwrap_or_default()
    }
}

impl Merge for GCounter {
    fn merge(&mut self, other: &Self) {
        for (replica, theirs) in &other.counts {
            let ours = self.counts.entry(*replica).or_default();
            *ours = (*ours).max(*theirs);
        }
    }
}
