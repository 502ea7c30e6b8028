//! A set in which a concurrent removal beats an addition.

use isles_clock::ReplicaId;

use crate::causal::{Causal, Delta};
use crate::op;
use crate::update::SetUpdate;

/// A remove-wins set: an element is there if there is an addition of it that has observed *all* of its removals.
///
/// ```text
/// eu: add apple ---- remove apple ------>  {}: the second addition had not observed the removal
/// us:           \--- add apple --------->
/// ```
///
/// For permissions and block lists, where what was taken away must stay away. A removal is a write of its own, also
/// where the element is absent, and is kept even if an addition has observed it, because another one may come that has
/// not. This residue, a dot for each element ever removed and concurrent remover, goes with
/// [`forget`](crate::Crdt::forget) once it is stable. An addition made after that carries, until it is stable itself, a
/// clock of whose removals were forgotten: 17 bytes or so for each replica that ever removed, because a replica that has
/// not forgotten yet must know that they were observed. Where hundreds of replicas remove and forget at different times,
/// small deltas are therefore not small. `clear` removes the elements that are here, and says nothing of
/// others.
///
/// **Cost** is that of an [`AwSet`](crate::AwSet), with *n* the elements that are there or were removed.
///
/// The semantics are those of Bieniusa et al., *Semantics of Eventually Consistent Replicated Sets*, 2012, made strict:
/// removals are not shadowed by additions that observed them.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::{DeltaState, RwSet};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let (mut here, mut there) = (RwSet::new(), RwSet::new());
/// there.apply(&here.add(eu, "mallory"));
///
/// let removal = here.remove(eu, "mallory");
/// let addition = there.add(us, "mallory"); // concurrently
/// here.apply(&addition);
/// there.apply(&removal);
/// assert!(!here.contains("mallory"));
///
/// there.apply(&here.add(eu, "mallory")); // has observed the removal
/// assert!(there.contains("mallory"));
/// ```
pub type RwSet<T> = Causal<op::RwSet<T>>;

impl<T: Ord + Clone> RwSet<T> {
    /// Removes `element`, also where it is absent here: an addition that had not observed this loses.
    pub fn remove(&mut self, replica: ReplicaId, element: T) -> Delta<op::RwSet<T>> {
        self.update_at(replica, SetUpdate::Remove(element))
    }
}
