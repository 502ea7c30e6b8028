//! What it takes to lie under a key.

use isles_clock::Context;

use super::OpBased;

/// A type that a map can hold, and take away as far as it was observed.
pub trait Nested: OpBased {
    /// What the removal of the key above has to list, because the context alone does not say what was observed.
    type Listed;

    /// Whether there is anything that a reader sees, so that the key above is present.
    fn is_live(&self) -> bool;

    /// Whether nothing at all is kept, not even residue.
    fn is_empty(&self) -> bool;

    /// What the removal of the key above has to list, made here.
    fn prepare_removal(&self) -> Option<Self::Listed>;

    /// Takes away what `ctx` covers and what is listed; something concurrent stays.
    fn remove_observed(&mut self, ctx: &impl Context, listed: Option<&Self::Listed>);

    /// Drops all residue, also what [`forget`](crate::Crdt::forget) cannot, because a reset has no dot.
    ///
    /// It is safe, and only safe, if every update that has come here was seen by *every* replica, and everything that
    /// they had written before they saw it has come *here*.
    fn forget_all(&mut self) {}
}
