//! Large values that nobody needs any more.
//!
//! Freeing a million elements takes a tenth of a second, which is too long under a lock. So a replica keeps what it has
//! removed until its caller takes it, to drop it where nobody waits.

use smallvec::SmallVec;

use crate::replica::Replica;
use crate::row::{Component, Row};

/// A collection of so many elements is dropped in about the time that handing it over takes.
const ELEMENTS_MIN: usize = 256;
/// So many nodes that no snapshot shares are more than a few writes have copied.
pub(crate) const BURDEN_NODES: usize = 16;
/// A replica whose caller takes no garbage keeps no more values than these.
const VALUES_MAX: usize = 1 << 16;

/// Values to drop, which may take long; nothing else can be done with them.
#[derive(Debug, Default)]
#[must_use = "dropping it may take long: do it where nobody waits"]
pub struct Garbage {
    values: Vec<Component>,
}

impl Garbage {
    /// Whether there is nothing to drop.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Empties this into another.
    #[inline]
    pub(crate) fn move_to(&mut self, other: &mut Garbage) {
        if !self.values.is_empty() {
            self.values.drain(..).for_each(|value| other.add(value));
        }
    }

    /// Takes in a value that was removed; a small one is dropped at once.
    pub(crate) fn add(&mut self, value: Component) {
        if value.elements() >= ELEMENTS_MIN && self.values.len() < VALUES_MAX {
            self.values.push(value);
        }
    }
}

impl Replica {
    /// Whether there is [garbage](Self::take_garbage): one look at a length.
    #[inline]
    pub fn has_garbage(&self) -> bool {
        !self.garbage.is_empty()
    }

    /// What was removed since the last call and takes long to free: to be dropped after the lock is let go, and not by
    /// a thread for which others wait. What is never taken is dropped with the replica, or in place from the 65 536th
    /// value on.
    pub fn take_garbage(&mut self) -> Garbage {
        std::mem::take(&mut self.garbage)
    }

    /// Drops a row as it was before something was written or taken back.
    pub(crate) fn discard(&mut self, row: Row) {
        let burdens = row.components.into_iter();
        let burdens: SmallVec<[Component; 1]> = burdens.filter(Component::is_burden).collect();
        burdens
            .into_iter()
            .for_each(|component| self.garbage.add(component));
    }
}
