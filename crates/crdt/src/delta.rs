//! Replication by deltas: what changed travels, and nothing is asked of the network.

use isles_clock::Stamp;

use crate::{Crdt, Merge};

/// A state that changes by deltas.
///
/// A delta is a small value of the same lattice: it holds what one update changed and, where the type needs it, a
/// [`DotContext`](isles_clock::DotContext) of the dots that the change knows of. A replica applies its own updates
/// with [`mutate`](Self::mutate) (or with the type's own methods, which do the same), keeps or sends the deltas,
/// joins several into one with [`Merge`], and applies those of others with [`apply`](Self::apply).
///
/// # Laws
///
/// With `a ∪ d` for `a` after `a.apply(&d)`, and `d = a.mutate(…)` giving `a'`:
///
/// * *a delta is the whole change*: `a ∪ d = a'`, and `b ∪ d = b ∪ a'` for every `b` that holds `a`;
/// * *deltas join*: `(a ∪ d) ∪ e = a ∪ (d ∪ e)`, and among themselves they keep the laws of [`Merge`];
/// * *any order, any number of times*: two replicas that applied the same deltas are equal. A delta that comes before
///   what it builds on is absorbed and shows at once; the context says which dots it knew, and leaves those that it did
///   not know to arrive later. (The causal delta-merging condition of the paper is therefore not asked for. Applying
///   deltas in causal order additionally makes what is *read in between* causally consistent.)
/// * *what a peer lacks*: `b ∪ a.delta_since(&b.context()) = b ∪ a`.
///
/// # Cost
///
/// Making, joining and applying a delta costs what changed, not what exists: a delta names the keys it touches, and
/// nothing else is looked at. Adding one element to a set of *n* is O(log n) at the writer and at every receiver.
///
/// The scheme is that of Almeida, Shoker and Baquero, *Delta State Replicated Data Types*, 2018.
pub trait DeltaState: Crdt + Merge {
    /// What changed. [`Default`] is the delta of nothing.
    type Delta: Merge + Default;

    /// What a state says of itself to be sent what it lacks: small, where the type allows.
    type Context;

    /// Makes an update and returns its delta. Dropping the delta keeps the update from everybody else, unless whole
    /// states or [`delta_since`](Self::delta_since) bring it to them.
    ///
    /// The stamp says who writes, and when; only last-writer-wins types look at the time.
    #[must_use = "a delta that is not sent leaves the other replicas behind"]
    fn mutate(&mut self, at: Stamp, update: Self::Update) -> Self::Delta;

    /// Takes in a delta, in any order and any number of times.
    fn apply(&mut self, delta: &Self::Delta);

    /// What is here, for a peer's [`delta_since`](Self::delta_since).
    fn context(&self) -> Self::Context;

    /// Everything that a state with the context `theirs` lacks. It looks through the whole state: O(n); the delta is
    /// as small as what is lacking.
    #[must_use = "a delta that is not sent leaves the other replicas behind"]
    fn delta_since(&self, theirs: &Self::Context) -> Self::Delta;
}
