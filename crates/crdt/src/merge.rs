//! What it takes for replicas to end up equal.

use isles_clock::{DotContext, VectorClock};

/// A value that can take in another one.
///
/// # Laws
///
/// Values form a join-semilattice, and `merge` is its least upper bound. With `a ∪ b` for `a` after `a.merge(&b)`:
///
/// * *commutative*: `a ∪ b = b ∪ a`;
/// * *associative*: `(a ∪ b) ∪ c = a ∪ (b ∪ c)`;
/// * *idempotent*: `a ∪ a = a`;
/// * every change of a state is *inflationary*: with `b` for `a` after the change, `a ∪ b = b`.
///
/// So it does not matter in which order values arrive, how often, or by which way. The laws hold for values that come
/// from changes and merges; they presuppose that a replica's identity is used in one place only.
pub trait Merge {
    /// Takes in everything that `other` holds.
    fn merge(&mut self, other: &Self);
}

impl Merge for VectorClock {
    fn merge(&mut self, other: &Self) {
        Self::merge(self, other);
    }
}

impl Merge for DotContext {
    fn merge(&mut self, other: &Self) {
        Self::merge(self, other);
    }
}
