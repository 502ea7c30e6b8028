//! One value, or all concurrent ones.

use isles_clock::ReplicaId;
use serde::{Deserialize, Serialize};

use crate::Merge;
use crate::causal::Causal;
use crate::dots::{DotFun, DotStore};

/// A register that keeps every value that no later write has observed.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::{Merge, MvRegister};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let (mut here, mut there) = (MvRegister::new(), MvRegister::new());
/// here.write(eu, "red");
/// there.write(us, "blue");
/// here.merge(&there);
/// assert!(here.values().eq(&["red", "blue"]));
///
/// here.write(eu, "violet"); // has observed both
/// there.merge(&here);
/// assert!(there.values().eq(&["violet"]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "V: Clone + Deserialize<'de>"))]
pub struct MvRegister<V> {
    causal: Causal<DotFun<V>>,
}

impl<V: Clone> MvRegister<V> {
    /// A register without a value.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `value` at `replica`, in the place of everything observed here.
    pub fn write(&mut self, replica: ReplicaId, value: V) {
        self.causal
            .add(replica, |values, dot| values.write(dot, value));
    }

    /// Removes everything observed here; a concurrent write stays.
    pub fn clear(&mut self) {
        self.causal.remove(DotFun::clear);
    }

    /// The concurrent values, in the order of their dots.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.causal.store().values()
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.causal.store().is_empty()
    }
}

impl<V> Default for MvRegister<V> {
    fn default() -> Self {
        Self {
            causal: Causal::default(),
        }
    }
}

impl<V: Clone> Merge for MvRegister<V> {
    fn merge(&mut self, other: &Self) {
        self.causal.merge(&other.causal);
    }
}
