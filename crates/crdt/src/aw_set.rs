//! A set in which a concurrent addition beats a removal.

use core::borrow::Borrow;

use isles_clock::ReplicaId;

use crate::causal::{Causal, Delta};
use crate::op::{self, Member};
use crate::update::SetUpdate;

/// An add-wins set: a removal takes away the additions it has observed, and no others.
///
/// ```text
/// eu: add apple ---- remove apple ------>  {apple}: the removal had not observed the second addition
/// us:           \--- add apple --------->
/// ```
///
/// It keeps no tombstones: an element that was added and removed again leaves nothing behind but its place in a
/// vector clock.
///
/// **Cost.** With *n* elements: adding, removing, looking up, and applying the delta of one of these O(log n); merging
/// two states O(n + m log n); what a peer lacks O(n). An element holds one dot for each concurrent addition,
/// nearly always one.
///
/// Bieniusa et al., *An optimized conflict-free replicated set*, 2012; the deltas are those of Almeida, Shoker and
/// Baquero, *Delta State Replicated Data Types*, 2018, section 7.3.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::{AwSet, DeltaState};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let (mut here, mut there) = (AwSet::new(), AwSet::new());
/// there.apply(&here.add(eu, "apple"));
///
/// let removal = here.remove(eu, "apple");
/// let addition = there.add(us, "apple"); // concurrently
/// here.apply(&addition);
/// there.apply(&removal);
/// assert!(here.contains("apple"));
/// assert_eq!(here, there);
/// ```
pub type AwSet<T> = Causal<op::AwSet<T>>;

impl<T: Ord + Clone, P: Member> Causal<op::Set<T, P>> {
    /// Adds `element` at `replica`. Adding what is there already protects it against concurrent removals.
    pub fn add(&mut self, replica: ReplicaId, element: T) -> Delta<op::Set<T, P>> {
        self.update_at(replica, SetUpdate::Add(element))
    }

    /// Removes every element that is here.
    pub fn clear(&mut self, replica: ReplicaId) -> Delta<op::Set<T, P>> {
        self.update_at(replica, SetUpdate::Clear)
    }

    /// Whether `element` is there.
    pub fn contains<Q>(&self, element: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.store().contains(element)
    }

    /// The elements, in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.store().iter()
    }

    /// The number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.store().len()
    }

    /// Whether there is no element.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.store().is_empty()
    }
}

impl<T: Ord + Clone> AwSet<T> {
    /// Removes `element` as far as it was observed here.
    pub fn remove<Q>(&mut self, replica: ReplicaId, element: &Q) -> Delta<op::AwSet<T>>
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        match self.store().element(element).cloned() {
            Some(element) => self.update_at(replica, SetUpdate::Remove(element)),
            None => Delta::default(),
        }
    }
}
