//! What is known of elements without looking at them: who has written last, and what their values add up to.

use alloc::boxed::Box;
use core::fmt;

use isles_clock::{Context, Dot};
use smallvec::SmallVec;

use super::position::NAME_BYTES;
use crate::counted_tree::Summary;
use crate::op::Version;

/// How whoever compares lists adds up their values: the [digest](crate::op::List::digest) of a list is the sum over every value
/// of every element, wrapping, of what `of` makes of it.
pub struct Digester<T> {
    /// The same for all values.
    pub salt: u64,
    /// Of the salt, the element's [name](super::Position::name), and one of its values.
    pub of: fn(u64, &[u8; NAME_BYTES], &Version<&T>) -> u128,
}

impl<T> Clone for Digester<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Digester<T> {}

impl<T> fmt::Debug for Digester<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester")
            .field("salt", &self.salt)
            .finish_non_exhaustive()
    }
}

/// Of every replica at most one dot. It bounds the writes of elements: none of them is later, or another replica's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Newest(SmallVec<[Dot; 1]>);

impl Newest {
    pub(crate) fn observe(&mut self, dot: Dot) {
        let mut known = self.0.iter_mut();
        match known.find(|known| known.replica == dot.replica) {
            Some(known) => known.sequence = known.sequence.max(dot.sequence),
            None => self.0.push(dot),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|dot| self.observe(*dot));
    }

    fn includes(&self, dot: Dot) -> bool {
        let mut known = self.0.iter();
        known.any(|known| known.replica == dot.replica && known.sequence >= dot.sequence)
    }
}

/// What is known of some elements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extent {
    pub(crate) digest: u128,
    /// It may stay too great when elements go, and is never too small.
    pub(crate) newest: Newest,
}

impl Extent {
    /// Whether nothing is left of the elements without what `ctx` covers. A context that covers a write covers all earlier
    /// ones of its writer, or looks as if it does not cover this one.
    pub(crate) fn is_covered(&self, ctx: &impl Context) -> bool {
        self.newest.0.iter().all(|dot| ctx.covers(*dot))
    }

    /// Whether it holds for what `other` says of the same elements.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        let mut dots = other.newest.0.iter();
        self.digest == other.digest && dots.all(|dot| self.newest.includes(*dot))
    }
}

impl Summary for Extent {
    fn merge(&mut self, other: &Self) {
        self.digest = self.digest.wrapping_add(other.digest);
        self.newest.merge(&other.newest);
    }

    fn exchange(&mut self, old: &Self, new: &Self) {
        let others = self.digest.wrapping_sub(old.digest);
        self.digest = others.wrapping_add(new.digest);
        self.newest.merge(&new.newest);
    }
}

/// The writers of values beside those that elements were inserted with, of which there are seldom any.
pub(super) type Written = Option<Box<Newest>>;
