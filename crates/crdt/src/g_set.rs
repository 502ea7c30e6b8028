//! A set that only grows.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::borrow::Borrow;

use isles_clock::{Context, Dot, Stamp};
use serde::{Deserialize, Deserializer, Serialize};

use crate::op::OpBased;
use crate::{Crdt, DeltaState, Merge, decode};

/// A grow-only set: what was added anywhere is there for ever.
///
/// ```text
/// eu: add apple ------->  {apple, pear}
/// us: add pear -------->
/// ```
///
/// It keeps no dots, so nothing smaller than the set itself says what is in it: it is its own context, and a set that
/// must tell many peers what they lack is better an [`AwSet`](crate::AwSet). The operation-based form is the same type.
///
/// **Cost.** Adding, looking up, and applying a delta: O(log n) each element; merging O(m log n) for *m* elements of the
/// other set, or O(m + n) where that is less.
///
/// Shapiro et al., *A comprehensive study of Convergent and Commutative Replicated Data Types*, 2011, specification 11.
///
/// ```
/// use isles_crdt::{DeltaState, GSet};
///
/// let (mut here, mut there) = (GSet::new(), GSet::new());
/// let delta = here.add("apple");
/// let _delta = there.add("pear");
/// there.apply(&delta);
/// assert!(there.iter().eq(&["apple", "pear"]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct GSet<T> {
    elements: BTreeSet<T>,
}

impl<T: Ord + Clone> GSet<T> {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            elements: BTreeSet::new(),
        }
    }

    /// Adds `element`; the delta is empty where it was there already.
    #[must_use = "a delta that is not sent leaves the other replicas behind"]
    pub fn add(&mut self, element: T) -> Self {
        let mut delta = Self::new();
        if self.elements.insert(element.clone()) {
            delta.elements.insert(element);
        }
        delta
    }

    /// Whether `element` is there.
    pub fn contains<Q>(&self, element: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.elements.contains(element)
    }

    /// The elements, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> + DoubleEndedIterator {
        self.elements.iter()
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }
}

impl<T> Default for GSet<T> {
    fn default() -> Self {
        let elements = BTreeSet::new();
        Self { elements }
    }
}

impl<T: Ord + Clone> Merge for GSet<T> {
    fn merge(&mut self, other: &Self) {
        // It walks through both, or looks up each of a few, whichever is cheaper.
        let lacking = other.elements.difference(&self.elements);
        let lacking: Vec<T> = lacking.cloned().collect();
        self.elements.extend(lacking);
    }
}

impl<T: Ord + Clone> Crdt for GSet<T> {
    type Update = T;
    type Value = BTreeSet<T>;

    fn value(&self) -> BTreeSet<T> {
        self.elements.clone()
    }
}

impl<T: Ord + Clone> DeltaState for GSet<T> {
    type Delta = Self;
    type Context = Self;

    fn mutate(&mut self, _: Stamp, element: T) -> Self {
        self.add(element)
    }

    fn apply(&mut self, delta: &Self) {
        self.merge(delta);
    }

    fn context(&self) -> Self {
        self.clone()
    }

    fn delta_since(&self, theirs: &Self) -> Self {
        let lacking = self.elements.difference(&theirs.elements);
        Self {
            elements: lacking.cloned().collect(),
        }
    }
}

impl<T: Ord + Clone> OpBased for GSet<T> {
    type Op = T;

    fn prepare(&self, _: Stamp, element: T) -> Option<T> {
        (!self.contains(&element)).then_some(element)
    }

    fn effect(&mut self, _: Dot, _: &impl Context, element: T) {
        self.elements.insert(element);
    }
}

impl<'de, T: Ord + Deserialize<'de>> Deserialize<'de> for GSet<T> {
    /// Refuses elements out of order, or twice.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let elements = decode::ascending(deserializer, |element: &T| element)?;
        Ok(Self {
            elements: elements.into_iter().collect(),
        })
    }
}
