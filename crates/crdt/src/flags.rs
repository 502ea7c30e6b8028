//! Flags: one bit, and what happens when it is enabled and disabled concurrently.

use isles_clock::ReplicaId;

use crate::causal::{Causal, Delta};
use crate::op::{self, Member};
use crate::update::FlagUpdate;

/// An enable-wins flag.
///
/// ```text
/// eu: enable ---- disable ------->  enabled
/// us:        \--- enable -------->
/// ```
///
/// It is an [`AwSet`](crate::AwSet) of one possible element, and leaves nothing behind but a clock. Everything costs
/// O(1), for a few concurrent writers.
///
/// Almeida, Shoker and Baquero, *Delta State Replicated Data Types*, 2018, section 7.3.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::{EwFlag, Merge};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let mut here = EwFlag::new();
/// let _delta = here.enable(eu);
/// let mut there = here.clone();
/// let _delta = here.disable(eu);
/// let _delta = there.enable(us); // concurrently
/// here.merge(&there);
/// assert!(here.is_enabled());
/// ```
pub type EwFlag = Causal<op::EwFlag>;

/// A disable-wins flag.
///
/// ```text
/// eu: enable ---- disable ------->  disabled
/// us:        \--- enable -------->
/// ```
///
/// It is an [`RwSet`](crate::RwSet) of one possible element: it is enabled if it was enabled by someone who had observed
/// all who disabled it. One dot for each concurrent disabling is kept until [`forget`](crate::Crdt::forget).
/// Everything costs O(1), for a few concurrent writers.
///
/// The semantics are those of Bieniusa et al., *Semantics of Eventually Consistent Replicated Sets*, 2012, made strict.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::{DwFlag, Merge};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let mut here = DwFlag::new();
/// let _delta = here.enable(eu);
/// let mut there = here.clone();
/// let _delta = here.disable(eu);
/// let _delta = there.enable(us); // concurrently
/// here.merge(&there);
/// assert!(!here.is_enabled());
/// ```
pub type DwFlag = Causal<op::DwFlag>;

impl<P: Member> Causal<P> {
    /// Raises the flag. Raising what is up already matters to concurrent updates.
    pub fn enable(&mut self, replica: ReplicaId) -> Delta<P> {
        self.update_at(replica, FlagUpdate::Enable)
    }

    /// Lowers the flag.
    pub fn disable(&mut self, replica: ReplicaId) -> Delta<P> {
        self.update_at(replica, FlagUpdate::Disable)
    }

    /// Whether it is up. Nobody having touched it, it is down.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.store().value()
    }
}
