//! What a type is to its users, whichever way it is replicated.

use isles_clock::VectorClock;

/// A replicated value: updates in, a value out.
///
/// The same updates work on all three forms of a type, so what is true of one form can be said, and tested, of all:
///
/// | way | trait | what travels | what it needs of the network |
/// |---|---|---|---|
/// | full state | [`Merge`](crate::Merge) | the state | nothing |
/// | delta state | [`DeltaState`](crate::DeltaState) | what changed, with a context | nothing |
/// | operations | [`OpBased`](crate::op::OpBased) | the operation alone | every one once, after its causes |
///
/// # Law
///
/// *The three ways are equivalent*: replicas that hold the same updates, each with the same updates before it, have
/// the same [`value`](Self::value), by whichever way the updates came.
pub trait Crdt: Default {
    /// What a client asks for: add this, remove that. The types are in [`update`](crate::update).
    type Update;

    /// What a reader sees.
    type Value;

    /// The whole value. It is built for the call where the state is a collection: O(n). The types have cheaper ways to
    /// read a part.
    fn value(&self) -> Self::Value;

    /// Drops what was kept only because something concurrent might still arrive. Nearly all types keep nothing of the
    /// kind; those that do say so.
    ///
    /// It changes no value. It is safe, and only safe, if everything that `stable` covers was seen by *every* replica,
    /// and everything that they had written before they saw it has been seen *here*.
    fn forget(&mut self, stable: &VectorClock) {
        let _ = stable;
    }
}
