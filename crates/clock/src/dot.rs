//! Which write, and what its writer had observed.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ReplicaId;

/// The name of one write: the replica that made it and its place among that replica's writes.
///
/// A dot is never used twice: a replica that lost its memory takes a new identity rather than its old sequences.
/// Sequences start at 1, so that 0 can mean *nothing yet*.
///
/// A clock says how far one has seen, a dot which write it was; naming a write by a dot *beside* the clock of what its
/// writer had seen is what keeps concurrent writes of one replica apart. The name is from Preguiça et al., *Dotted
/// Version Vectors*, 2010. It is 24 bytes, and costs nothing to copy or compare.
///
/// ```
/// use isles_clock::{Context, ReplicaId, VectorClock};
///
/// let mut seen = VectorClock::new();
/// let dot = seen.next(ReplicaId::from_u128(0xe0 << 120));
/// assert!(seen.covers(dot));
/// assert_eq!(dot.to_string(), "e0000000:1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// Who wrote.
    pub replica: ReplicaId,
    /// The place among that replica's writes, from 1.
    pub sequence: u64,
}

impl Dot {
    /// The write of `replica` with this place.
    #[inline]
    #[must_use]
    pub const fn new(replica: ReplicaId, sequence: u64) -> Self {
        Self { replica, sequence }
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.replica, self.sequence)
    }
}

/// What a writer had observed when it wrote.
///
/// A write observes exactly the dots that its context covers. This is what tells an overwrite from a conflict, so a
/// context is never sent as a list: it is a clock, or something just as small.
///
/// ```text
/// a write whose context covers the dot of another     overwrites it
/// two writes of which neither covers the other's dot  are concurrent
/// ```
pub trait Context {
    /// Whether the writer had observed `dot`.
    fn covers(&self, dot: Dot) -> bool;
}

impl<C: Context + ?Sized> Context for &C {
    #[inline]
    fn covers(&self, dot: Dot) -> bool {
        (**self).covers(dot)
    }
}

/// The context that covers every dot.
///
/// A local write has it, because it has observed everything that its replica holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Everything;

impl Context for Everything {
    #[inline]
    fn covers(&self, _: Dot) -> bool {
        true
    }
}
