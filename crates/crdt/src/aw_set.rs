//! A set in which a concurrent addition beats a removal.

use core::borrow::Borrow;

use isles_clock::ReplicaId;
use serde::{Deserialize, Serialize};

use crate::Merge;
use crate::causal::Causal;
use crate::dots::{DotMap, DotSet};

/// An add-wins set: a removal takes away the additions it has observed, and no others.
///
/// It keeps no tombstones: an element that was added and removed again leaves nothing behind but its place in a
/// vector clock. This is the optimized observed-remove set of Bieniusa et al., 2012.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::AwSet;
///
/// let mut cart = AwSet::new();
/// cart.add(ReplicaId::from_u128(1), "apple".to_owned());
/// assert!(cart.contains("apple"));
/// assert!(cart.remove("apple"));
/// assert!(cart.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Ord + Clone + Deserialize<'de>"))]
pub struct AwSet<T> {
    causal: Causal<DotMap<T, DotSet>>,
}

impl<T: Ord + Clone> AwSet<T> {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `element` at `replica`. Adding what is there already protects it against concurrent removals.
    pub fn add(&mut self, replica: ReplicaId, element: T) {
        self.causal.add(replica, |elements, dot| {
            elements.update(element, |set| set.add(dot))
        });
    }

    /// Removes `element` as far as it was observed here; says whether it was there.
    pub fn remove<Q>(&mut self, element: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.causal.remove(|elements| elements.remove(element))
    }

    /// Removes every element observed here.
    pub fn clear(&mut self) {
        self.causal.remove(DotMap::clear);
    }

    /// Whether `element` is there.
    pub fn contains<Q>(&self, element: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.causal.store().get(element).is_some()
    }

    /// The elements, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.causal.store().iter().map(|(element, _)| element)
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.causal.store().len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.causal.store().is_empty()
    }
}

impl<T> Default for AwSet<T> {
    fn default() -> Self {
        Self {
            causal: Causal::default(),
        }
    }
}

impl<T: Ord + Clone> Merge for AwSet<T> {
    fn merge(&mut self, other: &Self) {
        self.causal.merge(&other.causal);
    }
}
