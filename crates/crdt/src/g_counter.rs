//! A counter that only grows.

use isles_clock::{Dot, ReplicaId, Stamp, VectorClock};
use serde::{Deserialize, Serialize};

use crate::{Crdt, DeltaState, Merge};

/// A grow-only counter: what each replica has counted; the greater count of a replica is the newer one.
///
/// It is a vector clock of which the sum is read, and so its own context and its own delta.
///
/// ```text
/// eu: +2 ------->  5
/// us: +3 ------->
/// ```
///
/// **Cost.** With *r* replicas that have counted: incrementing, reading and merging O(r), without allocation up to
/// four; a delta is one count, the peer's lack those that grew.
///
/// Shapiro et al., *A comprehensive study of Convergent and Commutative Replicated Data Types*, 2011, specification 6.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::{GCounter, Merge};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let (mut here, mut there) = (GCounter::new(), GCounter::new());
/// let _delta = here.increment(eu, 2);
/// let _delta = there.increment(us, 3);
/// here.merge(&there);
/// here.merge(&there); // again: no harm done
/// assert_eq!(here.value(), 5);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GCounter {
    counts: VectorClock,
}

impl GCounter {
    /// A counter at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts `by` more at `replica`. What one replica counts stops at [`u64::MAX`]: its count is also a sequence of a clock.
    #[must_use = "a delta that is not sent leaves the other replicas behind"]
    pub fn increment(&mut self, replica: ReplicaId, by: u64) -> Self {
        let mut delta = Self::new();
        if by > 0 {
            let count = self.get(replica).saturating_add(by);
            let dot = Dot::new(replica, count);
            self.counts.observe(dot);
            delta.counts.observe(dot);
        }
        delta
    }

    /// The sum over all replicas.
    #[must_use]
    pub fn value(&self) -> u128 {
        self.counts.iter().map(|(_, count)| u128::from(count)).sum()
    }

    /// What `replica` has counted.
    #[must_use]
    pub fn get(&self, replica: ReplicaId) -> u64 {
        self.counts.get(replica)
    }
}

impl Merge for GCounter {
    fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
    }
}

impl Crdt for GCounter {
    type Update = u64;
    type Value = u128;

    fn value(&self) -> u128 {
        Self::value(self)
    }
}

impl DeltaState for GCounter {
    type Delta = Self;
    type Context = Self;

    fn mutate(&mut self, at: Stamp, by: u64) -> Self {
        self.increment(at.replica, by)
    }

    fn apply(&mut self, delta: &Self) {
        self.merge(delta);
    }

    fn context(&self) -> Self {
        self.clone()
    }

    fn delta_since(&self, theirs: &Self) -> Self {
        let mut delta = Self::new();
        for (replica, _, through) in self.counts.minus(&theirs.counts) {
            delta.counts.observe(Dot::new(replica, through));
        }
        delta
    }
}
