//! Replication by operations, given causal delivery.

use isles_clock::{Context, Dot, Stamp};

use crate::Crdt;

/// A type that changes by operations, each delivered once, after everything its writer had observed.
///
/// A writer *prepares* an operation from its state and an update, gives it the next dot, and lets it take *effect* at
/// home under [`Everything`](isles_clock::Everything): it has observed all that it holds. Everybody else lets it take
/// effect under the context in which it was written. The delivery is the caller's (a log, a broker); in return
/// the state keeps no context, and no tombstones.
///
/// # Laws
///
/// * *concurrent operations commute*: if neither `a` nor `b` has observed the other, effect of `a` then `b` = effect of
///   `b` then `a`;
/// * *preparing changes nothing*, and an update of which `prepare` makes no operation changes no outcome anywhere, also
///   not a concurrent one: adding what is there already *is* an operation, because it protects against a concurrent
///   removal.
///
/// The split is that of Shapiro et al., *Conflict-free Replicated Data Types*, 2011; that a causal context can replace
/// what operations would have to list is Baquero, Almeida and Shoker, *Pure Operation-Based Replicated Data Types*, 2017.
pub trait OpBased: Crdt {
    /// What travels, beside the dot and the writer's context.
    type Op;

    /// The operation of an update made here; `None` where it could not change anything, anywhere.
    fn prepare(&self, at: Stamp, update: Self::Update) -> Option<Self::Op>;

    /// Lets an operation take effect: `dot` names it, and its writer had observed what `ctx` covers.
    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: Self::Op);
}
