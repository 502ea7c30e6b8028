//! Which write, and what its writer had observed.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ReplicaId;

/// The name of one write: the replica that made it and its place among that replica's writes.
///
/// A dot is never used twice. Sequences start at 1, so that 0 can mean *nothing yet*.
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
