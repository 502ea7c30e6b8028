//! One value, or all concurrent ones.

use isles_clock::{ReplicaId, Stamp};

use crate::DeltaState;
use crate::causal::{Causal, Delta};
use crate::op;
use crate::update::RegisterUpdate;

/// A register that keeps every value that no later write has observed.
///
/// ```text
/// eu: write red --------->  {red, blue}, until a write that has observed both
/// us: write blue -------->
/// ```
///
/// With stamped writes ([`write_at`](Self::write_at)) the siblings can be read as one: [`latest`](Self::latest) is what
/// an [`LwwRegister`](crate::LwwRegister) would hold, with the losers still there to be looked at.
///
/// **Cost.** Everything O(s) for *s* siblings, of which there are never more than concurrent writers; applying a delta
/// too.
///
/// Almeida, Shoker and Baquero, *Delta State Replicated Data Types*, 2018, section 7.3.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::{DeltaState, MvRegister};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let (mut here, mut there) = (MvRegister::new(), MvRegister::new());
/// let red = here.write(eu, "red");
/// let blue = there.write(us, "blue");
/// here.apply(&blue);
/// there.apply(&red);
/// assert!(here.values().eq(&["red", "blue"]));
///
/// there.apply(&here.write(eu, "violet")); // has observed both
/// assert!(there.values().eq(&["violet"]));
/// ```
pub type MvRegister<V> = Causal<op::MvRegister<V>>;

impl<V: Clone> MvRegister<V> {
    /// Writes `value` at `replica`, in the place of everything observed here.
    pub fn write(&mut self, replica: ReplicaId, value: V) -> Delta<op::MvRegister<V>> {
        self.update_at(replica, RegisterUpdate::Write(value))
    }

    /// Writes `value` at a time, in the place of everything observed here. The write is later than that, whatever the
    /// clocks say.
    pub fn write_at(&mut self, at: Stamp, value: V) -> Delta<op::MvRegister<V>> {
        self.mutate(at, RegisterUpdate::Write(value))
    }

    /// Removes everything observed here; a concurrent write stays.
    pub fn clear(&mut self, replica: ReplicaId) -> Delta<op::MvRegister<V>> {
        self.update_at(replica, RegisterUpdate::Clear)
    }

    /// The concurrent values, in the order of their dots.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.store().versions().iter().map(|version| &version.value)
    }

    /// The value with the greatest stamp; without stamps, one that is the same everywhere.
    #[must_use]
    pub fn latest(&self) -> Option<&V> {
        self.store().latest().map(|version| &version.value)
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store().is_empty()
    }
}
